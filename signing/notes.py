"""Checkpoints as C2SP signed notes: what public tools verify a journal by.

Follows c2sp.org/signed-note, c2sp.org/tlog-checkpoint and, for witnesses, both forms of
c2sp.org/tlog-cosignature (v1.1): Ed25519 and ML-DSA-44. The text by itself is in `note_text`.
"""

import base64
import hashlib
from collections.abc import Sequence
from enum import IntEnum

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa

from schemas.addresses import dns_name, is_address
from schemas.errors import FormatError
from schemas.moments import SECOND, Instant, format_instant
from schemas.reasons import Reason
from signing.certificates import address_of_dns_name
from signing.keys import JournalSigner
from signing.note_text import (
    KEY_ID_BYTES,
    fault,
    is_key_name,
    is_plain_number,
    read_signature_line,
    shown,
    signature_line,
    split_note,
    unbase64,
)

_TIME_BYTES = 8
_SUBTREE_LABEL = b"subtree/v1\n\0"


class KeyType(IntEnum):
    """The algorithm byte of a verifier key."""

    ED25519 = 0x01
    COSIGNATURE_V1 = 0x04
    MLDSA44_COSIGNATURE = 0x06


_PUBLIC_BYTES = {KeyType.ED25519: 32, KeyType.COSIGNATURE_V1: 32, KeyType.MLDSA44_COSIGNATURE: 1312}
_SIGNATURE_BYTES = {
    KeyType.ED25519: 64,
    KeyType.COSIGNATURE_V1: 64,
    KeyType.MLDSA44_COSIGNATURE: 2420,
}
_COSIGNATURE_BYTES = {
    _SIGNATURE_BYTES[KeyType.COSIGNATURE_V1],
    _SIGNATURE_BYTES[KeyType.MLDSA44_COSIGNATURE],
}


class VerifierKey(msgspec.Struct, frozen=True, gc=False):
    """A name and the key that may sign under it."""

    name: str
    type: KeyType
    public_key: bytes

    @property
    def id(self) -> bytes:
        """The first four bytes of SHA-256 of name, newline, algorithm and key."""
        return key_id(self.name, self.public_key, self.type)

    @property
    def text(self) -> str:
        """The one-line form, `name+hex(id)+base64(algorithm || key)`."""
        encoded = base64.b64encode(bytes([self.type]) + self.public_key).decode()
        return f"{self.name}+{self.id.hex()}+{encoded}"


class NoteSignature(msgspec.Struct, frozen=True, gc=False):
    """One signature that has held; `time` (seconds) only for a cosignature."""

    name: str
    time: int | None = None


class Note(msgspec.Struct, frozen=True, gc=False):
    """The text that is signed, ending in a newline, and who is proven to have signed it."""

    text: str
    signatures: list[NoteSignature]


class Checkpoint(msgspec.Struct, frozen=True, gc=False):
    """A journal's head: its origin, its size in leaves, and its root hash."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def origin(address: str, epoch: int) -> str:
    """Return a journal's name: its node's DNS name and the epoch."""
    assert is_address(address), f"{address} is no address"
    assert epoch >= 1, f"epoch {epoch}, the first is 1"
    return f"{dns_name(address)}/{epoch}"


def read_origin(text: str) -> tuple[str, int]:
    """Return address and epoch of a journal's name. Raises FormatError."""
    name, _, epoch = text.rpartition("/")
    address = address_of_dns_name(name)
    if address is None or not is_plain_number(epoch) or epoch == "0":
        raise fault(f"origin {shown(text)} names no journal of this network")
    return address, int(epoch)


def key_id(name: str, public_key: bytes, type_: KeyType = KeyType.ED25519) -> bytes:
    """Return the id of a key under a name."""
    return hashlib.sha256(f"{name}\n".encode() + bytes([type_]) + public_key).digest()[
        :KEY_ID_BYTES
    ]


def vkey(name: str, public_key: bytes, type_: KeyType = KeyType.ED25519) -> str:
    """Return the one-line form of a verifier key."""
    return VerifierKey(name, type_, public_key).text


def read_vkey(text: str) -> VerifierKey:
    """Return the key of a one-line form. Raises FormatError where its parts do not agree."""
    parts = text.split("+", 2)
    if len(parts) != 3:
        raise fault("verifier key has not three parts")
    name, id_hex, encoded = parts
    data = unbase64(encoded)
    known = bool(data) and data[0] in _PUBLIC_BYTES
    if not is_key_name(name) or not known or len(data) != 1 + _PUBLIC_BYTES[KeyType(data[0])]:
        raise fault(f"verifier key of {shown(name)} is neither Ed25519 nor ML-DSA-44")
    key = VerifierKey(name, KeyType(data[0]), data[1:])
    if key.id.hex() != id_hex:
        raise fault(f"verifier key of {shown(name)} has another id than it says")
    return key


def sign_checkpoint(origin_: str, size: int, root: bytes, signer: JournalSigner) -> str:
    """Return the signed note of a checkpoint; the key signs under the origin's own name."""
    assert len(root) == 32, f"root of {len(root)} bytes"
    assert size >= 0, f"size {size}"
    text = Checkpoint(origin_, size, root).text
    identity = key_id(origin_, signer.public_bytes)
    return f"{text}\n{signature_line(origin_, identity + signer.sign(text.encode()))}"


def cosign(note: str, name: str, time_s: int, signer: JournalSigner) -> str:
    """Return the note with a witness's cosignature added. The caller has checked consistency."""
    return note + cosignature_line(split_note(note)[0], name, time_s, signer)


def cosignature_line(text: str, name: str, time_s: int, signer: JournalSigner) -> str:
    """Return the line of a witness's Ed25519 cosignature of a checkpoint's text."""
    identity = key_id(name, signer.public_bytes, KeyType.COSIGNATURE_V1)
    stamp = time_s.to_bytes(_TIME_BYTES)
    return signature_line(name, identity + stamp + signer.sign(cosigned_bytes(text, time_s)))


def mldsa_cosignature_line(text: str, name: str, time_s: int, key: mldsa.MLDSA44PrivateKey) -> str:
    """Return the line of a witness's ML-DSA-44 cosignature of a checkpoint's text."""
    identity = key_id(name, key.public_key().public_bytes_raw(), KeyType.MLDSA44_COSIGNATURE)
    stamp = time_s.to_bytes(_TIME_BYTES)
    return signature_line(name, identity + stamp + key.sign(subtree_bytes(text, name, time_s)))


def cosigned_bytes(text: str, time_s: int) -> bytes:
    """Return what an Ed25519 cosignature covers."""
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def subtree_bytes(text: str, name: str, time_s: int) -> bytes:
    """Return what an ML-DSA-44 cosignature of a whole checkpoint covers. Raises FormatError."""
    checkpoint = read_checkpoint(text)
    named = [each.encode() for each in (name, checkpoint.origin)]
    if not all(1 <= len(each) <= 255 for each in named):
        raise fault("name or origin of more than 255 bytes cannot be cosigned")
    witness, journal = (bytes([len(each)]) + each for each in named)
    stamp, start, end = (each.to_bytes(8) for each in (time_s, 0, checkpoint.size))
    return _SUBTREE_LABEL + witness + stamp + journal + start + end + checkpoint.root


def open_note(note: str, vkeys: Sequence[str | VerifierKey]) -> Note:
    """Return the text of a note and which of the given keys have signed it.

    Lines of unknown keys are skipped. Raises FormatError where the note is malformed, a known key's
    signature does not hold, or no known key has signed.
    """
    keys = [read_vkey(key) if isinstance(key, str) else key for key in vkeys]
    known = {(key.name, key.id): key for key in keys}
    text, lines = split_note(note)
    held: dict[tuple[str, bytes], NoteSignature] = {}
    for line in lines:
        name, identity, signature = read_signature_line(line)
        key = known.get((name, identity))
        if key is not None and (name, identity) not in held:
            held[name, identity] = _verify(key, text, signature)
    if not held:
        raise FormatError(Reason.SIG_INVALID, "note: no known key has signed it")
    return Note(text, list(held.values()))


def with_lines_of(note: str, keys: Sequence[VerifierKey]) -> str:
    """Return a note with the lines of these keys alone, one of each. Raises FormatError.

    Whether they hold, `open_note` has found.
    """
    text, lines = split_note(note)
    found = {read_signature_line(line)[:2]: line for line in reversed(lines)}
    kept = [found[key.name, key.id] for key in keys if (key.name, key.id) in found]
    return "\n".join([text, *kept, ""])


def read_checkpoint(text: str) -> Checkpoint:
    """Return the checkpoint of a note's text; extension lines are passed over. Raises FormatError.

    Which origin is right, the caller knows.
    """
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
        raise fault("checkpoint has not at least three lines, none of them empty")
    origin_, size, root = lines[:3]
    if not is_plain_number(size):
        raise fault(f"checkpoint size {shown(size)} is no plain number")
    digest = unbase64(root)
    if len(digest) != 32:
        raise fault(f"checkpoint root has {len(digest)} bytes")
    return Checkpoint(origin_, int(size), digest)


def checkpoint_of(note: str) -> Checkpoint:
    """Return what a note says, whoever has signed it. Raises FormatError."""
    return read_checkpoint(split_note(note)[0])


def check_order(note: str, stamped: Instant, window_us: int) -> None:
    """Raise FormatError where a time-stamp over a note is older than a cosignature in it.

    The clocks may differ by a window; whose cosignature it is, and whether it holds, is left open.
    """
    text, lines = split_note(note)
    own = text.partition("\n")[0]
    for name, _, signature in map(read_signature_line, lines):
        time_s = int.from_bytes(signature[:_TIME_BYTES])
        is_cosignature = name != own and len(signature) - _TIME_BYTES in _COSIGNATURE_BYTES
        if is_cosignature and time_s * SECOND > stamped + window_us:
            ahead = time_s - stamped // SECOND
            said = f"it is of {format_instant(stamped)}, {ahead} s before the cosignature"
            detail = f"time-stamp: {said} of {shown(name)} in what it stamps: compare the clocks"
            raise FormatError(Reason.OUTSIDE_TIME_WINDOW, detail)


def _verify(key: VerifierKey, text: str, signature: bytes) -> NoteSignature:
    time_s: int | None = None
    if key.type is not KeyType.ED25519:
        time_s = int.from_bytes(signature[:_TIME_BYTES])
        signature = signature[_TIME_BYTES:]
    if len(signature) != _SIGNATURE_BYTES[key.type]:
        raise fault(f"signature of {shown(key.name)} has {len(signature)} bytes")
    try:
        _check(key, text, time_s, signature)
    except InvalidSignature as error:
        detail = f"note: signature of {shown(key.name)} does not hold"
        raise FormatError(Reason.SIG_INVALID, detail) from error
    return NoteSignature(key.name, time_s)


def _check(key: VerifierKey, text: str, time_s: int | None, signature: bytes) -> None:
    """Raise InvalidSignature where a signature does not hold, FormatError for a bad checkpoint."""
    if key.type is KeyType.MLDSA44_COSIGNATURE:
        public = mldsa.MLDSA44PublicKey.from_public_bytes(key.public_key)
        public.verify(signature, subtree_bytes(text, key.name, time_s or 0))
        return
    signed = text.encode() if time_s is None else cosigned_bytes(text, time_s)
    ed25519.Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature, signed)
