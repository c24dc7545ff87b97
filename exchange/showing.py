"""Our journal as neighbours see it: each checkpoint shown, and their answers taken (clause 18.1).

The uplink sees every checkpoint, and of the root all children do: they are witnesses. Others are
shown one at a greeting and once an hour, to keep and compare. One checkpoint is under way to each
neighbour, and what was signed meanwhile goes as one. No packet ever waits for any of this.
"""

from collections.abc import Callable
from functools import partial

import msgspec

from exchange.batch import Batch
from exchange.cosignatures import Cosignatures
from exchange.gate import OpenedObject
from exchange.links import Link
from exchange.noted import own_journal_of
from exchange.quotas import HourlyQuota
from exchange.signing_desk import body_of
from exchange.state import NodeState
from schemas.errors import FormatError
from schemas.moments import HOUR, MINUTE, Instant
from schemas.wire import printable
from schemas.witnessing import Checkpoint, Cosigned
from signing.notes import checkpoint_of, origin, read_origin
from signing.proofs import AddCheckpoint, request_body, text_of

COMPARED_US = HOUR
"""Neighbours that are no witness are shown a checkpoint so often, and at each greeting."""
ANSWERED_US = 10 * MINUTE
"""What was shown so long ago and was not answered is shown again."""
CONFLICTS_PER_HOUR = 60
"""So often one neighbour may tell us within an hour to begin elsewhere."""

OnAhead = Callable[[str, Link, Batch], None]
"""Told a note, the link that brought it, and the batch."""


class Ours(msgspec.Struct, frozen=True):
    """The newest checkpoint of our journal."""

    size: int
    note: str
    at: Instant
    journal: str
    """Fingerprint of the certificate of the key that signed it."""


class _Eyes(msgspec.Struct):
    """How far one neighbour has followed our journal."""

    holds: int = 0
    """It has acknowledged the checkpoint of this size."""
    shown: int = 0
    """A checkpoint of this size is under way; 0: none is."""
    old_size: int = 0
    """What that one was shown to extend."""
    has_acknowledged: bool = False
    """In this life: else `holds` is what our record or the neighbour says, with no cosignature."""
    has_refused: bool = False
    """Since its last greeting: somebody must look, and nothing is shown meanwhile."""
    shown_at: Instant = 0
    repeated: int = 0
    """So often a greeting has shown again what was under way: as many answers come late."""

    def takes_late(self, header: Cosigned) -> bool:
        """Say whether an answer is to what was under way at a greeting, and was settled since.

        Nobody holds another size than we began at, and that very size.
        """
        is_late = header.status == 409 and header.size == self.old_size and bool(self.shown)
        if is_late and self.repeated:
            self.repeated -= 1
            return True
        return False


class Showing:
    """Shows our checkpoints, and takes what neighbours answer."""

    def __init__(self, state: NodeState) -> None:
        """Share the node's state."""
        self._state = state
        self._eyes: dict[str, _Eyes] = {}
        self._conflicts = HourlyQuota(CONFLICTS_PER_HOUR)
        self.cosignatures = Cosignatures(state)
        self.newest: Ours | None = None
        self.is_vouched = False
        """A witness has shown in this life that it holds nothing beyond our newest checkpoint."""
        self.on_ahead: OnAhead = self._raise_behind
        """Told of a note that a key of ours has signed in the running epoch, over leaves that the
        journal does not have: the record is older than what we have shown."""

    async def open(self) -> None:
        """Take over what was signed and cosigned before."""
        await self._take_newest()
        await self.cosignatures.open()
        for witness, size in self.cosignatures.sizes.items():
            self._eyes[witness] = _Eyes(holds=size)

    async def _take_newest(self) -> None:
        self.newest = None
        last = await self._state.archive.last_checkpoint()
        if last is not None and checkpoint_of(last[2]).origin == self._origin:
            size, at, note = last
            journal = own_journal_of(self._state, note)
            self.newest = None if journal is None else Ours(size, note, at, journal)

    @property
    def _origin(self) -> str:
        return origin(self._state.rules.here, self._state.gate.epoch)

    @property
    def is_whole(self) -> bool:
        """Say whether a witness has shown in this life that it holds nothing beyond ours.

        A republic that nobody hangs below has no witness, and need hear none.
        """
        registry = self._state.registry
        return self.is_vouched or (self._state.is_root and not registry.children)

    def holds(self, neighbour: str) -> int:
        """Return the size of the newest checkpoint of ours that a neighbour has acknowledged."""
        eyes = self._eyes.get(neighbour)
        return 0 if eyes is None else eyes.holds

    # --- showing ------------------------------------------------------------------------------

    async def signed(self, batch: Batch) -> None:
        """Show the checkpoint that was signed just now."""
        await self._take_newest()
        await self.sweep(batch)

    async def sweep(self, batch: Batch) -> None:
        """Show what is due to each neighbour that has greeted us."""
        for link in self._state.links.values():
            if link.synchronised and not link.suspended:
                await self._show_due(link, batch)

    async def greet(self, link: Link, batch: Batch) -> None:
        """Show a neighbour that has just greeted us what it has not acknowledged."""
        eyes = self._eyes_of(link)
        eyes.repeated += bool(eyes.shown)
        eyes.shown, eyes.has_refused = 0, False
        await self.show(link, batch)
        if self.newest is None and not link.suspended:
            self.is_vouched |= self._is_witness(link)  # it can hold nothing of ours

    async def _show_due(self, link: Link, batch: Batch) -> None:
        eyes = self._eyes_of(link)
        waited = batch.now - eyes.shown_at
        if eyes.shown and 0 <= waited < ANSWERED_US:
            return
        eyes.shown = 0
        if self._is_witness(link) or not 0 <= waited < COMPARED_US:
            await self.show(link, batch)

    async def show(self, link: Link, batch: Batch) -> None:
        """Show a neighbour our newest checkpoint, unless it has it or one is under way."""
        eyes, ours = self._eyes_of(link), self.newest
        if ours is None or eyes.shown or self._state.loss is not None:
            return
        if eyes.has_refused or (eyes.has_acknowledged and eyes.holds >= ours.size):
            return
        proof: list[bytes] = []
        old_size = min(eyes.holds, ours.size)
        if old_size:
            proof = await self._state.archive.consistency_proof(old_size, ours.size)
        body = request_body(AddCheckpoint(old_size, proof, ours.note))
        header = Checkpoint(
            **self._state.gate.stamp(link.neighbour, batch.now),  # type: ignore[arg-type]
            journal=ours.journal,
            body=body_of(body),
        )
        raw = self._state.gate.sign(header, body)
        eyes.shown, eyes.old_size, eyes.shown_at = ours.size, old_size, batch.now
        batch.after_commit(partial(link.send_statement, raw, ours.journal))

    def _is_witness(self, link: Link) -> bool:
        """Say whether a neighbour cosigns our journal: the uplink does; of the root, each child."""
        return link.is_parent or self._state.is_root

    def _eyes_of(self, link: Link) -> _Eyes:
        return self._eyes.setdefault(link.neighbour, _Eyes())

    # --- what is answered ---------------------------------------------------------------------

    async def take(self, opened: OpenedObject, link: Link, batch: Batch) -> None:
        """Take an answer to a checkpoint that we have shown, and show what came meanwhile."""
        header, eyes = opened.header, self._eyes_of(link)
        assert isinstance(header, Cosigned), "the caller sorts them"
        if eyes.takes_late(header):
            return
        shown, eyes.shown = eyes.shown, 0
        if header.origin != self._origin:
            self._take_other(opened, link, batch)
        elif header.status == 200:
            if shown and header.size == shown:  # else it was asked for in a life before, or late
                eyes.has_acknowledged = True
                self.is_vouched |= self._is_witness(link)
            await self._take_acknowledged(opened, link, batch)
        elif header.status == 409:
            await self._take_standing(header, opened.body, link, batch)
            return
        else:
            self._take_refusal(header, link, batch)
            return
        if not link.suspended:
            await self._show_due(link, batch)

    def _take_refusal(self, header: Cosigned, link: Link, batch: Batch) -> None:
        """Show nothing more until the next greeting: somebody must look first."""
        eyes = self._eyes_of(link)
        if eyes.has_refused:
            return  # it was told since then: nobody fills the record with refusals
        eyes.has_refused = True
        detail = printable(f"{header.status}: {header.detail}")
        effects = self._state.effects
        effects.raise_incident("checkpoint_refused", link.neighbour, detail, batch)

    async def _take_acknowledged(self, opened: OpenedObject, link: Link, batch: Batch) -> None:
        header = opened.header
        assert isinstance(header, Cosigned), "the caller sorts them"
        found = await self._state.archive.checkpoint_from(header.size)
        if found is None or found[0] != header.size:
            self._refuse(opened, f"no checkpoint of ours has size {header.size}", link, batch)
            return
        eyes = self._eyes_of(link)
        eyes.holds = max(eyes.holds, header.size)
        if opened.body and self._is_witness(link):
            try:
                await self.cosignatures.take(opened, found[2], link, batch)
            except FormatError as error:
                self._refuse(opened, error.detail, link, batch)

    def _refuse(self, opened: OpenedObject, detail: str, link: Link, batch: Batch) -> None:
        """Keep an answer that proves nothing; show nothing more before the next greeting."""
        self._eyes_of(link).has_refused = True
        if link.suspended:
            return  # it is heard for what shows a loss alone
        effects, text = self._state.effects, printable(detail)
        frame = effects.keep_raw(opened.raw, link.neighbour, text, batch)
        effects.raise_incident("cosignature_invalid", link.neighbour, text, batch, frame)

    async def _take_standing(self, header: Cosigned, body: bytes, link: Link, batch: Batch) -> None:
        """Go on from what the neighbour holds, or learn from our own signature what we lack."""
        leaves, eyes = self._state.require_tails().leaf, self._eyes_of(link)
        note = self._own_note(header, body)
        if header.size <= leaves and (note is None or await self._is_of_journal(note)):
            conflicts = self._conflicts.take(link.neighbour, batch.now)
            if header.size == eyes.old_size or conflicts >= CONFLICTS_PER_HOUR:
                self._take_refusal(header, link, batch)
                return
            eyes.holds, eyes.has_acknowledged = header.size, False
            await self.show(link, batch)
        elif note is not None:
            self.on_ahead(note, link, batch)
        elif not link.suspended:
            detail = f"holds {header.size} leaves of our journal of {leaves}, without our signature"
            self._state.suspend(link, detail, batch)

    def _own_note(self, header: Cosigned, body: bytes) -> str | None:
        """Return the note that an answer brings, where a key of ours has signed it."""
        try:
            note = text_of(body)
            held = checkpoint_of(note)
            fits = (held.origin, held.size) == (header.origin, header.size)
            return note if fits and own_journal_of(self._state, note) else None
        except FormatError:
            return None

    def _take_other(self, opened: OpenedObject, link: Link, batch: Batch) -> None:
        """Learn from our own signature that a later epoch of ours was begun; else it is refused."""
        header = opened.header
        assert isinstance(header, Cosigned), "the caller sorts them"
        note = self._own_note(header, opened.body)
        if note is not None:
            address, epoch = read_origin(header.origin)
            if address == self._state.rules.here and epoch > self._state.gate.epoch:
                self.on_ahead(note, link, batch)
                return
        self._refuse(opened, f"it is about {header.origin}", link, batch)

    async def _is_of_journal(self, note: str) -> bool:
        """Say whether our journal is still the one of a note that it is long enough for."""
        held = checkpoint_of(note)
        return await self._state.archive.root_at(held.size) == held.root

    def _raise_behind(self, note: str, link: Link, batch: Batch) -> None:
        """Say that our own signature stands under leaves that we do not have."""
        detail = f"holds {checkpoint_of(note).size} leaves that we have signed and do not have"
        self._state.effects.raise_incident("journal_behind", link.neighbour, detail, batch)
