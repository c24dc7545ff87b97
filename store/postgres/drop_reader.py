"""Reads about documents that local systems hand over, each by index."""

from collections.abc import Sequence

from schemas.records import DropOutcome, PacketRow, PendingDrop
from store.postgres.access import Access
from store.postgres.rows import read_all

DropName = tuple[str, str]
"""A drop's name: the local system, and the id that it gave."""

_PENDING = """
SELECT d.* FROM drop_pending AS d
WHERE NOT EXISTS (
    SELECT FROM drop_outcome AS o WHERE o.system = d.system AND o.drop_id = d.drop_id)
    AND (d.awaits IS NULL OR d.recipient = ANY ($2::text[]))
ORDER BY d.dropped LIMIT $1
"""

_AWAITED = "SELECT DISTINCT recipient, awaits FROM drop_pending WHERE awaits IS NOT NULL"

_AWAITS = "SELECT awaits FROM drop_pending WHERE system = $1 AND drop_id = $2"

_DROPS_OF = "SELECT * FROM drop_outcome WHERE frame = ANY($1::bigint[])"

_OUTCOMES = """
SELECT o.* FROM unnest($1::text[], $2::text[]) AS n (system, drop_id)
JOIN drop_outcome AS o ON o.system = n.system AND o.drop_id = n.drop_id
"""

_UNCLAIMED = """
SELECT * FROM packet AS p
WHERE sender = $1 AND recipient = $2 AND type = $3 AND type NOT IN ('receipt/1', 'closing/1')
    AND epoch < $4 AND NOT EXISTS (SELECT FROM drop_outcome AS o WHERE o.frame = p.frame)
ORDER BY frame DESC LIMIT $5
"""


class DropReader(Access):
    """What sequencer and commands ask about drops, and what became of them."""

    async def pending_drops(self, limit: int, ready: Sequence[str] = ()) -> list[PendingDrop]:
        """Return documents handed over and not decided yet, oldest first.

        Those that wait for something are left out unless their recipient is among `ready`.
        """
        return read_all(PendingDrop, await self._rows(_PENDING, limit, list(ready)))

    async def awaited_recipients(self) -> list[tuple[str, str]]:
        """Return the recipients of documents that wait, each with what they wait for."""
        return [(row["recipient"], row["awaits"]) for row in await self._rows(_AWAITED)]

    async def awaited_by(self, system: str, drop_id: str) -> str | None:
        """Return what a document waits for; None where it waits for nothing, or not any more."""
        row = await self._row(_AWAITS, system, drop_id)
        return None if row is None else row["awaits"]

    async def drop_outcome(self, system: str, drop_id: str) -> DropOutcome | None:
        """Return what became of a drop."""
        return (await self.drop_outcomes([(system, drop_id)])).get((system, drop_id))

    async def drop_outcomes(self, names: Sequence[DropName]) -> dict[DropName, DropOutcome]:
        """Return what became of each drop that is decided."""
        if not names:
            return {}
        found = await self._rows(_OUTCOMES, *zip(*names, strict=True))
        return {(row.system, row.drop_id): row for row in read_all(DropOutcome, found)}

    async def drops_of(self, frames: Sequence[int]) -> dict[int, DropOutcome]:
        """Return the drops that became these frames."""
        found = read_all(DropOutcome, await self._rows(_DROPS_OF, list(frames)))
        return {outcome.frame: outcome for outcome in found if outcome.frame is not None}

    async def unclaimed(
        self, sender: str, recipient: str, type_name: str, before: int, limit: int
    ) -> list[PacketRow]:
        """Return packets of ours of epochs before one that no drop became, the newest first."""
        rows = await self._rows(_UNCLAIMED, sender, recipient, type_name, before, limit)
        return read_all(PacketRow, rows)
