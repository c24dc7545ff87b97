"""The private PostgreSQL."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import asyncpg
import pytest

from nodes.errors import ServiceDown
from nodes.sandbox.postgres import PrivatePostgres
from nodes.sandbox.processes import children_of

OWNER_DIES = """
import asyncio, os, signal, sys
from pathlib import Path
from nodes.sandbox.postgres import PrivatePostgres
async def main():
    server = PrivatePostgres(Path(sys.argv[1]))
    await server.start()
    print(server._process.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


async def value_of(url, statement):
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_is_durable(postgres):
    """What is committed is on disk, here too."""
    wanted = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
    assert await postgres.settings(*wanted) == wanted


async def test_daemon_has_no_rights_of_its_own(postgres):
    """A daemon's role can connect; all else is for migrations to grant."""
    urls = await postgres.create_database("one")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await value_of(urls.daemon_url, "CREATE TABLE anything ()")


async def test_databases_are_closed_to_each_other(postgres):
    """A node's daemon cannot open another node's database."""
    first, second = [await postgres.create_database(name) for name in ("one", "two")]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await value_of(first.daemon_url.removesuffix("one") + "two", "SELECT 1")
    assert await value_of(second.daemon_url, "SELECT 1") == 1


async def test_wrong_password_is_refused(postgres):
    """Loopback is no excuse."""
    urls = await postgres.create_database("one")
    url = urls.daemon_url.replace("@", "x@")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await value_of(url, "SELECT 1")


async def test_comes_up_again_with_its_data(folder):
    """The same folder gives the same data at the same address, to another process too."""
    before = PrivatePostgres(folder / "postgres")
    await before.start()
    urls = await before.create_database("one")
    await value_of(urls.owner_url, "CREATE TABLE kept AS SELECT 7 AS number")
    await before.stop()
    after = PrivatePostgres(folder / "postgres")
    await after.start()
    try:
        assert await value_of(urls.owner_url, "SELECT number FROM kept") == 7
    finally:
        await after.stop()


async def test_comes_up_after_a_kill(postgres):
    """Killed, it recovers what was committed."""
    urls = await postgres.create_database("one")
    await value_of(urls.owner_url, "CREATE TABLE kept AS SELECT 7 AS number")
    await postgres.kill()
    await postgres.start()
    assert await value_of(urls.owner_url, "SELECT number FROM kept") == 7


async def test_a_kill_ends_every_process_of_the_server(postgres):
    """One that wrote on would do so beside the server that is started next."""
    children = children_of(postgres.pid)
    async with asyncio.timeout(30):
        await postgres.kill()
    states = [Path(f"/proc/{pid}/stat") for pid in children]
    assert children
    assert not any(
        path.exists() and path.read_text("ascii", "replace").rpartition(")")[2].split()[0] != "Z"
        for path in states
    )
    await postgres.start()


async def test_ends_with_its_owner(folder):
    """Nothing is left behind where we are killed."""
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER_DIES, folder / "postgres", stdout=asyncio.subprocess.PIPE
    )
    said, _ = await owner.communicate()
    assert owner.returncode == -signal.SIGKILL
    assert await is_gone(int(said))


async def is_gone(pid):
    """Return whether a process ends within ten seconds; a zombie has."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        await asyncio.sleep(0.1)
    return False


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs services as another user")
async def test_closed_folder_is_told(folder):
    """A folder that the services' user cannot reach is named at once."""
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(ServiceDown, match="closed is closed to the user nobody"):
        await PrivatePostgres(closed / "postgres").start()
