"""Three sabotages behind the program's back: each must make the demo's judgement fail.

They use rights that no daemon and no local system's maker has: the database's superuser, and the
passwords of a broker's users.
"""

import asyncio
import urllib.parse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aio_pika
import aio_pika.abc

from nodes.config import read_secret
from nodes.demo.network import DemoNetwork
from nodes.sandbox.network import database_name, vhost_of
from store.postgres.session import session

TAKE_S = 30.0
AHEAD_OF_ALL = 10

_DELETE = """
DELETE FROM packet WHERE frame = (
    SELECT min(frame) FROM packet WHERE sender <> $1 AND recipient <> $1 AND seq IS NOT NULL)
RETURNING frame
"""


@asynccontextmanager
async def first_in_line(
    network: DemoNetwork, address: str, system: str
) -> AsyncIterator["asyncio.Future[aio_pika.abc.AbstractIncomingMessage]"]:
    """Stand before a system's own consumer at its inbox, for one message; it is acknowledged."""
    taken: asyncio.Future[aio_pika.abc.AbstractIncomingMessage]
    taken = asyncio.get_running_loop().create_future()
    async with await aio_pika.connect(network.url_of(address, system)) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=1)
        inbox = await channel.get_queue(f"inbox.{system}", ensure=False)

        async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            if taken.done():
                await message.nack(requeue=True)
                return
            taken.set_result(message)
            await inbox.cancel(tag)
            await message.ack()

        tag = await inbox.consume(take, arguments={"x-priority": AHEAD_OF_ALL})
        yield taken


async def swallow(
    taken: "asyncio.Future[aio_pika.abc.AbstractIncomingMessage]",
) -> aio_pika.abc.AbstractIncomingMessage:
    """Wait for the message that was taken away; nobody else will see it."""
    async with asyncio.timeout(TAKE_S):
        return await taken


async def release_twice(
    network: DemoNetwork,
    address: str,
    system: str,
    message: aio_pika.abc.AbstractIncomingMessage,
) -> None:
    """Put a message back into the inbox it came from, twice, as the daemon's own user."""
    broker = network.nodes.nodes[address].config().broker
    assert broker is not None
    secret = urllib.parse.quote(read_secret(broker.password_file) or "", safe="")
    port = network.brokers[address].amqp_port
    url = f"amqp://{broker.user}:{secret}@127.0.0.1:{port}/{vhost_of(address)}-local"
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel(on_return_raises=True)
        inbox = await channel.get_exchange("inbox", ensure=False)
        for _ in range(2):
            copy = aio_pika.Message(
                message.body, headers=dict(message.headers), content_type=message.content_type
            )
            await inbox.publish(copy, system)


async def delete_packet(network: DemoNetwork, address: str) -> int:
    """Delete the first packet that a node has passed on, as the superuser; return its frame."""
    url = urllib.parse.urlsplit(network.postgres.admin_url)
    own = urllib.parse.urlunsplit(url._replace(path=f"/{database_name(address)}"))
    async with session(own, "bbaj demo sabotage") as connection:
        await connection.execute("SET session_replication_role = replica")
        frame = await connection.fetchval(_DELETE, address)
    assert frame is not None, f"{address} has passed nothing on"
    return int(frame)
