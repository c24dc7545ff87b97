"""Carries out what the core asks for: turns effects into rows, places and answers.

Everything lands in one `Batch`; nothing here commits, sends or settles.
"""

import hashlib
from typing import assert_never

import msgspec

from exchange.answering import Answering, lane_of_packet, packet_row
from exchange.batch import Batch, header_facts, stream_to
from exchange.core.rules import Rules
from exchange.core.steps import (
    AnswerAgain,
    Effect,
    Finish,
    Forward,
    Hold,
    Keep,
    Mark,
    PlaceAgain,
    PlaceLater,
    Quarantine,
    Raise,
    RefuseAgain,
    RefuseOnLink,
    Release,
    ReportStatus,
    SendClosing,
    SendReceipt,
    SendRefusedReceipt,
    Step,
)
from exchange.gate import Gate, JudgedEntry, sha256_of
from exchange.ports import Archive
from exchange.quotas import Quotas
from schemas.answers import ANSWERS, RECEIPT
from schemas.header import Header
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
from schemas.wire import printable
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


class Effects:
    """Applies steps to a batch with the gate's keys and the archive's memory."""

    def __init__(self, *, gate: Gate, archive: Archive, rules: Rules) -> None:
        """Hold what carrying out needs."""
        self.answering = Answering(gate=gate, archive=archive, rules=rules)
        self.cursors: dict[str, int] = {}
        """What the neighbours have taken, by stream; kept up by the service."""
        self._gate = gate
        self._archive = archive
        self._rules = rules
        self._quotas = Quotas(rules.limits)
        self._flooded: set[str] = set()

    def flooded(self) -> set[str]:
        """Return the neighbours that passed the quota of refused frames since last asked."""
        flooded, self._flooded = self._flooded, set()
        return flooded

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
                assert origin.header is not None
                await self.answering.send_closing(origin.header, origin.entry, effect.packet, batch)
            case Finish():
                batch.changes.closed.append(effect.packet.frame)
            case ReportStatus():
                await self.report_status(effect, batch)
            case Quarantine():
                return self._quarantine(effect, origin, batch)
            case Hold():
                return self.hold(effect, origin, batch)
            case RefuseOnLink():
                self._refuse_on_link(effect, origin, batch)
            case RefuseAgain():
                await self._refuse_again(effect, origin, batch)
            case SendRefusedReceipt():
                await self.answering.send_refused_by(
                    effect.packet, effect.refused_by, effect.reason, effect.detail, batch
                )
            case AnswerAgain():
                await self._answer_again(effect, batch)
            case PlaceAgain():
                await self.place_again(effect.packet, batch)
            case PlaceLater():
                self._place_later(effect, batch)
            case Raise():
                self.raise_incident(effect.kind, origin.neighbour, effect.detail, batch, frame)
            case _:
                assert_never(effect)
        return frame

    # --- what came ----------------------------------------------------------------------------

    def _keep(self, effect: Keep, origin: Origin, batch: Batch) -> int:
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
        batch.changes.packets.append(packet)
        row = PayloadRow(packet.frame, origin.entry.bucket, origin.entry.sealed)
        batch.changes.payloads.append(row)
        index = batch.append_leaf(
            effect.kind,
            packet.frame,
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
        return packet.frame

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

    def _release(self, effect: Release, origin: Origin, batch: Batch, frame: int) -> None:
        header = origin.header
        assert header is not None
        packet = batch.trails[header.from_, header.epoch, header.id].packet
        batch.mark_packet(packet, LeafKind.RELEASED)
        batch.changes.released.append(Released(frame, effect.system, batch.now))
        sha256 = origin.entry.sha256
        batch.place(f"inbox/{effect.system}", sha256, len(origin.entry.raw), frame=frame)

    def keep_raw(self, raw: bytes, neighbour: str, detail: str, batch: Batch) -> int:
        """Keep bytes that belong to an incident; return their frame number."""
        refused = Refused(Reason.FORMAT_INVALID, detail, raw, sha256_of(raw), None, proven=False)
        entry = JudgedEntry(raw, refused.frame_sha256, refused)
        state = Quarantine("incident", Reason.FORMAT_INVALID, detail)
        return self._quarantine(state, Origin(entry, None, neighbour), batch)

    def _quarantine(self, effect: Quarantine, origin: Origin, batch: Batch) -> int:
        frame = batch.next_frame()
        entry = origin.entry
        size = len(entry.raw)
        kept = effect.state == "held" or self._quotas.keep_refused(origin.neighbour, size)
        if kept:
            bucket = self._gate.bucket("QRN", batch.now)
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
        frame = self._quarantine(state, origin, batch)
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

    # --- answers ------------------------------------------------------------------------------

    async def _send_receipt(
        self, effect: SendReceipt, origin: Origin, batch: Batch, frame: int
    ) -> None:
        assert origin.header is not None
        if effect.verdict == "refused" and not self._may_refuse(origin, batch):
            return
        receipt = await self.answering.send_receipt(
            origin.header,
            origin.entry,
            batch,
            verdict=effect.verdict,
            reason=effect.reason,
            detail=effect.detail,
        )
        if receipt is not None and effect.await_closing:
            self.answering.await_closing(receipt, frame, batch)

    def _refuse_on_link(self, effect: RefuseOnLink, origin: Origin, batch: Batch) -> None:
        if origin.number == 0 or not self._may_refuse(origin, batch):
            return
        again_at = None if effect.again_at is None else format_instant(effect.again_at)
        refusal = Refusal(
            **self._gate.stamp(origin.neighbour, batch.now),  # type: ignore[arg-type]
            lane=origin.lane,
            of_epoch=origin.epoch,
            entry=origin.number,
            frame_sha256=origin.entry.sha256.hex(),
            reason=effect.reason,
            detail=printable(effect.detail),
            again_at=again_at,
        )
        self.place_object(stream_to(origin.neighbour, "fast"), self._gate.sign(refusal), batch)

    async def _refuse_again(self, effect: RefuseAgain, origin: Origin, batch: Batch) -> None:
        ids = [] if effect.id is None else [effect.id]
        answers = [
            row
            for row in await self._archive.answers_to(ids)
            if row.type == RECEIPT
            and origin.header is not None
            and (row.sender, row.recipient) == (self._rules.here, origin.header.from_)
        ]
        if answers:
            await self.place_again(answers[-1], batch)
            return
        finding = effect.finding
        self._refuse_on_link(RefuseOnLink(finding.reason, finding.detail), origin, batch)

    def _may_refuse(self, origin: Origin, batch: Batch) -> bool:
        """Limit answers to refused frames per link: the network reflects no floods (R-29b)."""
        allowed = self._quotas.answer(origin.neighbour, batch.now)
        if not allowed and self._quotas.first_beyond(origin.neighbour):
            detail = f"more than {self._rules.limits.answers_per_minute_per_link} a minute"
            self.raise_incident("answers_limited", origin.neighbour, detail, batch)
        return allowed

    async def _answer_again(self, effect: AnswerAgain, batch: Batch) -> None:
        answers = [
            row
            for row in await self._archive.answers_to([effect.packet.id])
            if row.type in ANSWERS
            and (row.sender, row.recipient) == (effect.by, effect.packet.sender)
        ]
        if answers:
            await self.place_again(answers[-1], batch)
        elif effect.otherwise_forward:
            await self.place_again(effect.packet, batch)

    # --- places -------------------------------------------------------------------------------

    async def place_again(self, packet: PacketRow, batch: Batch, *, swept: bool = False) -> bool:
        """Place a stored frame again and say whether; not while an earlier place is unacknowledged.

        Outside the sweep, which keeps its own time, also not within one resend interval.
        """
        hop = self._rules.next_hop(packet.recipient)
        if hop is None:
            return False
        if any(row.frame == packet.frame for row in batch.changes.entries):
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

    def _place_later(self, effect: PlaceLater, batch: Batch) -> None:
        """Note when to come again; a document of ours is resent anyway, until its receipt comes."""
        frame = effect.packet.frame
        if effect.packet.sender != self._rules.here:
            row = OpenRow(frame, frame, "room", batch.now, effect.at, 0, None)
            batch.changes.open.append(row)

    def place_object(self, stream: str, raw: bytes, batch: Batch) -> None:
        """Place an object of ours into a numbered stream."""
        batch.place(stream, sha256_of(raw), len(raw), object_=raw)

    # --- people -------------------------------------------------------------------------------

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
