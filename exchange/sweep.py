"""The sweep: resends what holds no answer yet, and says what is overdue (clause 8.6).

The net under the nets: should a node on the way lose its disk after it took custody, the stored
frame goes out again, end to end, at a pace that backs off with age.
"""

from collections.abc import Callable

import msgspec

from exchange.batch import Batch
from exchange.core.backoff import next_resend
from exchange.core.rules import Finding, Rules, find_end
from exchange.core.steps import ReportStatus
from exchange.effects import Effects
from exchange.ports import Archive
from schemas.leaves import LeafKind
from schemas.records import OpenRow, PacketRow, Trail

ROWS_MAX = 500
"""So many open rows are looked at in one sweep; the rest have their turn in the next."""

OnOverdue = Callable[[PacketRow, Batch], None]
"""Told a packet of ours that is overdue, and again each time that it is sent again."""


class Sweep:
    """One pass over what is open."""

    def __init__(
        self, *, effects: Effects, archive: Archive, rules: Rules, on_overdue: OnOverdue
    ) -> None:
        """Hold the parts; `on_overdue` asks what became of a packet."""
        self._effects = effects
        self._archive = archive
        self._rules = rules
        self._on_overdue = on_overdue

    async def run(self, batch: Batch) -> None:
        """Act on every open row whose time has come."""
        rows = await self._archive.open_due(batch.now, ROWS_MAX)
        if not rows:
            return
        trails = await self._archive.trail_of_frame([row.frame for row in rows])
        for row in rows:
            if row.about in batch.changes.closed:
                continue  # its answer has come in this very group
            await self._look_at(row, trails[row.frame], batch)

    async def _look_at(self, row: OpenRow, trail: Trail, batch: Batch) -> None:
        packet = trail.packet
        if row.awaited == "room":
            await self._effects.place_again(packet, batch, swept=True)
            batch.close(row.about)
            return
        end = find_end(packet.recipient, self._rules)
        if end is not None and packet.sender == self._rules.here:
            await self._end(row, packet, end, batch)
            return
        if row.awaited == "closing" and row.attempts >= self._rules.limits.receipt_repeats_max:
            batch.close(row.about)
            return
        was_overdue = row.awaited == "receipt" and row.deadline is None
        is_new = row.deadline is not None and row.deadline <= batch.now
        if is_new or (was_overdue and row.next_at <= batch.now):
            self._on_overdue(packet, batch)
        if is_new:
            batch.mark_packet(packet, LeafKind.OVERDUE)
            await self._effects.report_status(ReportStatus(packet, "overdue"), batch)
            row = msgspec.structs.replace(row, deadline=None)
        if row.next_at <= batch.now:
            await self._effects.place_again(packet, batch, swept=True)
            attempts = row.attempts + 1
            again = next_resend(packet.id, attempts, batch.now, self._rules.limits)
            row = msgspec.structs.replace(row, attempts=attempts, next_at=again)
        batch.open(row)

    async def _end(self, row: OpenRow, packet: PacketRow, end: Finding, batch: Batch) -> None:
        """End what we wait for from a child that is closed: nobody else would tell us."""
        batch.close(row.about)
        if row.awaited == "closing":
            return
        batch.mark_packet(
            packet,
            LeafKind.CONFIRMED,
            verdict="refused",
            reason=end.reason,
            detail=end.detail,
            by=self._rules.here,
        )
        status = ReportStatus(packet, "refused", end.reason, end.detail)
        await self._effects.report_status(status, batch)
