"""A neighbour that speaks the link by hand: right unless told otherwise, and it keeps everything.

It greets, numbers, chains and signs with the tools that nodes share, over a real login at a real
broker; what it sends is up to its user. Bundles that come are taken, checked and noted.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from exchange.core.handshake import Handshake, hear
from exchange.core.streams import CHAIN_START, Incoming, chain_after
from exchange.identity import new_nonce
from exchange.sessions import Handler, Session
from exchange.signing_desk import body_of
from nodes.clock import now
from nodes.errors import JudgementFailed
from schemas.addresses import parent_of
from schemas.errors import FormatError
from schemas.frame import Frame, cut
from schemas.limits import Limits
from schemas.moments import format_instant
from schemas.objects import (
    MAGIC as OBJECT_MAGIC,
)
from schemas.objects import (
    AnyObject,
    Bundle,
    Certificate,
    Crl,
    CustodyNote,
    CutObject,
    Hello,
    Lane,
    Refusal,
    StreamPosition,
    cut_object,
    pack_bundle_body,
    pack_pieces,
    unpack_bundle_body,
    unpack_pieces,
)
from signing.authenticate import check_object
from signing.chain import TrustStore
from signing.keys import PacketSigner
from signing.seal import sign_object

LANES: tuple[Lane, ...] = ("fast", "bulk")
PATIENCE_S = 15.0
LOOK_S = 0.2

T = TypeVar("T")
Connect = Callable[[Handler], Awaitable[None]]
"""Keeps a link up and runs a handler in each session."""


class Tail(msgspec.Struct):
    """The end of a stream that the speaker writes."""

    number: int = 0
    chain: bytes = CHAIN_START


class Speaker:
    """One end of a link, in memory only.

    What the neighbour does against the protocol ends the speaker with JudgementFailed, which the
    next `until` raises.
    """

    def __init__(
        self,
        address: str,
        neighbour: str,
        *,
        signer: PacketSigner,
        trust: TrustStore,
        connect: Connect,
    ) -> None:
        """Speak as `address` to `neighbour`; `connect` keeps the link up and runs a handler."""
        self.address = address
        self.neighbour = neighbour
        self.signer = signer
        self.trust = trust
        self.greets = True
        self.takes = True
        self.session: Session | None = None
        self.synchronised = asyncio.Event()
        self.messages: list[bytes] = []
        self.objects: list[AnyObject] = []
        self.packets: list[Frame] = []
        self.refusals: list[Refusal] = []
        self.sent = {lane: Tail() for lane in LANES}
        self.taken = {lane: Incoming() for lane in LANES}
        self.noted = {lane: StreamPosition(lane, 1, 0, CHAIN_START.hex(), 0) for lane in LANES}
        self.shake = Handshake(is_child=parent_of(address) == neighbour, nonce=new_nonce())
        self._connect = connect
        self._news = asyncio.Event()
        self._object_number = 0
        self._task: asyncio.Task[None] | None = None

    # --- life ---------------------------------------------------------------------------------

    async def start(self, *, greeted: bool = True) -> None:
        """Call, and by default wait until both sides have greeted."""

        async def run() -> None:
            await self._connect(self._handle)

        self._task = asyncio.get_running_loop().create_task(run(), name=f"speaker {self.address}")
        if greeted:
            await self.until(self.synchronised.is_set)
        else:
            await self.until(lambda: self.session is not None)

    async def stop(self) -> None:
        """Hang up; what is not settled comes again. What had ended the speaker is no news here."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError, JudgementFailed):
                await task
        self.session = None
        self.synchronised.clear()

    async def _handle(self, session: Session) -> None:
        self.session = session
        self.synchronised.clear()
        self.shake = Handshake(is_child=self.shake.is_child, nonce=new_nonce())
        self._news.set()
        if self.greets:
            await self.greet()
        while True:
            delivery = await session.receive()
            self.messages.append(delivery.body)
            try:
                message = self._check(delivery.body)
                await session.settle_through(delivery)
                await self._hear(message)
            except FormatError as error:
                raise JudgementFailed(f"the neighbour sent what does not hold: {error}") from error
            self._news.set()

    def _check(self, raw: bytes) -> CutObject:
        """Check what the neighbour sends as a node would."""
        message = cut_object(raw)
        match message.header:
            case Bundle():
                self.trust.add_certificates(unpack_bundle_body(message.body)[0])
            case Certificate():
                self.trust.add_certificates(unpack_pieces(message.body)[0])
            case Crl():
                self.trust.add_crl(message.body)
            case _:
                pass
        return self._open(raw)

    def _open(self, raw: bytes) -> CutObject:
        return check_object(
            raw,
            trust=self.trust,
            here=self.address,
            neighbour=self.neighbour,
            now=now(),
            limits=Limits(),
        )

    async def _hear(self, message: CutObject) -> None:
        self.objects.append(message.header)
        match message.header:
            case Hello() as hello:
                greeting = hear(self.shake, hello.nonce, hello.echo, new_nonce())
                self.shake = greeting.state
                if greeting.reply and self.greets:
                    await self.greet()
                if greeting.fresh:
                    self.noted |= {position.lane: position for position in hello.positions}
                    self.synchronised.set()
            case CustodyNote() as note:
                self.noted[note.position.lane] = note.position
            case Bundle() as bundle if self.takes:
                await self._take(bundle, message.body)

    async def _take(self, bundle: Bundle, body: bytes) -> None:
        known = self.taken[bundle.lane]
        if bundle.last <= known.up_to:
            await self.note(bundle.lane)
            return
        if bundle.first != known.up_to + 1:  # lost with an earlier connection: it comes again
            seen = max(known.seen, bundle.last)
            self.taken[bundle.lane] = msgspec.structs.replace(known, seen=seen)
            await self.note(bundle.lane)
            return
        entries = unpack_bundle_body(body)[1]
        value = chain_over(known.chain, bundle.first, entries)
        if value.hex() != bundle.chain:
            raise JudgementFailed(f"{bundle.lane}: the chain at {bundle.last} is another")
        for entry in entries:
            self._keep(entry)
        self.taken[bundle.lane] = Incoming(bundle.last, value, bundle.last)
        await self.note(bundle.lane)

    def _keep(self, entry: bytes) -> None:
        if entry[:4] != OBJECT_MAGIC:
            self._keep_frame(cut(entry))
            return
        found = self._open(entry).header
        if not isinstance(found, Refusal):
            raise JudgementFailed(f"an entry of the stream is a {type(found).__name__}")
        self.refusals.append(found)

    def _keep_frame(self, frame: Frame) -> None:
        self.packets.append(frame)

    # --- what it says -------------------------------------------------------------------------

    async def publish(self, raw: bytes) -> None:
        """Send any bytes as one message of the link."""
        assert self.session is not None, "start comes first"
        await self.session.publish(raw)

    def stamp(self, signer: PacketSigner | None = None) -> dict[str, Any]:
        """Return the fields every link object begins with."""
        self._object_number = max(self._object_number + 1, now())
        return {
            "from_": self.address,
            "to": self.neighbour,
            "epoch": 1,
            "number": self._object_number,
            "certificate": (signer or self.signer).fingerprint,
        }

    async def say(self, header: AnyObject, body: bytes = b"") -> None:
        """Send a link object."""
        await self.publish(sign_object(header, self.signer, body))

    async def greet(self, **changes: object) -> None:
        """Send our certificate, then a hello."""
        await self.bring(self.trust.ders_for(self.signer.fingerprint))
        await self.say(self.hello(**changes))

    def hello(self, **changes: object) -> Hello:
        """Return a hello as it is due now, but for changes."""
        fields: dict[str, Any] = {
            "nonce": self.shake.nonce,
            "echo": self.shake.heard,
            "clock": format_instant(now()),
            "versions": [1],
            "positions": [self.taken[lane].position(lane) for lane in LANES],
            "placed": [],
        }
        return Hello(**self.stamp(), **{**fields, **changes})

    async def note(self, lane: Lane, **changes: object) -> None:
        """Send a custody note on what was taken, but for changes."""
        position = msgspec.structs.replace(self.taken[lane].position(lane), **changes)
        await self.say(CustodyNote(**self.stamp(), position=position, hello=self.shake.heard))

    async def bring(self, certificates: list[bytes], answers: str | None = None) -> None:
        """Send certificates (DER)."""
        body = pack_pieces(certificates)
        await self.say(Certificate(**self.stamp(), answers=answers, body=body_of(body)), body)

    async def send(
        self, *entries: bytes, lane: Lane = "bulk", certificates: Iterable[bytes] = ()
    ) -> int:
        """Send entries as one bundle, as the stream's next numbers; return the last number."""
        await self.publish(self.next_bundle(*entries, lane=lane, certificates=certificates))
        return self.sent[lane].number

    def next_bundle(
        self, *entries: bytes, lane: Lane = "bulk", certificates: Iterable[bytes] = ()
    ) -> bytes:
        """Return entries as one bundle, as the stream's next numbers; they count as sent."""
        tail = self.sent[lane]
        first = tail.number + 1
        tail.number += len(entries)
        tail.chain = chain_over(tail.chain, first, entries)
        return self.bundle(entries, first, tail.chain, lane, certificates)

    def bundle(
        self,
        entries: Sequence[bytes],
        first: int,
        chain: bytes,
        lane: Lane = "bulk",
        certificates: Iterable[bytes] = (),
        *,
        signer: PacketSigner | None = None,
        **changes: object,
    ) -> bytes:
        """Return a bundle with whatever numbers and chain; nothing is remembered of it."""
        body = pack_bundle_body(list(certificates), list(entries))
        fields: dict[str, Any] = {
            "lane": lane,
            "first": first,
            "last": first + len(entries) - 1,
            "chain": chain.hex(),
            "body": body_of(body),
        }
        header = Bundle(**{**self.stamp(signer), **fields, **changes})
        return sign_object(header, signer or self.signer, body)

    # --- what it hears ------------------------------------------------------------------------

    async def until(self, found: Callable[[], T | None], patience_s: float = PATIENCE_S) -> T:
        """Return what `found` finds, looked for after each message until patience ends.

        Raises TimeoutError, and JudgementFailed for what the neighbour did meanwhile.
        """
        async with asyncio.timeout(patience_s):
            while not (result := found()):
                if self._task is not None and self._task.done():
                    self._task.result()
                self._news.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await self._news.wait()
            return result

    async def until_noted(
        self, number: int, lane: Lane = "bulk", patience_s: float = PATIENCE_S
    ) -> StreamPosition:
        """Return the custody note that covers a number."""
        return await self.until(
            lambda: self.noted[lane] if self.noted[lane].up_to >= number else None, patience_s
        )

    def forget(self) -> None:
        """Forget the messages that came so far."""
        self.messages.clear()
        self.objects.clear()


def sha256(data: bytes) -> bytes:
    """Return the SHA-256 of bytes."""
    return hashlib.sha256(data).digest()


def chain_over(chain: bytes, first: int, entries: Sequence[bytes]) -> bytes:
    """Return the chain value behind entries that begin at number `first`."""
    for number, entry in enumerate(entries, first):
        chain = chain_after(chain, number, sha256(entry))
    return chain
