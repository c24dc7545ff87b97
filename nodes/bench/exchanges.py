"""Whole exchanges: documents that local systems drop over AMQP at a node, for its parent.

local systems (AMQP) --> node --TLS--> broker --> parent      drop, packet, receipt, closing
"""

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aio_pika
import msgspec

from exchange.identity import new_packet_id
from nodes.clock import now
from nodes.samples import order
from nodes.sandbox.network import RunningNode
from schemas.addresses import parent_of
from schemas.answers import PacketName
from schemas.codes import ReturnReason
from schemas.documents.notice import NoticeReturned
from schemas.documents.order import AdminOrder
from schemas.documents.registry import ADMIN_ORDER, NOTICE_RETURNED

DROPS_IN_FLIGHT = 32
"""So many documents a system hands over before it awaits that the broker has them on disk."""
FRAMES_AN_EXCHANGE = 3
"""Packet, receipt and closing."""
TYPES = {"clear": ADMIN_ORDER, "encrypted": NOTICE_RETURNED}
"""Of like size, and of the same lane and flow."""


class Office:
    """The local systems of one node; each drops over a queue of its own."""

    def __init__(self, node: RunningNode, doors: list[aio_pika.abc.AbstractExchange]) -> None:
        """Drop at `node`, each system through its own door."""
        self._node = node
        self._doors = doors

    async def drop(self, kind: str, documents: Sequence[bytes]) -> None:
        """Drop documents of a kind for the node's parent, the systems all at once."""
        async with asyncio.TaskGroup() as tasks:
            for place, door in enumerate(self._doors):
                share = documents[place :: len(self._doors)]
                tasks.create_task(self._drop(door, self._node.spec.systems[place], kind, share))

    async def _drop(
        self,
        door: aio_pika.abc.AbstractExchange,
        system: str,
        kind: str,
        documents: Sequence[bytes],
    ) -> None:
        for first in range(0, len(documents), DROPS_IN_FLIGHT):
            several = documents[first : first + DROPS_IN_FLIGHT]
            messages = [self._message(kind, document) for document in several]
            await asyncio.gather(*(door.publish(each, routing_key=system) for each in messages))

    def _message(self, kind: str, document: bytes) -> aio_pika.Message:
        headers = {
            "drop-id": new_packet_id(now()),
            "type": TYPES[kind],
            "to": parent_of(self._node.address),
            "section": "S05",
        }
        return aio_pika.Message(
            document,
            headers=headers,  # type: ignore[arg-type]
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )


@asynccontextmanager
async def office(node: RunningNode) -> AsyncIterator[Office]:
    """Log the local systems of a node in."""
    broker = node.config().broker
    assert broker is not None, "a node with systems has a broker"
    connections = []
    try:
        for system in node.spec.systems:
            login = f"{system}:{node.password_of(system)}"
            url = f"{broker.url.replace('//', f'//{login}@')}/{broker.local_vhost}"
            connections.append(await aio_pika.connect(url))
        channels = [await each.channel() for each in connections]
        yield Office(node, [await each.get_exchange("outbound", ensure=False) for each in channels])
    finally:
        for connection in connections:
            await connection.close()


def document(kind: str, number: int, content_bytes: int, sender: str) -> bytes:
    """Return a valid document with so many characters of text that nothing compresses well."""
    text = base64.b64encode(os.urandom(content_bytes * 3 // 4)).decode("ascii")
    if kind == "clear":
        sample = msgspec.json.decode(order(number, 1), type=AdminOrder)
        texts = (msgspec.structs.replace(sample.texts[0], text=text), *sample.texts[1:])
        return msgspec.json.encode(msgspec.structs.replace(sample, texts=texts))
    return msgspec.json.encode(
        NoticeReturned(
            packet=PacketName(sender, 1, new_packet_id(now())),
            reasons_version=1,
            reason=ReturnReason.OTHER,
            text=text,
        )
    )
