"""Local systems on the node's own broker: drops come in, documents and status events go out.

What goes out stands in numbered streams of the record, `inbox/<system>` and `status/<system>`,
like everything else; the local broker's confirm moves their cursor. A message may repeat after a
crash, bears the packet's id and then `repeat: true`.
"""

import asyncio
from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from exchange.dropped import Drop, read_drop
from exchange.drops import Outcome
from exchange.errors import BrokerFull, Unroutable
from exchange.gate import Gate
from exchange.ports import Archive, Clock
from exchange.sessions import Delivery, HeaderValue, LocalSession
from schemas.documents.contents import Delivered, read_content
from schemas.documents.faults import DocumentError
from schemas.manifest import is_manifest
from schemas.moments import format_instant
from schemas.records import PacketRow, StoredEntry

DROPS_A_GROUP = 64
BYTES_A_GROUP = 4 * 1024 * 1024
ENTRIES_PER_READ = 64
FULL_PAUSE_S = 5.0
"""A queue that nobody reads is tried again after so long; drops go on meanwhile."""
BYTES_PER_READ = 4 * 1024 * 1024


class Message(msgspec.Struct, frozen=True, gc=False):
    """What a local system is sent; as LocalSession.publish_to."""

    place: Literal["inbox", "status"]
    body: bytes
    headers: dict[str, HeaderValue] = {}
    content_type: str = "application/json"


class Desk(Protocol):
    """What takes drops and confirms: the service."""

    async def drop(self, drops: list[Drop]) -> list[Outcome]:
        """Seal documents; return once they (or their faults) are committed."""

    async def confirm(self, stream: str, up_to: int) -> None:
        """Move a local stream's cursor."""

    async def park(self, drop: Drop) -> None:
        """Keep a document until the node may seal; it is in the record on return."""

    def tail(self, stream: str) -> tuple[int, bytes]:
        """Return the last number and chain placed in an outgoing stream."""

    def may_seal(self) -> bool:
        """Say whether the node may seal: it has been greeted, its clock is not in doubt."""


class LocalBox:
    """One outgoing stream of a local system."""

    def __init__(self, stream: str, cursor: int) -> None:
        """Stand at the cursor."""
        self.stream = stream
        self.cursor = cursor
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Something was placed."""
        self._wake.set()

    async def wait(self) -> None:
        """Return once something was placed."""
        await self._wake.wait()
        self._wake.clear()


class LocalSystem:
    """One local system over as many sessions as it takes."""

    def __init__(
        self,
        name: str,
        *,
        epoch: int,
        gate: Gate,
        archive: Archive,
        clock: Clock,
        cursors: dict[str, int],
    ) -> None:
        """Stand by; `handle` runs each session."""
        self.name = name
        self.inbox = LocalBox(f"inbox/{name}", cursors.get(f"inbox/{name}", 0))
        self.status = LocalBox(f"status/{name}", cursors.get(f"status/{name}", 0))
        self._epoch = epoch
        self._gate = gate
        self._archive = archive
        self._clock = clock
        self._desk: Desk | None = None

    def attach(self, desk: Desk) -> None:
        """Name what takes drops."""
        self._desk = desk

    async def handle(self, session: LocalSession) -> None:
        """Run one life of the connection; returns only by an exception."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._take_drops(session))
            tasks.create_task(self._publish(session, self.inbox))
            tasks.create_task(self._publish(session, self.status))

    async def _take_drops(self, session: LocalSession) -> None:
        assert self._desk is not None, "attach comes first"
        while True:
            deliveries = await session.receive_some(DROPS_A_GROUP, BYTES_A_GROUP)
            drops = [self._read(delivery) for delivery in deliveries]
            if self._desk.may_seal():
                await self._desk.drop(drops)
            else:
                for drop in drops:
                    await self._desk.park(drop)
            await session.settle_through(deliveries[-1])

    def _read(self, delivery: Delivery) -> Drop:
        drop = read_drop(self.name, delivery.headers, delivery.content_type, delivery.body)
        return msgspec.structs.replace(drop, dropped=self._clock())

    async def _publish(self, session: LocalSession, box: LocalBox) -> None:
        assert self._desk is not None, "attach comes first"
        repeat = True
        while True:
            while box.cursor >= self._desk.tail(box.stream)[0]:
                await box.wait()
            entries = await self._archive.entries(
                box.stream, self._epoch, box.cursor, ENTRIES_PER_READ, BYTES_PER_READ
            )
            messages = [await self._message_of(entry, repeat=repeat) for entry in entries]
            taken = await publish_all(session, messages)
            if taken:
                box.cursor = entries[taken - 1].number
                await self._desk.confirm(box.stream, box.cursor)
            repeat = taken < len(entries)  # those behind may be out already
            if repeat:
                await asyncio.sleep(FULL_PAUSE_S)

    async def _message_of(self, entry: StoredEntry, *, repeat: bool) -> Message | None:
        """Return what a local system is sent for an entry; None where nothing is left of it."""
        if entry.object is not None:
            return Message("status", entry.object)
        assert entry.frame is not None
        packet, _, bucket, sealed = await self._archive.stored_frame(entry.frame)
        assert packet is not None
        if bucket is None or sealed is None:
            return None  # destroyed at the end of its term; nobody had fetched it in all that time
        content = self._gate.content_of(packet.head, bucket, sealed, packet.frame_sha256)
        document = _document_of(packet, content)
        headers: dict[str, HeaderValue] = {
            "packet-id": packet.id,
            "type": packet.type,
            "from": packet.sender,
            "epoch": packet.epoch,
            "section": packet.section,
            "sent": format_instant(packet.sent),
            "received": format_instant(packet.received),
        }
        if packet.period:
            headers["period"] = packet.period
        if packet.re:
            headers["re"] = packet.re
        if document.title:
            headers["title"] = document.title
        if is_manifest(packet.type, packet.media_type):
            headers["in-parts"] = True  # its bytes are taken by command (clause 17.3)
        if repeat:
            headers["repeat"] = True
        return Message("inbox", document.body, headers, document.media_type)


async def publish_all(session: LocalSession, messages: Sequence[Message | None]) -> int:
    """Hand messages over in their order, without awaiting each broker confirm before the next.

    Return how many were taken before the first that found no room. Raises what ends the session.
    """
    answers = await asyncio.gather(
        *(_publish(session, each) for each in messages), return_exceptions=True
    )
    for answer in answers:
        if answer is not None and not isinstance(answer, BrokerFull | Unroutable):
            raise answer
    return next((place for place, answer in enumerate(answers) if answer), len(answers))


async def _publish(session: LocalSession, message: Message | None) -> None:
    if message is not None:
        await session.publish_to(message.place, message.body, message.headers, message.content_type)


def _document_of(packet: PacketRow, content: bytes) -> Delivered:
    """Return the document; a damaged container goes out as it is, for its reader to return."""
    try:
        return read_content(packet.type, content, packet.media_type)
    except DocumentError:
        return Delivered(content, packet.media_type)
