"""A machine that fails its node: a clock that is wrong by a day, a disk that is full."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from harness.daemons import daemon, replacing, variant
from harness.local_user import LocalUser
from nodes.sandbox.network import database_name
from nodes.sandbox.processes import free_ports, give

pytestmark = pytest.mark.slow

SENDER, RELAY, SPARE = "kz.zhambyl.taraz", "kz.zhambyl", "kz.zhambyl.spare"
PAYLOAD_BYTES = 300_000
MIB = 1024 * 1024

FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
needs_faketime = pytest.mark.skipif(not FAKETIME, reason="no faketime here")


def config_of(country) -> Path:
    return country.network.nodes[SPARE].config_path


# --- the clock ------------------------------------------------------------------------------------


@asynccontextmanager
async def off_by(country, offset: str) -> AsyncIterator[tuple[object, LocalUser]]:
    """Run the spare node's daemon with its clock off, and lend its local system."""
    (port,) = free_ports(1)
    config = variant(config_of(country), "clock", replacing("^port = 0$", f"port = {port}"))
    country.network.nodes[SPARE].http_port = port
    user = LocalUser(country.network.nodes[SPARE], "sis-spare")
    await user.start()
    # Not by the program `faketime`: it stays between us and the daemon.
    preload = {"LD_PRELOAD": str(FAKETIME[0]), "FAKETIME": offset, "DONT_FAKE_MONOTONIC": "1"}
    try:
        async with daemon(config, environment=preload) as running:
            yield running, user
    finally:
        await user.stop()


async def sealed_at(country) -> int:
    rows = await country.at[SPARE].rows("SELECT count(*) FROM leaf WHERE kind = 'sent'")
    return rows[0]["count"]


@pytest.fixture(scope="session")
async def migrated(country) -> None:
    """Let the spare node's database be there, whatever test comes first."""
    async with daemon(config_of(country)) as running:
        await running.until_said("record_opened")
        assert await running.stop() == 0


@needs_faketime
async def test_a_clock_a_day_ahead_neither_seals_nor_judges_and_says_so(country, migrated):
    """A drop waits, a frame is held, an incident and a metric name the clock."""
    before = await sealed_at(country)
    async with off_by(country, "+1d") as (running, user):
        await running.until_said("clock_disagrees")
        await user.drop("early", country.document(), type="attendance.daily/1", to=SENDER)
        await country.drop(to=SPARE)
        query = "SELECT missing FROM held_open"
        held = await country.at[SPARE].until(lambda: country.at[SPARE].rows(query))
        await country.at[SPARE].until(lambda: country.at[SPARE].metric("bbaj_clock_doubted"))
        said = running.said
    facts = ({row["missing"] for row in held}, await sealed_at(country) - before)
    assert (*facts, "Traceback" in said) == ({"clock"}, 0, False)


@needs_faketime
async def test_what_waited_for_the_clock_goes_on_once_it_is_set(country, migrated):
    """With the clock set, the drop is sealed and delivered, and the held frame is judged."""
    async with off_by(country, "+1d") as (running, user):
        await running.until_said("clock_disagrees")
        await user.drop("late", country.document(), type="attendance.daily/1", to=SENDER)
        drop_id, _, _ = await country.drop(to=SPARE)
        query = "SELECT missing FROM held_open"
        await country.at[SPARE].until(lambda: country.at[SPARE].rows(query))
        await running.stop()
    user = LocalUser(country.network.nodes[SPARE], "sis-spare")
    await user.start()
    async with daemon(config_of(country)):
        await country.sender.until_status(drop_id, "delivered")
        await user.until_status("late", "delivered")
    await user.stop()


@needs_faketime
async def test_a_clock_a_day_behind_seals_nothing_and_says_so(country, migrated):
    """No certificate is in force yet by such a clock: the link stays down, nothing is sealed."""
    async with off_by(country, "-1d") as (running, user):
        await running.until_said("not yet valid")
        before = await sealed_at(country)  # what waited is sealed by the daemon before this one
        await user.drop("behind", country.document(), type="attendance.daily/1", to=SENDER)
        await asyncio.sleep(1.0)
        sealed = await sealed_at(country) - before
    assert sealed == 0


# --- the disk -------------------------------------------------------------------------------------


@contextmanager
def small_disk(where: Path, size: int) -> Iterator[Path]:
    """Mount a small file system, or skip where that is not allowed."""
    where.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(where)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("a file system of its own needs the right to mount")
    try:
        yield where
    finally:
        subprocess.run(["umount", "--lazy", str(where)], check=True)


def fill(disk: Path, leave: int = 0) -> Path:
    """Fill a disk up but for so many bytes; return the file that does it."""
    free = os.statvfs(disk)
    filler = disk / "filler"
    filler.write_bytes(bytes(free.f_bavail * free.f_bsize - leave))
    return filler


@asynccontextmanager
async def on_a_small_disk(country, disk: Path) -> AsyncIterator[None]:
    """Let the spare node's tables lie on a disk of their own."""
    give(disk)
    await country.at[SPARE].close()
    database = database_name(SPARE)
    admin = country.at[RELAY]
    await admin.rows(f"CREATE TABLESPACE small LOCATION '{disk}'")
    await admin.rows(f'ALTER DATABASE "{database}" SET TABLESPACE small')
    try:
        yield
    finally:
        await country.at[SPARE].close()
        await admin.rows(f'ALTER DATABASE "{database}" SET TABLESPACE pg_default')
        await admin.rows("DROP TABLESPACE small")


async def test_a_full_database_disk_is_waited_out(country, migrated):
    """With no room for tables nothing is lost: the node says so, and goes on once there is room."""
    rogue = await country.rogue()
    frames = [rogue.packet(SPARE, os.urandom(PAYLOAD_BYTES)) for _ in range(20)]
    with small_disk(country.network.folder / "small", 80 * MIB) as disk:
        async with on_a_small_disk(country, disk), daemon(config_of(country)) as running:
            await running.until_said('"peer": "kz.zhambyl", "state": "up"')
            filler = fill(disk, leave=MIB)
            for frame in frames:
                await rogue.send(frame)
            said = await running.until_said("life_ended")
            filler.unlink()
            verdicts = {(await rogue.receipt_on(frame))[1].verdict for frame in frames}
            await running.stop()
    assert (verdicts, "No space left on device" in said, "Traceback" in running.said) == (
        {"accepted"}, True, False,
    )  # fmt: skip


@pytest.mark.parametrize("period", [None, "2024-01"], ids=["journal's size", "new at-rest key"])
async def test_a_full_data_folder_is_waited_out(country, migrated, period):
    """With no room beside the database nothing is lost: the node says so, and goes on later."""
    rogue = await country.rogue()
    data = config_of(country).parent / "data"
    with small_disk(country.network.folder / "data", MIB) as disk:
        shutil.copytree(data, disk, dirs_exist_ok=True)
        change = replacing('^data = ".*"$', f'data = "{disk}"')
        async with daemon(variant(config_of(country), "data", change)) as running:
            first, bad = rogue.packet(SPARE), rogue.packet(SPARE, type="closing/1")
            await rogue.send(first, bad)
            await rogue.receipt_on(first)
            filler = fill(disk)
            frame = rogue.packet(SPARE, period=period)
            await rogue.send(frame)
            said = await running.until_said("No space left on device")
            filler.unlink()
            _, receipt = await rogue.receipt_on(frame)
            code = await running.stop()
        shutil.copytree(disk, data, dirs_exist_ok=True)
    assert (receipt.verdict, code, "Traceback" in said) == ("accepted", 0, False)
