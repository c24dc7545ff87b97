"""A child with a valid link login that sends bad frames: numbers and chain are right, frames not.

It speaks the link itself, in memory only, so that nothing but the frames can be at fault. It reads
the district's answers with a gate of its own: an answer counts only if it authenticates.
"""

import asyncio
import hashlib
from collections.abc import Sequence

import msgspec

from exchange.amqp import Backoff, ClientTls, LinkState, ParentEndpoint
from exchange.core.handshake import Handshake, hear
from exchange.core.streams import CHAIN_START, Incoming, Taken, chain_after, take_bundle
from exchange.gate import Gate, OpenedBundle, OpenedObject
from exchange.identity import new_nonce
from exchange.sessions import Session
from nodes.clock import now
from schemas.answers import Receipt
from schemas.moments import format_instant
from schemas.objects import CustodyNote, CutObject, Hello, Lane, Refusal, StreamPosition
from schemas.reasons import Reason
from signing.authenticate import Accepted

LANE: Lane = "fast"
"""One lane is enough for a rogue; the receiver does not mind."""


class Answer(msgspec.Struct, frozen=True):
    """A signed answer about one frame; `packet` is the id of the receipt that says so."""

    kind: str
    frame_sha256: str
    reason: str
    packet: str = ""
    head_sha256: str = ""


class Placed(msgspec.Struct, frozen=True):
    """An entry of the rogue's stream, with the certificates that come with it."""

    raw: bytes
    certificates: tuple[bytes, ...]


class Rogue:
    """One end of a link."""

    def __init__(self, gate: Gate, parent: str) -> None:
        """Speak as `gate.here` to `parent`."""
        self.gate = gate
        self.answers: list[Answer] = []
        self.state = "down"
        self._parent = parent
        self._entries: list[Placed] = []
        self._taken: dict[Lane, Incoming] = {}
        self._sent = 0
        self._ready = asyncio.Event()
        self._more = asyncio.Event()
        self._answered = asyncio.Event()
        self._shake = Handshake(is_child=True, nonce=new_nonce())

    async def run(self, url: str, vhost: str, tls: ClientTls) -> None:
        """Keep the link up for ever."""
        endpoint = ParentEndpoint(
            address=self.gate.here, urls=[url], vhost=vhost, tls=tls, backoff=Backoff(most_s=1.0)
        )
        await endpoint.run(self._handle, self._on_state)

    def _on_state(self, state: LinkState) -> None:
        self.state = state.state

    def send(self, raw: bytes, certificates: Sequence[bytes] = ()) -> str:
        """Place a frame as the next entry; return its SHA-256."""
        self._entries.append(Placed(raw, tuple(certificates)))
        self._more.set()
        return hashlib.sha256(raw).hexdigest()

    async def answer_to(self, frame_sha256: str, *, after: int = 0) -> Answer:
        """Wait for an answer about a frame, beyond the first `after` answers of all."""
        while True:
            for answer in self.answers[after:]:
                if answer.frame_sha256 == frame_sha256:
                    return answer
            self._answered.clear()
            await self._answered.wait()

    # --- one session --------------------------------------------------------------------------

    async def _handle(self, session: Session) -> None:
        self._shake = Handshake(is_child=True, nonce=new_nonce())
        self._ready.clear()
        await self._greet(session)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._receive(session))
            tasks.create_task(self._send_entries(session))

    async def _greet(self, session: Session) -> None:
        await session.publish(self.gate.make_certificates(self._parent, None, now()))
        hello = Hello(
            **self.gate.stamp(self._parent, now()),  # type: ignore[arg-type]
            nonce=self._shake.nonce,
            echo=self._shake.heard,
            clock=format_instant(now()),
            versions=[1],
            positions=[self._position("fast"), self._position("bulk")],
            placed=[StreamPosition(LANE, 1, *self._tail(len(self._entries)))],
        )
        await session.publish(self.gate.sign(hello))

    def _position(self, lane: Lane) -> StreamPosition:
        return self._taken.get(lane, Incoming()).position(lane)

    def _tail(self, number: int) -> tuple[int, str, int]:
        """Return number, chain and number again, as a stream position wants them."""
        chain = CHAIN_START
        for each, placed in enumerate(self._entries[:number], 1):
            chain = chain_after(chain, each, hashlib.sha256(placed.raw).digest())
        return number, chain.hex(), number

    async def _send_entries(self, session: Session) -> None:
        while True:
            await self._ready.wait()
            self._more.clear()
            while self._sent < len(self._entries):
                placed = self._entries[self._sent]
                self._sent += 1
                chain = bytes.fromhex(self._tail(self._sent)[1])
                raw = self.gate.make_bundle(
                    self._parent, LANE, self._sent, chain, [placed.raw],
                    [*self.gate.trust.ders_for(self.gate.fingerprint), *placed.certificates], now(),
                )  # fmt: skip
                await session.publish(raw)
            await self._more.wait()

    async def _receive(self, session: Session) -> None:
        while True:
            delivery = await session.receive()
            self.gate.learn(delivery.body)
            opened = self.gate.open_message(delivery.body, self._parent, now())
            if isinstance(opened, OpenedBundle):
                await self._take(opened, session)
            elif isinstance(opened, OpenedObject) and isinstance(opened.header, Hello):
                await self._hear(opened.header, session)
            await session.settle_through(delivery)

    async def _hear(self, hello: Hello, session: Session) -> None:
        greeting = hear(self._shake, hello.nonce, hello.echo, new_nonce())
        self._shake = greeting.state
        if greeting.reply:
            await self._greet(session)
        if greeting.fresh:
            self._sent = next(each.up_to for each in hello.positions if each.lane == LANE)
            self._ready.set()
            self._more.set()

    async def _take(self, opened: OpenedBundle, session: Session) -> None:
        header = opened.header
        known = self._taken.get(header.lane, Incoming())
        digests = [entry.sha256 for entry in opened.entries]
        taken = take_bundle(known, header.first, header.last, bytes.fromhex(header.chain), digests)
        if isinstance(taken, Taken):
            self._taken[header.lane] = taken.after
            for entry in opened.entries[taken.skip :]:
                self._read(entry.verdict, entry.content)
        note = CustodyNote(
            **self.gate.stamp(self._parent, now()),  # type: ignore[arg-type]
            position=self._position(header.lane),
            hello=self._shake.heard,
        )
        await session.publish(self.gate.sign(note))

    def _read(self, verdict: object, content: object) -> None:
        """Keep an answer: a refusal entry of the neighbour, or an authentic receipt."""
        if isinstance(verdict, CutObject) and isinstance(verdict.header, Refusal):
            refusal = verdict.header
            answer = Answer("refusal entry", refusal.frame_sha256, refusal.reason)
        elif isinstance(verdict, Accepted) and isinstance(content, Receipt):
            header = verdict.frame.header
            reason = content.reason or ("" if content.verdict == "accepted" else Reason.BUSY)
            answer = Answer(
                "receipt", content.frame_sha256, reason, header.id, verdict.head_sha256.hex()
            )
        else:
            return
        self.answers.append(answer)
        self._answered.set()
