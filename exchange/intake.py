"""From a link's message to its place in the streams: what of it is new, and what is broken."""

from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from exchange.batch import Batch
from exchange.core.streams import Broken, Incoming, NotTaken, Taken, take_bundle
from exchange.dialogue import Dialogue
from exchange.gate import (
    JudgedEntry,
    Opened,
    OpenedBundle,
    OpenedObject,
    Unreadable,
    digest_in_chain,
)
from exchange.judging import Judging
from exchange.links import Link, LinkMessage
from exchange.state import NodeState
from schemas.reconciling import Reconcile, Reconciled
from schemas.records import IntakeRow
from schemas.statements import Card
from schemas.witnessing import Cosigned, Returned

OnEntries = Callable[[Sequence[JudgedEntry], Link], None]


class Plan(msgspec.Struct):
    """One message of a link with what is to be judged of it."""

    message: LinkMessage
    opened: Opened
    entries: list[tuple[int, JudgedEntry]] = []
    """Number in its stream, and the entry."""
    broken: Broken | None = None
    again: int = 0
    """So many of its entries had been taken before."""
    unopened: bool = False
    """Its epoch is not on the neighbour's card that we hold: nothing of it is taken yet."""


class Intake:
    """Takes messages into a batch, in three strokes: plan, load, carry out."""

    def __init__(
        self, state: NodeState, dialogue: Dialogue, judging: Judging, hear: OnEntries
    ) -> None:
        """Hold what entries and objects go to; `hear` is told of new entries as well."""
        self._state = state
        self._dialogue = dialogue
        self._judging = judging
        self._hear = hear

    def plan(self, job: LinkMessage, batch: Batch) -> Plan:
        """Find what of a message is new, by its place in its stream."""
        opened = job.opened.result()
        plan = Plan(job, opened)
        if not isinstance(opened, OpenedBundle) or job.link.suspended:
            return plan
        header = opened.header
        stream = f"{job.link.neighbour}/{header.lane}"
        if self._state.rebuilding(stream):
            return plan  # it comes again once the stream has come back
        known = batch.incoming.get(stream, Incoming())
        plan.unopened = header.epoch > self._state.registry.epoch_of(job.link.neighbour)
        if plan.unopened or header.epoch < known.epoch:
            return plan
        known = known.in_epoch(header.epoch)
        digests = [digest_in_chain(entry) for entry in opened.entries]
        chain = bytes.fromhex(header.chain)
        match take_bundle(known, header.first, header.last, chain, digests):
            case Taken(skip=skip, after=after):
                batch.incoming[stream] = after
                first = header.first + skip
                new = b"".join(digests[skip:])
                batch.changes.intakes.append(
                    IntakeRow(stream, header.epoch, first, after.up_to, after.chain, batch.now, new)
                )
                plan.entries = list(enumerate(opened.entries[skip:], first))
                plan.again = skip
            case NotTaken(after=after):
                batch.incoming[stream] = after
                plan.again = len(opened.entries) if header.last <= known.up_to else 0
            case Broken() as broken:
                plan.broken = broken
        return plan

    async def load(self, plans: Sequence[Plan], batch: Batch) -> None:
        """Fetch what the record knows about everything in the group, in three round trips."""
        entries = [entry for plan in plans for _, entry in plan.entries]
        await self._judging.load(entries, batch)

    async def carry_out(self, plan: Plan, batch: Batch) -> None:
        """Take what is new of a message, entry by entry; what is broken is kept as evidence."""
        link = plan.message.link
        opened = plan.opened
        for der in plan.message.learned:
            self._dialogue.learn_certificate(der, link.neighbour, batch)
        if link.suspended and not plan.entries and not self._is_heard(opened):
            return  # what was planned as taken, before the suspension, is carried out
        if isinstance(opened, Unreadable):
            self._dialogue.take_unreadable(opened, link, batch)
        elif isinstance(opened, OpenedBundle):
            await self._carry_out_bundle(plan, opened, link, batch)
        elif plan.message.own_fault:
            self._dialogue.keep_evidence(link, opened.raw, "own-fault", batch)
        else:
            await self._dialogue.take_object(opened, link, batch)

    async def _carry_out_bundle(
        self, plan: Plan, opened: OpenedBundle, link: Link, batch: Batch
    ) -> None:
        if plan.unopened:
            self._dialogue.ask_card(link, batch)
        if plan.broken is not None:
            raw = plan.message.delivery.body
            self._dialogue.keep_evidence(link, raw, plan.broken.detail, batch)
            if plan.broken.fork:
                self._state.suspend(link, plan.broken.detail, batch)
            return
        if plan.message.own_fault:
            for number, entry in plan.entries:
                self._judging.hold_for_own_fault(entry, number, opened.header, link, batch)
            return
        for number, entry in plan.entries:
            await self._judging.take_entry(entry, number, opened.header, link, batch)
        batch.after_commit(partial(self._hear, [entry for _, entry in plan.entries], link))

    def _is_heard(self, opened: Opened) -> bool:
        """Say whether a message is heard over a suspended link, too.

        What may show that our record lacks something: our own signature counts in it, or that on
        our card, and never the neighbour's word (18.4). And what compares streams (24).
        """
        if not isinstance(opened, OpenedObject):
            return False
        header = opened.header
        if isinstance(header, Reconcile | Reconciled):
            return True
        if isinstance(header, Cosigned):
            return header.status == 409
        return isinstance(header, Returned | Card) and header.to == self._state.rules.here
