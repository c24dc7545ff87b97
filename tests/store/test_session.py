"""Sessions that do not begin, or end in the middle of a call: what the store makes of it."""

import asyncio

import asyncpg
import pytest

from store.errors import StoreFault, StoreUnavailable
from store.postgres.session import beginning, connect, loss_named, session


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (asyncpg.InternalServerError("could not write init file"), StoreUnavailable),
        (asyncpg.DataCorruptedError("invalid page in block 0"), StoreFault),
    ],
)
async def test_a_server_that_cannot_begin_a_session_is_tried_again(error, meaning):
    """A full disk is no damage; a damaged page is, and the daemon ends for it."""
    with pytest.raises(meaning), beginning():
        raise error


async def test_a_session_that_ends_between_two_steps_is_lost(shared_record):
    """Asyncpg has put away by then what its next step needs; that is told as a lost connection."""
    connection = await connect(shared_record.daemon, "test")
    connection.terminate()
    with pytest.raises(asyncpg.InterfaceError, match="ended"), loss_named(connection):
        connection._protocol.bind_execute  # noqa: B018 - as asyncpg's own next step does


async def test_a_cancel_outlives_a_transaction_that_is_lost(shared_record):
    """Its end can't be told to the server any more; who was told to end does not live on by it."""
    begun = asyncio.Event()

    async def work() -> None:
        async with session(shared_record.daemon, "test") as connection, connection.transaction():
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                connection.terminate()

    working = asyncio.create_task(work())
    await begun.wait()
    working.cancel()
    await asyncio.wait({working})
    assert working.cancelled()


async def test_a_slip_of_ours_is_not_taken_for_a_lost_session(shared_record):
    """While the connection stands, an AttributeError is what it is."""
    connection = await connect(shared_record.daemon, "test")
    with pytest.raises(AttributeError, match="nonsense"), loss_named(connection):
        connection.nonsense  # noqa: B018
    await connection.close()
