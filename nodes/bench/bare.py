"""The rival: a bare aio-pika relay of one message at a time, window 256, confirms on, over TLS.

It checks and keeps nothing. Run as a process of its own, like the node it is compared with.
"""

import asyncio
import sys
import time
from pathlib import Path

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from yarl import URL

from exchange.amqp import ClientTls

WINDOW = 256
SOURCE, TARGET = "bench.source", "bench.target"


async def connect(port: int, vhost: str, tls: ClientTls, server_name: str) -> aio_pika.Connection:
    """Return a TLS connection by EXTERNAL, the server's bbaj name checked."""
    url = URL(f"amqps://127.0.0.1:{port}/{vhost}?auth=EXTERNAL&heartbeat=30")
    connection = aio_pika.Connection(url, ssl_context=tls.context())
    connection.kwargs["server_hostname"] = server_name
    await connection.connect(timeout=10)
    return connection


async def relay(count: int, port: int, vhost: str, tls: ClientTls, server_name: str) -> float:
    """Move `count` messages from SOURCE to TARGET; return the seconds that it took."""
    incoming = await connect(port, vhost, tls, server_name)
    outgoing = await connect(port, vhost, tls, server_name)
    async with incoming, outgoing:
        reading = await incoming.channel(publisher_confirms=False)
        await reading.set_qos(prefetch_count=WINDOW)
        writing = await outgoing.channel(publisher_confirms=True, on_return_raises=True)
        target = writing.default_exchange
        queue = await reading.get_queue(SOURCE, ensure=False)
        done = asyncio.Event()
        left = count
        began = time.perf_counter()

        async def pass_on(message: AbstractIncomingMessage) -> None:
            nonlocal left
            copy = aio_pika.Message(message.body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await target.publish(copy, routing_key=TARGET, mandatory=True)
            await message.ack()
            left -= 1
            if left == 0:
                done.set()

        await queue.consume(pass_on)
        await done.wait()
        return time.perf_counter() - began


async def fill(  # noqa: PLR0917 - the one call has them all
    count: int, size: int, port: int, vhost: str, tls: ClientTls, server_name: str
) -> None:
    """Make both quorum queues and put `count` messages of `size` bytes into SOURCE."""
    connection = await connect(port, vhost, tls, server_name)
    async with connection:
        channel = await connection.channel(publisher_confirms=True)
        for name in (SOURCE, TARGET):
            await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
            await (await channel.get_queue(name, ensure=False)).purge()
        room = asyncio.Semaphore(WINDOW)
        body = bytes(size)

        async def put() -> None:
            async with room:
                message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
                await channel.default_exchange.publish(message, routing_key=SOURCE)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(count):
                tasks.create_task(put())


def main() -> None:
    """Run the relay: count, port, vhost, server name, ca, certificate, key; write the seconds."""
    count, port, vhost, server_name, *files = sys.argv[1:]
    ca, certificate, key = (Path(name) for name in files)
    tls = ClientTls(ca, certificate, key)
    seconds = asyncio.run(relay(int(count), int(port), vhost, tls, server_name))
    sys.stdout.write(f"{seconds}\n")
