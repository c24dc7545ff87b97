"""Daemons killed, services restarted, lines cut, all under traffic: nothing lost or doubled."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random

import pytest

from harness.proxy import Proxy
from nodes.sandbox.network import vhost_of

ROOT, RELAY, SENDER, RECIPIENT = "kz", "kz.zhambyl", "kz.zhambyl.taraz", "kz.zhambyl.shu"
DROPS = 25
PACE_S = 0.08
SETTLED_S = 60.0


class Traffic:
    """Documents dropped one after the other, and what became of them."""

    def __init__(self, country) -> None:
        self.country = country
        self.dropped: list[tuple[str, bytes]] = []

    async def run(self) -> None:
        user = self.country.sender
        for _ in range(DROPS):
            body = self.country.document()
            drop_id = f"traffic-{len(self.country.dropped)}"
            self.dropped.append((drop_id, body))
            await self._drop(user, drop_id, body)
            await asyncio.sleep(PACE_S)

    async def _drop(self, user, drop_id, body) -> None:
        """Hand a document over, again after whatever goes wrong: as a vendor's software would."""
        while True:
            try:
                async with asyncio.timeout(10):
                    await user.drop(drop_id, body, type="attendance.daily/1", to=RECIPIENT)
                return
            except Exception:  # noqa: BLE001 - the broker may be away
                await asyncio.sleep(0.3)
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(10):
                        await user.restart()

    async def judge(self) -> None:
        """Say that each document was delivered exactly once, whatever happened."""
        country = self.country
        packets = {}
        for drop_id, body in self.dropped:
            status = await country.sender.until_status(drop_id, "delivered", SETTLED_S)
            packets[status["packet"]] = body
        assert len(packets) == len(self.dropped), "two drops became one packet"
        for packet, body in packets.items():
            assert await country.recipient.until_received(packet) == body
            _first, *others = country.recipient.received(packet)
            assert all(map(says_again, others)), "an unmarked repeat"
        query = (
            "SELECT p.id FROM packet AS p JOIN leaf AS l USING (frame) WHERE l.kind = 'released'"
        )
        rows = [row["id"] for row in await country.at[RECIPIENT].rows(query)]
        released = sorted(id_ for id_ in rows if id_ in packets)
        assert released == sorted(packets), "a document was not released exactly once"


@pytest.fixture
async def traffic(
    country,
) -> AsyncIterator[Callable[[Callable[[], Awaitable[None]]], Awaitable[Traffic]]]:
    """Run traffic beside a fault, and return it once both are over; leave all daemons running."""

    async def beside(fault: Callable[[], Awaitable[None]]) -> Traffic:
        traffic = Traffic(country)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(traffic.run())
            tasks.create_task(fault())
        return traffic

    yield beside
    for address in (ROOT, RELAY, SENDER, RECIPIENT):
        if country.network.nodes[address].process is None:
            await country.network.start(address)


def says_again(message) -> bool:
    """Tell whether a message says that it may be a repeat, by the node's word or the broker's.

    A broker that goes down before it has heard an acknowledgement brings the message once more.
    """
    return bool(message.headers.get("repeat") or message.redelivered)


async def verified(country, *addresses) -> list[list[str]]:
    """Check whole records and return their faults, by node."""
    found = [await country.at[address].verify() for address in addresses]
    return [[str(fault) for fault in each.faults] for each in found]


@pytest.mark.parametrize(
    "address", [RELAY, RECIPIENT, pytest.param(SENDER, marks=pytest.mark.slow)]
)
async def test_a_daemon_killed_at_any_moment_loses_and_doubles_nothing(country, traffic, address):
    """Killed again and again under traffic, a node delivers every document exactly once."""
    random = Random(address)

    async def kill() -> None:
        for _ in range(2):
            await asyncio.sleep(random.uniform(0.3, 1.2))
            await country.network.kill(address)
            await country.network.start(address)

    await (await traffic(kill)).judge()


async def test_a_broker_restarted_under_traffic_loses_and_doubles_nothing(country, traffic):
    """The broker goes down and comes up: every document is delivered exactly once."""

    async def restart() -> None:
        await asyncio.sleep(1.0)
        await country.network._brokers[ROOT].restart()
        for user in country.users:
            await user.restart()

    await (await traffic(restart)).judge()


@pytest.mark.parametrize(
    "address",
    [RELAY, *(pytest.param(each, marks=pytest.mark.slow) for each in (RECIPIENT, SENDER))],
)
async def test_database_connections_cut_under_traffic_lose_and_double_nothing(
    country, traffic, address
):
    """A node's database connections are ended, again and again: exactly once all the same."""

    async def cut() -> None:
        for _ in range(3):
            await asyncio.sleep(0.7)
            await end_sessions(country, address)

    await (await traffic(cut)).judge()


async def end_sessions(country, address) -> None:
    await country.at[address].close()
    query = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await country.at[address].rows(query)


@asynccontextmanager
async def through(country, address, proxy: Proxy) -> AsyncIterator[None]:
    """Let a node reach its parent through a proxy, within the block."""
    node = country.network.nodes[address]
    text = node.config_path.read_text(encoding="utf-8")
    changed = re.sub(r'(urls = \["amqps://127\.0\.0\.1:)\d+', rf"\g<1>{proxy.port}", text)
    try:
        await country.network.stop(address)
        node.config_path.write_text(changed, encoding="utf-8")
        await country.network.start(address)
        yield
    finally:
        await country.network.stop(address)
        node.config_path.write_text(text, encoding="utf-8")
        await country.network.start(address)


async def test_a_line_cut_under_traffic_loses_and_doubles_nothing(country, traffic):
    """The recipient's line is cut many times: every document is delivered exactly once."""
    port = country.network._brokers[RELAY].amqps_port

    async def cut() -> None:
        for _ in range(5):
            await asyncio.sleep(0.5)
            proxy.cut()

    async with Proxy(port) as proxy, through(country, RECIPIENT, proxy):
        await (await traffic(cut)).judge()


@pytest.mark.slow
async def test_a_line_that_went_silent_loses_and_doubles_nothing(country, traffic):
    """The recipient's line is frozen and thawed: every document is delivered exactly once."""
    port = country.network._brokers[RELAY].amqps_port

    async def freeze() -> None:
        await asyncio.sleep(0.5)
        proxy.freeze()
        await asyncio.sleep(2.0)
        proxy.thaw()

    async with Proxy(port) as proxy, through(country, RECIPIENT, proxy):
        await (await traffic(freeze)).judge()


async def test_a_queue_purged_by_the_child_costs_a_resend_and_nothing_else(country, traffic):
    """What waited in the broker for a child that was away is purged; all of it comes again."""

    async def purge() -> None:
        await country.network.stop(RECIPIENT)
        await asyncio.sleep(PACE_S * DROPS)
        broker = country.network._brokers[RELAY]
        await broker.ctl("purge_queue", "-p", vhost_of(RELAY), "down.shu")
        await country.network.start(RECIPIENT)

    await (await traffic(purge)).judge()


async def test_all_records_verify_after_all_that(country):
    """Whatever was done to them: every node's record hashes to what its journal says."""
    faults = await verified(country, ROOT, RELAY, SENDER, RECIPIENT)
    assert faults == [[], [], [], []]
