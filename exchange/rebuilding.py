"""A record that was lost whole comes back from its neighbours (protocol clause 25).

    rebuilder   Rebuild: stream, behind which entry --> neighbour
                Rebuilt: entries, our notes of then <-- neighbour     until no note goes further

What we had sent has come back before (18.5). What a neighbour had sent is taken page by page, each
proven by our own custody notes: they bind its entries to the stream's chain, and say when we had
taken them. So the stream stands where it stood, and goes on from there. All progress is in the
record: positions in `intake`, what came of each page in `rebuilt`.
"""

import asyncio
from collections.abc import Iterable
from functools import partial

import msgspec

from exchange.batch import Batch, stream_to
from exchange.core.patience import Patience
from exchange.core.streams import Incoming
from exchange.gate import JudgedEntry, OpenedObject
from exchange.instructions import Declined, Done
from exchange.judging import Judging
from exchange.links import Link
from exchange.ports import Observer
from exchange.quotas import HourlyQuota
from exchange.rebuilt_pages import Page, PageMaker, read_page
from exchange.returning import Returning
from exchange.state import NodeState
from exchange.taking_back import Place, TakingBack
from schemas.errors import FormatError
from schemas.moments import MINUTE
from schemas.objects import MAGIC as OBJECT_MAGIC
from schemas.objects import Lane
from schemas.rebuilding import Gap, Rebuild, Rebuilt
from schemas.records import InstructionRow, IntakeRow, RebuiltRow
from schemas.wire import printable

KIND = "rebuild"
"""The instruction that begins it."""
LANE_ORDER: tuple[Lane, ...] = ("bulk", "fast")
"""What a closing is about mostly comes by `bulk`."""
SHOWN_WITHIN_US = 10 * MINUTE
"""So long after its greeting a neighbour has shown what we lack."""
ASKS_PER_HOUR = 100_000
"""So many asks of one neighbour are answered within an hour."""


class RebuiltSum(msgspec.Struct, frozen=True):
    """The answer to `rebuild`."""

    packets: int
    objects: int
    gaps: int
    own_gaps: int
    """Runs of numbers of our own packets that did not come back."""


class JudgedPage(msgspec.Struct):
    """What a page has brought."""

    entries: dict[int, JudgedEntry] = {}
    """Frames that hold, by number."""
    objects: int = 0
    gaps: list[Gap] = []


class Rebuilding:
    """Asks for what was lost, takes it, and answers neighbours that ask."""

    def __init__(
        self, state: NodeState, returning: Returning, judging: Judging, observer: Observer
    ) -> None:
        """Share the node's state."""
        self._state = state
        self._observer = observer
        self._returning = returning
        self._taking = TakingBack(state, judging)
        self._pages = PageMaker(state)
        self._quota = HourlyQuota(ASKS_PER_HOUR)
        self._ended: set[tuple[str, int]] = set()
        """Streams whose end has come, with the epoch of their writer."""
        self._patience: dict[str, Patience] = {}
        self.is_active = False

    async def open(self) -> None:
        """Go on with what was begun in a life before."""
        told = await self._state.archive.last_instruction(KIND)
        if told is None or await self._state.archive.instruction_outcome(told.id) is not None:
            return
        if await self._state.archive.rebuilt() or not self._has_taken():
            await self._begin()

    def _has_taken(self) -> bool:
        """Say whether the record has taken anything of a neighbour's streams."""
        return any(each.up_to for each in self._state.require_tails().incoming.values())

    async def _begin(self) -> None:
        rows = await self._state.archive.rebuilt()
        self._ended = _ends(rows)
        self.is_active = True
        self._state.rebuilding = self._is_coming_back

    def _is_coming_back(self, stream: str) -> bool:
        """Say whether a stream is not whole yet; its link takes nothing of it meanwhile."""
        neighbour, _, lane = stream.rpartition("/")
        place = self._place(neighbour)
        return place is not None and LANE_ORDER.index(place.lane) <= LANE_ORDER.index(lane)

    def _place(self, neighbour: str, batch: Batch | None = None) -> Place | None:
        """Return what of a neighbour comes back next; None once all has."""
        newest = self._state.registry.epoch_of(neighbour)
        ended = self._ended if batch is None else self._ended | _ends(batch.changes.rebuilt)
        for lane in LANE_ORDER:
            for epoch in range(1, newest + 1):
                if (stream_to(neighbour, lane), epoch) not in ended:
                    return Place(neighbour, lane, epoch)
        return None

    # --- asking -------------------------------------------------------------------------------

    async def rebuild(self, row: InstructionRow, batch: Batch) -> Done | Declined | None:
        """Carry out `rebuild`: ask each neighbour for page after page, until all has come."""
        state = self._state
        if not self.is_active:
            if self._has_taken():
                return Declined(
                    "this record has taken packets: an empty one alone is rebuilt; what an older "
                    "copy lacks comes back by itself once its journal is recovered"
                )
            await self._begin()
        if state.loss is None and batch.epoch == 1 and self._is_vain(row, batch):
            batch.after_commit(self._end)
            return Declined("no neighbour has shown that this journal has lost anything")
        if state.loss is not None or batch.epoch == 1:
            return None  # it begins with the epoch that follows on the loss
        for link in state.links.values():
            if link.up_since is not None and self._patience_of(link).is_over(
                batch.now, link.up_since
            ):
                self._ask(link, batch)
        if not state.links or any(self._place(each) for each in state.links):
            return None
        return await self._conclude(batch)

    def _is_vain(self, row: InstructionRow, batch: Batch) -> bool:
        """Say whether neighbours have had time enough to show a loss, and have shown none."""
        since = [link.up_since or batch.now for link in self._state.links.values()]
        waited = batch.now - max([row.given, *since])
        return self._state.greeted.is_set() and waited > SHOWN_WITHIN_US

    def _ask(self, link: Link, batch: Batch) -> None:
        """Ask for the page behind what has come, once all that we had sent is here again.

        The question does not wait for the commit: the neighbour makes the next page while this one
        is kept, and an answer behind what was not committed is dropped.
        """
        place = self._place(link.neighbour, batch)
        if place is None or not self._returning.has_all(link.neighbour, batch.epoch):
            return
        ask = Rebuild(
            **self._state.gate.stamp(link.neighbour, batch.now),  # type: ignore[arg-type]
            lane=place.lane,
            of_epoch=place.epoch,
            after=self._known(link, place, batch).up_to,
        )
        self._patience[link.neighbour] = self._patience_of(link).asked(batch.now)
        link.send_object(self._state.gate.sign(ask))

    def _patience_of(self, link: Link) -> Patience:
        return self._patience.get(link.neighbour, Patience())

    @staticmethod
    def _known(link: Link, place: Place, batch: Batch) -> Incoming:
        stream = stream_to(link.neighbour, place.lane)
        return batch.incoming.get(stream, Incoming()).in_epoch(place.epoch)

    async def _conclude(self, batch: Batch) -> Done:
        archive, here = self._state.archive, self._state.rules.here
        packets, objects, gaps = await archive.rebuilt_sums()
        own = len(await archive.own_gaps(here, batch.epoch))
        batch.after_commit(self._end)
        detail = f"{packets} packets, {gaps} entries missing, {own} runs of our own missing"
        return Done(RebuiltSum(packets, objects, gaps, own), detail)

    def _end(self) -> None:
        self.is_active = False
        self._state.rebuilding = lambda _: False

    # --- what neighbours say ------------------------------------------------------------------

    async def take(self, opened: OpenedObject, link: Link, batch: Batch) -> None:
        """Take a page, or bring one."""
        match opened.header:
            case Rebuild() as asked:
                if self._quota.take(link.neighbour, batch.now) < ASKS_PER_HOUR:
                    await self._bring(asked, link, batch)
            case Rebuilt() as said:
                await self._hear(said, opened.body, link, batch)
            case _:
                raise AssertionError(opened.header)

    async def _bring(self, asked: Rebuild, link: Link, batch: Batch) -> None:
        """Send a page, and say in the log how much of our record has left by it."""
        said, raw = await self._pages.make(asked, link.neighbour, batch.now)
        batch.after_commit(partial(link.send_object, raw))
        self._observer.noticed(
            "page_brought",
            neighbour=link.neighbour,
            lane=said.lane,
            epoch=said.of_epoch,
            after=said.after,
            through=said.through,
        )

    async def _hear(self, said: Rebuilt, body: bytes, link: Link, batch: Batch) -> None:
        place = self._place(link.neighbour, batch) if self.is_active else None
        if place != Place(link.neighbour, said.lane, said.of_epoch) or self._state.loss is not None:
            return
        assert place is not None
        known = self._known(link, place, batch)
        if said.after != known.up_to:
            return  # an answer that came twice
        stream = stream_to(link.neighbour, said.lane)
        if said.through == said.after:
            self._patience[link.neighbour] = self._patience_of(link).answered(batch.now)
            self._take_end(said, stream, link, batch)
            self._ask(link, batch)
            return
        try:
            page = read_page(said, body, known, link.neighbour, self._state.gate)
        except FormatError as error:
            detail = printable(f"{said.lane} of epoch {said.of_epoch}: {error.detail}")
            self._state.effects.raise_incident("rebuilt_refused", link.neighbour, detail, batch)
            return  # it is asked again in a while
        self._patience[link.neighbour] = self._patience_of(link).answered(batch.now)
        self._move(said, page, stream, batch)
        self._ask(link, batch)
        await self._take_page(said, page, place, batch)

    def _take_end(self, said: Rebuilt, stream: str, link: Link, batch: Batch) -> None:
        if said.why:
            detail = printable(f"{stream} epoch {said.of_epoch} behind {said.after}: {said.why}")
            self._state.effects.raise_incident("rebuilt_short", link.neighbour, detail, batch)
        first = said.after + 1
        row = RebuiltRow(
            stream, said.of_epoch, first, said.after, said.last, batch.now, 0, 0, "[]", b""
        )
        batch.changes.rebuilt.append(row)
        batch.after_commit(partial(self._close, (stream, said.of_epoch), link))

    def _close(self, ended: tuple[str, int], link: Link) -> None:
        """Let a stream go on from where it stood, once all of it has come."""
        self._ended.add(ended)
        if not self._is_coming_back(ended[0]):
            link.greet_anew()  # with the position: what was dropped meanwhile comes again at once
        self._state.wake()

    async def _take_page(self, said: Rebuilt, page: Page, place: Place, batch: Batch) -> None:
        """Keep a page, and what came of each of its entries."""
        judged = await asyncio.to_thread(self._judge_page, said, page)
        kept, refused = await self._taking.take(judged.entries, page, place, batch)
        gaps = sorted([*judged.gaps, *refused], key=lambda gap: gap.number)
        row = RebuiltRow(
            stream_to(place.neighbour, place.lane), place.epoch, said.after + 1, said.through,
            said.last, batch.now, kept, judged.objects, msgspec.json.encode(gaps).decode(),
            page.note,
        )  # fmt: skip
        batch.changes.rebuilt.append(row)

    def _judge_page(self, said: Rebuilt, page: Page) -> JudgedPage:
        """Judge what a page brings; it takes keys and bytes alone: the links go on meanwhile."""
        found = JudgedPage()
        absent = {each.number: each.why for each in said.absent}
        for number, digest in enumerate(page.digests, said.after + 1):
            raw = page.entries.get(digest)
            if raw is None:
                found.gaps.append(Gap(number, absent.get(number, "lost"), digest.hex()))
            elif raw[:4] == OBJECT_MAGIC:
                found.objects += 1
            else:
                try:
                    found.entries[number] = self._state.gate.judge_past(raw, page.moment(number))
                except FormatError as error:
                    why = printable(f"{error.reason}: {error.detail}")
                    found.gaps.append(Gap(number, why, digest.hex()))
        return found

    @staticmethod
    def _move(said: Rebuilt, page: Page, stream: str, batch: Batch) -> None:
        """Let the position in the stream go with the page."""
        digests = b"".join(page.digests)
        batch.incoming[stream] = Incoming(said.through, page.chain, said.through, said.of_epoch)
        batch.changes.intakes.append(
            IntakeRow(
                stream, said.of_epoch, said.after + 1, said.through, page.chain, batch.now, digests
            )
        )


def _ends(rows: Iterable[RebuiltRow]) -> set[tuple[str, int]]:
    """Return the streams whose end is among these pages, with the epoch of their writer."""
    return {(row.stream, row.epoch) for row in rows if row.last < row.first}
