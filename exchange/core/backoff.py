"""When to send again: doubling from the first wait to the longest, jitter drawn from a digest."""

import hashlib

from schemas.limits import Limits
from schemas.moments import Instant
from schemas.objects import Lane


def next_resend(packet_id: str, attempts: int, now: Instant, limits: Limits) -> Instant:
    """Return when to place a packet again after `attempts` earlier resends."""
    wait = min(limits.resend_first_us << min(attempts, 20), limits.resend_most_us)
    digest = hashlib.sha256(f"{packet_id} {attempts}".encode()).digest()
    jitter = int.from_bytes(digest[:4]) % max(1, wait // 4)
    return now + wait + jitter


def receipt_deadline(lane: Lane, sent: Instant, limits: Limits) -> Instant:
    """Return when a packet without a receipt becomes overdue."""
    fast = lane == "fast"
    return sent + (limits.receipt_overdue_fast_us if fast else limits.receipt_overdue_bulk_us)


def next_ask(asking: bytes, asked: int, now: Instant, limits: Limits) -> Instant:
    """Return when to ask, or state, again what has been said `asked` times, by its SHA-256."""
    wait = min(limits.ask_every_us << min(asked - 1, 20), limits.resend_most_us)
    jitter = int.from_bytes(asking[:4]) % max(1, wait // 4)
    return now + wait + jitter
