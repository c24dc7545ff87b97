"""Reconciliation: two neighbours compare what they hold of their streams (protocol clause 24).

    asker    Reconcile: our chains --> neighbour
             Reconciled: its chains <-- neighbour     until no stream is left to halve

Equal chains prove equal entries, however many. Nothing of a question is kept: an answer counts
once, for a nonce that is out, so an old one does nothing. The outcome stands in the record as that
of the instruction, with its leaf.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Annotated

import msgspec

from exchange.batch import Batch, stream_to
from exchange.core.reconciling import Search, point_at
from exchange.core.streams import CHAIN_START
from exchange.gate import OpenedObject
from exchange.identity import new_nonce
from exchange.instructions import Declined, Done
from exchange.links import Link
from exchange.quotas import HourlyQuota
from exchange.state import NodeState
from schemas.addresses import Address
from schemas.limits import INTEGER_MAX
from schemas.moments import SECOND, Instant
from schemas.objects import Lane
from schemas.reconciling import Mark, Reconcile, Reconciled
from schemas.records import InstructionRow, StreamTail

ASKS_PER_HOUR = 1_000
"""So many questions of one neighbour are answered within an hour."""
ASK_AGAIN_US = 5 * SECOND
"""A question that has no answer by then is asked once more, with another nonce."""
EPOCHS_MAX = 8
"""Of so many epochs of a node, the newest, streams are compared."""
_LANES: tuple[Lane, ...] = ("fast", "bulk")

Key = tuple[str, Lane, int]
"""A stream between two neighbours: writer, lane, epoch of the writer."""


class ReconcileOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Content of `reconcile`: whom to compare with, and how long to wait for it."""

    neighbour: Address
    wait_us: Annotated[int, msgspec.Meta(ge=0)]


class StreamFound(msgspec.Struct, frozen=True):
    """How one stream stands at both ends."""

    writer: str
    lane: Lane
    epoch: int
    ours: int
    """The last number that we have placed, or taken."""
    theirs: int
    agreed: int
    """Both hold the same entries up to here."""
    differs: int | None
    """An entry up to this number is another one at the other end; the first such, where exact."""
    exact: bool


class Reconciliation(msgspec.Struct, frozen=True):
    """What has come of an instruction."""

    neighbour: str
    streams: list[StreamFound]


class _Run(msgspec.Struct):
    neighbour: str
    since: Instant
    nonces: frozenset[str] = frozenset()
    """Of the questions that are out for what was asked last; a slow line may answer any."""
    asked: dict[Key, int] = {}
    asked_at: Instant = 0
    searches: dict[Key, Search] = {}
    lasts: dict[Key, tuple[int, int]] = {}
    """Our last number and theirs."""
    raw: bytes = b""
    """The answer that came last: the neighbour's word, signed."""
    is_done: bool = False


class Reconciler:
    """Asks, answers, and compares."""

    def __init__(self, state: NodeState) -> None:
        """Share the node's state."""
        self._state = state
        self._quota = HourlyQuota(ASKS_PER_HOUR)
        self._runs: dict[str, _Run] = {}

    # --- asking -------------------------------------------------------------------------------

    async def reconcile(self, row: InstructionRow, batch: Batch) -> Done | Declined | None:
        """Carry out `reconcile`: ask until each stream is agreed on, or its difference is found."""
        order = msgspec.json.decode(row.content, type=ReconcileOrder)
        run = self._runs.get(row.id)
        hindrance = self._hindrance(order, run, batch)
        if hindrance is not None or (run is not None and run.is_done):
            batch.after_commit(partial(self._runs.pop, row.id, None))
        if hindrance is not None:
            return Declined(hindrance)
        if run is None:
            run = self._runs[row.id] = _Run(order.neighbour, batch.now)
        if run.is_done:
            return self._conclude(run, batch)
        if not 0 <= batch.now - run.asked_at < ASK_AGAIN_US:
            wanted = run.asked or dict.fromkeys(self._keys(run, batch), INTEGER_MAX)
            await self._ask(run, wanted, batch)
        return None

    def _hindrance(self, order: ReconcileOrder, run: _Run | None, batch: Batch) -> str | None:
        """Return why nothing more will come of an instruction; None where something may."""
        if self._state.loss is not None:
            return "the journal has lost its end: recover it first"
        if order.neighbour not in self._state.links:
            known = ", ".join(sorted(self._state.links)) or "none"
            return f"{order.neighbour} is no neighbour: name one of {known}"
        if run is None or run.is_done or 0 <= batch.now - run.since < order.wait_us:
            return None
        return f"{order.neighbour} has not answered: see that its link is up"

    def _keys(self, run: _Run, batch: Batch) -> list[Key]:
        epochs = {
            self._state.rules.here: batch.epoch,
            run.neighbour: self._state.registry.epoch_of(run.neighbour),
        }
        return [
            (writer, lane, epoch)
            for writer, newest in epochs.items()
            for epoch in range(max(1, newest - EPOCHS_MAX + 1), newest + 1)
            for lane in _LANES
        ]

    async def _ask(self, run: _Run, wanted: Mapping[Key, int], batch: Batch) -> None:
        marks = await self._marks(run.neighbour, wanted.items())
        nonce = new_nonce()
        header = Reconcile(
            **self._state.gate.stamp(run.neighbour, batch.now),  # type: ignore[arg-type]
            nonce=nonce,
            marks=tuple(marks),
        )
        raw = self._state.gate.sign(header)

        def send() -> None:
            run.nonces |= {nonce}
            run.asked, run.asked_at = dict(wanted), batch.now
            self._send(run.neighbour, raw)

        batch.after_commit(send)

    def _conclude(self, run: _Run, batch: Batch) -> Done:
        """Return the outcome; where streams differ it is an incident, with the answer kept."""
        streams = [
            StreamFound(*key, *run.lasts[key], found.agreed, found.differs, found.is_exact)
            for key, found in run.searches.items()
            if any(run.lasts[key])
        ]
        wrong = [each for each in streams if each.differs is not None]
        detail = f"{run.neighbour}: {len(streams)} streams agree"
        if wrong:
            first = wrong[0]
            detail = (
                f"{run.neighbour}: {first.lane} of {first.writer} epoch {first.epoch} differs "
                f"between {first.agreed} and {first.differs}, {len(wrong)} streams in all"
            )
            frame = self._state.effects.keep_raw(run.raw, run.neighbour, detail, batch)
            self._state.effects.raise_incident(
                "streams_differ", run.neighbour, detail, batch, frame
            )
        return Done(Reconciliation(run.neighbour, streams), detail=detail)

    # --- what neighbours bring ----------------------------------------------------------------

    async def take(self, opened: OpenedObject, link: Link, batch: Batch) -> None:
        """Take a question, or the answer to the one that is out."""
        if self._state.loss is not None:
            return
        match opened.header:
            case Reconcile() as asked:
                await self._answer(asked, link, batch)
            case Reconciled() as said:
                await self._hear(said, opened.raw, link, batch)
            case _:
                raise AssertionError(opened.header)

    async def _answer(self, asked: Reconcile, link: Link, batch: Batch) -> None:
        count = self._quota.take(link.neighbour, batch.now)
        if count == ASKS_PER_HOUR:
            detail = f"more than {ASKS_PER_HOUR} questions about streams within an hour"
            self._state.effects.raise_incident("reconcile_limited", link.neighbour, detail, batch)
        ends = {link.neighbour, self._state.rules.here}
        if count >= ASKS_PER_HOUR or any(mark.writer not in ends for mark in asked.marks):
            return
        wanted = [((mark.writer, mark.lane, mark.epoch), mark.number) for mark in asked.marks]
        marks = await self._marks(link.neighbour, wanted)
        header = Reconciled(
            **self._state.gate.stamp(link.neighbour, batch.now),  # type: ignore[arg-type]
            answers=asked.nonce,
            marks=tuple(marks),
        )
        raw = self._state.gate.sign(header)
        batch.after_commit(partial(self._send, link.neighbour, raw))

    async def _hear(self, said: Reconciled, raw: bytes, link: Link, batch: Batch) -> None:
        """Compare an answer with our own streams; ask on where one is not decided yet."""
        run = next((each for each in self._runs.values() if said.answers in each.nonces), None)
        if run is None or run.neighbour != link.neighbour or run.is_done:
            return
        told = {(mark.writer, mark.lane, mark.epoch): mark.number for mark in said.marks}
        if list(told) != list(run.asked) or any(told[key] > at for key, at in run.asked.items()):
            detail = "an answer about streams that is not for those asked for"
            self._state.effects.raise_incident("reconcile_unsound", link.neighbour, detail, batch)
            return
        searches, lasts, wanted = dict(run.searches), dict(run.lasts), {}
        for mark, (key, number) in zip(said.marks, run.asked.items(), strict=True):
            own = await self._mark(link.neighbour, key, mark.number)
            lasts[key] = (own.last, mark.last)
            if own.number < mark.number:
                wanted[key] = own.number  # what we can compare lies below
                continue
            search = searches.get(key, Search())
            searches[key] = search.heard(number, mark.number, same=own.chain == mark.chain)
            if (probe := searches[key].probe) is not None:
                wanted[key] = probe

        def learn() -> None:
            run.searches, run.lasts, run.raw, run.nonces = searches, lasts, raw, frozenset()
            run.is_done = not wanted
            self._state.wake()

        batch.after_commit(learn)
        if wanted:
            await self._ask(run, wanted, batch)

    # --- our own streams ----------------------------------------------------------------------

    async def _marks(self, neighbour: str, wanted: Iterable[tuple[Key, int]]) -> list[Mark]:
        return [await self._mark(neighbour, key, number) for key, number in wanted]

    async def _mark(self, neighbour: str, key: Key, number: int) -> Mark:
        """Return what we hold of a stream at the highest number up to `number` that we know."""
        writer, lane, epoch = key
        stream = stream_to(neighbour, lane)
        written = writer == self._state.rules.here
        read = self._placed if written else self._taken
        last, tail = await read(stream, epoch, number)
        return Mark(writer, lane, epoch, tail.number, tail.chain.hex(), last)

    async def _placed(self, stream: str, epoch: int, number: int) -> tuple[int, StreamTail]:
        last = await self._state.archive.last_number(stream, epoch)
        at = min(number, last)
        chain = await self._state.archive.chain_at(stream, epoch, at) if at else CHAIN_START
        return last, StreamTail(at, chain or CHAIN_START)  # a row that is gone agrees with nothing

    async def _taken(self, stream: str, epoch: int, number: int) -> tuple[int, StreamTail]:
        newest = await self._state.archive.intakes_about(stream, epoch, INTEGER_MAX)
        last = newest[0].last if newest else 0
        at = min(number, last)
        return last, point_at(await self._state.archive.intakes_about(stream, epoch, at), at)

    def _send(self, neighbour: str, raw: bytes) -> None:
        link = self._state.links.get(neighbour)
        if link is not None:
            link.send_object(raw)
