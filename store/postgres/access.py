"""A small pool of connections for everything but the commits of the sequencer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar, Self

import asyncpg

from store.errors import OutcomeUnknown
from store.postgres.session import (
    CONNECT_TIMEOUT_S,
    ERRORS,
    POINT_READS,
    Connection,
    beginning,
    is_lost,
    loss_named,
    translated,
)

POOL_CONNECTIONS_MAX = 4
READ_TIMEOUT_S = 60.0


async def _leave_as_is(_connection: Connection) -> None:
    """Spare the round trip that resets a session: none of ours changes it."""


def _cut(connection: Connection) -> None:
    """End a connection; harmless where it has ended by itself."""
    with contextlib.suppress(*ERRORS):
        connection.terminate()


async def _give_back(pool: asyncpg.Pool, connection: Connection) -> None:
    """Return a connection to its pool; harmless where it, or the pool, has gone meanwhile."""
    with contextlib.suppress(*ERRORS):
        await pool.release(connection)


class Access:
    """Holds the pool; refuses every call before `start` and after `close`."""

    settings: ClassVar[Mapping[str, str]] = POINT_READS | {"application_name": "bbaj reading"}
    """Server settings of the pool's connections."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool: asyncpg.Pool | None = None
        self.epoch = 0
        """The running epoch, known once started."""

    async def start(self) -> Self:
        """Open the pool. Raises StoreUnavailable."""
        with beginning():
            self._pool = await asyncpg.create_pool(
                self._url,
                min_size=1,
                max_size=POOL_CONNECTIONS_MAX,
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=READ_TIMEOUT_S,
                reset=_leave_as_is,
                server_settings=self.settings,
            )
        self.epoch = await self._value("SELECT max(epoch) FROM identity") or 0
        return self

    async def close(self) -> None:
        """Close the pool at once; harmless when closed already."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @contextlib.asynccontextmanager
    async def _reading(self) -> AsyncIterator[Connection]:
        """Lend a connection; errors come out as ours."""
        pool = self._pool
        if pool is None:
            raise OutcomeUnknown("the archive is not open: call open() first")
        with beginning():
            async with asyncio.timeout(READ_TIMEOUT_S):
                connection = await pool.acquire()
        with translated():
            try:
                with loss_named(connection):
                    yield connection
            except ERRORS as error:
                if is_lost(error):
                    _cut(connection)
                raise
            finally:
                await _give_back(pool, connection)

    async def _rows(self, query: str, *values: object) -> list[Any]:
        async with self._reading() as connection:
            rows: list[Any] = await connection.fetch(query, *values)
            return rows

    async def _row(self, query: str, *values: object) -> Any:  # noqa: ANN401 - asyncpg.Record
        async with self._reading() as connection:
            return await connection.fetchrow(query, *values)

    async def _value(self, query: str, *values: object) -> Any:  # noqa: ANN401 - any column
        async with self._reading() as connection:
            return await connection.fetchval(query, *values)
