"""A local system beside its node: it drops documents, and keeps what its queues bring it."""

import asyncio
import itertools
from collections import deque
from collections.abc import Mapping
from typing import Any, Literal

from exchange.errors import LinkLost
from exchange.sessions import NO_HEADERS, Delivery, HeaderValue

SYSTEM = "sis"


class LocalQueues:
    """One system's queues at its node's own broker: they outlive the daemon."""

    def __init__(self, address: str, watch: Any) -> None:
        self.address = address
        self.watch = watch
        self.dropped: deque[Delivery] = deque()
        self.news = asyncio.Event()
        self.has_room = asyncio.Event()
        """Cleared while the broker stands in an alarm: it takes nothing, and delivers."""
        self.has_room.set()
        self._tags = itertools.count(1)

    def drop(self, body: bytes, headers: Mapping[str, HeaderValue]) -> None:
        """Queue a document for the node."""
        self.dropped.append(Delivery(body, dict(headers), False, next(self._tags), 0))
        self.news.set()


class LocalWire:
    """The queues during one life of the daemon."""

    def __init__(self, queues: LocalQueues, port: Any) -> None:
        self.peer = SYSTEM
        self._queues = queues
        self._port = port
        self._handed: list[Delivery] = []

    async def receive_some(self, count_max: int, bytes_max: int) -> list[Delivery]:
        queues = self._queues
        while len(queues.dropped) <= len(self._handed):
            queues.news.clear()
            await queues.news.wait()
        found: list[Delivery] = []
        size = 0
        for delivery in list(queues.dropped)[len(self._handed) :][:count_max]:
            if size >= bytes_max:
                break
            found.append(delivery)
            size += len(delivery.body)
        self._handed += found
        await self._port.effect("drops delivered")
        return found

    async def settle_through(self, delivery: Delivery) -> None:
        await self._port.effect("drop settle begins")
        if delivery not in self._handed:
            raise LinkLost("settle: of another life")
        while self._handed and self._handed[0].tag <= delivery.tag:
            settled = self._handed.pop(0)
            self._queues.dropped.popleft()
            self._queues.watch.accepted(self._queues.address, settled)
        await self._port.effect("drop settle done")

    async def publish_to(
        self,
        place: Literal["inbox", "status"],
        body: bytes,
        headers: Mapping[str, HeaderValue] = NO_HEADERS,
        content_type: str = "application/json",
    ) -> None:
        assert content_type
        await self._queues.has_room.wait()
        await self._port.effect("local publish begins")
        await self._port.pause(0.01)
        if place == "inbox":
            self._queues.watch.released(self._queues.address, body, dict(headers))
        else:
            self._queues.watch.told(self._queues.address, body)
        await self._port.effect("local publish done")
