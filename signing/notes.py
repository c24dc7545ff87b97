"""Checkpoints as C2SP signed notes: what public tools verify a journal by.

Follows c2sp.org/signed-note, c2sp.org/tlog-checkpoint and, for witnesses, the Ed25519 form of
c2sp.org/tlog-cosignature. A note is text, a blank line, and lines `— name base64(key id || sig)`.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from enum import IntEnum

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519

from schemas.addresses import dns_name, is_address
from schemas.errors import FormatError
from schemas.reasons import Reason
from signing.certificates import address_of_dns_name
from signing.keys import JournalSigner

NOTE_BYTES_MAX = 64 * 1024
SIGNATURES_MAX = 32
_KEY_ID_BYTES = 4
_SIGNATURE_BYTES = 64
_TIME_BYTES = 8
_MARK = "— "


class KeyType(IntEnum):
    """The algorithm byte of a verifier key."""

    ED25519 = 0x01
    COSIGNATURE_V1 = 0x04


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
    if address is None or not _is_plain_number(epoch) or epoch == "0":
        raise _fault(f"origin {_shown(text)} names no journal of this network")
    return address, int(epoch)


def key_id(name: str, public_key: bytes, type_: KeyType = KeyType.ED25519) -> bytes:
    """Return the id of a key under a name."""
    return hashlib.sha256(f"{name}\n".encode() + bytes([type_]) + public_key).digest()[
        :_KEY_ID_BYTES
    ]


def vkey(name: str, public_key: bytes, type_: KeyType = KeyType.ED25519) -> str:
    """Return the one-line form of a verifier key."""
    return VerifierKey(name, type_, public_key).text


def read_vkey(text: str) -> VerifierKey:
    """Return the key of a one-line form. Raises FormatError where its parts do not agree."""
    parts = text.split("+", 2)
    if len(parts) != 3:
        raise _fault("verifier key has not three parts")
    name, id_hex, encoded = parts
    data = _unbase64(encoded)
    if not _is_name(name) or len(data) != 33 or data[0] not in list(KeyType):
        raise _fault(f"verifier key of {_shown(name)} is not Ed25519")
    key = VerifierKey(name, KeyType(data[0]), data[1:])
    if key.id.hex() != id_hex:
        raise _fault(f"verifier key of {_shown(name)} has another id than it says")
    return key


def sign_checkpoint(origin_: str, size: int, root: bytes, signer: JournalSigner) -> str:
    """Return the signed note of a checkpoint; the key signs under the origin's own name."""
    assert len(root) == 32, f"root of {len(root)} bytes"
    assert size >= 0, f"size {size}"
    text = Checkpoint(origin_, size, root).text
    identity = key_id(origin_, signer.public_bytes)
    return _append(text + "\n", origin_, identity + signer.sign(text.encode()))


def cosign(note: str, name: str, time_s: int, signer: JournalSigner) -> str:
    """Return the note with a witness's cosignature added. The caller has checked consistency."""
    text, _ = _split(note)
    identity = key_id(name, signer.public_bytes, KeyType.COSIGNATURE_V1)
    stamp = time_s.to_bytes(_TIME_BYTES)
    return _append(note, name, identity + stamp + signer.sign(_cosigned(text, time_s)))


def open_note(note: str, vkeys: Sequence[str | VerifierKey]) -> Note:
    """Return the text of a note and which of the given keys have signed it.

    Lines of unknown keys are skipped. Raises FormatError where the note is malformed, a known key's
    signature does not hold, or no known key has signed.
    """
    keys = [read_vkey(key) if isinstance(key, str) else key for key in vkeys]
    known = {(key.name, key.id): key for key in keys}
    text, lines = _split(note)
    held: dict[tuple[str, bytes], NoteSignature] = {}
    for line in lines:
        name, identity, signature = _read_line(line)
        key = known.get((name, identity))
        if key is not None and (name, identity) not in held:
            held[name, identity] = _verify(key, text, signature)
    if not held:
        raise FormatError(Reason.SIG_INVALID, "note: no known key has signed it")
    return Note(text, list(held.values()))


def read_checkpoint(text: str) -> Checkpoint:
    """Return the checkpoint of a note's text; extension lines are passed over. Raises FormatError.

    Which origin is right, the caller knows.
    """
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
        raise _fault("checkpoint has not at least three lines, none of them empty")
    origin_, size, root = lines[:3]
    if not _is_plain_number(size):
        raise _fault(f"checkpoint size {_shown(size)} is no plain number")
    digest = _unbase64(root)
    if len(digest) != 32:
        raise _fault(f"checkpoint root has {len(digest)} bytes")
    return Checkpoint(origin_, int(size), digest)


def _verify(key: VerifierKey, text: str, signature: bytes) -> NoteSignature:
    time_s: int | None = None
    signed = text.encode()
    if key.type is KeyType.COSIGNATURE_V1:
        time_s = int.from_bytes(signature[:_TIME_BYTES])
        signature, signed = signature[_TIME_BYTES:], _cosigned(text, time_s)
    if len(signature) != _SIGNATURE_BYTES:
        raise _fault(f"signature of {_shown(key.name)} has {len(signature)} bytes")
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature, signed)
    except InvalidSignature as error:
        detail = f"note: signature of {_shown(key.name)} does not hold"
        raise FormatError(Reason.SIG_INVALID, detail) from error
    return NoteSignature(key.name, time_s)


def _cosigned(text: str, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def _split(note: str) -> tuple[str, list[str]]:
    """Return the signed text and the signature lines."""
    if len(note.encode("utf-8", "surrogatepass")) > NOTE_BYTES_MAX:
        raise _fault(f"note over {NOTE_BYTES_MAX} bytes")
    if any((ord(c) < 0x20 and c != "\n") or 0xD800 <= ord(c) <= 0xDFFF for c in note):
        raise _fault("note has a control character")
    text, blank, signatures = note.rpartition("\n\n")
    if not blank or not signatures.endswith("\n"):
        raise _fault("note has no signatures behind a blank line")
    lines = signatures[:-1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise _fault(f"note has {len(lines)} signatures, limit {SIGNATURES_MAX}")
    return text + "\n", lines


def _read_line(line: str) -> tuple[str, bytes, bytes]:
    """Return name, key id and signature of a signature line."""
    name, space, encoded = line.removeprefix(_MARK).partition(" ")
    if not line.startswith(_MARK) or not space or not _is_name(name):
        raise _fault("signature line has not its three parts")
    data = _unbase64(encoded)
    if len(data) <= _KEY_ID_BYTES:
        raise _fault(f"signature of {_shown(name)} is empty")
    return name, data[:_KEY_ID_BYTES], data[_KEY_ID_BYTES:]


def _append(note: str, name: str, data: bytes) -> str:
    return f"{note}{_MARK}{name} {base64.b64encode(data).decode()}\n"


def _is_name(text: str) -> bool:
    return bool(text) and "+" not in text and not any(c.isspace() for c in text)


def _is_plain_number(text: str) -> bool:
    """Say whether it is decimal without sign or leading zero, and within 2^63."""
    if not (text.isascii() and text.isdigit()) or len(text) > 19:
        return False
    return (text == "0" or not text.startswith("0")) and int(text) < 2**63


def _unbase64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _fault("base64 is damaged") from error
    if base64.b64encode(data).decode() != text:
        raise _fault("base64 is not in its one encoding")
    return data


def _shown(text: str) -> str:
    """Return text of a stranger as it may stand in a detail."""
    return "".join(c for c in text if " " <= c <= "~" and c not in '"\\')[:80]


def _fault(detail: str) -> FormatError:
    return FormatError(Reason.FORMAT_INVALID, detail if detail[:4] == "note" else f"note: {detail}")
