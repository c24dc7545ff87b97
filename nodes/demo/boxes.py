"""Local systems of the demo: plain AMQP as a vendor's software would, or the record of a leaf.

A box writes what it did and saw into the ledger's book, and nothing else. It never gives up: a
broker or daemon that is down for a while is what the demo is about.
"""

import asyncio
import contextlib
import hashlib
from pathlib import Path
from typing import Any, Protocol

import aio_pika
import aio_pika.abc
import msgspec

from exchange.sealing import read_payload
from nodes.clock import now
from nodes.config import load_config
from nodes.demo.book import Left, Told
from nodes.demo.documents import Prepared
from nodes.demo.messages import Box
from nodes.wiring import DEFAULT_SYSTEM, database_url, load_encryption
from schemas.documents.contents import read_content
from schemas.documents.registry import find_type
from schemas.frame import cut
from schemas.records import PendingDrop
from schemas.retention import DEFAULT, bucket_of
from signing.at_rest import AtRest
from store.postgres import Desk

AGAIN_S = 0.3
CONFIRM_S = 10.0
CLOSE_S = 3.0
ENTRIES_AT_ONCE = 100
BYTES_AT_ONCE = 16 * 1024 * 1024
PREFETCH = 50
_AMQP_FAULTS = (aio_pika.exceptions.AMQPError, OSError, TimeoutError, RuntimeError)


class Observed(Protocol):
    """What a box tells the book."""

    def leave(self, one: Left) -> None:
        """Note that a document left an inbox."""

    def tell(self, one: Told) -> None:
        """Note that a status event came."""


class LocalBox(Protocol):
    """A local system."""

    async def drop(self, drop_id: str, type_name: str, to: str, document: Prepared) -> None:
        """Hand a document over; on return the node has it, or its broker on disk."""

    async def run(self) -> None:
        """Take documents and status events, for ever."""


class AmqpBox:
    """A system with queues of its own at its node's broker."""

    def __init__(self, box: Box, book: Observed) -> None:
        """Stand by; `run` connects."""
        assert box.url is not None
        self._box = box
        self._url = box.url
        self._book = book
        self._outbound: aio_pika.abc.AbstractExchange | None = None
        self._connected = asyncio.Event()

    async def run(self) -> None:
        """Connect, and connect again whenever the broker goes."""
        while True:
            try:
                connection = await aio_pika.connect(self._url, timeout=CONFIRM_S)
                try:
                    await self._consume(connection)
                finally:
                    self._connected.clear()
                    await _close(connection)
            except _AMQP_FAULTS:
                pass
            await asyncio.sleep(AGAIN_S)

    async def _consume(self, connection: aio_pika.abc.AbstractConnection) -> None:
        lost = asyncio.Event()
        connection.close_callbacks.add(lambda *_: lost.set())
        channel = await connection.channel(on_return_raises=True)
        await channel.set_qos(prefetch_count=PREFETCH)
        system = self._box.system
        inbox = await channel.get_queue(f"inbox.{system}", ensure=False)
        status = await channel.get_queue(f"status.{system}", ensure=False)
        await inbox.consume(self._take)
        await status.consume(self._hear)
        self._outbound = await channel.get_exchange("outbound", ensure=False)
        self._connected.set()
        await lost.wait()

    async def _take(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        self._book.leave(
            Left(
                sender=str(message.headers["from"]),
                recipient=self._box.address,
                type=str(message.headers["type"]),
                sha256=hashlib.sha256(message.body).hexdigest(),
                packet=str(message.headers["packet-id"]),
                # `redelivered` is AMQP's own word for the same: our acknowledgement was lost.
                repeat=bool(message.headers.get("repeat") or message.redelivered),
            )
        )
        await message.ack()

    async def _hear(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        self._book.tell(told(self._box.address, msgspec.json.decode(message.body)))
        await message.ack()

    async def drop(self, drop_id: str, type_name: str, to: str, document: Prepared) -> None:
        """Publish with a broker confirm; in doubt publish again: the drop id makes them one."""
        given = {
            "drop-id": drop_id,
            "type": type_name,
            "to": to,
            "period": document.period,
            "section": document.section,
            "title": document.title,
            "re": document.re,
        }
        message = aio_pika.Message(
            document.body,
            headers={name: value for name, value in given.items() if value is not None},
            content_type=document.media_type,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        while True:
            await self._connected.wait()
            outbound = self._outbound
            try:
                assert outbound is not None, "connected"
                await outbound.publish(message, self._box.system, timeout=CONFIRM_S)
            except _AMQP_FAULTS:
                await asyncio.sleep(AGAIN_S)
                continue
            return


async def _close(connection: aio_pika.abc.AbstractConnection) -> None:
    """Close what may be lost already."""
    with contextlib.suppress(*_AMQP_FAULTS):
        async with asyncio.timeout(CLOSE_S):
            await connection.close()


class RecordBox:
    """A leaf's system: hands over and takes out through the node's record, as commands do."""

    def __init__(self, box: Box, book: Observed) -> None:
        """Stand by; `run` connects."""
        config = load_config(Path(box.config))
        self._address = box.address
        self._book = book
        self._at_rest = AtRest(config.data / "at-rest")
        self._encryption = load_encryption(config)
        self._desk = Desk(database_url(config))
        self._started = asyncio.Event()
        self._heard = 0

    async def run(self) -> None:
        """Look for documents and status events, again and again."""
        async with self._desk:
            self._started.set()
            while True:
                await self._take()
                await self._hear()
                await asyncio.sleep(AGAIN_S)

    async def _take(self) -> None:
        for item in await self._desk.inbox(DEFAULT_SYSTEM):
            packet = item.packet
            _, _, bucket, sealed = await self._desk.stored_frame(packet.frame)
            assert bucket is not None
            assert sealed is not None
            payload = self._at_rest.open(bucket, packet.frame_sha256, sealed)
            content = read_payload(cut(packet.head + payload), self._encryption)
            document = read_content(packet.type, content, packet.media_type)
            if await self._desk.take(packet.frame, "demo", now()):
                sha256 = hashlib.sha256(document.body).hexdigest()
                left = Left(
                    packet.sender, self._address, packet.type, sha256, packet.id, repeat=False
                )
                self._book.leave(left)

    async def _hear(self) -> None:
        entries = await self._desk.entries(
            f"status/{DEFAULT_SYSTEM}", 1, self._heard, ENTRIES_AT_ONCE, BYTES_AT_ONCE
        )
        for entry in entries:
            assert entry.object is not None
            self._book.tell(told(self._address, msgspec.json.decode(entry.object)))
            self._heard = entry.number

    async def drop(self, drop_id: str, type_name: str, to: str, document: Prepared) -> None:
        """Seal the body for rest and hand it over, as `bbaj send` does."""
        await self._started.wait()
        at = now()
        bucket = bucket_of(DEFAULT, find_type(type_name).retention, None, at)
        aad = f"{DEFAULT_SYSTEM}/{drop_id}".encode()
        await self._desk.drop(
            PendingDrop(
                system=DEFAULT_SYSTEM,
                drop_id=drop_id,
                dropped=at,
                type=type_name,
                recipient=to,
                section=document.section,
                period=document.period,
                title=document.title,
                re=document.re,
                media_type=document.media_type,
                bucket=bucket,
                sealed=self._at_rest.seal(bucket, aad, document.body),
            )
        )


def told(address: str, event: dict[str, Any]) -> Told:
    """Return what a status event says."""
    problem = ": ".join(filter(None, (event.get("field"), event.get("problem"))))
    return Told(
        sender=address,
        drop_id=event["drop_id"],
        state=event["state"],
        packet=event.get("packet") or "",
        reason=event.get("reason") or problem,
    )
