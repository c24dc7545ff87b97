"""When to ask again: soon on a quick line, and not over and over on a slow one."""

from itertools import pairwise

import pytest

from exchange.core.patience import LEAST_US, MOST_US, Patience
from schemas.moments import MINUTE, SECOND

UP = 1000 * SECOND


def asks_until(took_us, patience, now):
    """Return when each question goes out while one answer is under way, and what follows."""
    asks = []
    until = now + took_us
    while now < until:
        if patience.is_over(now, UP):
            patience, asks = patience.asked(now), [*asks, now]
        now += SECOND
    return asks, patience.answered(now)


def test_what_was_never_asked_is_asked_at_once():
    """And what came is followed by the next question."""
    assert Patience().is_over(UP, UP)
    assert Patience().asked(UP).answered(UP + 1).is_over(UP + 1, UP)


def test_waits_double_while_nothing_comes():
    """10 s, 20 s, 40 s, and at last 10 minutes."""
    asks, _ = asks_until(60 * MINUTE, Patience(), UP)
    waits = [(after - before) // SECOND for before, after in pairwise(asks)]
    assert waits[:4] == [10, 20, 40, 80]
    assert max(waits) == MOST_US // SECOND


@pytest.mark.parametrize("took_s", [1, 9, 65, 250])
def test_a_slow_line_is_asked_once_for_each_answer(took_s):
    """The first answer tells how slow it is; from then on no question goes out twice."""
    patience, now, counts = Patience(), UP, []
    for _ in range(6):
        asks, patience = asks_until(took_s * SECOND, patience, now)
        counts.append(len(asks))
        now += took_s * SECOND
    assert counts[1:] == [1] * 5
    assert counts[0] <= 6


def test_it_is_as_quick_as_the_line_again():
    """One quick answer after slow ones, and the wait is the least."""
    _, slow = asks_until(200 * SECOND, Patience(), UP)
    assert slow.wait_us == 400 * SECOND
    assert slow.asked(UP).answered(UP + SECOND).wait_us == LEAST_US


def test_what_was_asked_before_the_line_came_up_is_asked_again():
    """The question may have been lost with the line."""
    patience = Patience().asked(UP)
    assert not patience.is_over(UP + SECOND, UP)
    assert patience.is_over(UP + SECOND, UP + 1)


def test_a_clock_that_was_set_back_stops_nothing():
    """It asks once too often, not too rarely."""
    assert Patience().asked(UP).is_over(UP - SECOND, UP - MINUTE)
