"""A node on an older copy of its database: it must not use numbers a second time."""

import itertools
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from harness.daemons import daemon, replacing, variant
from harness.local_user import LocalUser
from nodes import samples
from nodes.config import load_config
from nodes.sandbox.network import database_name, vhost_of
from nodes.wiring import database_url

RELAY, AGAIN, RECIPIENT = "kz.zhambyl", "kz.zhambyl.again", "kz.zhambyl.shu"
NAME = database_name(AGAIN)
OLD = f"{NAME}_old"


@dataclass
class Past:
    """What the node was before its last packet, and what stands beside its database today."""

    size_file: Path
    older_size: str
    copies: itertools.count


@pytest.fixture(scope="session")
async def past(country) -> Past:
    """Let the node deliver a packet, copy its database, then let it deliver another."""
    node = country.network.nodes[AGAIN]
    size_file = node.config().data / "journal.size"
    await run_and_deliver(country, "before")
    older_size = size_file.read_text(encoding="ascii")
    await copy_database(country, NAME, OLD)
    await run_and_deliver(country, "after")
    return Past(size_file, older_size, itertools.count(1))


@pytest.fixture
async def restored(country, past) -> Path:
    """Return a configuration of the node on a fresh copy of its old database.

    Nothing waits for it at the broker: what it hears, it hears in answer to its own greeting.
    """
    name = f"{OLD}_{next(past.copies)}"
    await copy_database(country, OLD, name)
    broker = country.network._brokers[RELAY]
    await broker.ctl("purge_queue", "-p", vhost_of(RELAY), "down.again")
    config = country.network.nodes[AGAIN].config_path
    return variant(config, name, replacing(f"/{NAME}\\b", f"/{name}"))


async def run_and_deliver(country, drop_id):
    async with (
        daemon(country.network.nodes[AGAIN].config_path) as running,
        local_system(country) as user,
    ):
        await drop(user, drop_id)
        await user.until_status(drop_id, "delivered")
        assert await running.stop() == 0


async def drop(user, drop_id):
    """Hand an order over: of a type that needs nobody's key before it is sealed."""
    body = samples.order(1, sum(drop_id.encode()))
    await user.drop(drop_id, body, type="admin.order/1", to=RECIPIENT, section="S06")


@asynccontextmanager
async def local_system(country) -> AsyncIterator[LocalUser]:
    user = LocalUser(country.network.nodes[AGAIN], "sis-again")
    await user.start()
    try:
        yield user
    finally:
        await user.stop()


async def copy_database(country, name, copy):
    """Copy a database that nobody is connected to."""
    connection = await asyncpg.connect(country.network._postgres.admin_url)
    try:
        await connection.execute(f'CREATE DATABASE "{copy}" TEMPLATE "{name}" OWNER "{NAME}_owner"')
    finally:
        await connection.close()


async def sealed_in(config) -> int:
    connection = await asyncpg.connect(database_url(load_config(config)))
    try:
        return await connection.fetchval("SELECT count(*) FROM leaf WHERE kind = 'sent'")
    finally:
        await connection.close()


async def test_a_journal_smaller_than_was_signed_ends_the_start(restored):
    """The size file beside the database tells that data are missing: exit code 76."""
    async with daemon(restored) as running:
        code = await running.exit_code()
    assert (code, "restore the newest one" in running.said) == (76, True), running.said


async def test_with_the_size_file_restored_too_the_parents_greeting_tells(country, past, restored):
    """The parent has taken more than the node knows of: the link stands, nothing is sealed."""
    kept = past.size_file.with_suffix(".kept")
    shutil.copy(past.size_file, kept)
    past.size_file.write_text(past.older_size, encoding="ascii")
    before = await sealed_in(restored)
    try:
        async with daemon(restored) as running, local_system(country) as user:
            await running.until_said("link_suspended")
            await drop(user, "third")
            with suppress(TimeoutError):
                await user.until_status("third", "sent", patience_s=5.0)
    finally:
        shutil.move(kept, past.size_file)
    assert await sealed_in(restored) == before
