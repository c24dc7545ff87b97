"""Packets that come back are kept as they were: nothing goes out for them (protocol clause 25.4).

Only what no neighbour has an answer of ours to is judged anew, as if it came now.
"""

from collections.abc import Iterable, Mapping

import msgspec

from exchange.batch import Batch
from exchange.core.custody import Arrival, Known
from exchange.core.rebuilding import take_back
from exchange.gate import JudgedEntry
from exchange.judged import names_answered
from exchange.judging import Judging
from exchange.keeping import Origin
from exchange.rebuilt_pages import Page
from exchange.state import NodeState
from schemas.answers import CLOSING, RECEIPT, Receipt, decode_receipt
from schemas.frame import cut
from schemas.header import Header
from schemas.moments import Instant
from schemas.objects import Lane
from schemas.rebuilding import Gap
from schemas.records import PacketRow
from signing.authenticate import Accepted


class Place(msgspec.Struct, frozen=True):
    """The stream that a page is of."""

    neighbour: str
    lane: Lane
    epoch: int

    def origin(self, entry: JudgedEntry, header: Header, number: int) -> Origin:
        """Return where one of its entries came from."""
        return Origin(entry, header, self.neighbour, self.lane, self.epoch, number)


class TakingBack:
    """Keeps what comes back."""

    def __init__(self, state: NodeState, judging: Judging) -> None:
        """Share the node's state."""
        self._state = state
        self._judging = judging

    async def take(
        self, entries: Mapping[int, JudgedEntry], page: Page, place: Place, batch: Batch
    ) -> tuple[int, list[Gap]]:
        """Keep the frames of a page, in their order.

        Returns how many are in the record, and those that are no packets of it.
        """
        await self._judging.load(entries.values(), batch)
        answers = await self._own_answers(entries.values())
        refused = await self._refusals(answers.values())
        kept, gaps = 0, list[Gap]()
        for number, entry in entries.items():
            accepted = entry.verdict
            assert isinstance(accepted, Accepted), "judge_past returns no other"
            header = accepted.frame.header
            why = self._hindrance(accepted, batch)
            answer = answers.get((_answered_as(header), header.from_))
            if why is None and answer is not None:
                why = refused.get(answer.frame)
            if why is not None:
                gaps.append(Gap(number, why, entry.sha256.hex()))
                continue
            kept += 1
            if (header.from_, header.epoch, header.id) in batch.trails:
                continue  # another way has brought it
            if self._is_unanswered(entry, accepted, answer):
                entry = self._state.gate.judge(entry.raw, place.neighbour, batch.now)  # noqa: PLW2901 - of now
                await self._judging.take_anew(place.origin(entry, header, number), batch)
                continue
            origin = place.origin(entry, header, number)
            await self._keep(accepted, origin, page.moment(number), batch)
        return kept, gaps

    async def _keep(
        self, accepted: Accepted, origin: Origin, moment: Instant, batch: Batch
    ) -> None:
        """Keep a packet as it was: nothing goes out for it."""
        header, entry = accepted.frame.header, origin.entry
        about, answered = (
            [batch.trails.get(name) for name in names_answered(entry.content)] + [None, None]
        )[:2]
        known = Known(trail=None, number_held_by=None, about=about, answered=answered)
        arrival = Arrival(
            header, accepted.head_sha256, accepted.frame_sha256, origin.neighbour, entry.content
        )
        step = take_back(arrival, known, moment, self._state.rules)
        await self._state.effects.carry_out(step, origin, batch)

    def _is_unanswered(
        self, entry: JudgedEntry, accepted: Accepted, answer: PacketRow | None
    ) -> bool:
        """Say whether a packet is for us, and no neighbour holds the answer that it wants of us."""
        header = accepted.frame.header
        if header.to != self._state.rules.here or header.type == CLOSING or answer is not None:
            return False
        # A refused receipt is not closed.
        return not (isinstance(entry.content, Receipt) and entry.content.verdict != "accepted")

    @staticmethod
    def _hindrance(accepted: Accepted, batch: Batch) -> str | None:
        """Return why a frame is no packet of the record; None where it may be one."""
        header = accepted.frame.header
        trail = batch.trails.get((header.from_, header.epoch, header.id))
        number = (header.from_, header.to, header.epoch, header.seq or 0)
        holder = batch.numbers.get(number) if header.seq is not None else None
        heads = {holder, None if trail is None else trail.packet.head_sha256} - {None}
        return "replay" if heads - {accepted.head_sha256} else None

    async def _own_answers(
        self, entries: Iterable[JudgedEntry]
    ) -> dict[tuple[str, str], PacketRow]:
        """Return what we had answered, by the id and the sender of what it answers."""
        here = self._state.rules.here
        verdicts = [entry.verdict for entry in entries]
        ids = [_answered_as(each.frame.header) for each in verdicts if isinstance(each, Accepted)]
        return {
            (row.re or "", row.recipient): row
            for row in await self._state.archive.answers_to(ids)
            if row.sender == here and row.type in {RECEIPT, CLOSING}
        }

    async def _refusals(self, answers: Iterable[PacketRow]) -> dict[int, str]:
        """Return for what we had refused frames, by those of our own receipts that say so."""
        gate = self._state.gate
        receipts = [row for row in answers if row.type == RECEIPT]
        stored = await self._state.archive.payloads_of([row.frame for row in receipts])
        refused = {}
        for row in receipts:
            if row.frame not in stored:
                continue  # its payload was destroyed
            bucket, sealed = stored[row.frame]
            payload = gate.open_rest(bucket, row.frame_sha256, sealed)
            receipt = decode_receipt(gate.open_content(cut(row.head + payload)))
            if receipt.verdict == "refused":
                refused[row.frame] = f"refused: {receipt.reason}"
        return refused


def _answered_as(header: Header) -> str:
    """Return the id that an answer to a packet names: a part is answered with its manifest."""
    return header.id if header.part is None else header.part.of
