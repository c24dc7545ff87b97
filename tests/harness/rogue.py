"""A neighbour that speaks the link by hand: right unless told otherwise, and it keeps everything.

It greets, numbers, chains and signs with the tools that nodes share, over a real login at a real
broker; what it sends is up to the test. Bundles that come are taken, checked and noted.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from exchange.amqp import Backoff, ClientTls, Handler, OwnBrokerEndpoint, ParentEndpoint
from exchange.core.handshake import Handshake, hear
from exchange.core.streams import CHAIN_START, Incoming, chain_after
from exchange.identity import new_nonce, new_packet_id
from exchange.sessions import Session
from exchange.signing_desk import body_of
from harness.cards import registry_of
from nodes.clock import now
from nodes.sandbox.network import PrivateNetwork, vhost_of
from nodes.wiring import login_of
from schemas.addresses import label_of, parent_of
from schemas.answers import CLOSING, RECEIPT, Closing, PacketName, Receipt, decode_receipt
from schemas.frame import ECDSA_P256_SHA256, MAGIC, VERSION, Frame, cut, join_head
from schemas.header import Header, PayloadFacts
from schemas.limits import Limits
from schemas.moments import format_instant
from schemas.objects import (
    MAGIC as OBJECT_MAGIC,
)
from schemas.objects import (
    AnyObject,
    Ask,
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
)
from signing.authenticate import Accepted, authenticate, check_object
from signing.chain import TrustStore
from signing.encryption import HybridKey
from signing.keys import PacketSigner, load_certificate, load_crl, load_packet_signer
from signing.payload import encrypt_content, make_payload, open_payload, payload_facts
from signing.seal import seal, sign_object

LANES: tuple[Lane, ...] = ("fast", "bulk")
PATIENCE_S = 15.0
JSON = "application/json"
SALT = bytes(range(16))
OWN_ARCHIVE = HybridKey.generate()

T = TypeVar("T")


class Tail(msgspec.Struct):
    """The end of a stream that the rogue writes."""

    number: int = 0
    chain: bytes = CHAIN_START


class Rogue:
    """One end of a link, in memory only."""

    def __init__(
        self,
        address: str,
        neighbour: str,
        *,
        signer: PacketSigner,
        trust: TrustStore,
        connect: Callable[[Handler], Awaitable[None]],
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
        self._seqs: dict[tuple[str, str], int] = {}
        self._task: asyncio.Task[None] | None = None

    # --- life ---------------------------------------------------------------------------------

    async def start(self, *, greeted: bool = True) -> None:
        """Call, and by default wait until both sides have greeted."""

        async def run() -> None:
            await self._connect(self._handle)

        self._task = asyncio.get_running_loop().create_task(run(), name=f"rogue {self.address}")
        if greeted:
            await self.until(self.synchronised.is_set)
        else:
            await self.until(lambda: self.session is not None)

    async def stop(self) -> None:
        """Hang up."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
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
            message = self._check(delivery.body)
            await session.settle_through(delivery)
            await self._hear(message)
            self._news.set()

    def _check(self, raw: bytes) -> CutObject:
        """Check what the neighbour sends as a node would."""
        message = cut_object(raw)
        match message.header:
            case Bundle():
                self.trust.add_certificates(unpack_bundle_body(message.body)[0])
            case Certificate():
                self.trust.add_certificates(unpack_bundle_body(message.body + b"\0\0")[0])
            case Crl():
                self.trust.add_crl(message.body)
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
        assert bundle.first == known.up_to + 1, f"{bundle.lane}: {bundle.first} after {known.up_to}"
        value = known.chain
        for number, entry in enumerate(unpack_bundle_body(body)[1], bundle.first):
            value = chain_after(value, number, sha256(entry))
            self._keep(entry)
        assert value.hex() == bundle.chain, f"{bundle.lane}: chain differs at {bundle.last}"
        self.taken[bundle.lane] = Incoming(bundle.last, value, bundle.last)
        await self.note(bundle.lane)

    def _keep(self, entry: bytes) -> None:
        if entry[:4] != OBJECT_MAGIC:
            self.packets.append(cut(entry))
            return
        refusal = check_object(
            entry,
            trust=self.trust,
            here=self.address,
            neighbour=self.neighbour,
            now=now(),
            limits=Limits(),
        ).header
        assert isinstance(refusal, Refusal)
        self.refusals.append(refusal)

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

    async def bring_crl(self, der: bytes) -> None:
        """Send a revocation list (DER)."""
        await self.say(Crl(**self.stamp(), body=body_of(der)), der)

    async def refuse(
        self, lane: Lane, number: int, frame: bytes, reason: str, again_at: str | None = None
    ) -> None:
        """Send a refusal entry about something that the neighbour had placed."""
        refusal = Refusal(
            **self.stamp(),
            lane=lane,
            of_epoch=1,
            entry=number,
            frame_sha256=sha256(frame).hex(),
            reason=reason,
            detail="",
            again_at=again_at,
        )
        await self.send(sign_object(refusal, self.signer), lane="fast")

    async def send(
        self, *entries: bytes, lane: Lane = "bulk", certificates: Iterable[bytes] = ()
    ) -> int:
        """Send entries as one bundle, as the stream's next numbers; return the last number."""
        tail = self.sent[lane]
        first = tail.number + 1
        tail.number += len(entries)
        tail.chain = chain_over(tail.chain, first, entries)
        await self.publish(self.bundle(entries, first, tail.chain, lane, certificates))
        return tail.number

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

    # --- packets ------------------------------------------------------------------------------

    def packet(
        self,
        to: str,
        content: bytes = b"",
        *,
        signer: PacketSigner | None = None,
        media_type: str = JSON,
        **changes: object,
    ) -> bytes:
        """Return a sealed frame from us to `to`, but for changes of its header."""
        header, payload = self.draft(to, content, signer=signer, media_type=media_type, **changes)
        return seal(header, payload, signer or self.signer)

    def draft(
        self,
        to: str,
        content: bytes = b"",
        *,
        signer: PacketSigner | None = None,
        media_type: str = JSON,
        **changes: object,
    ) -> tuple[Header, bytes]:
        """Return header and payload of a packet, not sealed yet."""
        payload, coding = make_payload(content, SALT)
        sender = str(changes.get("from_", self.address))
        fields: dict[str, Any] = {
            "id": new_packet_id(now()),
            "type": "ping/1",
            "from_": sender,
            "to": to,
            "sent": format_instant(now()),
            "epoch": 1,
            "section": "net",
            "class_": "R1",
            "flow": "oper",
            "certificate": (signer or self.signer).fingerprint,
            "payload": payload_facts(payload, media_type, coding),
        }
        if "seq" not in changes:
            seq = self._seqs.get((sender, to), 0) + 1
            self._seqs[sender, to] = fields["seq"] = seq
        return Header(**{**fields, **changes}), payload

    def encrypted(
        self,
        to: str,
        content: bytes,
        reader: bytes,
        *,
        padded: bool = False,
        **changes: object,
    ) -> bytes:
        """Return a sealed frame whose payload is encrypted to a public key, and to one of ours."""
        header, _ = self.draft(to, content, **changes)
        readers = (reader, OWN_ARCHIVE.public)
        payload, facts = encrypt_content(header, content, SALT, readers, padded=padded)
        return self.seal_as(header, payload, facts)

    def seal_as(self, header: Header, payload: bytes, facts: PayloadFacts) -> bytes:
        """Return a sealed frame of any payload; digests and size are made to fit."""
        fitting = payload_facts(payload, facts.media_type, facts.coding)
        named = msgspec.structs.replace(fitting, clear_sha256=facts.clear_sha256)
        return seal(msgspec.structs.replace(header, payload=named), payload, self.signer)

    def receipt(
        self,
        frame: Frame,
        *,
        verdict: str = "accepted",
        signer: PacketSigner | None = None,
        from_: str | None = None,
        re: str | None = None,
        **changes: object,
    ) -> bytes:
        """Return a sealed receipt on a packet, in our name unless told otherwise."""
        header = frame.header
        fields: dict[str, Any] = {
            "packet": PacketName(header.from_, header.epoch, header.id),
            "head_sha256": sha256(frame.head).hex(),
            "frame_sha256": sha256(frame.raw).hex(),
            "verdict": verdict,
            "received": format_instant(now()),
            "epoch": 1,
            "index": 0,
        }
        content = msgspec.json.encode(Receipt(**{**fields, **changes}))
        return self.packet(
            header.from_,
            content,
            signer=signer,
            type=RECEIPT,
            re=re or header.id,
            from_=from_ or self.address,
        )

    def closing(self, packet: bytes, receipt: Frame) -> bytes:
        """Return our sealed closing of an exchange."""
        header, answer = cut(packet).header, receipt.header
        closing = Closing(
            packet=PacketName(header.from_, header.epoch, header.id),
            receipt=PacketName(answer.from_, answer.epoch, answer.id),
            receipt_head_sha256=sha256(receipt.head).hex(),
            confirmed=format_instant(now()),
        )
        content = msgspec.json.encode(closing)
        return self.packet(answer.from_, content, type=CLOSING, re=answer.id)

    def sign_text(
        self,
        header: bytes,
        payload: bytes = b"",
        *,
        version: int = VERSION,
        algorithm: int = ECDSA_P256_SHA256,
        size: int | None = None,
    ) -> bytes:
        """Return a frame with a good signature round whatever stands for its header."""
        length = (len(header) if size is None else size).to_bytes(2)
        signed = MAGIC + bytes([version, algorithm]) + length + header
        return join_head(signed, self.signer.sign(signed)) + payload

    # --- what it hears ------------------------------------------------------------------------

    async def until(self, found: Callable[[], T | None], patience_s: float = PATIENCE_S) -> T:
        """Return what `found` finds, looked for after each message until patience ends."""
        async with asyncio.timeout(patience_s):
            while not (result := found()):
                if self._task is not None and self._task.done():
                    self._task.result()
                self._news.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await self._news.wait()
            return result

    async def until_noted(self, number: int, lane: Lane = "bulk") -> StreamPosition:
        """Return the custody note that covers a number."""
        return await self.until(
            lambda: self.noted[lane] if self.noted[lane].up_to >= number else None
        )

    async def refusal_of(self, entry: bytes) -> Refusal:
        """Return the refusal entry about an entry of ours."""
        digest = sha256(entry).hex()
        return await self.until(
            lambda: next((one for one in self.refusals if one.frame_sha256 == digest), None)
        )

    async def receipt_on(self, frame: bytes, verdict: str = "") -> tuple[Frame, Receipt]:
        """Return the newest receipt on exactly this frame, with the frame that brought it."""
        return await self.until(lambda: next(iter(self.receipts_on(frame, verdict)[::-1]), None))

    async def answer_to(self, frame: bytes) -> Receipt | Refusal:
        """Return whatever answer to exactly these bytes comes first."""
        digest = sha256(frame).hex()

        def look() -> Receipt | Refusal | None:
            entries = [one for one in self.refusals if one.frame_sha256 == digest]
            receipts = [receipt for _, receipt in self.receipts_on(frame)]
            return next(iter((*entries, *receipts)), None)

        return await self.until(look)

    def receipts_on(self, frame: bytes, verdict: str = "") -> list[tuple[Frame, Receipt]]:
        """Return all receipts on exactly this frame that came so far."""
        digest = sha256(frame).hex()
        return [
            (each, receipt)
            for each, receipt in map(self._read_receipt, self.packets)
            if receipt is not None
            and receipt.frame_sha256 == digest
            and verdict in {"", receipt.verdict}
        ]

    def _read_receipt(self, frame: Frame) -> tuple[Frame, Receipt | None]:
        if frame.header.type != RECEIPT:
            return frame, None
        content = open_payload(frame.payload, frame.header.payload.coding, 1 << 20)
        return frame, decode_receipt(content)

    def authenticates(self, frame: Frame) -> bool:
        """Say whether a packet that came holds in every respect."""
        verdict = authenticate(
            frame.raw,
            trust=self.trust,
            routes=registry_of(self.address, self.neighbour),
            neighbour=self.neighbour,
            now=now(),
            limits=Limits(),
        )
        return isinstance(verdict, Accepted)

    async def asked(self) -> Ask:
        """Return the neighbour's newest ask for what a frame lacks: not that of its greeting."""

        def look() -> Ask | None:
            asks = (one for one in self.objects[::-1] if isinstance(one, Ask))
            return next((one for one in asks if one.what in {"certificate", "crls"}), None)

        return await self.until(look)

    def forget(self) -> None:
        """Forget what came so far, for a test that begins now."""
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


def rogue_child(network: PrivateNetwork, address: str) -> Rogue:
    """Return a rogue with the keys and the link login of a child in the network."""
    parent = parent_of(address)
    assert parent is not None
    url = f"amqps://127.0.0.1:{network._brokers[parent].amqps_port}"
    keys = network.keys_of(address)
    return caller(address, keys, [url], vhost_of(parent), trust_of(network))


def caller(address: str, keys: Path, urls: Sequence[str], vhost: str, trust: TrustStore) -> Rogue:
    """Return a rogue that calls its parent's broker with the keys of a folder."""
    parent = parent_of(address)
    assert parent is not None
    endpoint = ParentEndpoint(
        address=address,
        urls=urls,
        tls=ClientTls(keys / "root.pem", keys / "link.pem", keys / "link.key"),
        vhost=vhost,
        backoff=Backoff(most_s=1.0),
    )

    async def connect(handler: Handler) -> None:
        await endpoint.run(handler, lambda _: None)

    signer = load_packet_signer(keys / "packet.key", keys / "packet.pem", None)
    return Rogue(address, parent, signer=signer, trust=trust, connect=connect)


def rogue_parent(network: PrivateNetwork, address: str, child: str) -> Rogue:
    """Return a rogue that speaks to `child` from its parent's place, at the parent's broker."""
    broker = network.nodes[address].config().broker
    assert broker is not None

    async def connect(handler: Handler) -> None:
        async def ignore(_body: bytes, _headers: object) -> None:
            """Leave dead letters to others."""

        endpoint = OwnBrokerEndpoint(
            address=address,
            urls=[broker.url],
            login=login_of(broker),
            vhost=broker.vhost,
            backoff=Backoff(most_s=1.0),
        )
        await endpoint.run({label_of(child): handler}, ignore, lambda _: None)

    return Rogue(
        address,
        child,
        signer=signer_of(network, address),
        trust=trust_of(network),
        connect=connect,
    )


def signer_of(network: PrivateNetwork, address: str) -> PacketSigner:
    """Return the packet signer of an address, its keys made at first use."""
    keys = network.keys_of(address)
    return load_packet_signer(keys / "packet.key", keys / "packet.pem", None)


def trust_of(network: PrivateNetwork) -> TrustStore:
    """Return a trust store that knows all of the network's authorities, nodes and CRLs."""
    folder = network.folder / "ca"
    trust = TrustStore(load_certificate(folder / "root.pem"))
    trust.add_certificates(network.authority.certificates())
    nodes = sorted(folder.glob("nodes/*/packet.pem"))
    trust.add_certificates([load_certificate(path) for path in nodes])
    for path in sorted(folder.glob("crls/*.pem")):
        trust.add_crl(load_crl(path))
    return trust
