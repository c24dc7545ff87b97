"""From content to payload and back: `16 random bytes || content`, then deflate where it pays.

The salt dies with the payload, so no digest that stays can be guessed back (protocol clause 5).
"""

import hashlib
import zlib
from typing import assert_never

from schemas.errors import FormatError
from schemas.header import Coding, PayloadFacts
from schemas.limits import SALT_BYTES
from schemas.reasons import Reason

_RAW_DEFLATE = -15
_LEVEL = 6
_PAYS_BYTES = 16
"""Deflate is used where it saves at least so much."""


def make_payload(content: bytes, salt: bytes) -> tuple[bytes, Coding]:
    """Return the payload of `content` and the steps that made it. `salt` is 16 random bytes."""
    assert len(salt) == SALT_BYTES, f"salt of {len(salt)} bytes"
    plain = salt + content
    packed = zlib.compress(plain, _LEVEL, _RAW_DEFLATE)
    if len(packed) + _PAYS_BYTES <= len(plain):
        return packed, "salt+deflate"
    return plain, "salt"


def open_payload(payload: bytes, coding: Coding, content_bytes_max: int) -> bytes:
    """Return the content of a payload.

    Raises FormatError: `format-invalid` where it cannot be undone, `too-large` past the limit.
    """
    match coding:
        case "salt":
            plain = payload
        case "salt+deflate":
            plain = _inflate(payload, content_bytes_max + SALT_BYTES)
        case _:
            assert_never(coding)
    if len(plain) < SALT_BYTES:
        raise FormatError(Reason.FORMAT_INVALID, f"payload of {len(plain)} bytes has no salt")
    if len(plain) - SALT_BYTES > content_bytes_max:
        raise FormatError(Reason.TOO_LARGE, f"content over its limit of {content_bytes_max} bytes")
    return plain[SALT_BYTES:]


def payload_facts(payload: bytes, media_type: str, coding: Coding) -> PayloadFacts:
    """Return what the header says about a payload."""
    return PayloadFacts(
        sha256=hashlib.sha256(payload).hexdigest(),
        sha512=hashlib.sha512(payload).hexdigest(),
        size=len(payload),
        media_type=media_type,
        coding=coding,
    )


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
