"""A node on an older copy of its database: it must not use numbers a second time."""

import itertools
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from harness.cli_run import bbaj
from harness.daemons import daemon, replacing, variant
from harness.local_user import LocalUser
from nodes import samples
from nodes.cli.recovering import ApproveDone, RecoverDone
from nodes.config import load_config
from nodes.sandbox.network import database_name, vhost_of
from nodes.wiring import database_url
from signing.notes import origin
from store.reading import Filters, Reading

RELAY, AGAIN, RECIPIENT = "kz.zhambyl", "kz.zhambyl.again", "kz.zhambyl.shu"
NAME = database_name(AGAIN)
OLD = f"{NAME}_old"


@dataclass
class Past:
    """What the node was before its last packet, and what stands beside its database today."""

    size_file: Path
    older_size: str
    lost: str
    """The packet that no older copy has."""
    copies: itertools.count


@pytest.fixture(scope="session")
async def past(country) -> Past:
    """Let the node deliver a packet, copy its database, then let it deliver another."""
    node = country.network.nodes[AGAIN]
    size_file = node.config().data / "journal.size"
    await run_and_deliver(country, "before")
    older_size = size_file.read_text(encoding="ascii")
    await copy_database(country, NAME, OLD)
    lost = await run_and_deliver(country, "after")
    return Past(size_file, older_size, lost, itertools.count(1))


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


async def run_and_deliver(country, drop_id) -> str:
    async with (
        daemon(country.network.nodes[AGAIN].config_path) as running,
        local_system(country) as user,
    ):
        await drop(user, drop_id)
        status = await user.until_status(drop_id, "delivered")
        await country.at[RELAY].until(partial(is_witnessed, country, status["packet"]))
        assert await running.stop() == 0
    return status["packet"]


async def is_witnessed(country, packet_id) -> bool:
    """Say whether the parent has kept a checkpoint over the last leaf of a packet."""
    kept = await (await country.at[RELAY].reading()).witnessed_newest()
    async with Reading(database_url(country.network.nodes[AGAIN].config())) as record:
        timeline = await record.timeline(packet_id)
    last = max(each.index or 0 for each in timeline.moments)
    return any(row.size > last for row in kept if row.address == AGAIN)


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


async def test_a_journal_smaller_than_was_signed_stands_still(country, restored):
    """The size file beside the database tells that data are missing: nothing is sealed."""
    before = await sealed_in(restored)
    async with daemon(restored) as running, local_system(country) as user:
        said = await running.until_said("journal_lost")
        await drop(user, "first")
        with suppress(TimeoutError):
            await user.until_status("first", "sent", patience_s=3.0)
    assert await sealed_in(restored) == before
    assert re.search(r"were signed, \d+ are here; \d+ leaves are left, the last one of 20", said)


async def test_with_the_size_file_restored_too_the_parents_greeting_tells(country, past, restored):
    """The parent shows what our own keys have signed: nothing is sealed."""
    kept = past.size_file.with_suffix(".kept")
    shutil.copy(past.size_file, kept)
    past.size_file.write_text(past.older_size, encoding="ascii")
    before = await sealed_in(restored)
    try:
        async with daemon(restored) as running, local_system(country) as user:
            await running.until_said("journal_lost")
            await drop(user, "third")
            with suppress(TimeoutError):
                await user.until_status("third", "sent", patience_s=3.0)
    finally:
        shutil.move(kept, past.size_file)
    assert await sealed_in(restored) == before


async def test_it_recovers_into_a_new_epoch(country, past, restored):
    """With the parent's approval packets flow again, and what was lost comes back, confirmed."""
    relay = country.at[RELAY]
    async with daemon(restored) as running, local_system(country) as user:
        await running.until_said("journal_lost")
        asked = (await bbaj("journal", "recover", "--json", config=restored)).shape(RecoverDone)
        await relay.until(partial(relay.incidents, "recovery_asked", AGAIN))
        words = ("journal", "approve", AGAIN, "--json")
        opened = (await bbaj(*words, config=relay.node.config_path)).shape(ApproveDone)
        await drop(user, "anew")
        await user.until_status("anew", "delivered")
        _, packet, _ = await country.drop(to=AGAIN)
        async with Reading(database_url(load_config(restored))) as record:
            await relay.until(partial(has_state, record, past.lost, {"delivered", "closed"}))
            await relay.until(partial(has_state, record, packet, {"received", "closed"}))
            marks = [*(await record.link_marks()).values()]
        assert await running.stop() == 0
    before = await (await relay.reading()).witnessed_last(origin(AGAIN, 1))
    assert (asked.of_epoch, opened.epoch, opened.size) == (1, 2, before.size)
    assert asked.leaves == opened.leaves < opened.size
    theirs = (await (await relay.reading()).link_marks()).get(AGAIN)
    assert {mark.action for mark in (*marks, *([theirs] if theirs else []))} <= {"lifted"}


async def has_state(record, packet_id, states) -> bool:
    page = await record.list_packets(Filters(id=packet_id))
    return any(str(each.standing.state) in states for each in page.packets)
