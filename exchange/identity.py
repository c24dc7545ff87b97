"""Fresh names: packet ids (UUIDv7, RFC 9562 section 5.7) and nonces.

The id of a document bears a mark of the drop that it was (clause 17.2): who holds the drop and the
salt of the payload can tell, and nobody else.
"""

import hmac
import os
import re

from schemas.header import PACKET_ID_PATTERN
from schemas.moments import Instant

_packet_id = re.compile(PACKET_ID_PATTERN)
_MARK_BITS = 62
"""What is free in a UUIDv7 behind its variant."""


def new_packet_id(now: Instant) -> str:
    """Return a UUIDv7: 48 bits of milliseconds, then 74 random bits."""
    value = (now // 1000) << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 0x7 << 76
    return _text_of(value & ~(0x3 << 62) | 0x2 << 62)


def marked_id(packet: str, salt: bytes, drop: bytes) -> str:
    """Return a packet id whose last 62 bits are the first of HMAC-SHA-256 of a drop's name."""
    mark = int.from_bytes(hmac.digest(salt, drop, "sha256")) >> (256 - _MARK_BITS)
    value = int(packet.replace("-", ""), 16)
    return _text_of(value >> _MARK_BITS << _MARK_BITS | mark)


def bears_mark(packet: str, salt: bytes, drop: bytes) -> bool:
    """Say whether a packet's id bears the mark of a drop."""
    return packet == marked_id(packet, salt, drop)


def _text_of(value: int) -> str:
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def new_nonce() -> str:
    """Return 16 random bytes in hex."""
    return os.urandom(16).hex()


def is_packet_id(text: str) -> bool:
    """Say whether a text is a packet id."""
    return _packet_id.fullmatch(text) is not None
