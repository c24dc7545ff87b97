"""Heads and proofs of the second log, which renews the journal's hash (clause 19.4).

The same leaves as the journal's, hashed with SHA-512. Its head is a signed note of the form of a
checkpoint, under a name of its own, so that it is no second view of the journal:

    burabay.akmola.kz.bbaj.internal/1/sha-512
    84213
    <root of 64 bytes, base64>

What needs no key of ours is plain text; what a proof shows, `store.merkle` says (RENEWED).
"""

import base64
from collections.abc import Sequence

import msgspec

from signing.keys import JournalSigner
from signing.note_text import fault, is_plain_number, shown, signature_line, split_note, unbase64
from signing.notes import KeyType, VerifierKey, key_id, open_note, read_origin

SUFFIX = "/sha-512"
PROOF_FIRST_LINE = "bbaj-proof/1 sha-512"
HASHES_MAX = 63
_ROOT_BYTES = 64


class SecondHead(msgspec.Struct, frozen=True, gc=False):
    """The second log's head; `origin` is the journal's."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The text that is signed."""
        root = base64.b64encode(self.root).decode()
        return f"{self.origin}{SUFFIX}\n{self.size}\n{root}\n"


class RenewedProof(msgspec.Struct, frozen=True, gc=False):
    """That leaf `index` is in the second log whose signed head is `note`."""

    index: int
    hashes: list[bytes]
    note: str


def sign_second_head(head: SecondHead, signer: JournalSigner) -> str:
    """Return the signed note of a head; the journal key signs under the second log's name."""
    name = head.origin + SUFFIX
    assert len(head.root) == _ROOT_BYTES, f"root of {len(head.root)} bytes"
    signature = key_id(name, signer.public_bytes) + signer.sign(head.text.encode())
    return f"{head.text}\n{signature_line(name, signature)}"


def second_head_of(note: str) -> SecondHead:
    """Return what a note says, whoever has signed it. Raises FormatError."""
    lines = split_note(note)[0].split("\n")
    if len(lines) != 4 or lines[3]:
        raise fault("head of a second log has not its three lines")
    name, size, root = lines[:3]
    if not name.endswith(SUFFIX):
        raise fault(f"{shown(name)} names no second log")
    origin = name.removesuffix(SUFFIX)
    read_origin(origin)
    if not is_plain_number(size):
        raise fault(f"second log's size {shown(size)} is no plain number")
    digest = unbase64(root)
    if len(digest) != _ROOT_BYTES:
        raise fault(f"second log's root has {len(digest)} bytes")
    return SecondHead(origin, int(size), digest)


def open_second_head(note: str, public_key: bytes) -> SecondHead:
    """Return the head that a journal key (Ed25519, raw) has signed. Raises FormatError."""
    head = second_head_of(note)
    open_note(note, [VerifierKey(head.origin + SUFFIX, KeyType.ED25519, public_key)])
    return head


def renewed_proof_text(proof: RenewedProof) -> str:
    """Return a proof as a file of an evidence folder."""
    return f"{PROOF_FIRST_LINE}\nindex {proof.index}\n{_lines(proof.hashes)}\n{proof.note}"


def read_renewed_proof(text: str) -> RenewedProof:
    """Return what a proof file says; its note is not opened yet. Raises FormatError."""
    head, empty, note = text.partition("\n\n")
    first, _, rest = head.partition("\n")
    number, *lines = rest.split("\n")
    if not empty or first != PROOF_FIRST_LINE:
        raise fault("proof is none of a second log, version 1")
    index = number.removeprefix("index ")
    if index == number or not is_plain_number(index):
        raise fault("line index is missing or no plain number")
    hashes = [unbase64(line) for line in lines]
    if len(hashes) > HASHES_MAX or any(len(each) != _ROOT_BYTES for each in hashes):
        raise fault(f"proof has over {HASHES_MAX} hashes, or one that is not SHA-512")
    return RenewedProof(int(index), hashes, note)


def _lines(hashes: Sequence[bytes]) -> str:
    return "".join(f"{base64.b64encode(each).decode()}\n" for each in hashes)
