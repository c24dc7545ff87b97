"""The sweep: resends what holds no answer yet, and says what is overdue (clause 8.6).

The net under the nets: should a node on the way lose its disk after it took custody, the stored
frame goes out again, end to end, at a pace that backs off with age.
"""

import msgspec

from exchange.batch import Batch
from exchange.core.backoff import next_resend
from exchange.core.rules import Rules
from exchange.core.steps import ReportStatus
from exchange.effects import Effects
from exchange.ports import Archive
from schemas.leaves import LeafKind
from schemas.records import OpenRow, Trail

ROWS_MAX = 500
"""So many open rows are looked at in one sweep; the rest have their turn in the next."""


class Sweep:
    """One pass over what is open."""

    def __init__(self, *, effects: Effects, archive: Archive, rules: Rules) -> None:
        """Hold the parts."""
        self._effects = effects
        self._archive = archive
        self._rules = rules

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
            batch.changes.closed.append(row.about)
            return
        if row.awaited == "closing" and row.attempts >= self._rules.limits.receipt_repeats_max:
            batch.changes.closed.append(row.about)
            return
        if row.deadline is not None and row.deadline <= batch.now:
            batch.mark_packet(packet, LeafKind.OVERDUE)
            await self._effects.report_status(ReportStatus(packet, "overdue"), batch)
            row = msgspec.structs.replace(row, deadline=None)
        if row.next_at <= batch.now:
            await self._effects.place_again(packet, batch, swept=True)
            attempts = row.attempts + 1
            again = next_resend(packet.id, attempts, batch.now, self._rules.limits)
            row = msgspec.structs.replace(row, attempts=attempts, next_at=again)
        batch.changes.open.append(row)
