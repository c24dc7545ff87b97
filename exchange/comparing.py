"""Neighbours' journals as they show them: kept, compared, and cosigned where we are the witness.

What is shown must extend what was kept before: it is kept, journaled and answered for in one
commit (clause 18.1). A node that has signed two histories has forked its journal: both notes go
out as an alarm, and its link stands still (clause 18.3).
"""

from functools import partial

import msgspec

from exchange.alarms import Alarms
from exchange.batch import Batch
from exchange.core.witness import Head, Request, Verdict, judge
from exchange.gate import OpenedObject, sha256_of
from exchange.links import Link
from exchange.noted import open_checkpoint
from exchange.quotas import HourlyQuota
from exchange.signing_desk import body_of
from exchange.state import NodeState
from schemas.addresses import parent_of
from schemas.errors import FormatError
from schemas.leaves import LeafKind
from schemas.moments import SECOND
from schemas.objects import pack_pieces
from schemas.records import WitnessedRow
from schemas.wire import printable
from schemas.witnessing import Checkpoint, Cosigned
from signing.note_text import split_note
from signing.notes import Checkpoint as JournalHead
from signing.notes import checkpoint_of, origin, read_origin
from signing.proofs import AddCheckpoint, read_request
from store.merkle import EMPTY_ROOT, consistency_holds

CHECKPOINTS_PER_HOUR = 1_200
"""So many are looked at of one neighbour in an hour; it signs one in ten seconds at most."""


class _Shown(msgspec.Struct, frozen=True):
    """A checkpoint that came, and what is held of the same journal."""

    asked: AddCheckpoint
    head: JournalHead
    held: WitnessedRow | None
    before: WitnessedRow | None
    """What was kept of the very same size."""


class Comparing:
    """Compares what neighbours show with what they have shown before."""

    def __init__(self, state: NodeState, alarms: Alarms) -> None:
        """Share the node's state."""
        self._state = state
        self._alarms = alarms
        self._newest: dict[str, WitnessedRow] = {}
        self._quota = HourlyQuota(CHECKPOINTS_PER_HOUR)

    async def open(self) -> None:
        """Take over the newest checkpoint kept of each journal."""
        rows = await self._state.archive.witnessed_newest()
        self._newest = {row.origin: row for row in rows}

    async def take(self, opened: OpenedObject, link: Link, batch: Batch) -> None:
        """Judge a checkpoint that a neighbour shows of its journal, and answer it."""
        header, neighbour = opened.header, link.neighbour
        assert isinstance(header, Checkpoint), "the caller sorts them"
        if self._quota.take(neighbour, batch.now) >= CHECKPOINTS_PER_HOUR:
            return  # it shows the newest again at its next greeting
        try:
            asked = read_request(opened.body)
            head = checkpoint_of(asked.note)
        except FormatError as error:
            head = JournalHead(self._running(link), 0, EMPTY_ROOT)
            self._answer(Verdict(400, error.detail), head, "", link, batch)
            return
        held = self._held(head.origin, batch)
        shown = _Shown(asked, head, held, await self._kept_at(head, held, batch))
        verdict = self._judge(shown, header.journal, link, batch)
        if verdict.forked:
            self._raise_fork(shown, verdict, opened.raw, link, batch)
        elif verdict.status in {403, 404}:
            detail = printable(f"{head.origin}: {verdict.detail}")
            effects = self._state.effects
            effects.raise_incident("checkpoint_unproven", neighbour, detail, batch)
        if verdict.is_new:
            self._keep(shown, link, batch)
        self._answer(verdict, head, asked.note, link, batch)

    # --- what is held -------------------------------------------------------------------------

    def _held(self, name: str, batch: Batch) -> WitnessedRow | None:
        """Return the newest checkpoint of a journal, of this batch or of the record."""
        fresh = (row for row in reversed(batch.changes.witnessed) if row.origin == name)
        return next(fresh, self._newest.get(name))

    async def _kept_at(
        self, head: JournalHead, held: WitnessedRow | None, batch: Batch
    ) -> WitnessedRow | None:
        if held is None or head.size > held.size:
            return None
        return await self.kept(head.origin, head.size, batch)

    async def kept(self, name: str, size: int, batch: Batch) -> WitnessedRow | None:
        """Return the checkpoint of just this size that was shown of a journal, if one was."""
        rows = [*batch.changes.witnessed, *self._newest.values()]
        known = (row for row in rows if (row.origin, row.size) == (name, size))
        return next(known, None) or await self._state.archive.witnessed_at(name, size)

    def _judge(self, shown: _Shown, certificate: str, link: Link, batch: Batch) -> Verdict:
        neighbour, head, held = link.neighbour, shown.head, shown.held
        before = Head(0, EMPTY_ROOT) if held is None else Head(held.size, held.root)
        fits = shown.asked.old_size == before.size <= head.size
        request = Request(
            Head(head.size, head.root),
            shown.asked.old_size,
            is_known=head.origin == self._running(link),
            is_signed=self._is_signed(shown.asked.note, certificate, neighbour, batch),
            extends=fits
            and consistency_holds(
                before.size, head.size, before.root, head.root, shown.asked.hashes
            ),
        )
        return judge(request, before, None if shown.before is None else shown.before.root)

    def _is_signed(self, note: str, certificate: str, neighbour: str, batch: Batch) -> bool:
        try:
            open_checkpoint(self._state, note, certificate, neighbour, batch.now)
        except FormatError:
            return False
        return True

    # --- what follows -------------------------------------------------------------------------

    def _keep(self, shown: _Shown, link: Link, batch: Batch) -> None:
        """Keep and journal a checkpoint; it is what the next one must extend."""
        head, note = shown.head, shown.asked.note
        row = WitnessedRow(head.origin, head.size, head.root, batch.now, note, link.neighbour)
        batch.changes.witnessed.append(row)
        batch.append_leaf(
            LeafKind.WITNESSED,
            None,
            origin=head.origin,
            size=str(head.size),
            root=head.root.hex(),
            note_sha256=sha256_of(note.encode()).hex(),
            address=link.neighbour,
        )
        batch.after_commit(partial(self._newest.__setitem__, head.origin, row))

    def _raise_fork(
        self, shown: _Shown, verdict: Verdict, raw: bytes, link: Link, batch: Batch
    ) -> None:
        """Keep both notes, tell everybody, and stop using the link."""
        held = shown.before or shown.held
        assert held is not None, "only what was kept can be contradicted"
        pieces = [held.note.encode(), shown.asked.note.encode()]
        if verdict.status == 422:
            pieces.append(raw)  # with its proof: that it does not hold anybody can see
        self.raise_fork(verdict.detail, pieces, link, batch)

    def raise_fork(self, detail: str, pieces: list[bytes], link: Link, batch: Batch) -> None:
        """Alarm everybody that a neighbour has signed two histories, and suspend its link."""
        who, body = link.neighbour, pack_pieces(pieces)
        self._alarms.alarm("journal-forked", who, f"journal of {who}: {detail}", body, who, batch)
        self._state.suspend(link, printable(f"its journal has forked: {detail}"), batch)

    def _answer(
        self, verdict: Verdict, head: JournalHead, note: str, link: Link, batch: Batch
    ) -> None:
        """Answer once the batch is committed."""
        cosigner = self._state.gate.cosigner
        held = self._held(head.origin, batch)
        size, body, witness = head.size, b"", None
        keys: tuple[str, ...] = ()
        if verdict.status == 409:
            size = 0 if held is None else held.size
            body = b"" if held is None else held.note.encode()
        elif verdict.status == 200 and cosigner is not None and self._is_witness_of(link):
            body = cosigner.cosign(split_note(note)[0], batch.now // SECOND).encode()
            witness, keys = cosigner.fingerprint, cosigner.vkeys
        header = Cosigned(
            **self._state.gate.stamp(link.neighbour, batch.now),  # type: ignore[arg-type]
            origin=self._name_of(head, link),
            size=size,
            status=verdict.status,
            detail=printable(verdict.detail),
            witness=witness,
            keys=keys,
            body=body_of(body),
        )
        raw = self._state.gate.sign(header, body)
        shown = () if witness is None else (witness,)
        batch.after_commit(partial(link.send_statement, raw, *shown))

    def _name_of(self, head: JournalHead, link: Link) -> str:
        """Return the journal that an answer is about: its running one, where the name is none."""
        try:
            read_origin(head.origin)
        except FormatError:
            return self._running(link)
        return head.origin

    def _running(self, link: Link) -> str:
        return origin(link.neighbour, self._state.registry.epoch_of(link.neighbour))

    def _is_witness_of(self, link: Link) -> bool:
        """Say whether we cosign a neighbour's journal: a child's, and the root's."""
        return not link.is_parent or parent_of(link.neighbour) is None
