"""Takes the link objects that neighbours send: greetings, notes, certificates, CRLs, asks.

They are not packets: nothing answers them but the next of their kind, and an old one is ignored.
"""

from exchange.batch import Batch
from exchange.gate import OpenedObject, sha256_of
from exchange.links import Link
from exchange.state import NodeState
from schemas.leaves import LeafKind
from schemas.moments import MINUTE, parse_instant
from schemas.objects import Ask, Certificate, Crl, CustodyNote, Hello, StreamPosition
from schemas.records import CertificateRow, CrlRow, NoteRow
from schemas.wire import printable
from signing.chain import CrlLearned

CONFIGURATION = "configuration"
"""Where certificates and CRLs come from that no neighbour brought."""


class Dialogue:
    """What is said between neighbours, beside the streams."""

    def __init__(self, state: NodeState) -> None:
        """Share the node's state."""
        self._state = state

    async def take_object(self, opened: OpenedObject, link: Link, batch: Batch) -> None:
        """Take one object whose signature holds."""
        match opened.header:
            case CustodyNote() as note:
                latest = link.is_latest_nonce(note.hello)
                raw = opened.raw
                await self._take_position(link, note.position, batch, raw, may_lower=latest)
            case Hello() as hello:
                await self._take_hello(hello, link, batch)
            case Ask() as ask:
                self._answer_ask(ask, link, batch)
            case Certificate():
                pass  # what it brought and was new has been recorded already
            case Crl():
                self._take_crl(opened.body, link, batch)
            case _:
                kind = type(opened.header).__name__
                self.keep_evidence(link, opened.raw, f"{kind} outside a stream", batch)

    async def _take_hello(self, hello: Hello, link: Link, batch: Batch) -> None:
        fresh = link.hear_hello(hello)
        if not fresh:
            return
        if link.is_parent:
            self._compare_clocks(hello, link, batch)
        for position in hello.positions:
            await self._take_position(link, position, batch, None, may_lower=True)
        if not self._state.greeted.is_set() and (link.is_parent or self._state.is_root):
            self._state.greeted.set()
        for der in self._state.gate.trust.crls():
            link.send_object(self._state.gate.make_crl(link.neighbour, der, batch.now))

    def _compare_clocks(self, hello: Hello, link: Link, batch: Batch) -> None:
        """Doubt our clock when the parent's disagrees beyond the window (design section 8)."""
        if link.round_trip > self._state.rules.limits.hello_round_trip_us:
            return
        offset = batch.now - parse_instant(hello.clock)
        window = self._state.rules.limits.time_window_ahead_us
        agrees = self._state.clock_agrees
        if abs(offset) <= window:
            if not agrees.is_set():
                self._state.arrived.add("clock")
            agrees.set()
            return
        if agrees.is_set():
            detail = f"{offset // MINUTE} minutes from {link.neighbour}: set this machine's clock"
            self._state.effects.raise_incident("clock_disagrees", link.neighbour, detail, batch)
        agrees.clear()

    async def _take_position(
        self,
        link: Link,
        position: StreamPosition,
        batch: Batch,
        raw: bytes | None,
        *,
        may_lower: bool,
    ) -> None:
        """Move an outgoing stream's cursor by a custody note or a fresh hello."""
        stream = f"{link.neighbour}/{position.lane}"
        last, _ = self._state.tail(stream)
        cursor = self._state.effects.cursors.get(stream, 0)
        if position.up_to > last:
            detail = f"{stream}: note for {position.up_to}, last number {last}"
            self._state.suspend(link, detail, batch)
            return
        if position.up_to > cursor and not await self._chain_agrees(stream, position, batch):
            self._state.suspend(
                link, f"{stream}: note with another chain at {position.up_to}", batch
            )
            return
        if position.up_to < cursor and not may_lower:
            return
        if position.up_to < cursor:
            detail = f"{stream}: neighbour holds {position.up_to} of {cursor} taken before"
            self._state.effects.raise_incident(
                "neighbour_lost_custody", link.neighbour, detail, batch
            )
        if position.up_to != cursor:
            self._state.effects.cursors[stream] = position.up_to
            batch.changes.notes.append(NoteRow(stream, batch.epoch, position.up_to, batch.now, raw))
            batch.append_leaf(
                LeafKind.CUSTODY,
                None,
                neighbour=link.neighbour,
                lane=position.lane,
                epoch=str(position.epoch),
                up_to=str(position.up_to),
                chain=position.chain,
                note_sha256="" if raw is None else sha256_of(raw).hex(),
            )
        link.take_position(position, may_lower=may_lower)

    async def _chain_agrees(self, stream: str, position: StreamPosition, batch: Batch) -> bool:
        last, chain = self._state.tail(stream)
        if position.up_to != last:
            known = await self._state.archive.chain_at(stream, batch.epoch, position.up_to)
            chain = known if known is not None else b""
        return chain.hex() == position.chain

    def _answer_ask(self, ask: Ask, link: Link, batch: Batch) -> None:
        if ask.what == "certificate" and ask.sha256 is not None:
            link.send_object(
                self._state.gate.make_certificates(link.neighbour, ask.sha256, batch.now)
            )
            return
        for der in self._state.gate.trust.crls():
            link.send_object(self._state.gate.make_crl(link.neighbour, der, batch.now))

    def learn_certificate(self, der: bytes, via: str, batch: Batch) -> None:
        """Record a certificate met for the first time; held frames are judged again."""
        digest = sha256_of(der)
        batch.changes.certificates.append(CertificateRow(digest, der, batch.now))
        batch.append_leaf(LeafKind.CERTIFICATE, None, sha256=digest.hex(), via=via)
        link = self._state.links.get(via)
        if link is not None:
            link.knows_certificate(digest.hex())
        self._state.arrived.add(digest.hex())

    def introduce(self, certificates: list[bytes], crls: list[bytes], batch: Batch) -> None:
        """Journal what the configuration brings and the record does not hold yet."""
        for der in certificates:
            if sha256_of(der) not in self._state.recorded:
                self._state.recorded.add(sha256_of(der))
                self.learn_certificate(der, CONFIGURATION, batch)
        for der in crls:
            self._take_crl(der, None, batch)

    def _take_crl(self, der: bytes, link: Link | None, batch: Batch) -> None:
        """Keep a newer CRL, journal it, and pass it on to the other neighbours."""
        learned = self._state.gate.trust.add_crl(der)
        if not isinstance(learned, CrlLearned):
            return
        via = CONFIGURATION if link is None else link.neighbour
        self._keep_crl(der, learned, via, batch)
        if learned.dropped:
            detail = f"CRL {learned.number} drops {learned.dropped} entries: they stay revoked"
            self._state.effects.raise_incident("crl_entries_dropped", via, detail, batch)
        for other in self._state.links.values():
            if other is not link:
                other.send_object(self._state.gate.make_crl(other.neighbour, der, batch.now))

    def _keep_crl(self, der: bytes, learned: CrlLearned, via: str, batch: Batch) -> None:
        """Record a CRL; frames held for want of it are judged again."""
        digest = sha256_of(der)
        row = CrlRow(digest, learned.issuer, learned.number, der, batch.now)
        batch.changes.crls.append(row)
        batch.append_leaf(
            LeafKind.CRL,
            None,
            sha256=digest.hex(),
            issuer=learned.issuer,
            number=str(learned.number),
            via=via,
        )
        self._state.arrived.add("crl")

    def keep_evidence(self, link: Link, raw: bytes, detail: str, batch: Batch) -> None:
        """Keep a message that proves nothing as an incident; the note goes out unchanged."""
        frame = self._state.effects.keep_raw(raw, link.neighbour, printable(detail), batch)
        self._state.effects.raise_incident(
            "message_unreadable", link.neighbour, printable(detail), batch, frame
        )

    def keep_dead_letter(self, body: bytes, detail: str, batch: Batch) -> None:
        """Keep what our broker gave up on as an incident."""
        effects = self._state.effects
        frame = effects.keep_raw(body, self._state.rules.here, printable(detail), batch)
        effects.raise_incident(
            "dead_letter", self._state.rules.here, printable(detail), batch, frame
        )
