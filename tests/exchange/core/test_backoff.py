"""When to send again: doubling, bounded, spread, and the same whenever it is asked."""

from hypothesis import given
from hypothesis import strategies as st

from exchange.core.backoff import next_resend, receipt_deadline
from harness.drafts import NOW, PACKET_ID, packet_ids
from schemas.limits import Limits
from schemas.moments import HOUR, MINUTE

LIMITS = Limits()
attempts = st.integers(0, 10_000)


@given(packet_ids, attempts)
def test_waits_double_up_to_the_longest_and_a_quarter(packet_id, attempt):
    """The k-th wait is min(15 min x 2^k, 6 h) and less than a quarter of it more."""
    base = min(15 * MINUTE * 2**attempt, 6 * HOUR)
    wait = next_resend(packet_id, attempt, NOW, LIMITS) - NOW
    assert base <= wait < base + base // 4


@given(packet_ids, attempts, st.integers(0, 10**15))
def test_jitter_is_drawn_from_the_packet_alone(packet_id, attempt, later):
    """Asked again, at another time, the wait is the same: a restart loses no timer."""
    wait = next_resend(packet_id, attempt, NOW, LIMITS) - NOW
    assert next_resend(packet_id, attempt, NOW + later, LIMITS) - NOW - later == wait


def test_jitter_is_that_of_the_protocol():
    """Clause 8.6: four bytes of SHA-256(`<id> <k>`), modulo a quarter of the wait."""
    digest = bytes.fromhex("7bd0e64b")  # printf '<id> 1' | sha256sum
    jitter = int.from_bytes(digest) % (30 * MINUTE // 4)
    assert next_resend(PACKET_ID, 1, NOW, LIMITS) == NOW + 30 * MINUTE + jitter


def test_packets_do_not_come_back_together():
    """A thousand packets of one outage are spread over the quarter."""
    ids = [f"01a20675-fef0-7a11-8c3e-{number:012x}" for number in range(1000)]
    waits = {next_resend(each, 0, NOW, LIMITS) for each in ids}
    assert len(waits) > 990


@given(packet_ids, attempts)
def test_tiny_limits_do_no_harm(packet_id, attempt):
    """Limits of a microsecond, as tests like them, still wait."""
    limits = Limits(resend_first_us=1, resend_most_us=1)
    assert next_resend(packet_id, attempt, NOW, limits) == NOW + 1


def test_a_receipt_is_due_by_its_lane():
    """A packet without receipt is overdue after an hour, or a day in the bulk lane."""
    assert receipt_deadline("fast", NOW, LIMITS) == NOW + HOUR
    assert receipt_deadline("bulk", NOW, LIMITS) == NOW + 24 * HOUR
