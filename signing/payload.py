"""From content to payload and back: salt, deflate where it pays, padding, encryption (clause 5).

    plain = 16 random bytes || content, deflated, then padded, then encrypted, as `coding` says

The salt dies with the payload, so no digest that stays can be guessed back. Padding stands behind
deflate, for what it hides is the length that deflate leaves, and within the encryption.
"""

import hashlib
import zlib
from collections.abc import Sequence
from typing import Literal

import msgspec

from schemas.errors import FormatError
from schemas.header import Coding, Header, PayloadFacts
from schemas.limits import PAYLOAD_BYTES_MAX, SALT_BYTES
from schemas.reasons import Reason
from signing.encryption import EncryptionKeyring
from signing.wrapping import binding_of, decrypt, encrypt, overhead_bytes

ClearCoding = Literal["salt", "salt+deflate"]

PAD_BYTES_MIN = 4096
READERS = 2
"""An encrypted payload is for its recipient and for its sender's own archive."""

_RAW_DEFLATE = -15
_LEVEL = 6
_PAYS_BYTES = 16
"""Deflate is used where it saves at least so much."""
_MARK = b"\x80"


def make_payload(content: bytes, salt: bytes) -> tuple[bytes, ClearCoding]:
    """Return the clear payload of `content` and the steps that made it. `salt`: 16 random bytes."""
    assert len(salt) == SALT_BYTES, f"salt of {len(salt)} bytes"
    plain = salt + content
    packed = zlib.compress(plain, _LEVEL, _RAW_DEFLATE)
    if len(packed) + _PAYS_BYTES <= len(plain):
        return packed, "salt+deflate"
    return plain, "salt"


def encrypt_content(
    draft: Header, content: bytes, salt: bytes, readers: Sequence[bytes], *, padded: bool
) -> tuple[bytes, PayloadFacts]:
    """Return the encrypted payload of `content` and its facts.

    `draft` is the header but for `payload`, of which the media type alone counts; `readers` are
    public keys (1,216 bytes each), the recipient's first.
    """
    clear, steps = make_payload(content, salt)
    coding: Coding = f"{steps}+pad+hpke" if padded else f"{steps}+hpke"  # type: ignore[assignment]
    plain = pad(clear, len(readers)) if padded else clear
    payload = encrypt(plain, binding_of(draft), readers)
    facts = payload_facts(payload, draft.payload.media_type, coding)
    clear_sha256 = hashlib.sha256(salt + content).hexdigest()
    return payload, msgspec.structs.replace(facts, clear_sha256=clear_sha256)


def travelling_bytes(content: bytes, *, encrypted: bool, padded: bool) -> int:
    """Return how long the payload of `content` will be."""
    clear, _ = make_payload(content, bytes(SALT_BYTES))
    if not encrypted:
        return len(clear)
    return len(pad(clear) if padded else clear) + overhead_bytes(READERS)


def decrypt_content(
    header: Header, payload: bytes, keys: EncryptionKeyring, content_bytes_max: int
) -> bytes:
    """Return the content of an encrypted payload.

    Raises FormatError: `decrypt-failed` where it does not open, or is not what `clear_sha256`
    names; then as `open_payload`.
    """
    return clear_payload(header, payload, keys, content_bytes_max)[SALT_BYTES:]


def clear_payload(
    header: Header, payload: bytes, keys: EncryptionKeyring, content_bytes_max: int
) -> bytes:
    """Return salt and content of an encrypted payload: the bytes that `clear_sha256` names."""
    steps = header.payload.coding.removesuffix("+hpke").split("+")
    packed = decrypt(payload, binding_of(header), keys)
    if "pad" in steps:
        packed = _unpad(packed)
    plain = _undo(packed, content_bytes_max, deflated="deflate" in steps)
    if hashlib.sha256(plain).hexdigest() != header.payload.clear_sha256:
        raise FormatError(Reason.DECRYPT_FAILED, "payload is not what clear_sha256 names")
    return plain


def open_payload(payload: bytes, coding: Coding, content_bytes_max: int) -> bytes:
    """Return the content of a clear payload.

    Raises FormatError: `format-invalid` where it cannot be undone, `too-large` past the limit.
    """
    return open_salted(payload, coding, content_bytes_max)[SALT_BYTES:]


def open_salted(payload: bytes, coding: Coding, content_bytes_max: int) -> bytes:
    """Return salt and content of a clear payload. Raises FormatError, as `open_payload`."""
    assert coding in {"salt", "salt+deflate"}, f"{coding} needs keys: clear_payload"
    return _undo(payload, content_bytes_max, deflated=coding == "salt+deflate")


def payload_facts(payload: bytes, media_type: str, coding: Coding) -> PayloadFacts:
    """Return what the header says about a payload."""
    return PayloadFacts(
        sha256=hashlib.sha256(payload).hexdigest(),
        sha512=hashlib.sha512(payload).hexdigest(),
        size=len(payload),
        media_type=media_type,
        coding=coding,
    )


def pad(packed: bytes, readers: int = READERS) -> bytes:
    """Return bytes padded: 0x80, then zeros up to the next power of two from 4,096 on.

    The last step ends where a packet of ours does; what is longer gets its mark alone.
    """
    most = PAYLOAD_BYTES_MAX - overhead_bytes(readers)
    marked = packed + _MARK
    step = max(PAD_BYTES_MIN, 1 << (len(marked) - 1).bit_length())
    return marked.ljust(min(step, most), b"\0")


def _unpad(padded: bytes) -> bytes:
    marked = padded.rstrip(b"\0")
    if not marked.endswith(_MARK):
        raise FormatError(Reason.FORMAT_INVALID, "payload: padding has no mark")
    return marked[:-1]


def _undo(packed: bytes, content_bytes_max: int, *, deflated: bool) -> bytes:
    """Return salt and content of what is neither padded nor encrypted."""
    plain = _inflate(packed, content_bytes_max + SALT_BYTES) if deflated else packed
    if len(plain) < SALT_BYTES:
        raise FormatError(Reason.FORMAT_INVALID, f"payload of {len(plain)} bytes has no salt")
    if len(plain) - SALT_BYTES > content_bytes_max:
        raise FormatError(Reason.TOO_LARGE, f"content over its limit of {content_bytes_max} bytes")
    return plain


def _inflate(packed: bytes, plain_bytes_max: int) -> bytes:
    """Undo deflate, never making more than one byte past the limit."""
    inflater = zlib.decompressobj(_RAW_DEFLATE)
    try:
        plain = inflater.decompress(packed, plain_bytes_max + 1)
    except zlib.error as error:
        raise FormatError(Reason.FORMAT_INVALID, "payload: deflate data is damaged") from error
    if len(plain) <= plain_bytes_max and (not inflater.eof or inflater.unused_data):
        raise FormatError(
            Reason.FORMAT_INVALID, "payload: deflate data does not end where it should"
        )
    return plain
