"""Fresh names: packet ids (UUIDv7, RFC 9562 section 5.7) and nonces."""

import os
import re

from schemas.header import PACKET_ID_PATTERN
from schemas.moments import Instant

_packet_id = re.compile(PACKET_ID_PATTERN)


def new_packet_id(now: Instant) -> str:
    """Return a UUIDv7: 48 bits of milliseconds, then 74 random bits."""
    value = (now // 1000) << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def new_nonce() -> str:
    """Return 16 random bytes in hex."""
    return os.urandom(16).hex()


def is_packet_id(text: str) -> bool:
    """Say whether a text is a packet id."""
    return _packet_id.fullmatch(text) is not None
