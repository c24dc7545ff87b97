"""Carries out what the core asks for: turns effects into rows, places and answers.

Everything lands in one `Batch`; nothing here commits, sends or settles. What an effect keeps is
written in `keeping`, what it places in `placing`; here is which is which, and what is answered.
"""

from collections.abc import Awaitable, Callable
from typing import assert_never

from exchange.batch import Batch, stream_to
from exchange.core.steps import (
    AnswerAgain,
    AskParts,
    Conclude,
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
from exchange.keeping import Keeping, Origin
from schemas.answers import ANSWERS, RECEIPT
from schemas.leaves import LeafKind
from schemas.moments import format_instant
from schemas.objects import Refusal
from schemas.records import PacketRow, Released
from schemas.wire import printable


class Effects(Keeping):
    """Applies steps to a batch with the gate's keys and the archive's memory."""

    on_parts_lacking: Callable[[AskParts, Batch], Awaitable[None]]
    """Asks for parts; named by who puts the service together."""

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
                return self.keep(effect, origin, batch)
            case Forward():
                self._forward(effect, origin, batch, frame)
            case Mark():
                self.mark(effect, origin, batch, frame)
            case SendReceipt():
                await self._send_receipt(effect, origin, batch, frame)
            case Release():
                self._release(effect.system, self._arrived(origin, batch), batch)
            case Conclude():
                await self._conclude(effect, effect.packet or self._arrived(origin, batch), batch)
            case AskParts():
                await self.on_parts_lacking(effect, batch)
            case SendClosing():
                assert origin.header is not None
                await self.answering.send_closing(origin.header, origin.entry, effect.packet, batch)
            case Finish():
                batch.close(effect.packet.frame)
            case ReportStatus():
                await self.report_status(effect, batch)
            case Quarantine():
                return self.quarantine(effect, origin, batch)
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
                self.place_later(effect, batch)
            case Raise():
                self.raise_incident(effect.kind, origin.neighbour, effect.detail, batch, frame)
            case _:
                assert_never(effect)
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

    @staticmethod
    def _arrived(origin: Origin, batch: Batch) -> PacketRow:
        """Return the packet that came, just kept."""
        header = origin.header
        assert header is not None
        return batch.trails[header.from_, header.epoch, header.id].packet

    @staticmethod
    def _release(system: str, packet: PacketRow, batch: Batch) -> None:
        batch.mark_packet(packet, LeafKind.RELEASED)
        batch.changes.released.append(Released(packet.frame, system, batch.now))
        batch.place(f"inbox/{system}", packet.frame_sha256, packet.size, frame=packet.frame)

    # --- answers ------------------------------------------------------------------------------

    async def _conclude(self, effect: Conclude, packet: PacketRow, batch: Batch) -> None:
        """Answer a manifest, once: its parts have come, or one of them contradicts it."""
        if effect.reason is not None:
            batch.refuse_packet(packet, effect.reason, effect.detail)
        receipt = await self.answering.answer_stored(packet, effect.reason, effect.detail, batch)
        if effect.reason is not None:
            return
        if receipt is not None:
            self.answering.await_closing(receipt, packet.frame, batch)
        self._release(effect.system, packet, batch)

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
        packet = effect.packet
        answers = [
            row
            for row in await self._archive.answers_to([packet.id])
            if row.type in ANSWERS and row.recipient == packet.sender
        ]
        by_recipient = [row for row in answers if row.sender == effect.by]
        by_us = [row for row in answers if row.sender == self._rules.here]
        if by_recipient:
            await self.place_again(by_recipient[-1], batch)
        elif effect.ended is not None and by_us:
            await self.place_again(by_us[-1], batch)
        elif effect.ended is not None:
            await self.answering.send_refused_by(
                packet, self._rules.here, effect.ended, effect.detail, batch
            )
        elif effect.otherwise_forward:
            await self.place_again(packet, batch)
