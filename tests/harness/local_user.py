"""A local system as its vendor would write it: drops, inbox and status, by aio_pika only."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import aio_pika
import aio_pika.abc

from nodes.sandbox.network import RunningNode

PATIENCE_S = 30.0
T = TypeVar("T")


class LocalUser:
    """One local system's connection; everything that comes is kept."""

    def __init__(self, node: RunningNode, system: str) -> None:
        self.node = node
        self.system = system
        self.inbox: list[aio_pika.abc.AbstractIncomingMessage] = []
        self.statuses: list[dict[str, Any]] = []
        self._news = asyncio.Event()
        self._connection: aio_pika.abc.AbstractConnection | None = None

    @property
    def url(self) -> str:
        """Where the system logs in, password and all."""
        broker = self.node.config().broker
        assert broker is not None
        login = f"{self.system}:{self.node.password_of(self.system)}"
        return f"{broker.url.replace('//', f'//{login}@')}/{broker.local_vhost}"

    async def start(self) -> None:
        """Log in and consume both queues; what was kept stays."""
        self._connection = await aio_pika.connect(self.url)
        self._channel = await self._connection.channel(on_return_raises=True)
        self._exchange = await self._channel.get_exchange("outbound", ensure=False)
        inbox = await self._channel.get_queue(f"inbox.{self.system}", ensure=False)
        status = await self._channel.get_queue(f"status.{self.system}", ensure=False)
        await inbox.consume(self._take)
        await status.consume(self._hear)

    async def stop(self) -> None:
        """Log out, whether the broker still is there or not."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception, asyncio.CancelledError):
                await connection.close()

    async def restart(self) -> None:
        """Log in anew, as after the broker was away."""
        await self.stop()
        await self.start()

    async def _take(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        self.inbox.append(message)
        self._news.set()
        await message.ack()

    async def _hear(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        self.statuses.append(json.loads(message.body))
        self._news.set()
        await message.ack()

    async def drop(self, drop_id: str, body: bytes, **headers: str) -> None:
        """Hand a document over; returns once the broker has it."""
        message = aio_pika.Message(
            body,
            headers={"drop-id": drop_id, **headers},
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await self._exchange.publish(message, routing_key=self.system)

    def states_of(self, drop_id: str) -> list[str]:
        """Return the states told so far about a drop, oldest first."""
        return [one["state"] for one in self.statuses if one["drop_id"] == drop_id]

    async def until_status(
        self, drop_id: str, state: str, patience_s: float = PATIENCE_S
    ) -> dict[str, Any]:
        """Return the status event that tells this state of a drop."""
        return await self.until(
            lambda: next(
                (
                    one
                    for one in self.statuses
                    if (one["drop_id"], one["state"]) == (drop_id, state)
                ),
                None,
            ),
            patience_s,
        )

    def received(self, packet_id: str) -> list[aio_pika.abc.AbstractIncomingMessage]:
        """Return every message of the inbox that bears a packet id."""
        return [one for one in self.inbox if one.headers["packet-id"] == packet_id]

    async def until_received(self, packet_id: str, patience_s: float = PATIENCE_S) -> bytes:
        """Return the document of a packet once it is in the inbox."""
        found = await self.until(lambda: self.received(packet_id), patience_s)
        return found[0].body

    async def until(self, found: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
        """Return what `found` finds, looked for after each message until patience ends."""
        async with asyncio.timeout(patience_s):
            while not (result := found()):
                self._news.clear()
                await self._news.wait()
            return result
