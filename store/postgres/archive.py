"""The sequencer's side of the record: one session that holds the lock, and commits."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from schemas.records import Changes, Committed, Position
from store.errors import BucketDestroyed, LockHeld, OutcomeUnknown, StoreFault
from store.merkle import Tree
from store.postgres.access import READ_TIMEOUT_S
from store.postgres.completeness import Completing
from store.postgres.desk import DROP_CHANNEL, when_dropped
from store.postgres.position import check_database, load_position
from store.postgres.session import (
    ERRORS,
    POINT_READS,
    Connection,
    connect,
    is_lost,
    loss_named,
    ours,
    translated,
)
from store.postgres.writing import write

LOCK_KEY = 0x6262616A
"""The advisory lock of the sequencer ("bbaj"); one for each database."""
LOCK_POLL_S = 0.1
"""A standby asks this often. It does not wait within a statement: that would hold back vacuum."""
LOCK_FREED_S = 2.0
"""A server frees the lock of a session that was cut within this time."""

_TRY_LOCK = "SELECT pg_try_advisory_lock($1)"
_BUCKETS = """
SELECT substr(c.relname, length('payload_') + 1) AS bucket
FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'payload'::regclass
"""

_SESSION = {
    **POINT_READS,
    # COMMIT must never be cut short, by whomever: neither yes nor no would be known.
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "client_min_messages": "warning",
}


class PostgresArchive(Completing):
    """The record of one node, as its daemon uses it.

    `open` takes the lock on the very connection that commits: losing it is losing the right to
    commit. After OutcomeUnknown every call raises it again until `open` has read everything anew.
    Calls of `commit` must not overlap; reads may, and see what `commit` has returned.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._session: Connection | None = None
        self._tree = Tree()
        self._buckets: set[str] = set()
        self._warnings: list[str] = []
        self._wake: Callable[[], None] | None = None

    async def open(self, *, wait: bool = False) -> Position:
        """Become the one that commits here, and return where the record stands.

        With `wait`, stand by until the other daemon's lock is free. Raises LockHeld without it,
        but not for a session that was cut a moment ago, whose lock its server has yet to free;
        StoreUnavailable, or StoreMisfit (schema, settings).
        """
        await self.close()
        session = await connect(self._url, "bbaj sequencer", _SESSION)
        try:
            with translated():
                await _lock(session, wait=wait)
                async with asyncio.timeout(READ_TIMEOUT_S):
                    await check_database(session)
                    position, tree = await load_position(session)
                    buckets = {row["bucket"] for row in await session.fetch(_BUCKETS)}
                    session.add_log_listener(self._note_warning)
                    if self._wake is not None:
                        await session.add_listener(DROP_CHANNEL, when_dropped(self._wake))
            await self.start()
        except BaseException:
            session.terminate()
            await super().close()
            raise
        self._session, self._tree, self._buckets = session, tree, buckets
        return position

    async def close(self) -> None:
        """Give up the lock and all connections; harmless when closed already."""
        session, self._session = self._session, None
        if session is not None:
            session.terminate()
        await super().close()

    async def commit(self, changes: Changes) -> Committed:
        """Store all of `changes`, or nothing; durable on return.

        Of the derived tables, `closed` and `judged` rows go first, then `open` and `held` are put.
        Nothing is stored on Retryable (RecordConflict: newer rows are there; PartitionMissing;
        BucketDestroyed; StoreUnavailable) and on Fatal; OutcomeUnknown leaves it open. This class
        retries nothing.
        """
        session = self._session
        if session is None:
            raise OutcomeUnknown("the archive is not open: call open() first")
        grown = self._tree.copy()
        async with self._losing(session):
            await self._make_room(session, {row.bucket for row in changes.payloads})
            await session.execute("BEGIN")
            try:
                await write(session, changes, grown)
            except BaseException:
                await session.execute("ROLLBACK")
                raise
            await self._commit(session)
        self._tree = grown
        return Committed(grown.size, grown.root())

    async def _make_room(self, session: Connection, buckets: set[str]) -> None:
        """Make the partitions that are not there yet, of periods long past or far ahead."""
        for bucket in sorted(buckets - self._buckets):
            if await session.fetchval("SELECT make_bucket($1)", bucket) is None:
                raise BucketDestroyed(bucket)
            self._buckets.add(bucket)

    async def _commit(self, session: Connection) -> None:
        """Commit for certain. No timeout here or in the server; a warning means doubt."""
        self._warnings.clear()
        answer = await session.execute("COMMIT")
        await asyncio.sleep(0)  # asyncpg hands warnings over by the event loop
        if self._warnings:
            await self.close()
            raise OutcomeUnknown(f"commit answered with a warning: {'; '.join(self._warnings)}")
        if answer != "COMMIT":
            raise StoreFault(f"commit was answered with {answer}")

    @contextlib.asynccontextmanager
    async def _losing(self, session: Connection) -> AsyncIterator[None]:
        """Close the archive where the session is lost, or was left in the middle."""
        try:
            with loss_named(session):
                yield
        except ERRORS as error:
            if is_lost(error) or session.is_closed():
                await self.close()
                raise OutcomeUnknown(f"commit: connection lost: {error}") from error
            raise ours(error) from error
        except asyncio.CancelledError:
            await self.close()
            raise

    def wake_on_drop(self, wake: Callable[[], None]) -> None:
        """Have `wake` called when a command hands over a document; set it before `open`.

        A hint only: what was notified while no session was open is found by `pending_drops`.
        """
        self._wake = wake

    def _note_warning(self, _connection: Connection, message: Any) -> None:  # noqa: ANN401
        if message.severity_en == "WARNING":
            self._warnings.append(str(message))


async def _lock(session: Connection, *, wait: bool) -> None:
    clock = asyncio.get_running_loop()
    until = clock.time() + LOCK_FREED_S
    while not await session.fetchval(_TRY_LOCK, LOCK_KEY, timeout=READ_TIMEOUT_S):
        if not wait and clock.time() > until:
            raise LockHeld("another daemon commits to this database")
        await asyncio.sleep(LOCK_POLL_S)
