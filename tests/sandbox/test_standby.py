"""The private standby: commits wait for it, and it takes the primary's place with all of them."""

import asyncio

import asyncpg
import pytest

from nodes.sandbox.standby import StandbyPostgres

NUMBERED = "CREATE TABLE kept (number serial PRIMARY KEY)"

pytestmark = pytest.mark.slow  # two servers start, one of them as a copy


@pytest.fixture
async def standby(folder, postgres):
    """Lend a standby that each commit at `postgres` waits for."""
    second = StandbyPostgres(folder / "standby", postgres)
    await second.start()
    await second.vouch()
    yield second
    await second.stop(at_once=True)


async def run(url, *statements):
    """Run statements over one connection; return the last one's value."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return await connection.fetchval(statements[-1])
    finally:
        await connection.close()


async def test_takes_over_with_every_commit(postgres, standby):
    """The primary killed and the standby promoted, one URL leads on, and nothing is lost."""
    urls = await postgres.create_database("one")
    await run(urls.owner_url, NUMBERED, *["INSERT INTO kept DEFAULT VALUES"] * 50)
    await postgres.kill()
    await standby.promote()
    assert await run(urls.owner_url, "SELECT count(*) FROM kept") == 50
    assert await run(urls.owner_url, "INSERT INTO kept DEFAULT VALUES RETURNING 1") == 1


async def test_commit_waits_for_it(postgres, standby):
    """Without the standby no commit is answered; when it is back, the commit that waited is."""
    urls = await postgres.create_database("one")
    await run(urls.owner_url, NUMBERED)
    await standby.stop(at_once=True)
    inserted = "INSERT INTO kept DEFAULT VALUES RETURNING number"
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(run(urls.owner_url, inserted))
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        while (await postgres.psql(waits)).strip() != "1":  # noqa: ASYNC110 - servers act
            await asyncio.sleep(0.02)
        assert not waiting.done()
        await standby.start()
    assert await waiting == 1


async def test_released_it_holds_nobody_up(postgres, standby):
    """Once released, the primary commits while the standby is down."""
    urls = await postgres.create_database("one")
    await standby.release()
    await standby.stop(at_once=True)
    assert await run(urls.owner_url, NUMBERED, "SELECT 7") == 7
