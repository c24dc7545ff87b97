"""How long a broker confirm may take, from what the line has taken so far."""

from hypothesis import given
from hypothesis import strategies as st

from exchange.pace import ASSUMED_BYTES_PER_S, TIMEOUT_MOST_S, Pace


def test_an_unknown_line_is_taken_for_128_kbit():
    """One MiB on a line not measured yet may take 15 s and three times its 66 s."""
    pace = Pace()
    pace.place(1024 * 1024, now=0.0)
    assert pace.timeout_s() == 15 + 3 * 1024 * 1024 / 16_000


def test_the_first_measurement_replaces_the_assumption():
    """A line that took 1 MiB in a second is known to take 1 MiB a second."""
    pace = Pace()
    pace.place(1024 * 1024, now=10.0)
    pace.confirm(1024 * 1024, now=11.0)
    assert pace.bytes_per_s == 1024 * 1024
    assert pace.bytes_in_flight == 0


def test_later_measurements_weigh_less():
    """One slow moment does not undo what was learned."""
    pace = Pace()
    for started, took in ((0.0, 1.0), (10.0, 2.0)):
        pace.place(1_000_000, now=started)
        pace.confirm(1_000_000, now=started + took)
    assert pace.bytes_per_s == 1_000_000 - 0.3 * 500_000


def test_small_messages_measure_nothing():
    """Few bytes after a pause measure the round trip, not the line."""
    pace = Pace()
    for moment in range(100):
        pace.place(1000, now=float(moment))
        pace.confirm(1000, now=moment + 0.6)
    assert pace.bytes_per_s == ASSUMED_BYTES_PER_S


def test_small_messages_side_by_side_measure_the_line():
    """Many small messages in one busy period measure it together."""
    pace = Pace()
    for _ in range(100):
        pace.place(1000, now=0.0)
    for number in range(100):
        pace.confirm(1000, now=(number + 1) / 100)
    assert 90_000 < pace.bytes_per_s < 110_000


def test_a_burst_of_confirms_is_no_fast_line():
    """Broker confirms that come all at once, after a long wait, mislead by twofold at most."""
    pace = Pace()
    for _ in range(8):
        pace.place(1_000_000, now=0.0)
    for number in range(8):
        pace.confirm(1_000_000, now=8 + number / 1_000_000)
    assert 1_000_000 <= pace.bytes_per_s < 2_000_000


def test_a_line_that_slows_down_is_followed():
    """Within one busy period, later bytes come to count more than early ones."""
    pace = Pace()
    pace.place(200_000_000, now=0.0)
    for number in range(50):
        pace.confirm(1_000_000, now=(number + 1) / 50)
    for number in range(20):
        pace.confirm(1_000_000, now=2.0 + number)
    assert pace.bytes_per_s < 4_000_000


def test_what_was_refused_is_no_longer_on_its_way():
    """A refused or doubtful message frees its place and measures nothing."""
    pace = Pace()
    pace.place(1_000_000, now=0.0)
    pace.drop(1_000_000)
    assert pace.bytes_in_flight == 0
    assert pace.bytes_per_s == ASSUMED_BYTES_PER_S


@given(st.lists(st.integers(0, 2**24), max_size=20), st.floats(0.001, 1000))
def test_a_time_limit_is_at_least_15_seconds_and_never_endless(sizes, took):
    """Whatever was measured, the limit stays within its bounds."""
    pace = Pace()
    for size in sizes:
        pace.place(size, now=0.0)
    for size in sizes:
        assert 15 <= pace.timeout_s() <= TIMEOUT_MOST_S
        pace.confirm(size, now=took)
