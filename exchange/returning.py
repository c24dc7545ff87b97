"""What a node had sent and has lost, brought back by its neighbours (clause 18.5).

Who began a new epoch asks each neighbour, at its greeting, for what it had sealed and sent in the
epochs before, stream by stream, behind the last number that it still knows of. What comes counts
by its own old signature; it is kept as sent, and open until its receipt is at hand.

A neighbour shows the same unasked to one whose greeting knows of less than it has taken: frames of
the running epoch that the record does not have prove to their sealer that its end is lost.
"""

import asyncio
from functools import partial
from itertools import accumulate

from exchange.answering import header_of, packet_row
from exchange.batch import Batch, header_facts, stream_to
from exchange.gate import JudgedEntry, OpenedObject
from exchange.judging import Judging
from exchange.lanes import LANES
from exchange.links import Link
from exchange.losses import Losses
from exchange.quotas import HourlyQuota
from exchange.signing_desk import body_of
from exchange.state import NodeState
from schemas.answers import UNANSWERED
from schemas.errors import FormatError
from schemas.header import Header
from schemas.leaves import LeafKind
from schemas.moments import Instant
from schemas.objects import Ask, Lane, pack_bundle_body, unpack_bundle_body
from schemas.reasons import Reason
from schemas.records import PacketRow, PayloadRow, ReturnedRow
from schemas.wire import printable
from schemas.witnessing import Returned
from signing.authenticate import Accepted

PAGE_FRAMES = 256
PAGE_BYTES = 512 * 1024
"""So much goes in one answer, and one frame at least."""
ASKS_PER_HOUR = 2_000
"""So many asks of one neighbour are answered, and so many answers of it taken, within an hour."""


class Returning:
    """Asks for what was lost, keeps it, and answers neighbours that ask."""

    def __init__(self, state: NodeState, losses: Losses, judging: Judging) -> None:
        """Share the node's state; what proves a loss goes to `losses`."""
        self._state = state
        self._losses = losses
        self._judging = judging
        self._done: set[tuple[str, int]] = set()
        self._quota = HourlyQuota(ASKS_PER_HOUR)
        self._pages = HourlyQuota(ASKS_PER_HOUR)

    async def open(self) -> None:
        """Take over which streams have come back whole."""
        self._done = {(row.stream, row.epoch) for row in await self._state.archive.returned()}

    # --- asking -------------------------------------------------------------------------------

    async def greet(self, link: Link, batch: Batch) -> None:
        """Ask a neighbour that has just greeted us for what we had sent it in earlier epochs."""
        if self._state.loss is not None:
            return
        for epoch in range(1, batch.epoch):
            for lane in LANES:
                if (stream_to(link.neighbour, lane), epoch) not in self._done:
                    await self._ask(link, lane, epoch, None, batch)

    async def _ask(
        self, link: Link, lane: Lane, epoch: int, behind: int | None, batch: Batch
    ) -> None:
        """Ask once this batch is committed: the answer says that all before it has come."""
        after = await self._state.archive.last_number(stream_to(link.neighbour, lane), epoch)
        ask = Ask(
            **self._state.gate.stamp(link.neighbour, batch.now),  # type: ignore[arg-type]
            what="returned",
            after=after,
            of_epoch=epoch,
            lane=lane,
            behind=behind,
        )
        batch.after_commit(partial(link.send_object, self._state.gate.sign(ask)))

    def has_all(self, neighbour: str, epoch: int) -> bool:
        """Say whether all that we had sent a neighbour before an epoch has come back."""
        wanted = {(stream_to(neighbour, lane), e) for lane in LANES for e in range(1, epoch)}
        return wanted <= self._done

    # --- what comes ---------------------------------------------------------------------------

    async def take(self, opened: OpenedObject, link: Link, batch: Batch) -> None:
        """Take what a neighbour brings back, or shows: each frame by our own signature."""
        header = opened.header
        assert isinstance(header, Returned), "the dialogue sorts them"
        if self._pages.take(link.neighbour, batch.now) >= ASKS_PER_HOUR:
            return
        try:
            entries = await asyncio.to_thread(self._judge, header, opened.body, batch.now)
        except FormatError as error:
            detail = printable(f"{header.lane} of epoch {header.of_epoch}: {error.detail}")
            self._state.effects.raise_incident("returned_refused", link.neighbour, detail, batch)
            return
        await self._judging.load(entries, batch)
        lost = [entry for entry in entries if not self._is_known(entry, batch)]
        if header.of_epoch < batch.epoch and self._state.loss is None:
            await self._keep_all(lost, header, opened.raw, link, batch)
        elif header.of_epoch == batch.epoch and lost:
            why = f"{link.neighbour} holds {len(lost)} frames of ours that the record lacks"
            self._losses.notice(why, batch.epoch)

    def _judge(self, header: Returned, body: bytes, now: Instant) -> list[JudgedEntry]:
        """Return the frames of an answer, each ours and of its epoch. Raises FormatError.

        It takes keys, frames and `now` alone: the links go on meanwhile.
        """
        frames = unpack_bundle_body(body)[1]
        entries = [self._state.gate.judge_own(raw, now) for raw in frames]
        epochs = {found.epoch for found in map(_header_of, entries)}
        if epochs - {header.of_epoch}:
            raise FormatError(Reason.FORMAT_INVALID, f"frames of epochs {sorted(epochs)}")
        return entries

    @staticmethod
    def _is_known(entry: JudgedEntry, batch: Batch) -> bool:
        header = _header_of(entry)
        return (header.from_, header.epoch, header.id) in batch.trails

    async def _keep_all(
        self, lost: list[JudgedEntry], header: Returned, raw: bytes, link: Link, batch: Batch
    ) -> None:
        for entry in lost:
            self._keep(entry, link, batch)
        if lost:
            batch.after_commit(partial(self._state.arrive, "packet"))
            batch.after_commit(self._state.wake)
        stream = stream_to(link.neighbour, header.lane)
        if header.behind is not None:
            await self._ask(link, header.lane, header.of_epoch, header.behind, batch)
            return
        name = (stream, header.of_epoch)
        fresh = {(row.stream, row.epoch) for row in batch.changes.returned}
        if name not in self._done | fresh:
            batch.changes.returned.append(ReturnedRow(*name, header.last, batch.now, raw))
            batch.after_commit(partial(self._done.add, name))
            batch.after_commit(self._state.wake)

    def _keep(self, entry: JudgedEntry, link: Link, batch: Batch) -> None:
        """Keep a packet of ours as sent; a document waits for its receipt again."""
        accepted = entry.verdict
        assert isinstance(accepted, Accepted), "it has been judged as ours"
        header = accepted.frame.header
        if self._is_known(entry, batch):
            return  # it came twice in one answer
        number = (header.from_, header.to, header.epoch, header.seq or 0)
        if batch.numbers.get(number, accepted.head_sha256) != accepted.head_sha256:
            detail = f"{header.id} bears number {header.seq} of another packet of ours"
            self._state.effects.raise_incident("returned_refused", link.neighbour, detail, batch)
            return
        packet = packet_row(
            header,
            frame=batch.next_frame(),
            batch=batch,
            via=self._state.rules.here,
            head=accepted.frame.head,
            size=len(entry.raw),
            digests=(accepted.head_sha256, accepted.frame_sha256),
        )
        batch.changes.packets.append(packet)
        batch.keep_part(packet, header.part)
        row = PayloadRow(packet.frame, *self._state.gate.rest_of(entry))
        batch.changes.payloads.append(row)
        index = batch.append_leaf(
            LeafKind.SENT,
            packet.frame,
            **header_facts(header),
            size=str(packet.size),
            head_sha256=packet.head_sha256.hex(),
            head_sha512=accepted.head_sha512.hex(),
            frame_sha256=packet.frame_sha256.hex(),
            certificate=header.certificate,
            detail="returned",
        )
        batch.keep_trail(packet, LeafKind.SENT, index)
        if header.type not in UNANSWERED:
            self._state.effects.answering.await_receipt(packet, batch)

    # --- answering ----------------------------------------------------------------------------

    async def answer_ask(self, ask: Ask, link: Link, batch: Batch) -> None:
        """Bring a neighbour what it had sealed and sent us, as much as one message takes."""
        if ask.of_epoch is None or ask.lane is None:
            return
        if self._quota.take(link.neighbour, batch.now) >= ASKS_PER_HOUR:
            return  # it asks again at its next greeting
        await self.bring(link, ask.lane, ask.of_epoch, ask.after or 0, ask.behind or 0, batch)

    async def bring(  # noqa: PLR0917 - one page of one stream
        self, link: Link, lane: Lane, epoch: int, after: int, behind: int, batch: Batch
    ) -> None:
        """Bring a page of what a neighbour had sent us in an epoch, behind its entry `after`."""
        archive, stream = self._state.archive, stream_to(link.neighbour, lane)
        last, since = await archive.taken_of(stream, epoch, after)
        rows: list[PacketRow] = []
        if since is not None:
            rows = await archive.sealed_by(
                link.neighbour, epoch, lane, since, behind, PAGE_FRAMES + 1
            )
        page, frames = await self._read(rows)
        certificates = [
            der
            for name in dict.fromkeys(header_of(row).certificate for row in page)
            for der in self._state.gate.trust.ders_for(name)
        ]
        body = pack_bundle_body(list(dict.fromkeys(certificates)), frames)
        header = Returned(
            **self._state.gate.stamp(link.neighbour, batch.now),  # type: ignore[arg-type]
            lane=lane,
            of_epoch=epoch,
            last=last,
            behind=page[-1].frame if len(page) < len(rows) else None,
            body=body_of(body),
        )
        raw = self._state.gate.sign(header, body)
        batch.after_commit(partial(link.send_object, raw))

    async def _read(self, rows: list[PacketRow]) -> tuple[list[PacketRow], list[bytes]]:
        """Return the first of these packets that fit, and the frames of those still there."""
        sizes = accumulate(row.size for row in rows[:PAGE_FRAMES])
        fit = sum(size <= PAGE_BYTES for size in sizes)
        page = rows[: max(fit, 1)]
        stored = await self._state.archive.payloads_of([row.frame for row in page])
        frames = []
        for row in page:
            if row.frame in stored:
                bucket, sealed = stored[row.frame]
                payload = self._state.gate.open_rest(bucket, row.frame_sha256, sealed)
                frames.append(row.head + payload)
        return page, frames


def _header_of(entry: JudgedEntry) -> Header:
    """Return the header of a frame that has been judged as ours."""
    assert isinstance(entry.verdict, Accepted), "judge_own returns no other"
    return entry.verdict.frame.header
