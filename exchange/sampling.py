"""Leaves that neighbours have told us of, sampled: now and then one is to be proven (clause 18.2).

A receipt names a leaf in its issuer's journal. Once an hour each neighbour is asked for one such
leaf with its proof under a checkpoint that it has shown us, and answers the like.
"""

import hashlib
from collections import deque
from collections.abc import Sequence

import msgspec

from exchange.batch import Batch
from exchange.comparing import Comparing
from exchange.gate import JudgedEntry, OpenedObject
from exchange.links import Link
from exchange.noted import open_checkpoint
from exchange.quotas import HourlyQuota
from exchange.showing import Showing
from exchange.signing_desk import body_of
from exchange.state import NodeState
from schemas.answers import Receipt
from schemas.errors import FormatError
from schemas.leaves import LeafKind, read_leaf
from schemas.moments import HOUR, Instant
from schemas.objects import Ask
from schemas.reasons import Reason
from schemas.wire import printable
from schemas.witnessing import Proven
from signing.authenticate import Accepted
from signing.notes import Checkpoint, origin
from signing.proofs import LeafProof, proof_text, read_proof, text_of
from store.merkle import inclusion_holds, leaf_hash

SAMPLED_US = HOUR
TOLD_MAX = 64
"""So many leaves of each neighbour are remembered to be asked for; the oldest go."""
ASKS_PER_HOUR = 100
"""So many asks of one neighbour are answered within an hour."""
_ABOUT_PACKETS = {LeafKind.RECEIVED, LeafKind.RELAYED, LeafKind.REFUSED}


class Told(msgspec.Struct, frozen=True):
    """A leaf as a receipt names it, and what it must say."""

    epoch: int
    index: int
    id: str
    head_sha256: str
    frame_sha256: str

    def is_in(self, leaf: dict[str, str]) -> bool:
        """Say whether a leaf names the packet; of a refused frame perhaps by its bytes alone."""
        if leaf.get("kind") == LeafKind.REFUSED:
            known = leaf.get("frame-sha256") == self.frame_sha256
        else:
            known = leaf.get("head-sha256") == self.head_sha256
        return known and leaf.get("id", self.id) == self.id


class Sampling:
    """Asks for leaves, answers asks, and checks what comes."""

    def __init__(self, state: NodeState, showing: Showing, comparing: Comparing) -> None:
        """Share the node's state, what we show, and what we are shown."""
        self._state = state
        self._showing = showing
        self._comparing = comparing
        self._told: dict[str, deque[Told]] = {}
        self._asked: dict[str, Told] = {}
        self._asked_at: dict[str, Instant] = {}
        self._quota = HourlyQuota(ASKS_PER_HOUR)
        self.proven = 0
        """So many leaves have been proven to us in this life."""

    # --- asking -------------------------------------------------------------------------------

    def hear(self, entries: Sequence[JudgedEntry], link: Link) -> None:
        """Remember the leaves that a neighbour's receipts name; of any other entry nothing."""
        for entry in entries:
            self._hear_entry(entry, link)

    def _hear_entry(self, entry: JudgedEntry, link: Link) -> None:
        receipt, verdict = entry.content, entry.verdict
        if not isinstance(receipt, Receipt) or not isinstance(verdict, Accepted):
            return
        if verdict.frame.header.from_ == link.neighbour:
            told = Told(
                receipt.epoch,
                receipt.index,
                receipt.packet.id,
                receipt.head_sha256,
                receipt.frame_sha256,
            )
            self._told.setdefault(link.neighbour, deque(maxlen=TOLD_MAX)).append(told)

    def ask_soon(self) -> None:
        """Ask every neighbour at the next sweep, whenever it was asked last."""
        self._asked_at.clear()

    def sweep(self, batch: Batch) -> None:
        """Ask each neighbour for a leaf, once in a while."""
        for neighbour, told in self._told.items():
            link = self._state.links.get(neighbour)
            waited = batch.now - self._asked_at.get(neighbour, 0)
            if link is None or not link.synchronised or not told or 0 <= waited < SAMPLED_US:
                continue
            self._asked_at[neighbour] = batch.now
            self._ask(told[_drawn(neighbour, batch.now, len(told))], link, batch)

    def _ask(self, told: Told, link: Link, batch: Batch) -> None:
        self._asked[link.neighbour] = told
        stamp = self._state.gate.stamp(link.neighbour, batch.now)
        ask = Ask(**stamp, what="leaf", after=told.index, of_epoch=told.epoch)  # type: ignore[arg-type]
        raw = self._state.gate.sign(ask)
        batch.after_commit(lambda: link.send_object(raw))

    # --- answering ----------------------------------------------------------------------------

    async def answer_ask(self, ask: Ask, link: Link, batch: Batch) -> None:
        """Prove a leaf of ours to a neighbour that it concerns, under what it has been shown."""
        if self._quota.take(link.neighbour, batch.now) >= ASKS_PER_HOUR:
            return
        epoch, index = ask.of_epoch or 1, ask.after or 0
        body, journal = b"", None
        ours = self._showing.newest
        if epoch == self._state.gate.epoch and ours is not None and index < ours.size:
            if index >= self._showing.holds(link.neighbour):
                await self._showing.show(link, batch)
            body = await self._prove(index, link)
            journal = ours.journal if body else None
        header = Proven(
            **self._state.gate.stamp(link.neighbour, batch.now),  # type: ignore[arg-type]
            of_epoch=epoch,
            index=index,
            journal=journal,
            body=body_of(body),
        )
        raw = self._state.gate.sign(header, body)
        shown = () if journal is None else (journal,)
        batch.after_commit(lambda: link.send_statement(raw, *shown))

    async def _prove(self, index: int, link: Link) -> bytes:
        """Return the proof of a leaf, or nothing where the leaf does not concern the neighbour."""
        archive, ours = self._state.archive, self._showing.newest
        assert ours is not None, "the caller has looked"
        record = (await archive.leaves_at([index])).get(index)
        if record is None or not self._concerns(record, link):
            return b""
        size, note = ours.size, ours.note
        held = self._showing.holds(link.neighbour)
        if index < held:
            found = await archive.checkpoint_from(held)
            if found is not None and found[0] == held:
                size, _, note = found
        proof = await archive.inclusion_proof(index, size)
        return proof_text(LeafProof(index, proof, note, record)).encode()

    def _concerns(self, record: bytes, link: Link) -> bool:
        """Say whether a leaf is about what passed over this link: others' traffic is not told."""
        leaf = read_leaf(record)
        if leaf["kind"] not in _ABOUT_PACKETS:
            return False
        ends = [leaf[end] for end in ("from", "to") if end in leaf]
        below = self._state.registry.is_below
        here = self._state.rules.here
        beyond = (
            not below(end, here) if link.is_parent else below(end, link.neighbour) for end in ends
        )
        return leaf.get("via") == link.neighbour or any(beyond)

    # --- what is proven -----------------------------------------------------------------------

    async def take(self, opened: OpenedObject, link: Link, batch: Batch) -> None:
        """Check the proof of a leaf that we have asked for."""
        header, told = opened.header, self._asked.pop(link.neighbour, None)
        assert isinstance(header, Proven), "the caller sorts them"
        if told is None or (told.epoch, told.index) != (header.of_epoch, header.index):
            return
        if not opened.body:
            return  # no checkpoint covers it yet: it is asked for again some time
        try:
            head = self._check(header, told, opened.body, link, batch)
        except FormatError as error:
            self._disprove(opened, told, error.detail, link, batch)
            return
        row = await self._comparing.kept(head.origin, head.size, batch)
        if row is not None and row.root != head.root:
            note = read_proof(text_of(opened.body)).note
            pieces = [row.note.encode(), note.encode()]
            detail = f"two roots were signed at size {head.size}"
            self._comparing.raise_fork(detail, pieces, link, batch)
        elif row is not None:
            self.proven += 1
            if told in self._told[link.neighbour]:  # later receipts may have pushed it out
                self._told[link.neighbour].remove(told)

    def _check(
        self, header: Proven, told: Told, body: bytes, link: Link, batch: Batch
    ) -> Checkpoint:
        """Return the checkpoint under which a leaf is proven. Raises FormatError."""
        proof = read_proof(text_of(body))
        head = open_checkpoint(
            self._state, proof.note, header.journal or "", link.neighbour, batch.now
        )
        if head.origin != origin(link.neighbour, told.epoch) or proof.index != told.index:
            raise _fault("it is of another journal or leaf")
        record = proof.leaf or b""
        hashed = leaf_hash(record)
        if not inclusion_holds(told.index, head.size, hashed, proof.hashes, head.root):
            raise _fault("the proof does not hold")
        leaf = read_leaf(record)
        if leaf.get("kind") not in _ABOUT_PACKETS or not told.is_in(leaf):
            raise _fault("the leaf is not about the packet of the receipt")
        return head

    def _disprove(
        self, opened: OpenedObject, told: Told, detail: str, link: Link, batch: Batch
    ) -> None:
        """Keep what was brought as a proof and is none."""
        effects = self._state.effects
        text = printable(f"leaf {told.index} of epoch {told.epoch}: {detail}")
        frame = effects.keep_raw(opened.raw, link.neighbour, text, batch)
        effects.raise_incident("leaf_disproven", link.neighbour, text, batch, frame)


def _drawn(neighbour: str, now: Instant, count: int) -> int:
    """Return which of `count` leaves to ask for; no neighbour can tell before."""
    digest = hashlib.sha256(f"{neighbour} {now}".encode()).digest()
    return int.from_bytes(digest[:8]) % count


def _fault(detail: str) -> FormatError:
    return FormatError(Reason.FORMAT_INVALID, detail)
