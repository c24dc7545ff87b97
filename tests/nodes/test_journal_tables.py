"""What people read of journals, tracking, evidence, the database and exit codes."""

import pytest

from harness.spoken import drawn, strangers
from nodes.cli import (
    evidence_tables,
    exit_tables,
    failures,
    journal_tables,
    recovering,
    stamping,
    store_tables,
    tracking_tables,
)
from nodes.cli.exits import EXITS
from nodes.cli.journal_shapes import JournalStory, NeighbourJournal, WitnessLine
from nodes.cli.shapes import (
    EvidenceFile,
    Rebuilding,
    Steps,
    StoreCheck,
    StoreFaultLine,
    TilesExport,
)
from nodes.cli.tracking_shapes import LeafTold, NodeTold, TrackReport
from nodes.errors import NotFound
from nodes.evidence.case import Terms
from nodes.evidence.verdict import Check, Verdict
from nodes.stamp_terms import Term, what_is_due
from nodes.texts import text
from schemas.codes import Language
from schemas.limits import Limits
from signing.algorithms import DEFAULT
from store.faults import Kind

AT = "2026-11-23T02:15:00.000000Z"
TOP, CHILD = "kz.akmola", "kz.akmola.burabay"


@pytest.fixture(params=Language)
def language(request, monkeypatch):
    """Speak each language in turn."""
    monkeypatch.setenv("BBAJ_LANG", request.param.value)
    return request.param


def story(**changed):
    facts = {
        "address": CHILD,
        "epoch": 2,
        "origin": "burabay.akmola.kz/2",
        "leaves": 1300,
        "size": 1234,
        "signed": AT,
        "checkpoint": None,
        "witnesses": [WitnessLine(witness=TOP, size=1200, at=AT, is_newest=True)],
        "witnesses_needed": 1,
        "witnessed": 1200,
        "waits_s": 7200.0,
        "neighbours": [
            NeighbourJournal(address=TOP, origin="akmola.kz", size=77, root="cm9v", shown=AT)
        ],
    }
    return JournalStory(**{**facts, **changed})


def test_journals(language):
    """`journal show` has every fact, and no word of another language."""
    said = drawn(journal_tables.journal(story()))
    for fact in ("burabay.akmola.kz/2", "1300", "1234", "1200", TOP, "akmola.kz", "cm9v"):
        assert fact in said
    assert text("journal.newest", language) in said
    assert strangers(said, language, "journal", "span") == set()


def test_journals_that_nobody_has_signed(language):
    """What is not there yet is said, not left out."""
    said = drawn(journal_tables.journal(story(signed=None, waits_s=None)))
    for key in ("journal.unsigned", "journal.waits-not"):
        assert text(key, language) in said


def test_tracking(language):
    """`track` says what each node did in words, and reasons as their codes."""
    leaves = [
        LeafTold(what="relayed", at=AT, index=17, checkpoint=20, reason=None, detail=None),
        LeafTold(what="refused", at=AT, index=None, checkpoint=None, reason="busy", detail=None),
    ]
    nodes = [
        NodeTold(node=TOP, answered=AT, leaves=leaves),
        NodeTold(node="kz", answered=AT, leaves=[]),
        NodeTold(node="kz.other", answered=None, leaves=[]),
    ]
    report = TrackReport(
        id="0f" * 16,
        from_=CHILD,
        to=TOP,
        epoch=1,
        nodes=nodes,
        silent=["kz.other"],
        instruction="i",
    )
    said = drawn(tracking_tables.tracked(report))
    words = [text(f"packets.events.{each}", language) for each in ("relayed", "refused")]
    for fact in (*words, "busy", "17", "20", "kz.other", text("tracking.never-had", language)):
        assert fact in said
    assert strangers(said, language, "tracking") == set()


def check(**changed):
    fault = StoreFaultLine(table="leaf", key="index 3", kind=Kind.REMOVED, what="it is gone")
    facts = {
        "holds": False,
        "faults_found": 12,
        "faults": [fault],
        "counts": {"leaf": 1300, "packet": 700},
        "leaves": 1300,
        "root": "cm9vdA==",
        "checkpoint": 1234,
        "cosigned": 1200,
        "witnesses": [TOP],
        "begun_at": 1000,
        "resumed": AT,
    }
    return StoreCheck(**{**facts, **changed})


def test_verifications_of_the_record(language):
    """`store verify` names the row, what happened to it in words, and how far it looked."""
    said = drawn(store_tables.store_check(check()))
    first = said.splitlines()[0]
    assert text("store.tables.leaf", language) in first
    assert text("store.kinds.removed", language) in first
    for fact in ("index 3", "it is gone"):
        assert fact in first
    for fact in ("11", "1300", "700", "cm9vdA==", "1234", "1200", TOP, "1000", "02:15:00"):
        assert fact in said
    assert strangers(said, language, "store") == set()


def test_what_was_done_to_the_database(language):
    """Migration, rebuilding and the export of the journal are told in the language spoken."""
    export = TilesExport(
        folder="/tiles",
        origin="akmola.kz",
        leaves=9,
        leaves_kept=8,
        files_written=7,
        cosigned_by=[],
    )
    said = drawn(
        [
            *store_tables.steps(Steps(done=[])),
            *store_tables.rebuilding(Rebuilding(documents=5, receipts=4, held=3, drops_removed=2)),
            *store_tables.tiles_export(export),
        ]
    )
    for fact in ("/tiles", "akmola.kz", *"9875432", text("store.nothing", language)):
        assert fact in said
    assert text("tiles.unsigned", language) in said
    assert strangers(said, language, "store", "tiles") == set()


def test_time_stamps(language):
    """Stamps are listed with what ends first, and with what to do about their authority."""
    due = what_is_due(Term(5, "ecdsa-p256-sha256", None), 4)
    line = stamping.StampLine(
        authority="national",
        size=41,
        hash="sha-256",
        gen_time=AT,
        ends=AT,
        ends_by=stamping.what_ends(Term(5, "certificate", None)),
        renewed_by=None,
        due=due.said,
        sha256="ab",
    )
    done = stamping.StampsDone(
        stamps=[stamping.Made(authority="national", size=41, gen_time=AT, hash="sha-512")],
        failed={"other": "-"},
        due={},
        at=AT,
        instruction="i",
    )
    said = drawn([*stamping.stamps_table([line]), *stamping.made(done)])
    step = text("stamps.policy-ends-step", language)
    for fact in ("national", "41", "ecdsa-p256-sha256", step, text("stamps.certificate", language)):
        assert fact in said
    assert strangers(said, language, "stamps") == set()


def test_lost_journals(language):
    """A new epoch is asked for and approved in the language spoken; the command stays a command."""
    asked = recovering.RecoverDone(
        address=CHILD, of_epoch=2, leaves=100, asked=TOP, at=AT, instruction="i"
    )
    granted = recovering.ApproveDone(
        address=CHILD, epoch=3, size=130, root="r", leaves=100, changed=True, at=AT, instruction="i"
    )
    said = drawn([*recovering.asked(asked), *recovering.approved(granted)])
    for fact in (f"bbaj journal approve {CHILD}", TOP, "100", "130", "30"):
        assert fact in said
    assert strangers(said, language, "recovery") == set()


def test_evidence_that_was_exported(language):
    """`evidence export` counts what vouches for the packet."""
    file = EvidenceFile(
        packet="0f" * 16,
        folder="/evidence",
        files=["head.bin"] * 19,
        frames=["."],
        leaves=18,
        leaves_proven=17,
        checkpoints=[20],
        cosigned=16,
        stamps=15,
        custody=14,
        tracked=13,
        leaves_uncosigned=0,
        leaves_unstamped=0,
        notes=["-"],
    )
    said = drawn(evidence_tables.exported(file))
    for fact in ("/evidence", "VERIFY.md", *map(str, range(13, 20))):
        assert fact in said
    assert strangers(said, language, "proof") == set()


@pytest.mark.parametrize("holds", [True, False])
def test_evidence_that_was_judged(language, holds):
    """The result of each check and the last line are words; names of checks are codes."""
    verdict = Verdict(
        holds=holds,
        packet="0f" * 16,
        existed=AT,
        existed_by="witness",
        stamp_roots="folder",
        stamp_root_sha256=["ab" * 32],
        checks=[Check("leaf", "leaves/1", "holds"), Check("unknown", "x", "warns", "-")],
    )
    terms = Terms(root=b"", policy=DEFAULT, now=0, limits=Limits(), stamp_roots=())
    lines = drawn(evidence_tables.verdict(verdict, terms, given=True)).splitlines()
    assert any(line.startswith(text("verdict.results.warns", language)) for line in lines)
    last = text("verdict.holds-warned" if holds else "verdict.fails-warned", language, warnings=1)
    assert lines[-1].rstrip() == last
    assert "2026-11-23 02:15:00 UTC" in lines[-2]
    assert strangers("\n".join(lines), language, "verdict") == set()


def test_exit_codes(language):
    """`exits` says what each code means, and what to do."""
    said = drawn(exit_tables.exits(EXITS))
    for row in EXITS:
        assert row.meaning(language) in said
        assert row.next_step(language) in said
    assert strangers(said, language, "exits") == set()


def test_errors_are_explained_where_english_is_not_spoken(language, capsys):
    """Below the line that documents quote stands what it means; English needs no second line."""
    failures.explain(NotFound("packet 7 is not here"), as_json=False)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "bbaj: packet 7 is not here"
    if language is Language.EN:
        assert len(lines) == 1
    else:
        (explained,) = lines[1:]
        assert text("exits.meaning.not-found", language) in explained
        assert text("exits.step.not-found", language) in explained


def test_errors_as_json_are_english(language, capsys):
    """What programs read does not change by language."""
    failures.explain(NotFound("packet 7 is not here"), as_json=True)
    assert text("exits.step.not-found", Language.EN) in capsys.readouterr().err


def test_a_wrong_setting_of_the_language_is_told_in_english(monkeypatch, capsys):
    """Where BBAJ_LANG names no language nothing is said in another one."""
    monkeypatch.setenv("BBAJ_LANG", "kz")
    failures.explain(NotFound("packet 7 is not here"), as_json=False)
    assert capsys.readouterr().err == "bbaj: packet 7 is not here\n"
