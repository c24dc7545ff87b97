"""A journal that has lost its end: found, told, and begun anew in the next epoch (clause 18.4).

What shows it: the signed size beside the database, a checkpoint or a frame that our own keys have
signed and the record does not have, or a later epoch on our card. From then on nothing is sealed,
judged, signed or sent until our parent's next card opens a new epoch, which begins in one commit:

    the leaves that are left | leaf `epoch`: what was witnessed last, what is left, by which card
"""

from functools import partial
from typing import Annotated

import msgspec

from exchange.batch import Batch
from exchange.core.registry import KnownCard
from exchange.core.streams import CHAIN_START, chain_after
from exchange.cosignatures import ROOT_WITNESSES
from exchange.directory import Directory
from exchange.gate import sha256_of
from exchange.identity import new_packet_id
from exchange.instructions import Declined, Done
from exchange.links import Link
from exchange.noted import open_cosigned
from exchange.state import Loss, NodeState
from schemas.addresses import parent_of
from schemas.cards import EpochFacts
from schemas.errors import OutcomeUnknown
from schemas.leaves import LeafKind, read_leaf
from schemas.moments import Instant, parse_instant
from schemas.records import EntryRow, EpochRow, InstructionRow, RecoveryRow
from schemas.wire import printable
from schemas.witnessing import Recover
from signing.notes import checkpoint_of, origin, read_origin

JOURNAL_LOST = "journal_lost"
"""The incident of a record that has lost its end."""
RECOVER = "recover"
"""The instruction to ask for a new epoch."""
BEYOND = "shows numbers beyond ours"
"""Why a link stands still that our own loss may explain."""
NOTE_MAX = 64 * 1024


class EpochBegun(OutcomeUnknown):
    """A new epoch has begun: everything is read anew."""


class RecoverOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the instruction `recover` says; only the root names what was witnessed last."""

    after: Annotated[str, msgspec.Meta(max_length=NOTE_MAX)] | None = None


class Recovering(msgspec.Struct, frozen=True):
    """The answer to `recover`."""

    address: str
    of_epoch: int
    leaves: int
    asked: str
    """Whose operator approves it."""


class Losses:
    """Watches for what the record lacks, and begins the epoch that goes on without it."""

    def __init__(self, state: NodeState, directory: Directory) -> None:
        """Share the node's state; the root's own card is signed by the directory."""
        self._state = state
        self._directory = directory
        self._is_kept = False
        self._told: Instant | None = None
        """Since when the operator wants a new epoch."""

    async def open(self) -> None:
        """Take over what was found, and told, in a life before."""
        here, epoch = self._state.rules.here, self._state.require_tails().epoch
        rows = await self._state.archive.recoveries()
        found = [row for row in rows if row.address == here and row.of_epoch >= epoch]
        if not found:
            return
        row = max(found, key=lambda row: row.of_epoch)
        self._state.loss = Loss(row.of_epoch, row.leaves, "found in a life before")
        self._is_kept = True
        told = await self._state.archive.last_instruction(RECOVER)
        if told is None:
            return
        outcome = await self._state.archive.instruction_outcome(told.id)
        if outcome is not None and outcome.state == "done" and outcome.at >= row.asked:
            self._told = outcome.at

    # --- what shows it ------------------------------------------------------------------------

    def notice(self, why: str, of_epoch: int) -> None:
        """Let nothing be sealed, judged, signed or sent from now on; kept at the next sweep."""
        loss = self._state.loss
        if loss is None:
            left = self._state.require_tails().leaf
            self._state.loss = Loss(of_epoch, left, printable(why))
            self._state.wake()
        elif of_epoch > loss.of_epoch:
            loss.of_epoch = of_epoch
            self._is_kept = False

    def notice_note(self, note: str, link: Link, batch: Batch) -> None:
        """Take it from a checkpoint that a key of ours has signed over what we do not have."""
        head = checkpoint_of(note)
        why = f"{link.neighbour} holds {head.size} leaves of {head.origin} under our signature"
        self.notice(why, max(batch.epoch, read_origin(head.origin)[1]))

    def _compare_card(self, batch: Batch) -> None:
        """Take it from our card: it names an epoch that this record has not begun or asked for."""
        opened = self._newest_opened()
        if opened is None or opened.epoch <= batch.epoch or self._is_ours(opened):
            return
        why = f"our card shows epoch {opened.epoch}, the record has {batch.epoch}"
        self.notice(why, opened.epoch)

    def _newest_opened(self) -> EpochFacts | None:
        card = self._state.registry.card(self._state.rules.here)
        return card.facts.epochs[-1] if card is not None and card.facts.epochs else None

    def _is_ours(self, opened: EpochFacts) -> bool:
        """Say whether an epoch on our card was opened because we asked for it in this loss.

        One that our parent has taken of was begun before, in a life that this record has lost.
        """
        loss, told = self._state.loss, self._told
        if loss is None or told is None or opened.epoch != loss.of_epoch + 1:
            return False
        if opened.epoch <= self._state.outrun:
            return False
        return parse_instant(opened.since) >= told - self._state.rules.limits.time_window_ahead_us

    def _has_heard(self) -> bool:
        """Say whether our parent has had its chance in this life to say what it has taken."""
        uplink = self._state.links.get(self._state.registry.uplink or "")
        return uplink is None or uplink.suspended or self._state.greeted.is_set()

    async def sweep(self, batch: Batch) -> None:
        """Keep what was found, and begin the new epoch once our card opens it."""
        self._compare_card(batch)
        loss = self._state.loss
        if loss is None:
            return
        if not self._is_kept and not (batch.changes.link_marks or batch.changes.recoveries):
            await self._keep(loss, batch)  # it lifts links by their marks in the record
        opened = self._newest_opened()
        is_free = not (batch.changes.entries or batch.changes.epochs)
        if opened is not None and self._is_ours(opened) and is_free and self._has_heard():
            await self._begin(opened, loss, batch)

    async def _keep(self, loss: Loss, batch: Batch) -> None:
        """Record the loss; a record without any packet asks for its epoch by itself."""
        state = self._state
        raw, header = await self._make_recover(loss, batch)
        here = state.rules.here
        row = RecoveryRow(sha256_of(raw), here, loss.of_epoch, loss.left, batch.now, raw)
        batch.changes.recoveries.append(row)
        since = await self._since(loss)
        detail = f"{loss.why}; {loss.left} leaves are left, the last one of {since}"
        state.effects.raise_incident(JOURNAL_LOST, here, printable(detail), batch)
        for neighbour, mark in (await state.archive.link_marks()).items():
            link = state.links.get(neighbour)
            if link is not None and mark.action == "suspended" and mark.why.endswith(BEYOND):
                state.lift(link, "our own record has lost its end", batch)
        if not state.is_root and not await state.archive.has_packets():
            order = msgspec.json.encode(RecoverOrder())
            id_ = new_packet_id(batch.now)
            await state.archive.instruct(
                InstructionRow(id_, batch.now, header.from_, RECOVER, order)
            )
        batch.after_commit(partial(setattr, self, "_is_kept", True))

    async def _since(self, loss: Loss) -> str:
        """Return the time of the last leaf that is left."""
        found = await self._state.archive.leaves_at([loss.left - 1])
        return read_leaf(found[loss.left - 1])["at"] if found else "no time"

    # --- asking -------------------------------------------------------------------------------

    async def recover(self, row: InstructionRow, batch: Batch) -> Done | Declined | None:
        """Ask our parent for a new epoch, now and at each greeting until it is opened."""
        order = msgspec.json.decode(row.content, type=RecoverOrder)
        loss, here = self._state.loss, self._state.rules.here
        if loss is None and not await self._believe_neighbours(batch):
            return Declined("nothing is known to be missing in this journal")
        if loss is None or not self._is_kept:
            return None  # found just now
        parent = parent_of(here)
        if (order.after is None) == (parent is None):
            return Declined("the root, and it alone, names what was witnessed last: --after")
        if order.after is not None:
            self._approve_own(order.after, loss, batch)
        raw, _ = await self._make_recover(loss, batch)
        batch.after_commit(partial(self._begin_to_ask, batch.now, raw))
        answer = Recovering(here, loss.of_epoch, loss.left, parent or here)
        return Done(answer, f"epoch {loss.of_epoch}, {loss.left} leaves")

    async def _believe_neighbours(self, batch: Batch) -> bool:
        """Take the operator's word that a neighbour is right who shows numbers beyond ours.

        What was lost may bear no signature of ours: frames passed on, and no checkpoint yet.
        """
        marks = await self._state.archive.link_marks()
        beyond = [
            name
            for name, mark in marks.items()
            if mark.action == "suspended" and mark.why.endswith(BEYOND)
        ]
        if beyond:
            self.notice(f"{beyond[0]} {BEYOND}, and our operator believes it", batch.epoch)
        return bool(beyond)

    def _approve_own(self, note: str, loss: Loss, batch: Batch) -> None:
        """Open the root's next epoch behind what its children hold. Raises FormatError."""
        name = origin(self._state.rules.here, loss.of_epoch)
        head = open_cosigned(self._state, note, name, ROOT_WITNESSES)
        opened = EpochFacts(
            epoch=loss.of_epoch + 1, since=batch.at, size=head.size, root=head.root.hex()
        )
        self._directory.open_epoch(self._state.rules.here, opened, batch)

    def _begin_to_ask(self, told: Instant, raw: bytes) -> None:
        self._told = told
        link = self._state.links.get(self._state.registry.uplink or "")
        if link is not None:
            link.send_statement(raw, self._state.gate.fingerprint)

    async def greet(self, link: Link, batch: Batch) -> None:
        """Ask again; an answer may have been lost, or the parent not have had it."""
        loss = self._state.loss
        if loss is not None and self._told is not None and link.is_parent:
            raw, _ = await self._make_recover(loss, batch)
            batch.after_commit(partial(link.send_statement, raw, self._state.gate.fingerprint))

    async def _make_recover(self, loss: Loss, batch: Batch) -> tuple[bytes, Recover]:
        gate, here = self._state.gate, self._state.rules.here
        root = await self._state.archive.root_at(loss.left)
        header = Recover(
            **gate.stamp(parent_of(here) or here, batch.now),  # type: ignore[arg-type]
            of_epoch=loss.of_epoch,
            leaves=loss.left,
            root=root.hex(),
            why=loss.why,
        )
        return gate.sign(header), header

    # --- beginning ----------------------------------------------------------------------------

    async def _begin(self, opened: EpochFacts, loss: Loss, batch: Batch) -> None:
        """Begin the epoch that our card opens; the life ends with this commit."""
        card = self._state.registry.card(self._state.rules.here)
        assert card is not None, "it opens the epoch"
        here = card.facts.address
        batch.changes.epochs.append(EpochRow(opened.epoch, here))
        self._append_leaf(card, opened, loss, batch)
        cursors = self._state.effects.cursors
        for stream, tail in self._state.require_tails().streams.items():
            if tail.number > cursors.get(stream, 0):
                rows = await self._state.archive.entries_waiting(
                    stream, batch.epoch, cursors.get(stream, 0)
                )
                batch.changes.entries += carried_over(rows, opened.epoch, batch.now)

    @staticmethod
    def _append_leaf(card: KnownCard, opened: EpochFacts, loss: Loss, batch: Batch) -> None:
        here = card.facts.address
        batch.append_leaf(
            LeafKind.EPOCH,
            None,
            address=here,
            epoch=str(opened.epoch),
            origin=origin(here, opened.epoch),
            after_origin=origin(here, opened.epoch - 1),
            after_size=str(opened.size),
            after_root=opened.root,
            left=str(loss.left),
            card_sha256=card.sha256.hex(),
        )


def carried_over(rows: list[EntryRow], epoch: int, now: Instant) -> list[EntryRow]:
    """Return what waits in a stream, placed anew as 1, 2, 3 … of another epoch."""
    placed, chain = [], CHAIN_START
    for number, row in enumerate(rows, 1):
        chain = chain_after(chain, number, row.sha256)
        placed.append(
            msgspec.structs.replace(row, epoch=epoch, number=number, chain=chain, placed=now)
        )
    return placed
