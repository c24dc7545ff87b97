"""A node's place in the tree: routes, next hops, lanes, and whom it vouches for."""

import msgspec
import pytest
from hypothesis import given

from exchange.core.rules import Rules, find_standing_fault, lane_of
from harness.cards import card_of, registry_of
from harness.drafts import DISTRICT, OBLAST, SCHOOL, addresses, draft
from schemas.addresses import parent_of
from schemas.answers import CLOSING, RECEIPT
from schemas.header import PART
from schemas.limits import Limits
from schemas.objects import Detail
from schemas.reasons import Reason

_detail = msgspec.json.Decoder(Detail)


SIBLING = f"{DISTRICT}.school-8"


def rules(here, *cards, **facts):
    """Return the rules of a node with these cards; a plain text is an active node's address."""
    fields = {"limits": Limits(), "types": frozenset({"attendance.daily/1"}), "systems": {}}
    return Rules(here=here, registry=registry_of(here, *cards), **fields | facts)


def test_neighbours_are_the_parent_and_the_children():
    """The parent comes first; the root has none."""
    assert rules(DISTRICT, SCHOOL, SIBLING).neighbours == (
        OBLAST,
        SCHOOL,
        SIBLING,
    )
    assert rules("kz", OBLAST).neighbours == (OBLAST,)


@pytest.mark.parametrize(
    ("facts", "lane"),
    [
        ({"flow": "result"}, "fast"),
        ({"flow": "admin"}, "fast"),
        ({"flow": "info"}, "bulk"),
        ({"flow": "info", "type": RECEIPT}, "fast"),
        ({"flow": "admin", "type": CLOSING}, "fast"),
        ({"flow": "oper", "type": "ping/1"}, "bulk"),
        ({"flow": "admin", "type": PART}, "bulk"),
    ],
)
def test_lanes(facts, lane):
    """Answers, results and orders are fast; parts and everything else are bulk."""
    assert lane_of(draft(**facts)) == lane


def test_the_first_system_that_takes_a_type_gets_it():
    """A document goes to the first local system with its type, else to the default one."""
    systems = {"sis": ("a/1", "b/1"), "hr": ("b/1", "c/1")}
    found = rules(DISTRICT, systems=systems, default_system="rest")
    assert [found.system_for(f"{name}/1") for name in "abcd"] == ["sis", "sis", "hr", "rest"]


# ------------------------------------------------------------------ standing


def judge(child, **facts):
    """Return why the district refuses a frame of its school with this standing, or None."""
    fault = find_standing_fault(draft(**{"from_": SCHOOL, **facts}), rules(DISTRICT, child))
    return None if fault is None else fault.reason


def test_a_child_of_active_standing_may_send():
    """Nothing is wrong with an active child's frame."""
    assert judge(card_of(SCHOOL)) is None


@pytest.mark.parametrize(
    "child", [card_of(SCHOOL, standing="suspended"), card_of(SCHOOL, standing="closed"), SIBLING]
)
def test_others_may_not_send(child):
    """A suspended, closed or unknown child is refused at its parent, answers included."""
    assert judge(child) is Reason.SENDER_SUSPENDED
    assert judge(child, type=RECEIPT) is Reason.SENDER_SUSPENDED


def test_types_are_limited_where_the_parent_says_so():
    """A child with a list of types may send these and answers."""
    child = card_of(SCHOOL, types=("admin.order/1",))
    assert judge(child) is Reason.TYPE_NOT_ALLOWED
    assert judge(child, type="admin.order/1") is None
    assert judge(child, type=RECEIPT) is None
    assert judge(child, type=CLOSING) is None


def test_a_grandchild_is_judged_by_its_own_parent():
    """Standing and rights are the business of the node responsible, not of those above it."""
    above = rules(OBLAST, card_of(DISTRICT, standing="suspended", types=("ping/1",)))
    assert find_standing_fault(draft(from_=SCHOOL), above) is None


@pytest.mark.parametrize(
    ("child", "reason"),
    [
        (card_of(SIBLING), None),
        (card_of(SIBLING, standing="suspended"), None),
        (card_of(SIBLING, standing="closed"), Reason.RECIPIENT_UNKNOWN),
        (card_of(SIBLING, standing="closed", successor="kz.akmola.x"), Reason.RECIPIENT_MOVED),
        (f"{DISTRICT}.school-9", Reason.RECIPIENT_UNKNOWN),
    ],
)
def test_recipients_standing(child, reason):
    """A closed child is unknown or has moved; a suspended one still gets its packets."""
    found = find_standing_fault(draft(from_=SCHOOL, to=SIBLING), rules(DISTRICT, SCHOOL, child))
    assert (found and found.reason) == reason


def test_the_successor_is_named():
    """The detail of `recipient-moved` is where to send instead."""
    child = card_of(SIBLING, standing="closed", successor="kz.akmola.x")
    found = find_standing_fault(draft(from_=OBLAST, to=SIBLING), rules(DISTRICT, child))
    assert found is not None
    assert found.detail == "successor kz.akmola.x"


@given(addresses, addresses)
def test_details_fit_a_refusal(from_, to):
    """However long the addresses, what is said of them fits a signed refusal."""
    parent = parent_of(from_)
    for here in {"kz", parent, parent_of(to)} - {None}:
        found = find_standing_fault(
            draft(from_=from_, to=to), rules(here, card_of(f"{here}.x", types=("a/1",)))
        )
        if found is not None:
            assert _detail.decode(msgspec.json.encode(found.detail)) == found.detail
