"""What commands do beside the running daemon: hand over documents, take them out, mark links."""

from collections.abc import AsyncIterable, Callable
from typing import Any

import msgspec

from schemas.moments import Instant
from schemas.records import DropOutcome, DropPart, LinkMark, PacketRow, PendingDrop, Released
from store.postgres.reader import Reader
from store.postgres.rows import read_all
from store.postgres.session import Connection

DROP_CHANNEL = "bbaj_drop"

_DROP = """
INSERT INTO drop_pending VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT DO NOTHING RETURNING true
"""

_DROP_PART = "INSERT INTO drop_part VALUES ($1, $2, $3, $4, $5)"

_OUTCOME = "SELECT * FROM drop_outcome WHERE system = $1 AND drop_id = $2"

_UNDO_DROP = "DELETE FROM drop_pending WHERE system = $1 AND drop_id = $2"

_WAKE = f"SELECT pg_notify('{DROP_CHANNEL}', '')"

_INBOX = """
SELECT r.frame, r.system, r.released, t.at, t.by, p.*
FROM released AS r JOIN packet AS p ON p.frame = r.frame LEFT JOIN taken AS t ON t.frame = r.frame
WHERE ($1::text IS NULL OR r.system = $1) AND ($2 OR t.frame IS NULL) AND r.frame > $3
ORDER BY r.frame LIMIT $4
"""

_TAKE = """
INSERT INTO taken (frame, at, by) SELECT r.frame, $2, $3 FROM released AS r WHERE r.frame = $1
ON CONFLICT DO NOTHING RETURNING true
"""

_MARK_LINK = "INSERT INTO link_mark (neighbour, at, action, why) VALUES ($1, $2, $3, $4)"

_LINK_MARKS = """
SELECT DISTINCT ON (neighbour) neighbour, at, action, why FROM link_mark
ORDER BY neighbour, place DESC
"""

_ADD_CHECKPOINT = """
INSERT INTO checkpoint (size, at, note) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
"""


class InboxItem(msgspec.Struct, frozen=True, gc=False):
    """A released packet, and when and by whom it was taken out by command."""

    released: Released
    packet: PacketRow
    taken: Instant | None
    by: str | None


class Desk(Reader):
    """Small writes of single rows; each is committed when the call returns."""

    async def drop(
        self, document: PendingDrop, parts: AsyncIterable[DropPart] | None = None
    ) -> DropOutcome | bool:
        """Hand a document over with its parts, all in one commit, and wake the daemon: True.

        False where the same drop waits already; its outcome where it is decided. `parts` is read
        one by one, and not at all then.
        """
        name = (document.system, document.drop_id)
        async with self._reading() as connection, connection.transaction():
            is_new = await connection.fetchval(_DROP, *msgspec.structs.astuple(document))
            # Asked second: an insert that waited for the daemon's commit sees its outcome here.
            outcome = await connection.fetchrow(_OUTCOME, *name)
            if outcome is not None:
                await connection.execute(_UNDO_DROP, *name)
                return DropOutcome(*outcome)
            if is_new and parts is not None:
                async for part in parts:
                    await connection.execute(_DROP_PART, *msgspec.structs.astuple(part))
            await connection.execute(_WAKE)
            return bool(is_new)

    async def inbox(
        self,
        system: str | None = None,
        *,
        include_taken: bool = False,
        after_frame: int = 0,
        limit: int = 1000,
    ) -> list[InboxItem]:
        """Return what was released to a local system (None: to any), oldest first."""
        found = await self._rows(_INBOX, system, include_taken, after_frame, limit)
        return [_inbox_item(row) for row in found]

    async def take(self, frame: int, by: str, at: Instant) -> bool:
        """Mark a released packet as taken; False where it is not released, or taken before."""
        return bool(await self._value(_TAKE, frame, at, by))

    async def mark_link(self, mark: LinkMark) -> None:
        """Record that a link was suspended or lifted."""
        async with self._reading() as connection:
            await connection.execute(_MARK_LINK, *msgspec.structs.astuple(mark))

    async def link_marks(self) -> dict[str, LinkMark]:
        """Return the newest mark of each neighbour that has one."""
        return {row["neighbour"]: LinkMark(*row) for row in await self._rows(_LINK_MARKS)}

    async def add_checkpoint(self, size: int, at: Instant, note: str) -> None:
        """Store a signed checkpoint; the first one of a size stays."""
        async with self._reading() as connection:
            await connection.execute(_ADD_CHECKPOINT, size, at, note)


def _inbox_item(row: Any) -> InboxItem:  # noqa: ANN401 - asyncpg.Record
    values = tuple(row)
    packet = read_all(PacketRow, [values[5:]])[0]
    return InboxItem(Released(*values[:3]), packet, taken=values[3], by=values[4])


def when_dropped(wake: Callable[[], None]) -> Callable[[Connection, int, str, str], None]:
    """Return a listener for DROP_CHANNEL that calls `wake`."""

    def listen(_connection: Connection, _pid: int, _channel: str, _payload: str) -> None:
        wake()

    return listen
