"""Quotas: what one link may cause, and that its siblings do not feel it."""

from hypothesis import given
from hypothesis import strategies as st

from exchange.quotas import HourlyQuota, Quotas
from harness.drafts import NOW
from schemas.limits import Limits
from schemas.moments import HOUR, MINUTE, SECOND

LIMITS = Limits(refused_bytes_kept_per_link=1000, answers_per_minute_per_link=3)


def test_refused_bytes_are_kept_up_to_the_quota():
    """The last byte within the quota is kept, the first one beyond is not."""
    quotas = Quotas(LIMITS)
    assert [quotas.keep_refused("a", size) for size in (600, 400, 1)] == [True, True, False]


def test_a_frame_that_does_not_fit_leaves_room_for_smaller_ones():
    """What is not kept is not counted."""
    quotas = Quotas(LIMITS)
    assert [quotas.keep_refused("a", size) for size in (999, 500, 1)] == [True, False, True]


@given(st.lists(st.integers(0, 700), max_size=30))
def test_no_link_keeps_more_than_its_quota(sizes):
    """Whatever comes, what is kept of it stays within the quota."""
    quotas = Quotas(LIMITS)
    assert sum(size for size in sizes if quotas.keep_refused("a", size)) <= 1000


def test_answers_are_so_many_a_minute():
    """Beyond the limit nothing is answered until the minute is over."""
    quotas = Quotas(LIMITS)
    moments = [NOW, NOW + SECOND, NOW + 2 * SECOND, NOW + 59 * SECOND, NOW + MINUTE]
    assert [quotas.answer("a", now) for now in moments] == [True, True, True, False, True]


def test_the_first_beyond_is_told_once_a_minute():
    """A flood opens one incident a minute, and not one for each frame."""
    quotas = Quotas(LIMITS)
    told = 0
    for number in range(100):
        if not quotas.answer("a", NOW + number):
            told += quotas.first_beyond("a")
    assert told == 1


@given(st.lists(st.integers(0, 90 * SECOND), max_size=60))
def test_no_minute_has_more_answers_than_two_limits(pauses):
    """Counted from any moment, at most twice the limit is answered within a minute."""
    quotas, now, answered = Quotas(LIMITS), NOW, []
    for pause in pauses:
        now += pause
        if quotas.answer("a", now):
            answered.append(now)
    for since in answered:
        assert sum(since <= moment < since + MINUTE for moment in answered) <= 2 * 3


def test_siblings_do_not_feel_it():
    """One link's flood takes nothing from another's quota."""
    quotas = Quotas(LIMITS)
    for _ in range(10):
        quotas.answer("a", NOW)
        quotas.keep_refused("a", 900)
    assert quotas.answer("b", NOW)
    assert quotas.keep_refused("b", 900)


def test_an_hour_later_there_is_room_again():
    """Each neighbour has its own hour, which begins with what it does first."""
    quota = HourlyQuota(2)
    taken = [quota.take("a", NOW + minute * MINUTE) for minute in (0, 30, 59)]
    assert (taken, quota.take("b", NOW + 59 * MINUTE)) == ([0, 1, 2], 0)
    assert quota.take("a", NOW + HOUR) == 0


def test_a_clock_set_back_only_forgives():
    """An hour that has not begun is over."""
    quota = HourlyQuota(2)
    quota.take("a", NOW)
    assert quota.take("a", NOW - SECOND) == 0
