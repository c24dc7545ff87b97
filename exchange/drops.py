"""Drops: documents that local systems hand over. Checked, sealed, answered by a status event.

A drop has an identity, `(system, drop_id)`, committed with the packet it became: the same drop
again makes no second packet. A faulty one becomes no packet; its fault names the field.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from exchange.answering import draft_payload
from exchange.batch import Batch
from exchange.core.rules import Rules
from exchange.effects import Effects
from exchange.gate import Gate
from exchange.identity import is_packet_id, new_packet_id
from exchange.ports import Archive, DropName
from schemas.addresses import is_address
from schemas.cards import EncryptionKey
from schemas.codes import RetentionClass
from schemas.documents.common import SourceRef
from schemas.documents.contents import make_content, period_of, section_of
from schemas.documents.registry import (
    DOCUMENT_FILE,
    TYPES,
    DocumentError,
    PacketType,
    find_type,
)
from schemas.errors import FormatError
from schemas.header import Header
from schemas.manifest import MANIFEST_MEDIA_TYPE, decode_manifest
from schemas.moments import Instant
from schemas.reasons import Reason
from schemas.records import DropOutcome, PacketRow, PendingDrop
from signing.encryption import public_bytes

PENDING_PER_SWEEP = 200
DROP_ID_MAX = 128
AWAITS_CARD = "card"


class Drop(msgspec.Struct, frozen=True, gc=False):
    """A document as a local system hands it over; texts are as given, not judged yet."""

    system: str
    drop_id: str
    type: str
    to: str
    body: bytes
    section: str | None = None
    period: str | None = None
    title: str | None = None
    re: str | None = None
    media_type: str | None = None
    dropped: Instant = 0
    misnamed: bool = False
    """The id given can't be used; `drop_id` is a digest of the whole instead."""
    own_fault: bool = False
    """We failed at it once: it becomes a fault that says so, and nothing waits for it."""
    awaits: str | None = None
    """What it waits for in the record already: `card`."""
    parts: int | None = None
    """The body is the manifest of so many parts, which wait in the record."""


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

    A document of a personal type waits in the record until its recipient's card is at hand.
    """

    def __init__(
        self, *, effects: Effects, archive: Archive, rules: Rules, gate: Gate, cards: Cards
    ) -> None:
        """Hold the parts."""
        self._effects = effects
        self._archive = archive
        self._rules = rules
        self._gate = gate
        self._cards = cards
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
            packet = await self._send(drop, batch)
        except DocumentError as error:
            return self._fault(drop, error.field, error.problem, batch)
        except FormatError as error:
            return self._fault(drop, "body", _with_way_out(drop, error), batch)
        if packet is None:
            return self._wait(drop, batch)
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

    async def find_cards(self, batch: Batch) -> None:
        """Ask for the cards that documents wait for, and learn whose have come."""
        self._awaited = set(await self._archive.awaited_recipients())
        self._ready = [
            address
            for address in self._awaited
            if self._cards.encryption_key(address, batch) or self._cards.is_unknown(address)
        ]

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

    async def _send(self, drop: Drop, batch: Batch) -> PacketRow | None:
        """Seal a document and place it; None while the key to encrypt it to is not at hand.

        Raises DocumentError or FormatError, changing nothing.
        """
        packet_type = check_drop(drop, self._rules)
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
        packet = self._effects.answering.send_packet(numbered, content, batch, reader)
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

    def _wait(self, drop: Drop, batch: Batch) -> Outcome:
        """Keep a document in the record until its recipient's card has come; say so once."""
        outcome = Outcome(drop.drop_id, "waiting")
        self._awaited.add(drop.to)
        if drop.awaits is None:
            batch.changes.waiting.append(self._pack(drop, AWAITS_CARD))
            more = {"for": AWAITS_CARD, "type": drop.type, "to": drop.to}
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


def content_of(drop: Drop, here: str) -> tuple[bytes, str]:
    """Return a packet's content and media type. Raises DocumentError, or FormatError of a manifest.

    `here` keeps the register that a file rests on where nobody says.
    """
    if drop.parts is not None:
        if drop.type != DOCUMENT_FILE:
            raise DocumentError("type", f"{drop.type} never travels in parts")
        decode_manifest(drop.body)
        return drop.body, MANIFEST_MEDIA_TYPE
    return make_content(
        drop.type,
        drop.body,
        title=drop.title,
        media_type=drop.media_type,
        source=SourceRef(kind="register", issuer=here, number=drop.drop_id[:100] or "-"),
    )


def check_drop(drop: Drop, rules: Rules) -> PacketType:
    """Return the type of a drop that may be sealed. Raises DocumentError naming the field."""
    packet_type = find_type(drop.type)
    if not packet_type.droppable:
        raise DocumentError("type", f"{drop.type} is made by nodes only")
    if not is_address(drop.to):
        raise DocumentError("to", f"{drop.to[:80]!r} is no address")
    if drop.to == rules.here:
        raise DocumentError("to", "is this node itself")
    if rules.registry.next_hop(drop.to) is None:
        raise DocumentError("to", f"{rules.here} knows no way to {drop.to}")
    if drop.misnamed:
        raise DocumentError("drop-id", f"needs 1 to {DROP_ID_MAX} printable characters")
    section_of(packet_type, drop.section)
    if drop.re is not None and not is_packet_id(drop.re):
        raise DocumentError("re", "is no packet id")
    return packet_type


def read_drop(
    system: str, headers: Mapping[str, str | int | bool], content_type: str, body: bytes
) -> Drop:
    """Return the drop in an AMQP message.

    A drop-id that is missing or can't be used becomes a digest of the whole.
    """
    text = {name: str(value).replace("\0", " ") for name, value in headers.items()}
    facts = "\n".join(f"{name} {text[name]}" for name in sorted(text)).encode()
    given = text.get("drop-id", "")
    usable = 0 < len(given) <= DROP_ID_MAX and given.isprintable()
    digest = hashlib.sha256(facts + b"\n\n" + body).hexdigest()
    return Drop(
        system=system,
        drop_id=given if usable else f"sha256-{digest}",
        misnamed=bool(given) and not usable,
        type=text.get("type", ""),
        to=text.get("to", ""),
        body=body,
        section=text.get("section"),
        period=text.get("period"),
        title=text.get("title"),
        re=text.get("re"),
        media_type=content_type.partition(";")[0].strip().lower() or None,
    )
