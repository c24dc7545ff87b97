"""Proofs as text: C2SP tlog-proof files, and the body of a C2SP tlog-witness `add-checkpoint`.

Pure text: what a proof shows, `store.merkle` says; who has signed its note, `signing.notes`.
"""

import base64
from collections.abc import Sequence

import msgspec

from signing.note_text import fault, is_plain_number, unbase64

PROOF_FIRST_LINE = "c2sp.org/tlog-proof@v1\n"
HASHES_MAX = 63
_HASH_BYTES = 32


class LeafProof(msgspec.Struct, frozen=True, gc=False):
    """That leaf `index` is in the journal whose checkpoint is `note`."""

    index: int
    hashes: list[bytes]
    note: str
    leaf: bytes | None = None
    """As `extra`: by itself it proves nothing, it must be hashed and compared."""


class AddCheckpoint(msgspec.Struct, frozen=True, gc=False):
    """A checkpoint shown to a witness, as an extension of the one of `old_size`."""

    old_size: int
    hashes: list[bytes]
    note: str


def proof_text(proof: LeafProof) -> str:
    """Return a tlog-proof file."""
    extra = "" if proof.leaf is None else f"extra {base64.b64encode(proof.leaf).decode()}\n"
    return f"{PROOF_FIRST_LINE}{extra}index {proof.index}\n{_lines(proof.hashes)}\n{proof.note}"


def read_proof(text: str) -> LeafProof:
    """Return what a tlog-proof file says; its note is not opened yet. Raises FormatError."""
    head, note = _cut(text)
    lines = head.split("\n")
    if lines.pop(0) != PROOF_FIRST_LINE.strip():
        raise fault("proof is no tlog-proof of version 1")
    leaf = None
    if lines and lines[0].startswith("extra "):
        leaf = unbase64(lines.pop(0).removeprefix("extra "))
    index = _number(lines.pop(0) if lines else "", "index ")
    return LeafProof(index, _hashes(lines), note, leaf)


def request_body(request: AddCheckpoint) -> bytes:
    """Return the body of an `add-checkpoint` request."""
    return f"old {request.old_size}\n{_lines(request.hashes)}\n{request.note}".encode()


def read_request(body: bytes) -> AddCheckpoint:
    """Return what an `add-checkpoint` asks; its note is not opened yet. Raises FormatError."""
    head, note = _cut(text_of(body))
    first, *lines = head.split("\n")
    return AddCheckpoint(_number(first, "old "), _hashes(lines), note)


def text_of(body: bytes) -> str:
    """Return the text of a body. Raises FormatError."""
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise fault("body is no text") from error


def _cut(text: str) -> tuple[str, str]:
    """Return what stands before the first empty line, and what behind it."""
    head, empty, note = text.partition("\n\n")
    if not empty:
        raise fault("no empty line before the checkpoint")
    return head, note


def _number(line: str, key: str) -> int:
    value = line.removeprefix(key)
    if not line.startswith(key) or not is_plain_number(value):
        raise fault(f"line {key.strip()} is missing or no plain number")
    return int(value)


def _lines(hashes: Sequence[bytes]) -> str:
    return "".join(f"{base64.b64encode(each).decode()}\n" for each in hashes)


def _hashes(lines: Sequence[str]) -> list[bytes]:
    hashes = [unbase64(line) for line in lines]
    if len(hashes) > HASHES_MAX or any(len(each) != _HASH_BYTES for each in hashes):
        raise fault(f"proof has over {HASHES_MAX} hashes, or one that is not SHA-256")
    return hashes
