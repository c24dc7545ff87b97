"""Why numbers of packets are missing here: what explains them, and what nothing does (24.4)."""

from collections.abc import Collection, Iterator, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from schemas.leaves import read_leaf
from schemas.limits import Limits
from schemas.moments import Instant
from schemas.records import SeqGap

GAPS_MAX = 1000
"""So many gaps are looked at in one report."""


class Why(StrEnum):
    """What is known of numbers that are not here."""

    REFUSED = "refused"
    """A frame with the number came, and was refused here."""
    VOIDED = "voided"
    """Their sender has filled places of its stream to us with void entries, at least as many."""
    ON_ITS_WAY = "on its way"
    """A later number came less than the overdue limit ago."""
    UNEXPLAINED = "unexplained"


class Missing(msgspec.Struct, frozen=True):
    """Numbers `first` to `last` of one gap, and why they are not here."""

    gap: SeqGap
    first: int
    last: int
    why: Why
    detail: str = ""

    @property
    def count(self) -> int:
        """How many numbers these are."""
        return self.last - self.first + 1


class Gapped(Protocol):
    """Who knows numbers and refusals: the record."""

    async def seq_gaps(
        self,
        recipient: str,
        *,
        under: str | None = None,
        between: tuple[Instant, Instant] | None = None,
        limit: int = GAPS_MAX,
    ) -> list[SeqGap]:
        """Return numbers that senders have used and that are not here."""

    async def refusals_of(
        self, senders: Collection[str], recipient: str, behind: int
    ) -> list[bytes]:
        """Return the leaves about frames of these senders that were refused, behind a frame."""

    async def voids_of(self, neighbours: Collection[str]) -> dict[str, int]:
        """Return how many void entries neighbours have sent."""


async def missing_numbers(
    record: Gapped,
    recipient: str,
    now: Instant,
    limits: Limits,
    *,
    under: str | None = None,
    between: tuple[Instant, Instant] | None = None,
) -> list[Missing]:
    """Return the numbers that are not here, in order, each range with what explains it."""
    gaps = await record.seq_gaps(recipient, under=under, between=between, limit=GAPS_MAX)
    if not gaps:
        return []
    senders = {gap.sender for gap in gaps}
    behind = min(gap.frame_before or 0 for gap in gaps)
    refused = _reasons(await record.refusals_of(senders, recipient, behind))
    voids = await record.voids_of(senders)
    found: list[Missing] = []
    for gap in gaps:
        of_sender = refused.get((gap.sender, gap.epoch), {})
        reasons = {seq: of_sender[seq] for seq in of_sender if gap.first <= seq <= gap.last}
        rest = _rest_of(gap, voids, len(reasons), now, limits)
        found += _split(gap, reasons, rest)
    return found


def unexplained(found: Sequence[Missing]) -> int:
    """Return how many numbers nothing explains."""
    return sum(each.count for each in found if each.why is Why.UNEXPLAINED)


def _rest_of(gap: SeqGap, voids: dict[str, int], refused: int, now: Instant, limits: Limits) -> Why:
    if gap.last - gap.first + 1 - refused <= voids.get(gap.sender, 0):
        return Why.VOIDED
    if 0 <= now - gap.received_after < limits.receipt_overdue_bulk_us:
        return Why.ON_ITS_WAY
    return Why.UNEXPLAINED


def _split(gap: SeqGap, reasons: dict[int, str], rest: Why) -> Iterator[Missing]:
    """Yield the numbers of a gap: those refused one by one, what lies between as ranges."""
    at = gap.first
    for seq in sorted(reasons):
        if at < seq:
            yield Missing(gap, at, seq - 1, rest)
        yield Missing(gap, seq, seq, Why.REFUSED, reasons[seq])
        at = seq + 1
    if at <= gap.last:
        yield Missing(gap, at, gap.last, rest)


def _reasons(records: Sequence[bytes]) -> dict[tuple[str, int], dict[int, str]]:
    """Return why frames were refused, by sender and epoch, then by number."""
    found: dict[tuple[str, int], dict[int, str]] = {}
    for record in records:
        leaf = read_leaf(record)
        if "seq" in leaf and "from" in leaf:
            of_sender = found.setdefault((leaf["from"], int(leaf["epoch"])), {})
            of_sender[int(leaf["seq"])] = leaf["reason"]
    return found
