"""What people read of packets, documents, quarantine, links and benchmarks, in each language.

Each table is drawn from made shapes: it has its facts, and no word of another language.
"""

import importlib

import msgspec
import pytest

from exchange.drops import AWAITS_CARD
from harness.spoken import drawn, strangers
from nodes.cli import (
    bench_tables,
    finding_tables,
    node_tables,
    output,
    shapes,
    tables,
    tracking,
    trouble_tables,
)
from nodes.cli.moments import utc_and_local
from nodes.cli.seen import State as Checked
from nodes.said import Said
from nodes.texts import catalogue, text
from schemas.codes import Language
from schemas.leaves import FIELDS
from schemas.reasons import NEXT_STEP, Reason
from schemas.records import TrackedRow
from store.standing import State

AT = "2026-11-23T03:32:06.000000Z"
SCHOOL, OBLAST = "kz.akmola.burabay.school-3", "kz.akmola"
PREFIXES = ("packets", "print.states", "print.reasons", "search", "span", "look", "links")
MEASURED = {
    "hop": "HopResult",
    "backlog": "BacklogResult",
    "idle": "IdleResult",
    "cycle": "CycleResult",
    "tiers": "TiersResult",
    "line": "LineResult",
    "sealing": "SealResult",
    "journal": "JournalResult",
}
SETTINGS = {"fsync", "synchronous_commit"}
"""Figures that bear PostgreSQL's own names."""


@pytest.fixture(params=Language)
def language(request, monkeypatch):
    """Speak each language in turn."""
    monkeypatch.setenv("BBAJ_LANG", request.param.value)
    return request.param


def line(shape=shapes.PacketLine, **changed):
    """Return a packet on its way, late."""
    facts = {
        "id": "01jx",
        "type_": "attendance.daily/1",
        "from_": SCHOOL,
        "to": OBLAST,
        "epoch": 2,
        "seq": 17,
        "section": "S04",
        "class_": "R5",
        "flow": "oper",
        "period": "2026-11-23",
        "re": None,
        "sent": AT,
        "received": AT,
        "transit_s": 3725.0,
        "kept": AT,
        "via": SCHOOL,
        "size": 1234,
        "state": "in custody",
        "since": AT,
        "overdue": True,
        "holder": "kz.akmola.burabay",
        "reason": None,
        "next_step": None,
        "frame": 71,
        "basis": "order 130",
        "term_status": "approved",
    }
    return shape(**facts | changed)


def refused(**changed):
    """Return a packet that was refused, and destroyed at the end of its term."""
    end = {"state": "refused", "reason": "sig-invalid", "overdue": False, "holder": None}
    return line(**end | {"destroyed": AT, "act": "01act"} | changed)


def sending(**changed):
    """Return a document that waits for its recipient's card."""
    facts = {
        "drop_id": "d-1",
        "state": "waiting",
        "known_before": True,
        "type_": "ping/1",
        "to": OBLAST,
        "packet": None,
        "sent": None,
        "since": None,
        "overdue": False,
        "holder": None,
        "reason": None,
        "problem": None,
        "next_step": Said("packets.handed.card", {"to": OBLAST}),
    }
    return shapes.Sending(**facts | changed)


def quarantined(**changed):
    """Return a frame in quarantine."""
    facts = {
        "frame": 9,
        "state": "refused",
        "reason": "sig-invalid",
        "detail": "0x1b",
        "next_step": NEXT_STEP[Reason.SIG_INVALID],
        "neighbour": SCHOOL,
        "received": AT,
        "size": 77,
        "sha256": "ab" * 32,
        "kept": False,
        "id": "01jx",
        "from_": SCHOOL,
        "to": OBLAST,
    }
    return shapes.Quarantined(**facts | changed)


def happening(what, **facts):
    """Return what happened, with its facts."""
    leaf = 5 if what in FIELDS else None
    return shapes.Happening(
        at=AT, what=what, where=OBLAST, frame=71, leaf=leaf, facts=facts, next_step=None
    )


# ------------------------------------------------------------------ packets


def test_a_list_of_packets(language):
    """`list` says in words where each packet is, and leaves its codes as they are."""
    page = shapes.PacketList(packets=[line(), refused()], next_after="c1")
    said = drawn(tables.packets(page))
    for fact in ("01jx", "attendance.daily/1", SCHOOL, "sig-invalid", "kz.akmola.burabay", "c1"):
        assert fact in said
    for key in ("print.states.in custody", "print.states.refused", "packets.overdue"):
        assert text(key, language) in said
    assert text("packets.destroyed", language, day="2026-11-23") in said
    assert strangers(said, language, *PREFIXES) == set()


def test_the_story_of_a_packet(language):
    """`show` has every fact of it, what happened, and what to do about a refusal."""
    proven = Said("packets.leaf-under", {"index": 4, "size": 9})
    told = shapes.Story(
        packets=[line(held_by=[3]), refused()],
        happenings=[
            happening("sent", seq="17", kind="sent"),
            happening("received", told=AT, proven=proven, verdict="accepted"),
            happening("quarantine", state="held", reason="sig-invalid", detail="0x1b"),
        ],
        answers=[refused()],
        answered=[line()],
    )
    said = drawn(tables.story(told))
    for fact in ("S04", "R5", "oper", "1234", "71", "order 130", "01act", "0x1b"):
        assert fact in said
    for key in (
        "packets.events.received",
        "packets.for-ever",
        "packets.answers",
        "packets.steps.sig-invalid",
        "print.verdicts.accepted",
        "print.states.held",
    ):
        assert text(key, language) in said
    span = text("span.hours", language, hours=1, minutes=2)
    assert text("packets.received-after", language, at=utc_and_local(AT), span=span) in said
    assert proven.in_language(language) in said
    assert strangers(said, language, *PREFIXES) == set()


def test_what_is_overdue(language):
    """`overdue` says how long, and what was last told, by words and not by codes."""
    last = Said("packets.events.relayed")
    told = Said("packets.told-by", {"node": OBLAST, "event": last, "at": AT, "told": AT})
    row = shapes.Overdue(
        id="01jx", type_="ping/1", to=OBLAST, sent=AT, since=AT, age_s=200_000, holder=SCHOOL,
        resends=2, next_resend=AT, last_told=told,
    )  # fmt: skip
    said = drawn(tables.overdue([row]))
    assert text("span.days", language, days=2, hours=7) in said
    assert last.in_language(language) in said
    assert strangers(said, language, *PREFIXES) == set()


def test_what_is_found(language):
    """`search` and `inbox list` have states and headings of the language."""
    found = line(shapes.FoundLine, title="journal 7", state="received")
    page = shapes.FoundList(packets=[found], next_after=None, unopened=2, not_indexed=0)
    said = drawn(finding_tables.found(page, language))
    inbox = shapes.InboxLine(
        id="01jx", type_="ping/1", from_=SCHOOL, section="S04", period=None, re=None, sent=AT,
        received=AT, released=AT, system="sis", taken=AT, taken_by="uid-7", size=3,
    )  # fmt: skip
    taken = shapes.TakenDocument(
        id="01jx", type_="ping/1", from_=SCHOOL, section="S04", period=None, re=None, sent=AT,
        received=AT, title=None, media_type="text/csv", sha256="ab", size=3, path="/srv/01jx.csv",
    )  # fmt: skip
    said += drawn(tables.inbox([inbox])) + drawn(tables.taken([taken]))
    for fact in ("journal 7", "sis", "uid-7", "/srv/01jx.csv"):
        assert fact in said
    assert text("print.states.received", language) in said
    assert strangers(said, language, *PREFIXES) == set()


def test_what_became_of_a_document(language):
    """`send` says where it is, and what comes next."""
    said = drawn(tables.sending(sending()))
    assert text("packets.handed.card", language, to=OBLAST) in said
    assert text("packets.known-before", language) in said
    ended = sending(state="refused", reason="replay", next_step=NEXT_STEP[Reason.REPLAY])
    said += drawn(tables.sending(ended))
    for key in ("print.states.waiting", "print.reasons.replay", "packets.steps.replay"):
        assert text(key, language) in said
    assert strangers(said, language, *PREFIXES) == set()
    waits = tables.on_its_way(sending(state="in custody", packet="01jx", holder=SCHOOL))
    assert waits == f"01jx: {text('print.states.in custody', language)}, {SCHOOL}"


def test_quarantine_and_incidents(language):
    """Reasons stay codes, with their words; what an incident is called stays as it is."""
    waits = quarantined(state="held", reason="crl", next_step=None)
    entry = shapes.QuarantineEntry(rows=[quarantined()], raw="/srv/9.bin")
    incident = shapes.Incident(
        at=AT, kind="journal_forked", neighbour=SCHOOL, detail="0x1b", frame=9
    )
    said = drawn(trouble_tables.quarantine([quarantined(), waits]))
    said += drawn(trouble_tables.quarantine_entry(entry))
    said += drawn(trouble_tables.incidents([incident]))
    for fact in ("sig-invalid", "0x1b", "ab" * 32, "/srv/9.bin", "journal_forked"):
        assert fact in said
    for key in ("print.states.held", "print.reasons.sig-invalid", "packets.steps.sig-invalid"):
        assert text(key, language) in said
    assert strangers(said, language, *PREFIXES) == set()


def test_nothing_to_list(language):
    """Where there is nothing, a sentence says so."""
    said = [
        *tables.packets(shapes.PacketList(packets=[], next_after=None)),
        *tables.inbox([]),
        *tables.taken([]),
        *tables.overdue([]),
        *trouble_tables.quarantine([]),
        *trouble_tables.incidents([]),
    ]
    kinds = ("list", "inbox", "inbox", "overdue", "quarantine", "incidents")
    assert said == [text(f"packets.none.{kind}", language) for kind in kinds]


# ------------------------------------------------------------------ links, tree and broker


def test_links(language):
    """`link list` says which links are in use, and why not."""
    rows = [
        shapes.LinkStanding(neighbour=OBLAST, state=state, since=AT, why="0x1b")
        for state in ("in use", "suspended")
    ]
    said = drawn(node_tables.links(rows))
    for key in ("links.in use", "links.suspended", "packets.columns.link"):
        assert text(key, language) in said
    assert strangers(said, language, *PREFIXES) == set()


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"broker": None}, "topology.no-broker"),
        ({"unanswered": "no answer"}, "topology.unanswered"),
        ({"differences": ["0x1b"]}, "topology.departs"),
        ({}, "topology.planned"),
    ],
)
def test_how_a_broker_stands(language, changed, key):
    """`topology` says where each node stands, and whether the broker is as planned."""
    named = Said("topology.broker", {"vhost": "a", "local": "b", "url": "amqp://c"})
    nodes = [
        shapes.TreeNode(address=OBLAST, tier=None, standing="active", here=False),
        shapes.TreeNode(address=SCHOOL, tier="school", standing="closed", here=True),
    ]
    facts = {"broker": named, "applied": False, "unanswered": None, "differences": []}
    said = drawn(
        node_tables.topology(shapes.Topology(tree=nodes, systems=["sis"], **facts | changed))
    )
    assert text(key, language, broker=named.in_language(language)) in said
    for mark in ("topology.here", "topology.no-tier", "network.standings.closed"):
        assert text(mark, language) in said
    assert strangers(said, language, "topology", "network.standings") == set()


# ------------------------------------------------------------------ benchmarks


@pytest.mark.parametrize("module", MEASURED)
def test_figures(language, module):
    """Each figure of a benchmark has its name in the language, but for settings of the server."""
    shape = getattr(importlib.import_module(f"nodes.bench.{module}"), MEASURED[module])
    names = [each.name for each in msgspec.structs.fields(shape)]
    rounds = {"rounds": [{"ratio": 1.5}]} if "rounds" in names else {}
    said = drawn(bench_tables.figures(shape(**dict.fromkeys(names, True) | rounds)))
    for name in names:
        label = name if name in SETTINGS else text(f"bench.figures.{name}", language)
        assert label in said
    assert strangers(said, language, "bench") == set()


# ------------------------------------------------------------------ the catalogue and the codes


def test_whatever_is_drawn_has_words():
    """Each state, event, reason and check that a table may show is in the catalogue."""
    said = set(catalogue(Language.KK))
    events = {kind for kind, fields in FIELDS.items() if {"id", "from", "at"} <= set(fields)}
    assert {f"packets.events.{each}" for each in events} <= said
    assert {f"packets.steps.{each}" for each in Reason} <= said
    assert {f"look.states.{each}" for each in Checked.__args__} <= said
    assert {f"print.states.{each}" for each in (*State, "held", "incident", "fault")} <= said
    assert f"packets.handed.{AWAITS_CARD}" in said


@pytest.mark.parametrize("reason", Reason)
def test_what_to_do_is_said_once_in_english(reason):
    """Status events and JSON have the same words as the table in English."""
    assert text(f"packets.steps.{reason}", Language.EN) == NEXT_STEP[reason]


def test_json_is_english(monkeypatch, capfdbinary):
    """What comes next stands in JSON as it did, whatever is spoken."""
    monkeypatch.setenv("BBAJ_LANG", "kk")
    output.show(True, sending(), list)
    found = msgspec.json.decode(capfdbinary.readouterr().out, type=shapes.Sending)
    assert found.state == "waiting"
    assert found.next_step == f"the daemon seals it once the card of {OBLAST} has come"


def test_nobody_has_told_of_a_packet():
    """Where no node has answered nothing is last told."""
    rows: list[TrackedRow] = []
    assert tracking.last_word(rows) is None
