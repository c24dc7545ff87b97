"""Drops: documents that local systems hand over. Checked, sealed, answered by a status event.

A drop has an identity, `(system, drop_id)`, committed with the packet it became: the same drop
again makes no second packet. A faulty one becomes no packet; its fault names the field.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from exchange.answering import draft_payload
from exchange.batch import Batch
from exchange.core.rules import Rules
from exchange.dropped import Drop, check_drop, content_of
from exchange.effects import Effects
from exchange.gate import Gate
from exchange.identity import new_packet_id
from exchange.ports import Archive, DropName
from exchange.reclaiming import Reclaiming, drop_name, end_of
from schemas.cards import EncryptionKey
from schemas.codes import RetentionClass
from schemas.documents.contents import period_of, section_of
from schemas.documents.registry import DOCUMENT_FILE, TYPES, DocumentError, PacketType
from schemas.errors import FormatError
from schemas.header import Header
from schemas.reasons import Reason
from schemas.records import DropOutcome, PacketRow, PendingDrop, Trail
from signing.encryption import public_bytes

PENDING_PER_SWEEP = 200
AWAITS_CARD = "card"
AWAITS_RETURNED = "returned"


class Outcome(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a local system is told at once about a drop."""

    drop_id: str
    state: str
    """`sent`, `fault`, `waiting`, or `known` where the same drop had come before."""
    packet: str | None = None
    field: str | None = None
    problem: str | None = None


class Cards(Protocol):
    """Who knows the keys that documents are encrypted to: the directory."""

    def encryption_key(self, address: str, batch: Batch) -> EncryptionKey | None:
        """Return the key to encrypt to; None: its card is asked for now."""

    def is_unknown(self, address: str) -> bool:
        """Say whether the node responsible has said that there is no such address."""


class DropDesk:
    """Turns drops into packets within a batch.

    A document waits in the record until what was sealed before a loss has come back, and one of a
    personal type until its recipient's card is at hand.
    """

    def __init__(
        self,
        *,
        effects: Effects,
        archive: Archive,
        rules: Rules,
        gate: Gate,
        cards: Cards,
        reclaiming: Reclaiming,
    ) -> None:
        """Hold the parts."""
        self._effects = effects
        self._archive = archive
        self._rules = rules
        self._gate = gate
        self._cards = cards
        self._reclaiming = reclaiming
        self._awaited: set[str] = set()
        self._ready: list[str] = []
        self.on_parts: Callable[[DropOutcome], None] = _nobody_sends
        """Told each manifest that was sealed."""

    async def seal_all(self, drops: list[Drop], batch: Batch) -> list[Outcome]:
        """Seal documents; each outcome becomes true when the batch commits."""
        known = await self._archive.drop_outcomes([(drop.system, drop.drop_id) for drop in drops])
        return [await self._seal(drop, known, batch) for drop in drops]

    async def _seal(  # noqa: PLR0911 - one return for each outcome
        self, drop: Drop, known: Mapping[DropName, DropOutcome], batch: Batch
    ) -> Outcome:
        """Seal one document, or say what is wrong with it."""
        name = (drop.system, drop.drop_id)
        if name in batch.decided:
            return Outcome(drop.drop_id, "known")
        if name in known:
            return await self._known(drop, known[name], batch)
        if drop.own_fault:
            self._effects.raise_incident("own_fault", drop.system, "a drop", batch)
            return self._fault(drop, "body", "the node failed at it: report this", batch)
        try:
            packet_type = check_drop(drop, self._rules)
            if self._reclaiming.must_wait(drop.to, batch):
                return self._wait(drop, AWAITS_RETURNED, batch)
            lost = await self._reclaiming.find(drop, batch)
            if lost is not None:
                return await self._reclaim(drop, lost, batch)
            packet = await self._send(drop, packet_type, batch)
        except DocumentError as error:
            return self._fault(drop, error.field, error.problem, batch)
        except FormatError as error:
            return self._fault(drop, "body", _with_way_out(drop, error), batch)
        if packet is None:
            return self._wait(drop, AWAITS_CARD, batch)
        done = DropOutcome(drop.system, drop.drop_id, packet.frame, None, batch.now)
        batch.decide_drop(done)
        if drop.parts is not None:
            batch.after_commit(lambda: self.on_parts(done))
        outcome = Outcome(drop.drop_id, "sent", packet.id)
        self._report(drop.system, outcome, batch, type=drop.type, to=drop.to)
        return outcome

    async def pending(self) -> list[Drop]:
        """Return what commands have handed over through the record, and what waited there."""
        rows = await self._archive.pending_drops(PENDING_PER_SWEEP, self._ready)
        return [self._unpack(row) for row in rows]

    @property
    def awaits_cards(self) -> bool:
        """Say whether documents wait for cards."""
        return bool(self._awaited)

    async def find_ready(self, batch: Batch) -> None:
        """Ask for the cards that documents wait for, and learn who waits for nothing any more."""
        awaited = await self._archive.awaited_recipients()
        self._awaited = {address for address, what in awaited if what == AWAITS_CARD}
        self._ready = [address for address, what in awaited if self._is_ready(address, what, batch)]

    def _is_ready(self, address: str, awaits: str, batch: Batch) -> bool:
        if awaits == AWAITS_RETURNED:
            return not self._reclaiming.must_wait(address, batch)
        key = self._cards.encryption_key(address, batch)
        return key is not None or self._cards.is_unknown(address)

    async def park(self, drop: Drop) -> None:
        """Keep a document until the node may seal; it is in the record on return."""
        await self._archive.drop(self._pack(drop))

    def _pack(self, drop: Drop, awaits: str | None = None) -> PendingDrop:
        packet_type = TYPES.get(drop.type)
        class_ = RetentionClass.QRN if packet_type is None else packet_type.retention
        bucket = self._gate.bucket(class_.value, None, drop.dropped)
        aad = f"{drop.system}/{drop.drop_id}".encode()
        return PendingDrop(
            system=drop.system,
            drop_id=drop.drop_id,
            dropped=drop.dropped,
            type=drop.type,
            recipient=drop.to,
            section=drop.section,
            period=drop.period,
            title=drop.title,
            re=drop.re,
            media_type=drop.media_type,
            bucket=bucket,
            sealed=self._gate.seal_for_rest(bucket, aad, drop.body),
            awaits=awaits,
            parts=drop.parts,
        )

    def _unpack(self, row: PendingDrop) -> Drop:
        aad = f"{row.system}/{row.drop_id}".encode()
        return Drop(
            system=row.system,
            drop_id=row.drop_id,
            type=row.type,
            to=row.recipient,
            body=self._gate.open_rest(row.bucket, aad, row.sealed),
            section=row.section,
            period=row.period,
            title=row.title,
            re=row.re,
            media_type=row.media_type,
            dropped=row.dropped,
            awaits=row.awaits,
            parts=row.parts,
        )

    async def _send(self, drop: Drop, packet_type: PacketType, batch: Batch) -> PacketRow | None:
        """Seal a document and place it; None while the key to encrypt it to is not at hand.

        Raises DocumentError or FormatError, changing nothing.
        """
        content, media_type = content_of(drop, self._rules.here)
        draft = Header(
            id=new_packet_id(batch.now),
            type=drop.type,
            from_=self._rules.here,
            to=drop.to,
            sent=batch.at,
            epoch=batch.epoch,
            seq=1,
            period=period_of(packet_type, drop.period, drop.body),
            section=section_of(packet_type, drop.section),
            class_=packet_type.retention,
            flow=packet_type.flow.value,
            re=drop.re,
            certificate=self._gate.fingerprint,
            payload=draft_payload(media_type),
        )
        self._gate.check_size(drop.type, content)
        reader = self._find_reader(drop.to, batch) if packet_type.personal else None
        if packet_type.personal and reader is None:
            return None
        seq = await self._effects.answering.next_seq(drop.to, batch)
        numbered = msgspec.structs.replace(draft, seq=seq)
        packet = self._effects.answering.send_packet(
            numbered, content, batch, reader, drop=drop_name(drop, self._rules.here)
        )
        self._effects.answering.await_receipt(packet, batch)
        return packet

    def _find_reader(self, to: str, batch: Batch) -> bytes | None:
        """Return the public key of a recipient. Raises DocumentError where there is none such."""
        key = self._cards.encryption_key(to, batch)
        if key is not None:
            return public_bytes(key)
        if self._cards.is_unknown(to):
            raise DocumentError("to", f"{to} is unknown")
        return None

    async def _reclaim(self, drop: Drop, lost: Trail, batch: Batch) -> Outcome:
        """Take it that a document is a packet that has come back; say what became of that."""
        packet = lost.packet
        done = DropOutcome(drop.system, drop.drop_id, packet.frame, None, batch.now)
        batch.decide_drop(done)
        if drop.parts is not None:
            batch.changes.sealed_parts += await self._reclaiming.parts_of(drop, packet)
            batch.after_commit(lambda: self.on_parts(done))
        outcome = Outcome(drop.drop_id, "known", packet.id)
        self._report(drop.system, outcome, batch)
        end = end_of(lost)
        if end is not None:
            await self._effects.report_status(end, batch)
        return outcome

    def _wait(self, drop: Drop, awaits: str, batch: Batch) -> Outcome:
        """Keep a document in the record until what it awaits has come; say so once."""
        outcome = Outcome(drop.drop_id, "waiting")
        if awaits == AWAITS_CARD:
            self._awaited.add(drop.to)
        if drop.awaits != awaits:
            batch.changes.waiting.append(self._pack(drop, awaits))
            more = {"for": awaits, "type": drop.type, "to": drop.to}
            self._report(drop.system, outcome, batch, **more)
        return outcome

    async def _known(self, drop: Drop, known: DropOutcome, batch: Batch) -> Outcome:
        """Repeat what became of a drop, so that a local system which missed it hears it again."""
        if known.frame is None:
            outcome = Outcome(drop.drop_id, "fault", problem=known.fault)
        else:
            trail = (await self._archive.trail_of_frame([known.frame]))[known.frame]
            outcome = Outcome(drop.drop_id, "known", trail.packet.id)
        self._report(drop.system, outcome, batch)
        return outcome

    def _fault(self, drop: Drop, field: str, problem: str, batch: Batch) -> Outcome:
        fault = f"{field}: {problem}"
        batch.decide_drop(DropOutcome(drop.system, drop.drop_id, None, fault, batch.now))
        outcome = Outcome(drop.drop_id, "fault", None, field, problem)
        self._report(drop.system, outcome, batch)
        return outcome

    def _report(self, system: str, outcome: Outcome, batch: Batch, **more: str) -> None:
        event = msgspec.to_builtins(outcome) | {"at": batch.at} | more
        self._effects.place_object(f"status/{system}", msgspec.json.encode(event), batch)


def _nobody_sends(_drop: DropOutcome) -> None:
    """Before the service has named who sends parts."""


def _with_way_out(drop: Drop, error: FormatError) -> str:
    """Return what is wrong with a body, and how a file goes that no message of a broker brings."""
    if drop.type == DOCUMENT_FILE and error.reason == Reason.TOO_LARGE:
        return f"{error.detail}: hand it over with `bbaj send`, which sends it in parts"
    return error.detail
