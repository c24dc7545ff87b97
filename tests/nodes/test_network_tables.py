"""What people read of children, invitations, keys, rights, checks and the doctor, in each language.

Each table is drawn from made shapes: it has its facts, and no word of another language.
"""

import pytest

from exchange.amqp.trying import Act
from exchange.departures import Departure, Fault
from harness.spoken import drawn, strangers
from nodes.cli import brokers, invitation_tables, key_tables, node_tables, registry_tables
from nodes.cli.invitation_shapes import (
    InvitationLine,
    InvitationMade,
    JoinDone,
    Removed,
    Withdrawn,
)
from nodes.cli.key_shapes import EscrowWritten, KeyLine, KeysRestored, RenewalAsked
from nodes.cli.registry_shapes import (
    AccessLine,
    CardVersion,
    ChildCard,
    ChildDone,
    ChildStory,
    Examination,
    InstructionLine,
    RevokingDone,
)
from nodes.cli.seen import fail, fault, ok, skipped, warn
from nodes.cli.shapes import Check, NodeCheck, Topology, TreeNode
from nodes.doctor.examine import PARTS
from nodes.doctor.findings import finding_of
from nodes.errors import ConfigurationFault
from nodes.said import Said
from nodes.texts import catalogue, text
from schemas.codes import Language

AT = "2026-11-23T02:15:00.000000Z"
TOP, CHILD = "kz.akmola", "kz.akmola.burabay"
NAMES = {"kk": "Бурабай ауданы", "ru": "Бурабайский район", "en": "Burabay district"}


@pytest.fixture(params=Language)
def language(request, monkeypatch):
    """Speak each language in turn."""
    monkeypatch.setenv("BBAJ_LANG", request.param.value)
    return request.param


def card(**changed):
    facts = {
        "address": CHILD,
        "tier": "district",
        "standing": "suspended",
        "since": AT,
        "names": NAMES,
        "kato": "117000000",
        "kato_edition": "2024",
        "bin_": "123456789012",
        "uplink": TOP,
        "former": None,
        "successor": "kz.akmola.kokshetau",
        "types": [],
        "encryption_key": None,
        "vouched_by": TOP,
        "number": 7,
    }
    return ChildCard(**{**facts, **changed})


# ------------------------------------------------------------------ children, rights


def test_children(language):
    """`child list` has each child under the name and the standing of the language."""
    said = drawn(registry_tables.children([card()]))
    for fact in (CHILD, TOP, NAMES[language], text("network.standings.suspended", language)):
        assert fact in said
    assert strangers(said, language, "network") == set()


def test_a_child(language):
    """`child show` has all that a card says, and the cards before it."""
    version = CardVersion(number=6, learned=AT, standing="active", uplink=TOP, sha256="a1" * 32)
    said = drawn(registry_tables.child(ChildStory(card=card(), versions=[version])))
    for fact in ("117000000", "123456789012", "kz.akmola.kokshetau", "a1a1a1a1a1a1a1a1"):
        assert fact in said
    for key in ("not-stated", "all-types", "standings.active", "facts.vouched-by"):
        assert text(f"network.{key}", language) in said
    assert strangers(said, language, "network") == set()


@pytest.mark.parametrize("changed", [True, False])
def test_what_was_done_about_a_child(language, changed):
    """Standing, entries that wait, and what was done at the broker are said."""
    deeds = [
        Said("network.broker.withdrawn", {"user": "burabay.akmola.kz"}),
        Said("network.broker.queue-stays", {"queue": "down.burabay"}),
        brokers.said_of(Departure("queues", "bbaj / up.burabay", Fault.MISSING)),
    ]
    done = ChildDone(
        address=CHILD, standing="closed", changed=changed, waiting=12, at=AT, instruction="01",
        broker=deeds,
    )  # fmt: skip
    said = drawn(registry_tables.child_done(done))
    assert text("network.waiting", language, count=12) in said
    for deed in deeds:
        assert deed.in_language(language) in said
    assert strangers(said, language, "network") == set()


@pytest.mark.parametrize("detail", ["", "3 of them"])
def test_certificates_revoked(language, detail):
    """`revoke` says whose certificates are revoked, and when."""
    late = Said("network.broker.late", {"span": Said("span.seconds", {"seconds": 10})})
    done = RevokingDone(
        address=CHILD, request="ab", detail=detail, at=AT, instruction="01", broker=[late]
    )
    said = drawn(registry_tables.revoking(done))
    assert CHILD in said
    assert detail in said
    assert late.in_language(language) in said
    assert strangers(said, language, "network", "span") == set()


def test_instructions_and_uses_of_commands(language):
    """What was told and what was allowed: commands by their names, states in words."""
    rows = [
        InstructionLine(
            id="01JX", given=AT, who="op-7", what="suspend", state=state, at=None, answer=None
        )
        for state in ("waiting", "done", "refused")
    ]
    uses = [AccessLine(at=AT, who="op-7", what="hold set", allowed=each) for each in (True, False)]
    said = drawn(registry_tables.instructions(rows)) + drawn(registry_tables.accesses(uses))
    for fact in ("01JX", "op-7", "suspend", "hold set"):
        assert fact in said
    for key in ("instructions.done", "accesses.allowed", "accesses.refused", "columns.who"):
        assert text(f"network.{key}", language) in said
    assert strangers(said, language, "network") == set()


def test_nothing_to_list(language):
    """Where there is nothing, a sentence says so."""
    said = [
        *registry_tables.children([]),
        *registry_tables.instructions([]),
        *registry_tables.accesses([]),
        *invitation_tables.given([], 0),
    ]
    kinds = ("children", "instructions", "accesses", "invitations")
    assert said == [text(f"network.no-{kind}", language) for kind in kinds]


# ------------------------------------------------------------------ invitations


def test_invitations(language):
    """An invitation's text stands alone on its line; the list says what became of each."""
    made = InvitationMade(address=CHILD, invitation="a1", ends=AT, new=True, text="bbaj1:abc")
    lines = [
        InvitationLine(
            invitation="a1", address=CHILD, made=AT, ends=AT, state=state, at=None, refused=2
        )
        for state in invitation_tables.STYLES
    ]
    texts = drawn(invitation_tables.made([made], [])).splitlines()
    assert "bbaj1:abc" in texts
    withdrawn = Withdrawn(invitation="a1", address=CHILD, at=AT, instruction="01")
    said = "\n".join(texts) + drawn(invitation_tables.given(lines, 4))
    said += drawn(invitation_tables.withdrawn(withdrawn))
    for state in invitation_tables.STYLES:
        assert text(f"network.invitations.{state}", language) in said
    for key in ("invite.secret", "invite.next", "columns.ended"):
        assert text(f"network.{key}", language) in said
    assert text("network.invite.strangers", language, count=4) in said
    assert strangers(said, language, "network") == set()


@pytest.mark.parametrize("again", [True, False])
def test_a_machine_that_has_joined(language, again):
    """`join` says where things are, how long it took, and what comes next."""
    done = JoinDone(
        address=CHILD, tier="district", parent=TOP, config="/srv/node.toml",
        root_sha256="ab" * 32, again=again, replaces=True, took_s=4.24,
    )  # fmt: skip
    said = drawn(invitation_tables.joined(done))
    assert (text("network.join.before", language) in said) == again
    assert (text("network.join.took", language, seconds="4.2") in said) != again
    assert (text("network.join.replaces", language) in said) != again
    assert text("network.join.next", language, config="/srv/node.toml") in said
    assert strangers(said, language, "network") == set()


@pytest.mark.parametrize("successor", [None, "kz.akmola.kokshetau"])
def test_a_child_that_is_removed(language, successor):
    """`remove` says what stays, and what ends."""
    done = Removed(
        address=CHILD, standing="closed", successor=successor, waiting=3, at=AT,
        broker=[Said("network.broker.nothing-to-withdraw")], revoked="",
    )  # fmt: skip
    said = drawn(invitation_tables.removed(done))
    assert (successor or CHILD) in said
    for key in ("standings.closed", "broker.nothing-to-withdraw", "removed.revoked"):
        assert text(f"network.{key}", language) in said
    assert strangers(said, language, "network") == set()


# ------------------------------------------------------------------ keys


def test_keys(language):
    """Keys go by the words that commands take; their states and places are words."""
    rows = [
        KeyLine(
            purpose="packet", state=state, id="ab", since=AT, until=AT, renewed_at=AT, where=where
        )
        for state, where in (
            ("in use", "file"),
            ("asked", "token"),
            ("granted", "file"),
            ("old", "token"),
        )
    ]
    said = drawn(key_tables.keys(rows))
    said += drawn(key_tables.renewal(RenewalAsked(request="cd", purposes=["packet", "link"])))
    said += drawn(key_tables.escrow(EscrowWritten(file="/srv/escrow", keys=["ab"])))
    restored = KeysRestored(address=CHILD, made=AT, restored=["ab"], known=[])
    said += drawn(key_tables.restored(restored))
    for fact in ("packet, link", "/srv/escrow", CHILD, text("keys.states.granted", language)):
        assert fact in said
    for key in ("keys.asked", "keys.keep", "keys.restart", "keys.columns.renewed"):
        assert text(key, language) in said
    assert strangers(said, language, "keys") == set()


# ------------------------------------------------------------------ checks and the doctor


def seen():
    """Return one thing of each state, as checks and the doctor see them."""
    left = Said("span.days", {"days": 3, "hours": 4})
    life = Said("checks.found.not-renewed", {"day": "2026-12-01", "left": left})
    return [
        ok(Said("checks.keys"), Said("checks.found.loads")),
        warn(Said("checks.certificates.packet"), life, Said("checks.advice.incidents")),
        fail(Said("checks.clock"), Said("checks.found.down"), Said("checks.advice.set-clock")),
        skipped(Said("checks.broker"), Said("checks.found.no-broker")),
        fault(Said("doctor.policy"), ConfigurationFault(["rights.toml: no act: name one"])),
    ]


def test_what_a_node_check_found(language):
    """Names, states and findings are words; what an error says stays as it is."""
    checks = [Check(name=each.name, state=each.state, detail=each.detail) for each in seen()]
    said = drawn(node_tables.node_check(NodeCheck(address=CHILD, holds=False, checks=checks)))
    for each in seen():
        assert each.name.in_language(language) in said
    assert "rights.toml: no act: name one" in said
    assert text("checks.advice.incidents", language) in said
    assert strangers(said, language, "checks", "look", "span") == set()


def test_what_the_doctor_found(language):
    """Each finding that is not ok comes with what to do, in the language spoken."""
    findings = [finding_of(each) for each in seen()]
    found = Examination(address=CHILD, healthy=False, findings=findings)
    said = drawn(registry_tables.examination(found))
    for each in seen():
        assert each.name.in_language(language) in said
    for key in ("checks.advice.set-clock", "checks.found.no-broker", "look.states.warning"):
        assert text(key, language) in said
    assert strangers(said, language, "checks", "doctor", "look", "span") == set()


def test_the_doctors_findings_in_json_are_english(monkeypatch):
    """Names, findings and advice in JSON are what they are in every language."""
    monkeypatch.setenv("BBAJ_LANG", "kk")
    findings = [finding_of(each) for each in seen()]
    assert [(each.name, each.state, each.found, each.what_to_do) for each in findings] == [
        ("keys", "ok", "loads", None),
        (
            "packet certificate",
            "warn",
            "valid until 2026-12-01, 3 d 4 h left, and not renewed",
            "see `bbaj incidents`",
        ),
        ("clock", "fail", "down", "set it"),
        ("broker", "ok", "none: a leaf needs none", None),
        ("policy on rights", "fail", "rights.toml: no act", "name one"),
    ]


def test_an_error_without_advice_points_to_the_documents():
    """What is amiss never stands without what to do."""
    finding = finding_of(fault("database", ConfigurationFault(["no answer"])))
    assert finding.what_to_do == "see docs/operations.md"


# ------------------------------------------------------------------ the broker


@pytest.mark.parametrize(
    ("departure", "sentence"),
    [
        (Departure("queues", "bbaj / dead", Fault.MISSING), "queue bbaj / dead is missing"),
        (
            Departure("permissions", "guest / bbaj", Fault.UNPLANNED),
            "rights of guest / bbaj is not planned",
        ),
        (
            Departure("users", "sis", Fault.OTHER_PASSWORD),
            "user sis has another password than planned",
        ),
        (
            Departure("policies", "bbaj / links", Fault.DIFFERENT, "pattern", "^up", "^down"),
            "policy bbaj / links has pattern '^up', planned '^down'",
        ),
    ],
)
def test_departures_in_english(departure, sentence):
    """A departure is one sentence; JSON has it in English."""
    assert brokers.said_of(departure) == sentence


def test_departures_in_a_tree(language):
    """`topology` says in the language where the broker departs from the plan."""
    departures = [
        brokers.said_of(Departure("users", "sis", Fault.NEEDLESS_PASSWORD)),
        brokers.said_of(
            Departure("queues", "bbaj / dead", Fault.DIFFERENT, "durable", False, True)
        ),
    ]
    shown = Topology(
        tree=[TreeNode(address=TOP, tier="oblast", standing="active", here=True)],
        systems=[], broker="bbaj", applied=False, unanswered=None, differences=departures,
    )  # fmt: skip
    said = drawn(node_tables.topology(shown))
    for each in departures:
        assert each.in_language(language) in said
    assert strangers(said, language, "network", "topology") == set()


def test_whatever_may_be_seen_has_words():
    """Each departure, each forbidden act, and each part of the doctor is in the catalogue."""
    said = set(catalogue(Language.KK))
    assert {f"network.departures.{each}" for each in Fault} <= said
    assert {f"doctor.attempts.{each}" for each in Act} <= said
    assert set(PARTS) <= said
