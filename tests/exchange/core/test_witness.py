"""What a node answers that is shown a checkpoint: each rule of C2SP tlog-witness, by itself."""

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.core.witness import (
    Head,
    Request,
    can_be_witnessed,
    is_log_witness,
    is_unwitnessed,
    judge,
)
from harness.cards import card_of, registry_of
from schemas.moments import HOUR

ONE, OTHER, EMPTY = bytes([1]) * 32, bytes([2]) * 32, bytes(32)
NOTHING, HELD = Head(0, EMPTY), Head(10, ONE)
GOOD = Request(Head(17, OTHER), 10, is_known=True, is_signed=True, extends=True)


def shown(**changes):
    return msgspec.structs.replace(GOOD, **changes)


def test_what_extends_is_kept():
    """A larger checkpoint with a proof from just what is held becomes the newest."""
    verdict = judge(GOOD, HELD, None)
    assert (verdict.status, verdict.is_new, verdict.forked) == (200, True, False)


def test_the_first_checkpoint_of_a_journal_is_kept():
    """Who holds nothing takes any size, shown as an extension of nothing."""
    verdict = judge(shown(old_size=0), NOTHING, None)
    assert (verdict.status, verdict.is_new) == (200, True)


def test_the_same_checkpoint_again_is_answered_and_not_kept_again():
    """An answer that was lost is given again."""
    again = judge(shown(head=HELD), HELD, HELD.root)
    assert (again.status, again.is_new) == (200, False)


@pytest.mark.parametrize(
    ("request_", "status", "why"),
    [
        (shown(is_known=False), 404, "no such journal"),
        (shown(is_signed=False), 403, "has not signed"),
        (shown(old_size=18), 400, "old size 18 is beyond the size 17"),
        (shown(old_size=9), 409, "size 10 is held"),
        (shown(old_size=0), 409, "size 10 is held"),
        (shown(head=Head(9, ONE), old_size=9), 409, "size 10 is held"),
        (shown(head=HELD, old_size=0), 409, "size 10 is held"),
    ],
)
def test_what_does_not_fit_is_told_so(request_, status, why):
    """Each departure has its answer, and none of these accuses anybody."""
    verdict = judge(request_, HELD, HELD.root if request_.head == HELD else None)
    assert (verdict.status, verdict.forked, verdict.is_new) == (status, False, False)
    assert why in verdict.detail


def test_a_proof_that_does_not_hold_is_a_fork():
    """A signed checkpoint with a proof that fails, from just what is held, contradicts it."""
    verdict = judge(shown(extends=False), HELD, None)
    assert (verdict.status, verdict.forked, verdict.is_new) == (422, True, False)


@pytest.mark.parametrize("old_size", [0, 10])
def test_two_roots_of_one_size_are_a_fork(old_size):
    """Whatever it is shown to extend: two roots under one size cannot both be true."""
    verdict = judge(shown(head=Head(10, OTHER), old_size=old_size), HELD, ONE)
    assert (verdict.status, verdict.forked) == (409, True)


def test_two_roots_of_an_earlier_size_are_a_fork():
    """What was kept long ago still counts."""
    verdict = judge(shown(head=Head(4, OTHER), old_size=0), HELD, ONE)
    assert (verdict.status, verdict.forked) == (409, True)


def test_nobody_forges_a_fork():
    """Without the signature of the journal's own key, two roots accuse nobody."""
    verdict = judge(shown(head=Head(10, OTHER), is_signed=False), HELD, ONE)
    assert (verdict.status, verdict.forked) == (403, False)


sizes = st.integers(0, 20)


@given(
    held=sizes,
    old=sizes,
    size=sizes,
    facts=st.sampled_from(list(itertools.product([False, True], repeat=4))),
)
def test_only_a_signed_extension_is_ever_kept(held, old, size, facts):
    """Over all requests: what is kept is known, signed, larger, and proven from what is held."""
    known, signed, extends, same = facts
    before = None if size > held or held == 0 else (ONE if same else OTHER)
    request = Request(Head(size, ONE), old, is_known=known, is_signed=signed, extends=extends)
    verdict = judge(request, Head(held, ONE), before)
    if verdict.is_new:
        assert verdict.status == 200
        assert known
        assert signed
        assert extends
        assert old == held < size
    if verdict.forked:
        assert known
        assert signed


# ------------------------------------------------------------------ logs of what authorities issue

TOP, OBLAST, DISTRICT, OTHER = "kz", "kz.akmola", "kz.akmola.burabay", "kz.abai"
LIMIT_US = 72 * HOUR


def country(*addresses, moved=None):
    moved = moved or {}
    return registry_of(addresses[0], *(card_of(each, uplink=moved.get(each)) for each in addresses))


@pytest.mark.parametrize(
    ("witness", "authority", "expected"),
    [
        (TOP, OBLAST, True),
        (OTHER, OBLAST, False),
        (DISTRICT, OBLAST, False),
        (OBLAST, OBLAST, False),
        (OBLAST, TOP, True),
        (OTHER, TOP, True),
        (DISTRICT, TOP, False),
        (TOP, TOP, False),
    ],
)
def test_the_node_above_witnesses_a_log_and_those_below_the_roots(witness, authority, expected):
    """As with journals; an oblast that this node has no card of counts by its name."""
    registry = country(TOP, OBLAST, DISTRICT)
    assert is_log_witness(registry, witness, authority) is expected


def test_who_has_moved_is_witnessed_where_it_hangs():
    """An authority's node that hangs elsewhere is witnessed there, and by its parent no more."""
    registry = country(TOP, OBLAST, OTHER, moved={OBLAST: OTHER})
    assert is_log_witness(registry, OTHER, OBLAST)
    assert not is_log_witness(registry, TOP, OBLAST)
    assert not is_log_witness(registry, OBLAST, TOP)


@pytest.mark.parametrize(
    ("addresses", "authority", "expected"),
    [
        ((TOP,), TOP, False),
        ((TOP, OBLAST, OTHER), TOP, False),
        ((TOP, OBLAST, DISTRICT), TOP, True),
        ((TOP, OBLAST), OBLAST, True),
    ],
)
def test_only_who_has_children_can_be_a_witness(addresses, authority, expected):
    """A lone republic, and one whose oblasts have nobody below, has nobody to wait for."""
    assert can_be_witnessed(country(*addresses), authority) is expected


@pytest.mark.parametrize(
    ("since", "up_since", "now", "expected"),
    [
        (0, 0, LIMIT_US, False),
        (0, 0, LIMIT_US + 1, True),
        (0, HOUR, LIMIT_US + 1, False),
        (HOUR, 0, LIMIT_US + 1, False),
        (0, None, 9 * LIMIT_US, False),
    ],
)
def test_a_cosignature_is_missed_while_it_could_come(since, up_since, now, expected):
    """The hold limit runs from when both the entries and the line were there."""
    assert is_unwitnessed(since, up_since, now, LIMIT_US) is expected
