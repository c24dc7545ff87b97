"""What befalls brokers, disks and upgrades, with 100 documents in flight: nothing lost or doubled.

All on one network; each test heals what it did. `make faults` does the rest, by the thousand.
"""

import asyncio
import errno
import itertools
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from exchange.topology import link_key
from faults import newer
from faults.judging import judge, misbehaved, verified
from faults.network import DISTRICT, FLOWS, OBLAST, PLACES, REPUBLIC, SCHOOL, Struck, superuser
from faults.newer import EXT
from faults.run import IN_FLIGHT_MIN, WINDOW
from faults.steps import PROGRAM
from faults.traffic import Traffic
from nodes.sandbox.network import database_name, vhost_of
from nodes.sandbox.postgres import PrivatePostgres
from store.packing import unpack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

_loads = itertools.count(1)
ALARM_S = 4.0
TIMES = 2
ROOM_BYTES = 64 << 20
"""So much is free on the small file system before it is filled."""
PIECE_BYTES = 1 << 20
POLL_S = 0.05
ALARMS = ("eval", "rabbit_alarm:get_alarms().")


async def endured(struck: Struck, fault: Callable[[], Awaitable[None]]) -> None:
    """Let a fault strike under load, and judge all that was dropped meanwhile."""
    traffic = Traffic(struck.boxes(), FLOWS, WINDOW, f"scenario-{next(_loads)}")
    async with asyncio.TaskGroup() as tasks:
        load = tasks.create_task(traffic.run())
        await traffic.until_in_flight(IN_FLIGHT_MIN)
        await fault()
        await traffic.until_closed()
        load.cancel()
    found = await judge(struck, traffic.book)
    assert found.findings == []
    assert [*misbehaved(struck), *await verified(struck)] == []


@asynccontextmanager
async def alarmed(struck: Struck, name: str, *words: str) -> AsyncIterator[None]:
    """Set a broker's threshold so that its alarm goes off, within the block."""
    broker = struck.brokers[name]
    what, _, usual = words
    try:
        await broker.ctl(*words[:2])
        async with asyncio.timeout(30):
            while "resource_limit" not in await broker.ctl(*ALARMS):  # noqa: ASYNC110
                await asyncio.sleep(POLL_S)
        yield
    finally:
        await broker.ctl(what, usual)


@pytest.mark.parametrize("name", PLACES.brokers)
@pytest.mark.parametrize(
    "words",
    [
        ("set_vm_memory_high_watermark", "0.00001", "0.4"),
        ("set_disk_free_limit", "1000GB", "100MB"),
    ],
    ids=["memory", "disk"],
)
async def test_an_alarm_of_a_broker_costs_time_alone(struck, name, words):
    """While memory or disk run short the broker takes nothing; afterwards all of it goes on."""

    async def alarm() -> None:
        async with alarmed(struck, name, *words):
            await asyncio.sleep(ALARM_S)

    await endured(struck, alarm)


async def test_queues_purged_by_a_child_cost_a_resend_and_nothing_else(struck):
    """A child empties its own queue again and again, and its parent's for it is emptied as well."""

    async def purge() -> None:
        for child, parent in ((OBLAST, REPUBLIC), (SCHOOL, DISTRICT)) * TIMES:
            for way in ("down", "up"):
                queue = f"{way}.{link_key(parent, child)}"
                await struck.network._brokers[parent].ctl(
                    "purge_queue", "-p", vhost_of(parent), queue
                )

    await endured(struck, purge)


async def test_definitions_applied_again_change_nothing(struck):
    """Provisioning is repeated under load: queues, rights and what is in them stay."""

    async def apply() -> None:
        for node in struck.network.nodes.values():
            await struck.network._provision(node, struck.network._brokers[node.address])

    await endured(struck, apply)


async def test_one_node_after_another_is_upgraded(struck):
    """New and old nodes speak to each other: one offers a newer version, and uses `ext`."""

    async def upgrade() -> None:
        struck.network.program = newer.PROGRAM
        try:
            for address in reversed(PLACES.nodes):
                await struck.network.stop(address)
                await struck.network.start(address)
        finally:
            struck.network.program = PROGRAM

    await endured(struck, upgrade)
    for address in PLACES.nodes:
        assert await heads_with_ext(struck, address) > 0


async def heads_with_ext(struck: Struck, address: str) -> int:
    """Return how many packets of the school a node has whose head bears the new member."""
    connection = await superuser(struck, database_name(address))
    try:
        rows = await connection.fetch("SELECT head FROM packet WHERE sender = $1", SCHOOL)
    finally:
        await connection.close()
    member = next(iter(EXT)).encode()
    return sum(member in unpack(row["head"]) for row in rows)


@pytest.mark.skipif(os.geteuid() != 0, reason="a file system is mounted by root alone")
async def test_a_full_disk_of_the_database_costs_time_alone(struck):
    """No room for one more page: commits fail, and go through once there is room again."""

    async def fill() -> None:
        ballast = struck.postgres.folder / "small" / "ballast"
        await asyncio.to_thread(fill_up, ballast)
        await asyncio.sleep(ALARM_S)
        ballast.unlink()
        await (await superuser(struck)).close()  # it has ended where its log found no room

    async with small_disk(struck.postgres):
        await endured(struck, fill)


def fill_up(path: Path) -> None:
    """Write until there is no room for one byte more, whoever else writes meanwhile."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(PIECE_BYTES))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


@asynccontextmanager
async def small_disk(postgres: PrivatePostgres) -> AsyncIterator[None]:
    """Let a server's data lie on a small file system of their own, within the block."""
    small, data = postgres.folder / "small", postgres.folder / "data"
    await postgres.stop()
    used = sum(path.stat().st_size for path in data.rglob("*") if path.is_file())
    small.mkdir()
    run("mount", "-t", "tmpfs", "-o", f"size={used + ROOM_BYTES},mode=755", "tmpfs", small)
    try:
        run("cp", "-a", data, small)
        data.rename(postgres.folder / "before")
        data.symlink_to(small / "data")
        await postgres.start()
        yield
    finally:
        await postgres.stop()
        data.unlink()
        run("cp", "-a", small / "data", data)
        run("umount", small)
        await postgres.start()


def run(*words: str | Path) -> None:
    """Run a command of the system as root."""
    subprocess.run(words, check=True, capture_output=True, timeout=60)
