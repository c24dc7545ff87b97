"""A local system's queues at a real broker, beside a node with a real record (protocol 17)."""

import asyncio
import json

import aio_pika
import msgspec
import pytest

from exchange import local
from exchange.errors import BrokerFull
from exchange.local import LocalSystem, Message, publish_all
from harness.link_broker import ADDRESS
from harness.links import PATIENCE_S, Lives, States, nothing_dead, running
from harness.pki import make_network
from harness.service_node import Node, new_record
from nodes.clock import now
from schemas.addresses import parent_of

PARENT = parent_of(ADDRESS)
DROPS = 8


@pytest.fixture
async def node(server, tmp_path, request):
    record = await new_record(server, request.node.name, ADDRESS)
    return Node(ADDRESS, make_network(["kz", PARENT, ADDRESS], now()), tmp_path, record)


async def drop(node, system, *numbers):
    """Drop documents as one group; return what their system is told."""
    drops = [node.document(PARENT, number) for number in numbers]
    drops = [msgspec.structs.replace(each, system=system) for each in drops]
    return await node.service.drop(drops)


async def until_told(broker, system, count):
    """Return so many status events of a system, in the order in which they come."""
    login = f"{system.user}:{system.password.replace(' ', '%20')}"
    url = f"amqp://{login}@127.0.0.1:{broker.port}/bbaj-local"
    async with asyncio.timeout(PATIENCE_S), await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue(f"status.{system.user}", ensure=False)
        async with queue.iterator(no_ack=True) as messages:
            return [json.loads((await anext(messages)).body) for _ in range(count)]


async def publish_for_ever(session, place):
    async with asyncio.timeout(PATIENCE_S):
        while True:
            await session.publish_to(place, b"document")


async def test_a_group_of_drops_is_one_commit(node, system):
    """Each becomes one packet; the same one twice in a group, or again later, is known."""
    async with node.live() as service:
        service.state.greeted.set()
        first = await drop(node, system.user, 1, 2, 1)
        again = await drop(node, system.user, 2, 3)
        names = [(system.user, f"drop-{number}") for number in (1, 2, 3, 4)]
        found = await node.archive.drop_outcomes(names)
    assert [each.state for each in first] == ["sent", "sent", "known"]
    assert [each.state for each in again] == ["known", "sent"]
    assert again[0].packet == first[1].packet
    assert list(found) == names[:3]
    together, too, later = (found[name].decided for name in names[:3])
    assert together == too < later


async def test_events_that_fill_many_reads_all_go_out(broker, system, node, monkeypatch):
    """What one read leaves behind for its size goes by the next, and nothing need wake it."""
    monkeypatch.setattr(local, "BYTES_PER_READ", 1)
    async with node.live() as service:
        service.state.greeted.set()
        serving = LocalSystem(
            system.user,
            epoch=1,
            gate=service.state.gate,
            archive=node.archive,
            clock=now,
            cursors={},
        )
        serving.attach(service)
        await drop(node, system.user, *range(DROPS))
        endpoint = broker.local_endpoint()
        async with running(endpoint.run({system.user: serving.handle}, nothing_dead, States())):
            told = await until_told(broker, system, DROPS)
    assert [each["drop_id"] for each in told] == [f"drop-{number}" for number in range(DROPS)]


async def test_what_comes_before_a_full_queue_is_taken(broker, system):
    """Of messages handed over together, those before the first that found no room count."""
    lives, ctl = Lives(), broker.ctl
    policy = '{"overflow":"reject-publish","max-length":1}'
    pattern = f"^inbox\\.{system.user}$"
    full = f"full-{system.user}"
    rule = (full, pattern, policy, "--priority=9")
    await asyncio.to_thread(ctl, "set_policy", "-p", "bbaj-local", *rule)
    event, document = Message("status", b"{}"), Message("inbox", b"document")
    endpoint = broker.local_endpoint()
    async with running(endpoint.run({system.user: lives.handle}, nothing_dead, States())):
        session = await lives.next()
        with pytest.raises(BrokerFull):
            await publish_for_ever(session, "inbox")
        taken = await publish_all(session, [event, None, event, document, event])
        all_taken = await publish_all(session, [event, event])
    await asyncio.to_thread(ctl, "clear_policy", "-p", "bbaj-local", full)
    assert (taken, all_taken) == (3, 2)
