"""The text of a C2SP signed note, cut and joined: what needs no key.

A note is text, a blank line, and lines `— name base64(key id || signature)`.
"""

import base64
import binascii
import re

from schemas.errors import FormatError
from schemas.reasons import Reason

NOTE_BYTES_MAX = 128 * 1024
SIGNATURES_MAX = 64
"""The republic's own note, cosigned twice by each oblast, has some forty lines and 75 KB."""
KEY_ID_BYTES = 4
MARK = "— "
_FORBIDDEN = re.compile("[\x00-\x09\x0b-\x1f\ud800-\udfff]")


def split_note(note: str) -> tuple[str, list[str]]:
    """Return the signed text and the signature lines. Raises FormatError."""
    if len(note.encode("utf-8", "surrogatepass")) > NOTE_BYTES_MAX:
        raise fault(f"note over {NOTE_BYTES_MAX} bytes")
    if _FORBIDDEN.search(note):
        raise fault("note has a control character")
    text, blank, signatures = note.rpartition("\n\n")
    if not blank or not signatures.endswith("\n"):
        raise fault("note has no signatures behind a blank line")
    lines = signatures[:-1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise fault(f"note has {len(lines)} signatures, limit {SIGNATURES_MAX}")
    return text + "\n", lines


def read_signature_line(line: str) -> tuple[str, bytes, bytes]:
    """Return name, key id and signature of a signature line. Raises FormatError."""
    name, space, encoded = line.removeprefix(MARK).partition(" ")
    if not line.startswith(MARK) or not space or not is_key_name(name):
        raise fault("signature line has not its three parts")
    data = unbase64(encoded)
    if len(data) <= KEY_ID_BYTES:
        raise fault(f"signature of {shown(name)} is empty")
    return name, data[:KEY_ID_BYTES], data[KEY_ID_BYTES:]


def signature_line(name: str, data: bytes) -> str:
    """Return a signature line with its newline; `data` is key id and signature."""
    return f"{MARK}{name} {base64.b64encode(data).decode()}\n"


def is_key_name(text: str) -> bool:
    """Say whether a key may have this name."""
    return bool(text) and "+" not in text and not any(c.isspace() for c in text)


def is_plain_number(text: str) -> bool:
    """Say whether it is decimal without sign or leading zero, and within 2^63."""
    if not (text.isascii() and text.isdigit()) or len(text) > 19:
        return False
    return (text == "0" or not text.startswith("0")) and int(text) < 2**63


def unbase64(text: str) -> bytes:
    """Return what base64 stands for in its one encoding. Raises FormatError."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise fault("base64 is damaged") from error
    if base64.b64encode(data).decode() != text:
        raise fault("base64 is not in its one encoding")
    return data


def shown(text: str) -> str:
    """Return text of a stranger as it may stand in a detail."""
    return "".join(c for c in text if " " <= c <= "~" and c not in '"\\')[:80]


def fault(detail: str) -> FormatError:
    """Return the error of a note that does not keep its form."""
    return FormatError(Reason.FORMAT_INVALID, detail if detail[:4] == "note" else f"note: {detail}")
