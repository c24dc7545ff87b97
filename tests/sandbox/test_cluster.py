"""The private cluster: a replica on each node, and what is confirmed outlives its leader."""

import asyncio

import aio_pika
import pytest

from nodes.sandbox.cluster import BrokerCluster

pytestmark = pytest.mark.slow  # three brokers start
QUORUM = {"x-queue-type": "quorum"}


@pytest.fixture
async def cluster(folder):
    three = BrokerCluster(folder / "cluster", name="test")
    try:
        await three.start()
        await three.door.ctl("add_user", "keeper", "secret")
        await three.door.ctl("set_permissions", "keeper", ".*", ".*", ".*")
        yield three
    finally:
        await three.stop()


async def test_queue_outlives_its_leader(cluster):
    """The leader killed, its message is taken at another node; started again, it takes part."""
    await put(cluster.door.amqp_port, b"kept")
    leader = await cluster.leader_of("kept", "/")
    await leader.kill()
    other = next(port for port in cluster.door.amqp_ports if port != leader.amqp_port)
    assert await take(other) == b"kept"
    await leader.start()
    await cluster.until_whole()
    assert await cluster.leader_of("kept", "/") is not leader


async def test_all_come_up_again(cluster):
    """Stopped whole and started again, the cluster has its queues."""
    await put(cluster.door.amqp_port, b"kept")
    await cluster.stop()
    await cluster.start()
    assert await take(cluster.members[2].amqp_port) == b"kept"


async def put(port, body):
    """Publish to a quorum queue of three and see it confirmed."""
    async with await aio_pika.connect(f"amqp://keeper:secret@127.0.0.1:{port}") as connection:
        channel = await connection.channel(on_return_raises=True)
        await channel.declare_queue("kept", durable=True, arguments=QUORUM)
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, "kept", timeout=10)


async def take(port):
    """Take one message off the queue once it has a leader; until then the node hangs up."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await get(port)
            except aio_pika.exceptions.AMQPError:
                await asyncio.sleep(0.2)


async def get(port):
    async with await aio_pika.connect(f"amqp://keeper:secret@127.0.0.1:{port}") as connection:
        channel = await connection.channel()
        queue = await channel.get_queue("kept", ensure=False)
        return (await queue.get(no_ack=True)).body
