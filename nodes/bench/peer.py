"""A neighbour that only speaks the link: it greets, sends bundles made beforehand, takes and notes.

It stands at either end of the node being measured, costs as little as it can, and keeps the node
honest: numbers and chain of everything it takes are recomputed.
"""

import asyncio
import hashlib
from collections.abc import Sequence

from exchange.core.handshake import Handshake, hear
from exchange.core.streams import CHAIN_START, chain_after
from exchange.gate import Gate
from exchange.identity import new_nonce
from exchange.sessions import Session
from nodes.clock import now
from schemas.limits import BUNDLE_BYTES_MAX
from schemas.moments import format_instant
from schemas.objects import (
    AnyObject,
    Bundle,
    CustodyNote,
    Hello,
    Lane,
    StreamPosition,
    cut_object,
    unpack_bundle_body,
)


class Peer:
    """One end of a link, in memory only."""

    def __init__(
        self,
        gate: Gate,
        neighbour: str,
        *,
        is_child: bool,
        frames_a_bundle: int,
        window_frames: int,
    ) -> None:
        """Speak as `gate.here` to `neighbour`."""
        self.gate = gate
        self.neighbour = neighbour
        self.taken = 0
        self.chain = CHAIN_START
        self.noted = 0
        self.notes = 0
        self.synchronised = asyncio.Event()
        self.progress = asyncio.Event()
        self._sent = 0
        self._sent_chain = CHAIN_START
        self._frames_a_bundle = frames_a_bundle
        self._window_frames = window_frames
        self._shake = Handshake(is_child=is_child, nonce=new_nonce())

    async def handle(self, session: Session) -> None:
        """Run one session: greet, then take whatever comes."""
        self._session = session
        await self._greet()
        while True:
            delivery = await session.receive()
            message = cut_object(delivery.body)
            await session.settle_through(delivery)
            match message.header:
                case Hello() as hello:
                    await self._hear(hello)
                case CustodyNote() as note:
                    if note.position.lane == "bulk":
                        self.noted = max(self.noted, note.position.up_to)
                        self.notes += 1
                        self.progress.set()
                case Bundle() as bundle:
                    await self._take(bundle, message.body)
                case header:
                    self.hear(header)

    def hear(self, header: AnyObject) -> None:
        """Take note of any other object; most ends have no use for them."""

    async def _greet(self) -> None:
        await self._session.publish(self.gate.make_certificates(self.neighbour, None, now()))
        hello = Hello(
            **self.gate.stamp(self.neighbour, now()),  # type: ignore[arg-type]
            nonce=self._shake.nonce,
            echo=self._shake.heard,
            clock=format_instant(now()),
            versions=[1],
            positions=[self._position("fast"), self._position("bulk")],
            placed=[],
        )
        await self._session.publish(self.gate.sign(hello))

    async def _hear(self, hello: Hello) -> None:
        greeting = hear(self._shake, hello.nonce, hello.echo, new_nonce())
        self._shake = greeting.state
        if greeting.reply:
            await self._greet()
        if greeting.fresh:
            self.synchronised.set()

    def _position(self, lane: Lane) -> StreamPosition:
        if lane == "fast":
            return StreamPosition("fast", 1, 0, CHAIN_START.hex(), 0)
        return StreamPosition("bulk", 1, self.taken, self.chain.hex(), self.taken)

    async def _take(self, bundle: Bundle, body: bytes) -> None:
        if bundle.lane != "bulk" or bundle.first != self.taken + 1:
            return
        _, entries = unpack_bundle_body(body)
        for number, entry in enumerate(entries, bundle.first):
            self.chain = chain_after(self.chain, number, hashlib.sha256(entry).digest())
        assert self.chain.hex() == bundle.chain, f"chain differs at {bundle.last}"
        self.taken = bundle.last
        self.progress.set()
        note = CustodyNote(
            **self.gate.stamp(self.neighbour, now()),  # type: ignore[arg-type]
            position=self._position("bulk"),
            hello=self._shake.heard,
        )
        await self._session.publish(self.gate.sign(note))

    async def send_all(self, frames: Sequence[bytes], certificates: Sequence[bytes]) -> None:
        """Send frames as the next numbers of the bulk lane, a window ahead of the notes."""
        await self.synchronised.wait()
        bring = list(certificates)
        at = 0
        while at < len(frames):
            while self._sent - self.noted >= self._window_frames:
                self.progress.clear()
                await self.progress.wait()
            entries = self._cut_bundle(frames, at)
            first = self._sent + 1
            for number, entry in enumerate(entries, first):
                digest = hashlib.sha256(entry).digest()
                self._sent_chain = chain_after(self._sent_chain, number, digest)
            raw = self.gate.make_bundle(
                self.neighbour, "bulk", first, self._sent_chain, entries, bring, now()
            )
            bring = []
            at += len(entries)
            self._sent += len(entries)
            await self._session.publish(raw)

    def _cut_bundle(self, frames: Sequence[bytes], at: int) -> list[bytes]:
        entries: list[bytes] = []
        size = 0
        for frame in frames[at : at + self._frames_a_bundle]:
            size += len(frame)
            if entries and size > BUNDLE_BYTES_MAX:
                break
            entries.append(frame)
        return entries

    async def until(self, *, taken: int = 0, noted: int = 0) -> None:
        """Return once so many entries were taken here, and so many noted by the neighbour."""
        while self.taken < taken or self.noted < noted:
            self.progress.clear()
            await self.progress.wait()
