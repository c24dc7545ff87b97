"""What people read of the demo, in each language; its summary stays as it is."""

import re
from pathlib import Path

import pytest
from rich.console import Console

from harness.spoken import drawn, strangers
from nodes.demo import negative, outcome
from nodes.demo.messages import Judged, Tally
from nodes.demo.places import FLOWS, INTACT, REINSTATED, RETURNED, WHILE_SUSPENDED
from nodes.demo.view import STYLES, LiveView, PlainView
from nodes.demo.words import name_of, slug, step_of
from nodes.texts import catalogue, text
from schemas.codes import Language

SOURCES = Path(__file__).parents[2] / "nodes/demo"
FLOW_NAMES = [
    *(flow.name for flow in (*FLOWS, WHILE_SUSPENDED, REINSTATED, *negative.FLOWS)),
    RETURNED,
    INTACT,
]
CASE = r'_refused\(\s*"([^"]+)"|RogueCase\(\s*"([^"]+)"'
STATE = r'view\.node\([\w.]+, (?:"([a-z-]+)"|"([a-z-]+)" if \w+ else "([a-z-]+)")\)'
SUMMARY = {
    "flows": {
        FLOWS[0].name: {
            "dropped": 14, "delivered": 13, "refused": {"replay": 1}, "overdue": 2, "resent": 3,
        },
    },
    "rogue": {
        "a sibling's address": {
            "reason": "route-forbidden", "answer": "refusal entry", "reached_next_tier": False,
        },
        "byte-exact repeat": {
            "reason": "", "answer": "", "released": 1, "reached_next_tier": True,
        },
    },
    "tiers": {
        "school to district": {"median_ms": 12.0, "p95_ms": 99.0, "packets": 14},
        "sealed to confirmed": {"median_ms": 34.0, "p95_ms": 99.0, "packets": 14},
    },
    "nodes": {"kz": {"packets": 9, "leaves": 8, "checkpoints": 7, "quarantined": 6}},
    "lost": 0,
    "doubled": 0,
    "undropped": 0,
    "stores_verified": True,
    "evidence": {"folders": 14, "bbaj": 14, "second": 14, "stock": 14},
    "took_s": 180.4,
}  # fmt: skip
FLOW = {FLOWS[0].name: Tally(planned=3, dropped=2, delivered=1, refused={"replay": 1})}


@pytest.fixture(params=Language)
def language(request, monkeypatch):
    """Speak each language in turn."""
    monkeypatch.setenv("BBAJ_LANG", request.param.value)
    return request.param


def written(write) -> str:
    """Return what is written to a console."""
    console = Console(width=300, markup=False, highlight=False)
    with console.capture() as captured:
        write(console)
    return captured.get()


def found_in(pattern: str) -> set[str]:
    """Return what a pattern captures in the demo's source."""
    source = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES.glob("*.py"))
    return {each for match in re.finditer(pattern, source) for each in match.groups() if each}


def test_the_live_view(language):
    """Flows and states are said in the language, and so is the news."""
    view = LiveView(Console())
    view.node("kz", "up")
    view.node("kz.akmola", "cut-off")
    view.flows(FLOW)
    said = drawn([view._draw()])
    for key in ("demo.states.up", "demo.states.cut-off", "demo.columns.dropped"):
        assert text(key, language) in said
    assert name_of("demo.flows", FLOWS[0].name) in said
    assert strangers(said, language, "demo") == set()


def test_plain_lines(language):
    """Elsewhere each thing is a line; what is ordinary is none."""

    def write(console):
        view = PlainView(console)
        view.say("demo.news.day")
        view.node("kz", "up")
        view.node("kz.akmola", "killed")
        view.flows(FLOW)

    lines = written(write).splitlines()
    assert len(lines) == 3
    assert lines[0].endswith(text("demo.news.day", language))
    assert lines[1].endswith(f"kz.akmola: {text('demo.states.killed', language)}")
    counts = {"planned": 3, "dropped": 2, "delivered": 1, "refused": 1}
    assert lines[2].endswith(text("demo.sum", language, **counts))


def test_the_outcome(language):
    """Tables and the last lines are said in the language; reasons stay codes."""
    said = written(lambda console: outcome.show(Judged(True, [], SUMMARY), console))
    said += written(lambda console: outcome.show_what_next(Path("build/demo"), console))
    for fact in ("route-forbidden", "1 replay", "build/demo/summary.json"):
        assert fact in said
    for key in (
        "demo.answers.nothing",
        "demo.cases.a-sibling-s-address",
        "demo.rogue.reached",
        "demo.steps.sealed-to-confirmed",
        "demo.titles.flows",
        "demo.verified",
    ):
        assert text(key, language) in said
    assert text("demo.proven", language, folders=14) in said
    assert strangers(said, language, "demo") == set()


def test_a_failed_judgement(language):
    """Findings are shown as the summary has them, so many and no more."""
    findings = [f"lost: {number}" for number in range(outcome.FINDINGS_SHOWN + 2)]
    summary = SUMMARY | {"evidence": SUMMARY["evidence"] | {"stock": 13}, "stores_verified": False}
    said = written(lambda console: outcome.show(Judged(False, findings, summary), console))
    assert text("demo.found", language, finding="lost: 0") in said
    assert text("demo.more", language, count=2) in said
    assert text("demo.not-verified", language) in said
    by = {"folders": 14, "bbaj": 14, "second": 14, "stock": 13}
    assert text("demo.not-proven", language, **by) in said


@pytest.mark.parametrize("passed", [True, False])
def test_the_sabotages(language, passed):
    """Each trial is named, with what the judgement said of it."""
    outcomes = {
        trial.name: negative.Outcome(not trial.finding, 1, ["lost: x"], as_it_must=passed)
        for trial in negative.TRIALS
    }
    summary = {"passed": passed, "took_s": 60.0}
    said = written(lambda console: negative._show(outcomes, summary, console))
    for trial in negative.TRIALS:
        assert text(f"demo.trials.{slug(trial.name)}", language) in said
    key = "demo.negative.all-found" if passed else "demo.negative.not-found"
    assert text(key, language) in said
    assert strangers(said, language, "demo") == set()


def test_names_are_those_of_the_summary_in_english():
    """Flows, cases and trials bear the same names in the summary and in English."""
    groups = {
        "flows": set(FLOW_NAMES),
        "cases": found_in(CASE),
        "trials": {trial.name for trial in negative.TRIALS},
    }
    for group, names in groups.items():
        said = {text(f"demo.{group}.{slug(name)}", Language.EN) for name in names}
        assert said == names, group


def test_every_state_has_a_word():
    """Whatever the story says of a node is in the catalogue."""
    states = found_in(STATE)
    assert states >= {"cut-off", "broker-starting", "waiting", "up"}
    assert {f"demo.states.{each}" for each in states | set(STYLES)} <= set(catalogue(Language.KK))


@pytest.mark.parametrize(
    ("spoken", "step"),
    [("kk", "мектеп → аудан"), ("ru", "школа → район"), ("en", "school to district")],
)
def test_steps_between_tiers(monkeypatch, spoken, step):
    """A step is named by its two tiers."""
    monkeypatch.setenv("BBAJ_LANG", spoken)
    assert step_of("school to district") == step
