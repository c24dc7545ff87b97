"""Carries out what the core asks for: turns effects into rows, numbers and sealed answers.

Everything lands in one `Batch`; nothing here commits, sends or settles.
"""

import hashlib
from typing import assert_never

import msgspec

from exchange.batch import Batch, header_facts, stream_to
from exchange.core.backoff import next_resend, receipt_deadline
from exchange.core.rules import Rules, lane_of
from exchange.core.steps import (
    AnswerAgain,
    Effect,
    Finish,
    Forward,
    Hold,
    Keep,
    Mark,
    PlaceAgain,
    Quarantine,
    Raise,
    RefuseOnLink,
    Release,
    ReportStatus,
    SendClosing,
    SendReceipt,
    SendRefusedReceipt,
    Step,
)
from exchange.gate import Gate, JudgedEntry
from exchange.identity import new_packet_id
from exchange.ports import Archive
from schemas.answers import ANSWERS, CLOSING, RECEIPT, Closing, PacketName, Receipt
from schemas.frame import cut
from schemas.header import Header, PayloadFacts, decode_header
from schemas.leaves import LeafKind
from schemas.moments import format_instant
from schemas.objects import Lane, Refusal
from schemas.reasons import NEXT_STEP, Reason
from schemas.records import (
    HeldRow,
    IncidentRow,
    OpenRow,
    PacketRow,
    PayloadRow,
    QuarantineRow,
    Released,
)
from signing.authenticate import Accepted, Refused

JSON = "application/json"


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Where the entry being carried out came from: its link, lane and number there."""

    entry: JudgedEntry
    header: Header | None
    neighbour: str
    lane: Lane = "fast"
    epoch: int = 1
    number: int = 0


class Effects:
    """Applies steps to a batch with the gate's keys and the archive's memory."""

    def __init__(self, *, gate: Gate, archive: Archive, rules: Rules) -> None:
        """Hold what sealing answers needs."""
        self._gate = gate
        self._archive = archive
        self._rules = rules
        self._refused_bytes: dict[str, int] = {}
        self.cursors: dict[str, int] = {}
        """What the neighbours have taken, by stream; kept up by the service."""

    async def carry_out(self, step: Step, origin: Origin, batch: Batch) -> None:
        """Do a step's effects in their order."""
        frame = 0
        for effect in step:
            frame = await self._apply(effect, origin, batch, frame)

    async def _apply(  # noqa: C901, PLR0912 - one arm for each effect
        self, effect: Effect, origin: Origin, batch: Batch, frame: int
    ) -> int:
        """Do one effect; return the number of the frame that the event brought, once stored."""
        match effect:
            case Keep():
                return self._keep(effect, origin, batch)
            case Forward():
                self._forward(effect, origin, batch, frame)
            case Mark():
                self._mark(effect, origin, batch, frame)
            case SendReceipt():
                await self._send_receipt(effect, origin, batch, frame)
            case Release():
                self._release(effect, origin, batch, frame)
            case SendClosing():
                await self._send_closing(effect, origin, batch)
            case Finish():
                batch.changes.closed.append(effect.packet.frame)
            case ReportStatus():
                await self.report_status(effect, batch)
            case Quarantine():
                return self._quarantine(effect, origin, batch)
            case Hold():
                return self._hold(effect, origin, batch)
            case RefuseOnLink():
                self._refuse_on_link(effect, origin, batch)
            case SendRefusedReceipt():
                await self._send_refused_receipt(effect, batch)
            case AnswerAgain():
                await self._answer_again(effect, batch)
            case PlaceAgain():
                await self.place_again(effect.packet, batch)
            case Raise():
                self.raise_incident(effect.kind, origin.neighbour, effect.detail, batch, frame)
            case _:
                assert_never(effect)
        return frame

    def _keep(self, effect: Keep, origin: Origin, batch: Batch) -> int:
        accepted = origin.entry.verdict
        assert isinstance(accepted, Accepted)
        header = accepted.frame.header
        frame = batch.next_frame()
        packet = PacketRow(
            frame=frame,
            id=header.id,
            sender=header.from_,
            recipient=header.to,
            epoch=header.epoch,
            seq=header.seq,
            type=header.type,
            section=header.section,
            class_=header.class_,
            flow=header.flow,
            period=header.period,
            re=header.re,
            sent=header.sent_at,
            received=batch.now,
            via=origin.neighbour,
            size=len(accepted.frame.raw),
            head_sha256=accepted.head_sha256,
            frame_sha256=accepted.frame_sha256,
            head=accepted.frame.head,
            media_type=header.payload.media_type,
            coding=header.payload.coding,
        )
        batch.changes.packets.append(packet)
        batch.changes.payloads.append(PayloadRow(frame, origin.entry.bucket, origin.entry.sealed))
        index = batch.append_leaf(
            effect.kind,
            frame,
            **header_facts(header),
            received=batch.at,
            size=str(packet.size),
            via=origin.neighbour,
            head_sha256=packet.head_sha256.hex(),
            head_sha512=accepted.head_sha512.hex(),
            frame_sha256=packet.frame_sha256.hex(),
            certificate=header.certificate,
            crl=str(accepted.crl),
            verdict="accepted",
        )
        batch.keep_trail(packet, effect.kind, index)
        return frame

    def _forward(self, effect: Forward, origin: Origin, batch: Batch, frame: int) -> None:
        assert origin.header is not None
        batch.place(
            stream_to(effect.neighbour, effect.lane),
            origin.entry.sha256,
            len(origin.entry.raw),
            frame=frame,
            raw=origin.entry.raw,
            certificate=origin.header.certificate,
        )

    def _mark(self, effect: Mark, origin: Origin, batch: Batch, frame: int) -> None:
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
        known = header_facts(origin.header) if _proven(origin) and origin.header else {}
        batch.append_leaf(
            effect.kind,
            frame,
            **known,
            **fields,
            via=origin.neighbour,
            size=str(len(origin.entry.raw)),
            frame_sha256=origin.entry.sha256.hex(),
            frame_sha512=sha512_hex(origin.entry.raw),
        )

    def _release(self, effect: Release, origin: Origin, batch: Batch, frame: int) -> None:
        header = origin.header
        assert header is not None
        packet = batch.trails[header.from_, header.epoch, header.id].packet
        batch.mark_packet(packet, LeafKind.RELEASED)
        batch.changes.released.append(Released(frame, effect.system, batch.now))
        sha256 = origin.entry.sha256
        batch.place(f"inbox/{effect.system}", sha256, len(origin.entry.raw), frame=frame)

    def _quarantine(self, effect: Quarantine, origin: Origin, batch: Batch) -> int:
        frame = batch.next_frame()
        entry = origin.entry
        size = len(entry.raw)
        quota = self._rules.limits.refused_bytes_kept_per_link
        used = self._refused_bytes.get(origin.neighbour, 0) + size
        kept = effect.state == "held" or used <= quota
        self._refused_bytes[origin.neighbour] = used if kept else used - size
        if kept:
            bucket = self._gate.bucket("QRN", batch.now)
            sealed = self._gate.seal_for_rest(bucket, entry.sha256, entry.raw)
            batch.changes.payloads.append(PayloadRow(frame, bucket, sealed))
        header = origin.header if _proven(origin) else None
        batch.changes.quarantine.append(
            QuarantineRow(
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
        )
        return frame

    def keep_raw(self, raw: bytes, neighbour: str, detail: str, batch: Batch) -> int:
        """Keep bytes that belong to an incident; return their frame number."""
        refused = Refused(Reason.FORMAT_INVALID, detail, raw, sha256_of(raw), None, proven=False)
        entry = JudgedEntry(raw, refused.frame_sha256, refused)
        state = Quarantine("incident", Reason.FORMAT_INVALID, detail)
        return self._quarantine(state, Origin(entry, None, neighbour), batch)

    def _hold(self, effect: Hold, origin: Origin, batch: Batch) -> int:
        state = Quarantine("held", effect.missing, f"waits for {effect.missing}")
        frame = self._quarantine(state, origin, batch)
        header = origin.header
        facts = header_facts(header) if header else {}
        batch.append_leaf(
            LeafKind.HELD,
            frame,
            **facts,
            received=batch.at,
            via=origin.neighbour,
            frame_sha256=origin.entry.sha256.hex(),
            detail=effect.missing,
        )
        batch.changes.held.append(
            HeldRow(frame, origin.neighbour, effect.missing, effect.certificate, batch.now)
        )
        return frame

    def _refuse_on_link(self, effect: RefuseOnLink, origin: Origin, batch: Batch) -> None:
        again_at = None if effect.again_at is None else format_instant(effect.again_at)
        refusal = Refusal(
            **self._gate.stamp(origin.neighbour, batch.now),  # type: ignore[arg-type]
            lane=origin.lane,
            of_epoch=origin.epoch,
            entry=max(1, origin.number),
            frame_sha256=origin.entry.sha256.hex(),
            reason=effect.reason,
            detail=effect.detail,
            again_at=again_at,
        )
        raw = self._gate.sign(refusal)
        self.place_object(stream_to(origin.neighbour, "fast"), raw, batch)

    def place_object(self, stream: str, raw: bytes, batch: Batch) -> None:
        """Place an object of ours into a numbered stream."""
        batch.place(stream, sha256_of(raw), len(raw), object_=raw)

    async def _send_receipt(
        self, effect: SendReceipt, origin: Origin, batch: Batch, frame: int
    ) -> None:
        header = origin.header
        assert header is not None
        receipt = Receipt(
            packet=PacketName(header.from_, header.epoch, header.id),
            head_sha256=head_digest(origin.entry),
            frame_sha256=origin.entry.sha256.hex(),
            verdict=effect.verdict,  # type: ignore[arg-type]
            reason=effect.reason,
            detail=effect.detail,
            received=batch.at,
            epoch=batch.epoch,
            index=batch.leaf - 1,
        )
        answer = await self._send_answer(header, RECEIPT, header.from_, receipt, batch)
        if answer is not None and effect.await_closing:
            limits = self._rules.limits
            again = next_resend(answer.id, 0, batch.now, limits)
            row = OpenRow(answer.frame, frame, "closing", batch.now, again, 0, None)
            batch.changes.open.append(row)

    async def _send_refused_receipt(self, effect: SendRefusedReceipt, batch: Batch) -> None:
        packet = effect.packet
        trail = (await self._archive.trail_of_frame([packet.frame]))[packet.frame]
        receipt = Receipt(
            packet=PacketName(packet.sender, packet.epoch, packet.id),
            head_sha256=packet.head_sha256.hex(),
            frame_sha256=packet.frame_sha256.hex(),
            verdict="refused",
            reason=effect.reason,
            detail=effect.detail,
            refused_by=effect.refused_by,
            received=format_instant(packet.received),
            epoch=batch.epoch,
            index=trail.marks[0].index,
        )
        await self._send_answer(header_of(packet), RECEIPT, packet.sender, receipt, batch)

    async def _send_closing(self, effect: SendClosing, origin: Origin, batch: Batch) -> None:
        header = origin.header
        assert header is not None
        packet = effect.packet
        closing = Closing(
            packet=PacketName(packet.sender, packet.epoch, packet.id),
            receipt=PacketName(header.from_, header.epoch, header.id),
            receipt_head_sha256=head_digest(origin.entry),
            confirmed=batch.at,
        )
        await self._send_answer(header, CLOSING, header.from_, closing, batch)

    async def _send_answer(
        self, answered: Header, type_name: str, to: str, content: Receipt | Closing, batch: Batch
    ) -> PacketRow | None:
        if self._rules.next_hop(to) is None:
            self.raise_incident("no_way_back", to, f"{type_name} to {to}", batch)
            return None
        draft = Header(
            id=new_packet_id(batch.now),
            type=type_name,
            from_=self._rules.here,
            to=to,
            sent=batch.at,
            epoch=batch.epoch,
            seq=await self.next_seq(to, batch),
            section=answered.section,
            class_=answered.class_,
            flow=answered.flow,
            re=answered.id,
            certificate=self._gate.fingerprint,
            payload=draft_payload(JSON),
        )
        return self.send_packet(draft, msgspec.json.encode(content), batch)

    async def next_seq(self, recipient: str, batch: Batch) -> int:
        """Give out the next packet number towards a recipient, loading its tail at first use."""
        if recipient not in batch.seqs:
            here = self._rules.here
            last = await self._archive.last_seq(recipient, here, batch.epoch)
            batch.seqs.setdefault(recipient, last)
        return batch.next_seq(recipient)

    def send_packet(self, draft: Header, content: bytes, batch: Batch) -> PacketRow:
        """Seal a packet of ours, keep it, and place it on its way.

        Raises FormatError(too-large). The way has been looked up by the caller.
        """
        sealed = self._gate.seal_packet(draft, content, batch.now)
        header = sealed.frame.header
        frame = batch.next_frame()
        packet = PacketRow(
            frame=frame,
            id=header.id,
            sender=header.from_,
            recipient=header.to,
            epoch=header.epoch,
            seq=header.seq,
            type=header.type,
            section=header.section,
            class_=header.class_,
            flow=header.flow,
            period=header.period,
            re=header.re,
            sent=batch.now,
            received=batch.now,
            via=self._rules.here,
            size=len(sealed.frame.raw),
            head_sha256=sealed.head_sha256,
            frame_sha256=sealed.frame_sha256,
            head=sealed.frame.head,
            media_type=header.payload.media_type,
            coding=header.payload.coding,
        )
        batch.changes.packets.append(packet)
        batch.changes.payloads.append(PayloadRow(frame, sealed.bucket, sealed.sealed))
        index = batch.append_leaf(
            LeafKind.SENT,
            frame,
            **header_facts(header),
            size=str(packet.size),
            head_sha256=packet.head_sha256.hex(),
            head_sha512=sealed.head_sha512.hex(),
            frame_sha256=packet.frame_sha256.hex(),
            certificate=header.certificate,
        )
        batch.keep_trail(packet, LeafKind.SENT, index)
        hop = self._rules.next_hop(packet.recipient)
        assert hop is not None, "the caller has found a way"
        batch.place(
            stream_to(hop, lane_of(header)),
            packet.frame_sha256,
            packet.size,
            frame=frame,
            raw=sealed.frame.raw,
            certificate=header.certificate,
        )
        return packet

    def await_receipt(self, packet: PacketRow, batch: Batch) -> None:
        """Open the exchange about a document of ours: resend and overdue count from now."""
        limits = self._rules.limits
        batch.changes.open.append(
            OpenRow(
                frame=packet.frame,
                about=packet.frame,
                awaited="receipt",
                since=batch.now,
                next_at=next_resend(packet.id, 0, batch.now, limits),
                attempts=0,
                deadline=receipt_deadline(lane_of_packet(packet), batch.now, limits),
            )
        )

    async def _answer_again(self, effect: AnswerAgain, batch: Batch) -> None:
        answers = [
            row
            for row in await self._archive.answers_to([effect.packet.id])
            if row.sender == effect.by and row.type in ANSWERS
        ]
        if answers:
            await self.place_again(answers[-1], batch)
        elif effect.otherwise_forward:
            await self.place_again(effect.packet, batch)

    async def place_again(self, packet: PacketRow, batch: Batch, *, swept: bool = False) -> bool:
        """Place a stored frame again and say whether; not while an earlier place is unacknowledged.

        Outside the sweep, which keeps its own time, also not within one resend interval.
        """
        hop = self._rules.next_hop(packet.recipient)
        if hop is None:
            return False
        stream = stream_to(hop, lane_of_packet(packet))
        places = (await self._archive.places_of([packet.frame])).get(packet.frame, [])
        before = [(number, placed) for name, number, placed in places if name == stream]
        if before:
            number, placed = max(before)
            recent = batch.now - placed < self._rules.limits.resend_first_us
            if number > self.cursors.get(stream, 0) or (recent and not swept):
                return False
        batch.place(stream, packet.frame_sha256, packet.size, frame=packet.frame)
        return True

    async def report_status(self, effect: ReportStatus, batch: Batch) -> None:
        """Place a status event for the local system that dropped the packet, if one did."""
        drops = await self._archive.drops_of([effect.packet.frame])
        drop = drops.get(effect.packet.frame)
        if drop is None:
            return
        event = {
            "drop_id": drop.drop_id,
            "packet": effect.packet.id,
            "state": effect.state,
            "at": batch.at,
            "type": effect.packet.type,
            "to": effect.packet.recipient,
        }
        if effect.reason:
            event |= {
                "reason": effect.reason,
                "detail": effect.detail,
                "next_step": NEXT_STEP[Reason(effect.reason)],
            }
        self.place_object(f"status/{drop.system}", msgspec.json.encode(event), batch)

    def raise_incident(
        self, kind: str, neighbour: str, detail: str, batch: Batch, frame: int = 0
    ) -> None:
        """Open an incident."""
        row = IncidentRow(batch.now, kind, neighbour, detail, frame or None)
        batch.changes.incidents.append(row)


def _proven(origin: Origin) -> bool:
    """Header facts may be believed only once the signature has held."""
    verdict = origin.entry.verdict
    return isinstance(verdict, Accepted) or bool(getattr(verdict, "proven", False))


def head_digest(entry: JudgedEntry) -> str:
    """Return the SHA-256 of an entry's head, as its receipt names it."""
    verdict = entry.verdict
    if isinstance(verdict, Accepted):
        return verdict.head_sha256.hex()
    return sha256_of(cut(entry.raw).head).hex()


def sha256_of(data: bytes) -> bytes:
    """Return the SHA-256 of bytes."""
    return hashlib.sha256(data).digest()


def sha512_hex(data: bytes) -> str:
    """Return the SHA-512 of bytes, in hex."""
    return hashlib.sha512(data).hexdigest()


def draft_payload(media_type: str) -> PayloadFacts:
    """Return payload facts that sealing replaces, but for the media type."""
    return PayloadFacts("0" * 64, "0" * 128, 0, media_type, "salt")


def header_of(packet: PacketRow) -> Header:
    """Return the header of a stored packet."""
    size = int.from_bytes(packet.head[6:8])
    return decode_header(packet.head[8 : 8 + size])


def lane_of_packet(packet: PacketRow) -> Lane:
    """Return the lane of a stored packet, as `lane_of` does for a header."""
    return lane_of(header_of(packet))
