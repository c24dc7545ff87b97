"""Takes the link objects that neighbours send: greetings, notes, certificates, CRLs, asks.

They are not packets: nothing answers them but the next of their kind, and an old one is ignored.
"""

from collections import deque
from functools import partial
from typing import assert_never

from exchange.batch import Batch
from exchange.directory import Directory
from exchange.enrolment import Enrolment
from exchange.gate import OpenedObject, Unreadable, sha256_of
from exchange.issuing import Issuing
from exchange.learning import learn_certificate
from exchange.links import Link
from exchange.losses import BEYOND
from exchange.part_asks import PartAsks
from exchange.quotas import HourlyQuota
from exchange.rebuilding import Rebuilding
from exchange.reconciling import Reconciler
from exchange.recovery import Recovery
from exchange.requests import Requests
from exchange.state import CONFIGURATION, NodeState
from exchange.tracking import Tracker
from exchange.witnessing import Witnessing
from schemas.errors import FormatError
from schemas.issued import is_log_origin
from schemas.leaves import LeafKind
from schemas.moments import MINUTE, parse_instant
from schemas.objects import (
    AnyObject,
    Ask,
    CardList,
    Certificate,
    Crl,
    CustodyNote,
    Hello,
    Issued,
    StreamPosition,
    cut_object,
)
from schemas.reasons import Reason
from schemas.rebuilding import Rebuild, Rebuilt
from schemas.reconciling import Reconcile, Reconciled
from schemas.records import NoteRow
from schemas.statements import (
    Alarm,
    Card,
    Grant,
    Join,
    Keys,
    Lacking,
    NoCard,
    Request,
    Statement,
    Track,
    Tracked,
)
from schemas.wire import printable
from schemas.witnessing import Checkpoint, Cosigned, Proven, Recover, Returned

UNREADABLE_PER_HOUR = 100
"""So many messages of a neighbour that prove nothing open an incident each."""
HELLOS_KEPT = 64
"""So many hellos of a neighbour are known again."""

_REASONS = frozenset(Reason)


class Dialogue:
    """What is said between neighbours, beside the streams."""

    def __init__(  # noqa: PLR0913 - the parts that it talks for
        self,
        state: NodeState,
        *,
        directory: Directory,
        requests: Requests,
        issuing: Issuing,
        enrolment: Enrolment,
        witnessing: Witnessing,
        recovery: Recovery,
        tracker: Tracker,
        part_asks: PartAsks,
        reconciler: Reconciler,
        rebuilding: Rebuilding,
    ) -> None:
        """Share the node's state; statements and asks go to the parts."""
        self._state = state
        self._directory = directory
        self._requests = requests
        self._issuing = issuing
        self._enrolment = enrolment
        self._witnessing = witnessing
        self._recovery = recovery
        self._tracker = tracker
        self._part_asks = part_asks
        self._reconciler = reconciler
        self._rebuilding = rebuilding
        self._unreadable = HourlyQuota(UNREADABLE_PER_HOUR)
        self._heard: dict[str, deque[int]] = {}
        """Numbers of the hellos heard last, by neighbour."""

    async def take_object(self, opened: OpenedObject, link: Link, batch: Batch) -> None:
        """Take one object whose signature holds."""
        match opened.header:
            case CustodyNote() as note:
                latest = link.is_latest_nonce(note.hello)
                raw = opened.raw
                await self._take_position(link, note.position, batch, raw, latest=latest)
            case Hello() as hello:
                await self._take_hello(hello, link, batch)
            case Ask() as ask:
                await self._answer_ask(ask, link, batch)
            case Certificate():
                pass  # what it brought and was new has been recorded already
            case Crl():
                self._issuing.revocations.take(opened.body, link, batch)
            case _:
                await self._take_carried(opened, link, batch)

    async def _take_carried(self, opened: OpenedObject, link: Link, batch: Batch) -> None:
        """Hand statements, and what is said of journals, to the part that they are for."""
        match opened.header:
            case Card() | Keys() | NoCard() | CardList():
                await self._directory.take(opened, link, batch)
            case Request() | Grant():
                await self._requests.take(opened, link, batch)
            case Issued() | Alarm():
                await self._issuing.take(opened, link, batch)
            case Cosigned() as answer if is_log_origin(answer.origin):
                await self._issuing.take(opened, link, batch)
            case Join():
                await self._enrolment.take(opened, link, batch)
            case Checkpoint() | Cosigned() | Proven():
                await self._witnessing.take(opened, link, batch)
            case Track() | Tracked():
                await self._tracker.take(opened, link, batch)
            case Lacking():
                await self._part_asks.take(opened, link, batch)
            case _:
                await self._take_recovered(opened, link, batch)

    async def _take_recovered(self, opened: OpenedObject, link: Link, batch: Batch) -> None:
        """Hand what compares records, and what brings back of lost ones, to its part."""
        match opened.header:
            case Reconcile() | Reconciled():
                await self._reconciler.take(opened, link, batch)
            case Rebuild() | Rebuilt():
                await self._rebuilding.take(opened, link, batch)
            case Recover() | Returned():
                await self._recovery.take(opened, link, batch)
            case _:
                kind = type(opened.header).__name__
                self.keep_evidence(link, opened.raw, f"{kind} outside a stream", batch)

    async def _take_hello(self, hello: Hello, link: Link, batch: Batch) -> None:
        heard = self._heard.setdefault(link.neighbour, deque(maxlen=HELLOS_KEPT))
        if hello.number in heard:
            return  # a broker brings it again: one answer is enough
        batch.after_commit(partial(heard.append, hello.number))
        fresh = link.hear_hello(hello)
        if not fresh:
            return
        if link.is_parent:
            self._compare_clocks(hello, link, batch)
        for position in hello.positions:
            await self._take_position(link, position, batch, None, latest=True)
        self._compare_epochs(hello, link, batch)
        # Who is shown numbers that it does not know of stands on an old copy: it seals nothing.
        if not link.suspended and (link.is_parent or self._state.is_root):
            self._state.greeted.set()
        await self._recovery.greet(hello, link, batch)
        self._issuing.revocations.send_all(link, batch)
        self._directory.greet(link, batch)
        await self._issuing.greet(link, batch)
        await self._witnessing.greet(link, batch)

    def _compare_epochs(self, hello: Hello, link: Link, batch: Batch) -> None:
        """Look whether a neighbour has taken of an epoch of ours that we do not run.

        Our own card tells whether there is one. From the parent it is on its way; anybody else's
        word halts that link alone.
        """
        newest = max((position.epoch for position in hello.positions), default=0)
        if link.is_parent:
            if newest > batch.epoch and not self._state.outrun:
                detail = (
                    f"has taken of epoch {newest} of ours, we run {batch.epoch}: our card tells"
                )
                self._state.effects.raise_incident("epoch_unknown", link.neighbour, detail, batch)
            self._state.outrun = newest if newest > batch.epoch else 0
        elif newest > batch.epoch and self._state.loss is None:
            self._state.suspend(link, f"epoch {newest} of ours: {BEYOND}", batch)

    @staticmethod
    def _send(link: Link, raw: bytes, batch: Batch) -> None:
        batch.after_commit(partial(link.send_object, raw))

    def _compare_clocks(self, hello: Hello, link: Link, batch: Batch) -> None:
        """Doubt our clock when the parent's disagrees beyond the window (design section 8)."""
        if link.round_trip > self._state.rules.limits.hello_round_trip_us:
            return
        offset = self._state.clock_offset_us = batch.now - parse_instant(hello.clock)
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
        latest: bool,
    ) -> None:
        """Move an outgoing stream's cursor by a fresh hello, or a note that echoes our nonce.

        An older note counts only where it speaks of numbers that we do not have. Of another epoch
        of ours nothing counts, and nothing at all while our record lacks its end (clause 18.4).
        """
        if position.epoch != batch.epoch or self._state.loss is not None:
            return
        stream = f"{link.neighbour}/{position.lane}"
        last, _ = self._state.tail(stream)
        cursor = self._state.effects.cursors.get(stream, 0)
        if position.up_to > last:
            detail = f"{stream}: note for {position.up_to}, last number {last}: {BEYOND}"
            self._state.suspend(link, detail, batch)
            return
        if not latest:
            return
        if position.up_to > cursor and not await self._chain_agrees(stream, position, batch):
            self._state.suspend(
                link, f"{stream}: note with another chain at {position.up_to}", batch
            )
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
        link.take_position(position)

    async def _chain_agrees(self, stream: str, position: StreamPosition, batch: Batch) -> bool:
        last, chain = self._state.tail(stream)
        if position.up_to != last:
            known = await self._state.archive.chain_at(stream, batch.epoch, position.up_to)
            chain = known if known is not None else b""
        return chain.hex() == position.chain

    async def _answer_ask(self, ask: Ask, link: Link, batch: Batch) -> None:
        match ask.what:
            case "certificate":
                name = ask.sha256 or ""
                found = self._state.gate.make_certificates(link.neighbour, name, batch.now)
                self._send(link, found, batch)
            case "crls":
                self._issuing.revocations.send_all(link, batch)
            case "card":
                self._directory.answer_ask(ask, link, batch)
            case "issued":
                await self._issuing.answer_ask(ask, link, batch)
            case "leaf":
                await self._witnessing.answer_ask(ask, link, batch)
            case "returned":
                await self._recovery.answer_ask(ask, link, batch)
            case _:
                assert_never(ask.what)

    def ask_card(self, link: Link, batch: Batch) -> None:
        """Ask a neighbour for its card: ours of it does not show the epoch that it speaks in."""
        self._directory.ask_for(link.neighbour, batch)

    def learn_certificate(self, der: bytes, via: str, batch: Batch) -> None:
        """Record a certificate met for the first time; held frames are judged again."""
        learn_certificate(self._state, der, via, batch)
        link = self._state.links.get(via)
        if link is not None:
            link.knows_certificate(sha256_of(der).hex())
        self._issuing.met(der, via, batch)

    def introduce(
        self, certificates: list[bytes], crls: list[bytes], cards: list[bytes], batch: Batch
    ) -> None:
        """Journal what the configuration brings and the record does not hold yet."""
        for der in certificates:
            if learn_certificate(self._state, der, CONFIGURATION, batch):
                self._issuing.met(der, CONFIGURATION, batch)
        for der in crls:
            self._issuing.revocations.take(der, None, batch)
        for card in cards:
            self._directory.introduce(card, batch)

    def take_unreadable(self, opened: Unreadable, link: Link, batch: Batch) -> None:
        """Keep what proves nothing; of a statement ask for the certificate that it may lack."""
        header = _header_in(opened.raw)
        lacks = opened.reason == Reason.SENDER_UNKNOWN and isinstance(header, Statement)
        if lacks or (isinstance(header, Card | Keys) and opened.reason in _REASONS):
            fault = FormatError(Reason(opened.reason), opened.detail)
            self._directory.refuse(opened.raw, link.neighbour, fault, batch)
            return
        self.keep_evidence(link, opened.raw, f"{opened.reason}: {opened.detail}", batch)

    def keep_evidence(self, link: Link, raw: bytes, detail: str, batch: Batch) -> None:
        """Keep a message that proves nothing; the note goes out unchanged.

        Each opens an incident, up to so many an hour of one neighbour; the rest is kept all the
        same, within the link's quota of refused bytes.
        """
        effects = self._state.effects
        frame = effects.keep_raw(raw, link.neighbour, printable(detail), batch)
        count = self._unreadable.take(link.neighbour, batch.now)
        if count < UNREADABLE_PER_HOUR:
            what = "message_unreadable"
            effects.raise_incident(what, link.neighbour, printable(detail), batch, frame)
        elif count == UNREADABLE_PER_HOUR:
            beyond = f"more than {UNREADABLE_PER_HOUR} within an hour: the rest lies in quarantine"
            effects.raise_incident("messages_limited", link.neighbour, beyond, batch)

    def keep_dead_letter(self, body: bytes, detail: str, batch: Batch) -> None:
        """Keep what our broker gave up on as an incident."""
        effects = self._state.effects
        frame = effects.keep_raw(body, self._state.rules.here, printable(detail), batch)
        effects.raise_incident(
            "dead_letter", self._state.rules.here, printable(detail), batch, frame
        )


def _header_in(raw: bytes) -> AnyObject | None:
    try:
        return cut_object(raw).header
    except FormatError:
        return None
