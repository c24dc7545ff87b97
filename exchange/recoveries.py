"""New epochs of the nodes that we vouch for: asked for, approved, and shown to be needed (18.4).

A node that has lost leaves asks; its parent's operator approves, and the node's next card opens the
epoch. The invitation by which another machine has become the node is such an approval, once.
"""

from functools import partial

import msgspec

from exchange.batch import Batch, stream_to
from exchange.card_asks import send_card
from exchange.directory import Directory
from exchange.gate import OpenedObject, sha256_of
from exchange.instructions import Declined, Done
from exchange.links import Link
from exchange.quotas import HourlyQuota
from exchange.returning import Returning
from exchange.signing_desk import body_of
from exchange.state import NodeState
from exchange.vouching import read_card
from schemas.addresses import Address, parent_of
from schemas.cards import EpochFacts
from schemas.header import Size
from schemas.moments import SECOND, Instant, parse_instant
from schemas.objects import Hello, Lane
from schemas.records import InstructionRow, RecoveryRow, WitnessedRow
from schemas.wire import printable
from schemas.witnessing import Cosigned, Recover
from signing.notes import checkpoint_of, origin
from store.merkle import EMPTY_ROOT

RECOVERY_ASKED = "recovery_asked"
"""The incident of a child that asks for a new epoch."""
WISHES_PER_HOUR = 100
"""So many of one neighbour, those below it included, are taken within an hour."""


class ApproveOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the instruction `approve` says."""

    address: Address


class NoteOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the instruction `note` says."""

    address: Address
    size: Size | None = None
    """Of the checkpoint wanted; None: the newest."""


class Approved(msgspec.Struct, frozen=True):
    """The answer to `approve`: what the child's card says now."""

    address: str
    epoch: int
    size: int
    """Of the last checkpoint that was witnessed of the epoch before."""
    root: str
    leaves: int
    """So many were left to the child."""
    changed: bool


class Recoveries:
    """Children that have lost the end of their journal."""

    def __init__(self, state: NodeState, directory: Directory, returning: Returning) -> None:
        """Share the node's state; cards are the directory's."""
        self._state = state
        self._directory = directory
        self._returning = returning
        self._quota = HourlyQuota(WISHES_PER_HOUR)

    # --- what is asked ------------------------------------------------------------------------

    async def take(self, opened: OpenedObject, link: Link, batch: Batch) -> None:
        """Keep a child's wish for a new epoch, or pass it on towards its parent by name."""
        header, registry = opened.header, self._state.registry
        assert isinstance(header, Recover), "the dialogue sorts them"
        grace_us = self._state.rules.limits.hold_limit_us
        comes_by = registry.allows(link.neighbour, header.from_, header.to, batch.now, grace_us)
        if header.to != parent_of(header.from_) or not comes_by:
            detail = printable(f"Recover of {header.from_}: not by the way of {link.neighbour}")
            self._state.effects.raise_incident("statement_misrouted", link.neighbour, detail, batch)
        elif self._quota.take(link.neighbour, batch.now) >= WISHES_PER_HOUR:
            return  # it asks again at its next greeting
        elif self._state.loss is not None and header.to == self._state.rules.here:
            return  # the newest card of the child may be lost: it asks again
        elif header.to != self._state.rules.here:
            hop = self._state.links.get(registry.next_hop(header.to) or "")
            if hop is not None:
                batch.after_commit(partial(hop.send_statement, opened.raw, header.certificate))
        else:
            await self._keep(header, opened.raw, link, batch)

    async def _keep(self, header: Recover, raw: bytes, link: Link, batch: Batch) -> None:
        """Keep what is new of it; whoever has not its newest card is sent that instead."""
        address, state = header.from_, self._state
        card = batch.cards.get(address) or state.registry.card(address)
        if card is None or header.of_epoch != newest_epoch(card.facts.epochs):
            if card is not None:
                batch.after_commit(partial(send_card, card, link))
            return
        asked = await self._newest_asked(address, batch)
        if asked is None or (asked.of_epoch, asked.leaves) != (header.of_epoch, header.leaves):
            digest = sha256_of(raw)
            if await self._was_asked(digest, batch):
                return  # an older wish once more: the newest stands
            asked = RecoveryRow(digest, address, header.of_epoch, header.leaves, batch.now, raw)
            batch.changes.recoveries.append(asked)
            detail = f"epoch {header.of_epoch}, {header.leaves} leaves are left: {header.why}"
            state.effects.raise_incident(RECOVERY_ASKED, address, printable(detail), batch)
        if await self._is_replaced(address, card.facts.epochs):
            await self._open(asked, batch)

    async def _was_asked(self, digest: bytes, batch: Batch) -> bool:
        rows = [*await self._state.archive.recoveries(), *batch.changes.recoveries]
        return any(row.sha256 == digest for row in rows)

    async def _newest_asked(self, address: str, batch: Batch) -> RecoveryRow | None:
        rows = [*await self._state.archive.recoveries(), *batch.changes.recoveries]
        found = [row for row in rows if row.address == address]
        return found[-1] if found else None

    async def _is_replaced(self, address: str, epochs: tuple[EpochFacts, ...]) -> bool:
        """Say whether another machine has become the node, and has begun no epoch since."""
        joined = await self._joined_at(address)
        if joined is None or (epochs and parse_instant(epochs[-1].since) >= joined):
            return False
        cards = await self._state.archive.cards_of([address])
        return any(row.learned < joined and read_card(row.object).keys is not None for row in cards)

    async def _joined_at(self, address: str) -> Instant | None:
        """Return when the last machine used an invitation to this address."""
        archive, at = self._state.archive, None
        for invitation in await archive.invitations():
            if invitation.address == address:
                for use in await archive.invitation_uses(invitation.id):
                    at = max(at or 0, use.at) if use.state == "taken" else at
        return at

    # --- what is approved ---------------------------------------------------------------------

    async def approve(self, row: InstructionRow, batch: Batch) -> Done | Declined:
        """Let a child begin the epoch that it asks for, behind what was witnessed last."""
        address = msgspec.json.decode(row.content, type=ApproveOrder).address
        here, known = self._state.rules.here, self._state.registry.card(address)
        if parent_of(address) != here:
            return Declined(f"{parent_of(address)} vouches for {address}, not {here}")
        if self._state.loss is not None:
            return Declined(f"the journal of {here} has lost its end: recover it first")
        asked = await self._newest_asked(address, batch)
        if asked is None or known is None:
            return Declined(f"{address} has not asked: `bbaj journal recover` runs there first")
        newest = newest_epoch(known.facts.epochs)
        if newest == asked.of_epoch + 1:
            before = known.facts.epochs[-1]
            return _done(asked, before, changed=False)
        if newest != asked.of_epoch:
            return Declined(
                f"{address} asked about epoch {asked.of_epoch}, its card shows {newest}: "
                "it asks anew once that card has reached it"
            )
        return _done(asked, await self._open(asked, batch), changed=True)

    async def _open(self, asked: RecoveryRow, batch: Batch) -> EpochFacts:
        """Publish the card that opens the next epoch of a child."""
        held = await self._witnessed(asked.address, asked.of_epoch)
        opened = EpochFacts(
            epoch=asked.of_epoch + 1,
            since=batch.at,
            size=0 if held is None else held.size,
            root=(EMPTY_ROOT if held is None else held.root).hex(),
        )
        self._directory.open_epoch(asked.address, opened, batch)
        return opened

    async def _witnessed(
        self, address: str, epoch: int, size: int | None = None
    ) -> WitnessedRow | None:
        """Return the checkpoint of a size that was shown to us of a journal, or the largest."""
        name = origin(address, epoch)
        if size is None:
            return await self._state.archive.witnessed_last(name)
        return await self._state.archive.witnessed_at(name, size)

    # --- what we hold -------------------------------------------------------------------------

    async def note(self, row: InstructionRow, batch: Batch) -> Done | Declined:
        """Return what we hold of a neighbour's journal, cosigned: what its recovery begins from."""
        order = msgspec.json.decode(row.content, type=NoteOrder)
        address, cosigner = order.address, self._state.gate.cosigner
        held = await self._witnessed(address, self._state.registry.epoch_of(address), order.size)
        if held is None:
            return Declined(f"{address} has shown us no such checkpoint of its journal")
        if cosigner is None:
            return Declined("this node has no witness key: it has no children")
        lines = cosigner.cosign(checkpoint_of(held.note).text, batch.now // SECOND)
        return Done({"address": address, "size": held.size, "note": held.note + lines}, address)

    async def show(self, hello: Hello, link: Link, batch: Batch) -> None:
        """Show a neighbour that knows of less than we have taken what its own keys have signed."""
        newest = self._state.registry.epoch_of(link.neighbour)
        if hello.epoch < newest:
            begun = await self._witnessed(link.neighbour, newest)
            if begun is not None:
                self._show_note(begun, link, batch)
                return
        incoming = self._state.require_tails().incoming
        behind: list[tuple[Lane, int, int]] = []
        for position in hello.placed:
            known = incoming.get(stream_to(link.neighbour, position.lane))
            if known is not None and known.epoch == position.epoch and known.up_to > position.up_to:
                behind.append((position.lane, position.epoch, position.up_to))
        if not behind:
            return
        held = await self._witnessed(link.neighbour, behind[0][1])
        if held is not None:
            self._show_note(held, link, batch)
        for lane, epoch, after in behind:
            await self._returning.bring(link, lane, epoch, after, 0, batch)

    def _show_note(self, held: WitnessedRow, link: Link, batch: Batch) -> None:
        gate, body = self._state.gate, held.note.encode()
        header = Cosigned(
            **gate.stamp(link.neighbour, batch.now),  # type: ignore[arg-type]
            origin=held.origin,
            size=held.size,
            status=409,
            detail=f"size {held.size} is held",
            body=body_of(body),
        )
        signers = gate.trust.certificates_of(link.neighbour)
        batch.after_commit(partial(link.send_statement, gate.sign(header, body), *signers))


def newest_epoch(epochs: tuple[EpochFacts, ...]) -> int:
    """Return the newest epoch that a card shows; the first is 1."""
    return epochs[-1].epoch if epochs else 1


def _done(asked: RecoveryRow, opened: EpochFacts, *, changed: bool) -> Done:
    answer = Approved(asked.address, opened.epoch, opened.size, opened.root, asked.leaves, changed)
    return Done(answer, f"{asked.address} epoch {opened.epoch}")
