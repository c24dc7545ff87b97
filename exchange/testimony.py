"""What a node says of a packet: the leaves of its journal, each proven under a checkpoint (18.6).

    body = pieces: "c2sp.org/tlog-proof@v1 ..." with the leaf as `extra`, or the bare leaf

A leaf by itself is the node's word; under a checkpoint of its journal it is one that it cannot
take back: the checkpoint is witnessed, and whoever holds both can show it.
"""

from collections.abc import Sequence

import msgspec

from exchange.noted import open_checkpoint, own_journal_of
from exchange.state import NodeState
from schemas.errors import FormatError
from schemas.leaves import FIELDS, LeafKind, read_leaf
from schemas.moments import Instant
from schemas.objects import pack_pieces, unpack_pieces
from schemas.reasons import Reason
from schemas.records import LeafMark
from schemas.statements import Track, Tracked
from schemas.wire import check_moment
from signing.notes import Checkpoint, checkpoint_of, read_origin
from signing.proofs import PROOF_FIRST_LINE, LeafProof, proof_text, read_proof, text_of
from store.merkle import inclusion_holds, leaf_hash

LEAVES_MAX = 32
"""A packet has some three leaves a node; of more the newest are told."""
_KINDS = {kind for kind, fields in FIELDS.items() if {"id", "from", "at"} <= set(fields)}


class Claim(msgspec.Struct, frozen=True, gc=False):
    """One leaf that a node has shown, under a checkpoint or on its word alone."""

    record: bytes
    proof: LeafProof | None = None

    @property
    def leaf(self) -> dict[str, str]:
        """The leaf's lines by key. Raises FormatError."""
        return read_leaf(self.record)

    @property
    def checkpoint(self) -> Checkpoint | None:
        """What proves it, whoever has signed that. Raises FormatError."""
        return None if self.proof is None else checkpoint_of(self.proof.note)


def is_about(record: bytes, asked: Track | Tracked) -> bool:
    """Say whether a leaf is about the packet that is asked for."""
    leaf = read_leaf(record)
    named = (leaf.get("from"), leaf.get("epoch"), leaf.get("id"))
    return named == (asked.sender, str(asked.packet_epoch), asked.packet)


async def testify(state: NodeState, marks: Sequence[LeafMark]) -> tuple[bytes, str | None]:
    """Return the body that shows leaves of ours, and the certificate of the checkpoint's key."""
    last = await state.archive.last_checkpoint()
    size, _, note = last or (0, 0, "")
    journal = own_journal_of(state, note) if last is not None else None
    pieces, proven = [], False
    for mark in marks[-LEAVES_MAX:]:
        if journal is None or mark.index >= size:
            pieces.append(mark.record)
            continue
        hashes = await state.archive.inclusion_proof(mark.index, size)
        proof = LeafProof(mark.index, hashes, note, mark.record)
        pieces.append(proof_text(proof).encode())
        proven = True
    return pack_pieces(pieces), journal if proven else None


def read_claims(body: bytes) -> list[Claim]:
    """Return what a body shows; nothing of it is checked but its form. Raises FormatError."""
    pieces, end = unpack_pieces(body)
    if end != len(body) or len(pieces) > LEAVES_MAX:
        raise _fault(f"over {LEAVES_MAX} leaves, or bytes behind the last")
    return [_read(piece) for piece in pieces]


def check_claims(
    state: NodeState, said: Tracked, body: bytes, head_sha256: str | None, now: Instant
) -> list[Claim]:
    """Return what a node has shown of a packet, once all of it holds. Raises FormatError.

    `head_sha256` is that of the packet in our own record: two frames under one id differ in it.
    """
    claims = read_claims(body)
    for claim in claims:
        leaf = claim.leaf
        if leaf.get("kind") not in _KINDS or not is_about(claim.record, said):
            raise _fault("a leaf is not about the packet")
        check_moment("at", leaf.get("at", ""))
        is_other = head_sha256 not in {None, leaf.get("head-sha256", head_sha256)}
        if is_other and leaf["kind"] != LeafKind.REFUSED:
            raise _fault("a leaf is about another frame of the same id")
        if claim.proof is not None:
            _check_proof(state, said, claim, claim.proof, now)
    return claims


def _check_proof(
    state: NodeState, said: Tracked, claim: Claim, proof: LeafProof, now: Instant
) -> None:
    """Raise FormatError unless a leaf is in the journal of who shows it."""
    head = open_checkpoint(state, proof.note, said.journal or "", said.from_, now)
    if read_origin(head.origin)[0] != said.from_:
        raise _fault(f"a checkpoint is not of {said.from_}")
    hashed = leaf_hash(claim.record)
    if not inclusion_holds(proof.index, head.size, hashed, proof.hashes, head.root):
        raise _fault(f"the proof of leaf {proof.index} does not hold")


def _read(piece: bytes) -> Claim:
    if not piece.startswith(PROOF_FIRST_LINE.encode()):
        return Claim(piece)
    proof = read_proof(text_of(piece))
    if proof.leaf is None:
        raise _fault(f"the proof of leaf {proof.index} has no leaf")
    return Claim(proof.leaf, proof)


def _fault(detail: str) -> FormatError:
    return FormatError(Reason.FORMAT_INVALID, detail)
