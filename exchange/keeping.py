"""Keeps what came: packets, what is refused or held, and the bytes of incidents.

`Effects` is what all others call. Everything lands in one `Batch`.
"""

import hashlib

import msgspec

from exchange.answering import packet_row
from exchange.batch import Batch, header_facts
from exchange.core.rules import Rules
from exchange.core.steps import Hold, Keep, Mark, Quarantine
from exchange.gate import Gate, JudgedEntry, sha256_of
from exchange.placing import Placing
from exchange.ports import Archive
from exchange.quotas import Quotas
from schemas.header import Header
from schemas.leaves import LeafKind
from schemas.moments import format_instant
from schemas.objects import Lane
from schemas.reasons import Reason
from schemas.records import HeldRow, PayloadRow, QuarantineRow
from signing.authenticate import Accepted, Refused


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Where the entry being carried out came from: its link, lane and number there."""

    entry: JudgedEntry
    header: Header | None
    neighbour: str
    lane: Lane = "fast"
    epoch: int = 1
    number: int = 0

    @property
    def proven(self) -> bool:
        """Header facts may be believed only once the signature has held."""
        verdict = self.entry.verdict
        return isinstance(verdict, Accepted) or bool(getattr(verdict, "proven", False))


class Keeping(Placing):
    """Turns what came into rows and leaves, within the quotas of each neighbour."""

    def __init__(self, *, gate: Gate, archive: Archive, rules: Rules) -> None:
        """Hold what keeping needs."""
        super().__init__(gate=gate, archive=archive, rules=rules)
        self._quotas = Quotas(rules.limits)
        self._flooded: set[str] = set()

    def flooded(self) -> set[str]:
        """Return the neighbours that passed the quota of refused frames since last asked."""
        flooded, self._flooded = self._flooded, set()
        return flooded

    def keep(self, effect: Keep, origin: Origin, batch: Batch) -> int:
        """Keep a packet that came, with its first leaf; return its frame number."""
        accepted = origin.entry.verdict
        assert isinstance(accepted, Accepted)
        header = accepted.frame.header
        packet = packet_row(
            header,
            frame=batch.next_frame(),
            batch=batch,
            via=origin.neighbour,
            head=accepted.frame.head,
            size=len(accepted.frame.raw),
            digests=(accepted.head_sha256, accepted.frame_sha256),
        )
        if effect.received is not None:
            packet = msgspec.structs.replace(packet, received=effect.received)
        batch.changes.packets.append(packet)
        batch.keep_part(packet, header.part)
        row = PayloadRow(packet.frame, *self._gate.rest_of(origin.entry, effect.bucket))
        batch.changes.payloads.append(row)
        index = batch.append_leaf(
            effect.kind,
            packet.frame,
            **header_facts(header),
            received=format_instant(packet.received),
            size=str(packet.size),
            via=origin.neighbour,
            head_sha256=packet.head_sha256.hex(),
            head_sha512=accepted.head_sha512.hex(),
            frame_sha256=packet.frame_sha256.hex(),
            certificate=header.certificate,
            crl=str(accepted.crl),
            verdict="accepted",
            detail=effect.detail,
        )
        batch.keep_trail(packet, effect.kind, index)
        return packet.frame

    def mark(self, effect: Mark, origin: Origin, batch: Batch, frame: int) -> None:
        """Append a leaf about a stored packet, or about a frame that was refused."""
        fields = {
            "verdict": effect.verdict,
            "reason": effect.reason,
            "detail": effect.detail,
            "by": effect.by,
        }
        if effect.packet is not None:
            batch.mark_packet(effect.packet, effect.kind, **fields, receipt=effect.receipt)
            return
        assert effect.kind == LeafKind.REFUSED, "only a refusal is marked on what just came"
        known = header_facts(origin.header) if origin.proven and origin.header else {}
        batch.append_leaf(
            effect.kind,
            frame,
            **known,
            **fields,
            via=origin.neighbour,
            size=str(len(origin.entry.raw)),
            frame_sha256=origin.entry.sha256.hex(),
            frame_sha512=hashlib.sha512(origin.entry.raw).hexdigest(),
        )

    def keep_raw(self, raw: bytes, neighbour: str, detail: str, batch: Batch) -> int:
        """Keep bytes that belong to an incident; return their frame number."""
        refused = Refused(Reason.FORMAT_INVALID, detail, raw, sha256_of(raw), None, proven=False)
        entry = JudgedEntry(raw, refused.frame_sha256, refused)
        state = Quarantine("incident", Reason.FORMAT_INVALID, detail)
        return self.quarantine(state, Origin(entry, None, neighbour), batch)

    def quarantine(self, effect: Quarantine, origin: Origin, batch: Batch) -> int:
        """Keep a frame that is no packet of ours, or its digest; return its number."""
        frame = batch.next_frame()
        entry = origin.entry
        size = len(entry.raw)
        kept = effect.state == "held" or self._quotas.keep_refused(origin.neighbour, size)
        if kept:
            bucket = self._gate.bucket("QRN", None, batch.now)
            sealed = self._gate.seal_for_rest(bucket, entry.sha256, entry.raw)
            batch.changes.payloads.append(PayloadRow(frame, bucket, sealed))
        header = origin.header if origin.proven else None
        row = QuarantineRow(
            frame=frame,
            sha256=entry.sha256,
            state=effect.state,
            reason=effect.reason,
            detail=effect.detail,
            neighbour=origin.neighbour,
            received=batch.now,
            size=size,
            kept=kept,
            id=header.id if header else None,
            sender=header.from_ if header else None,
            recipient=header.to if header else None,
        )
        batch.changes.quarantine.append(row)
        if effect.state != "held" and self._quotas.refuse(origin.neighbour, batch.now):
            self._flooded.add(origin.neighbour)
        if effect.state == "refused":
            batch.refused[entry.sha256] = row
        return frame

    def hold(self, effect: Hold, origin: Origin, batch: Batch) -> int:
        """Take the frame that came into custody without judging it; return its number."""
        state = Quarantine("held", effect.missing, f"waits for {effect.missing}")
        frame = self.quarantine(state, origin, batch)
        batch.append_leaf(
            LeafKind.HELD,
            frame,
            received=batch.at,
            via=origin.neighbour,
            frame_sha256=origin.entry.sha256.hex(),
            detail=effect.missing,
        )
        batch.changes.held.append(
            HeldRow(
                frame,
                origin.neighbour,
                effect.missing,
                effect.certificate,
                batch.now,
                origin.lane,
                origin.epoch,
                origin.number,
            )
        )
        return frame
