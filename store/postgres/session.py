"""Connections to PostgreSQL, and the one table that turns asyncpg's errors into ours."""

import contextlib
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, TypeAlias

import asyncpg

from schemas.errors import BbajError
from store.cancels import cancel_count, raise_swallowed_cancel
from store.errors import (
    PartitionMissing,
    RecordConflict,
    StoreFault,
    StoreMisfit,
    StoreUnavailable,
)

CONNECT_TIMEOUT_S = 10.0

Connection: TypeAlias = Any
"""An asyncpg.Connection, which comes without types; for modules that may not import asyncpg."""

_KEEPALIVE = {
    # A server must notice soon that a daemon is gone, and free its lock.
    "tcp_keepalives_idle": "15",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "jit": "off",
}

POINT_READS = {
    # What sequencer and reader ask is found by index. The planner is not to think otherwise while
    # a table is small or its statistics are missing: a plan once made is kept.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}

_NO_PARTITION = re.compile(r"Partition key of the failing row contains \(bucket\) = \((.*)\)\.")

_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # asyncpg's answer where the server ended an idle session and its word was not read yet.
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    OSError,
    TimeoutError,
)
"""The connection is gone, is going, or was never there."""

_NOT_BEGUN = "XX000"
"""SQLSTATE: what a server answers whose disk has no room for the files of a new session."""

_NOT_PREPARED = ("28", "3D", "42P01")
"""SQLSTATE: the login and the database's name (classes), a table that is not there."""

_NO_ROOM = (
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""The server says no for now."""

_NOT_OURS = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)
"""The server knows no such login or database: the configuration is wrong, not the record."""

ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
"""Everything that asyncpg raises, but for its client-side DataError, which is a bug of ours."""


async def connect(url: str, name: str, settings: Mapping[str, str] | None = None) -> Connection:
    """Open a connection of its own. Raises StoreUnavailable, or StoreMisfit for a refused login.

    `name` is the `application_name` that `pg_stat_activity` shows.
    """
    with beginning():
        return await asyncpg.connect(
            url,
            timeout=CONNECT_TIMEOUT_S,
            server_settings={"application_name": name, **_KEEPALIVE, **(settings or {})},
        )


@contextlib.asynccontextmanager
async def session(
    url: str, name: str, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Connection]:
    """Open a connection for one task and close it afterwards; errors come out as ours."""
    connection = await connect(url, name, settings)
    try:
        with translated(), loss_named(connection):
            yield connection
            await connection.close()
    finally:
        connection.terminate()


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Raise ours from theirs; a task that was asked to end meanwhile does that."""
    cancels = cancel_count()
    try:
        yield
    except ERRORS as error:
        raise_swallowed_cancel(cancels)
        raise ours(error) from error


@contextlib.contextmanager
def beginning() -> Iterator[None]:
    """Raise ours from theirs while a session begins: what its server lacks for it is no damage."""
    try:
        with translated():
            yield
    except StoreFault as fault:
        if getattr(fault.__cause__, "sqlstate", "") == _NOT_BEGUN:
            raise StoreUnavailable(str(fault)) from fault
        raise


@contextlib.contextmanager
def loss_named(connection: Connection) -> Iterator[None]:
    """Raise InterfaceError where a connection ends between two steps of one call.

    asyncpg then stumbles over what it has put away itself: an AttributeError.
    """
    try:
        yield
    except AttributeError as error:
        if not connection.is_closed():
            raise
        raise asyncpg.InterfaceError("the connection ended in the middle of a call") from error


def is_lost(error: BaseException) -> bool:
    """Say whether the connection can't be used after this."""
    return isinstance(error, _LOST) and not isinstance(error, asyncpg.DataError)


def ours(error: BaseException) -> BbajError:
    """Return the error of ours that says what asyncpg's means."""
    text = _describe(error)
    match error:
        case asyncpg.UniqueViolationError():
            return RecordConflict(text)
        case asyncpg.CheckViolationError() if found := _NO_PARTITION.search(error.detail or ""):
            return PartitionMissing(found[1])
        case _ if is_lost(error) or isinstance(error, _NO_ROOM):
            return StoreUnavailable(text)
        case _ if isinstance(error, _NOT_OURS):
            return StoreMisfit(f"{text}: check the database's URL and password")
        case _ if str(getattr(error, "sqlstate", "")).startswith(_NOT_PREPARED):
            return StoreMisfit(f"{text}: correct the database's URL, or run `bbaj store migrate`")
        case _:
            return StoreFault(text)


def _describe(error: BaseException) -> str:
    text = f"{type(error).__name__}: {error}"
    constraint = getattr(error, "constraint_name", None)
    return f"{text} ({constraint})" if constraint else text
