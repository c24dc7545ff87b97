r"""The one encoding of every signed JSON text: headers of frames and objects, answers.

Fields in the order of the Struct, no white space, absent fields left out, printable ASCII without
`"` and `\` inside strings. What does not equal its own re-encoding is refused, so that no two
readers can see different values (docs/protocol.md clause 3).
"""

from typing import Any, TypeVar

import msgspec

from schemas.errors import FormatError
from schemas.limits import EXT_DEPTH_MAX, HEADER_BYTES_MAX, INTEGER_MAX
from schemas.moments import parse_instant
from schemas.reasons import Reason

_ALLOWED = bytes(byte for byte in range(0x20, 0x7F) if byte != 0x5C)
_encoder = msgspec.json.Encoder(order="deterministic")

T = TypeVar("T", bound=msgspec.Struct)


def encode(header: msgspec.Struct) -> bytes:
    """Return the one encoding of `header`."""
    return _encoder.encode(header)


def decode(raw: bytes, decoder: "msgspec.json.Decoder[T]") -> T:
    """Return the header whose one encoding `raw` is.

    Raises FormatError(format-invalid) for every departure, naming the first.
    """
    if len(raw) > HEADER_BYTES_MAX:
        detail = f"text of {len(raw)} bytes, limit {HEADER_BYTES_MAX}"
        raise FormatError(Reason.FORMAT_INVALID, detail)
    if raw.translate(None, _ALLOWED):
        raise FormatError(Reason.FORMAT_INVALID, "text has a byte outside 0x20-0x7E or a backslash")
    try:
        header = decoder.decode(raw)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise FormatError(Reason.FORMAT_INVALID, f"text: {describe(error)}") from error
    if _encoder.encode(header) != raw:
        raise FormatError(Reason.FORMAT_INVALID, "text is not in its one encoding")
    return header


def decode_text(raw: bytes, decoder: "msgspec.json.Decoder[T]", bytes_max: int) -> T:
    """Return what the body of a statement says: UTF-8, else in one encoding like a header.

    Raises FormatError(format-invalid) for every departure, naming the first.
    """
    if len(raw) > bytes_max:
        detail = f"text of {len(raw)} bytes, limit {bytes_max}"
        raise FormatError(Reason.FORMAT_INVALID, detail)
    try:
        text = decoder.decode(raw)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise FormatError(Reason.FORMAT_INVALID, f"text: {describe(error)}") from error
    if _encoder.encode(text) != raw:
        raise FormatError(Reason.FORMAT_INVALID, "text is not in its one encoding")
    return text


def describe(error: Exception) -> str:
    """Return a decoder's complaint as printable ASCII of bounded length, without its input."""
    return printable(str(error))


def printable(text: str) -> str:
    """Return text as a signed header may carry it: printable ASCII without quotes, 200 bytes."""
    text = text.encode("ascii", "replace").decode()
    return "".join(c for c in text if c not in '"\\' and 0x20 <= ord(c) <= 0x7E)[:200]


def check_moment(field: str, text: str) -> None:
    """Raise FormatError where the text of a field has the form of a moment that does not exist."""
    try:
        parse_instant(text)
    except ValueError as error:
        raise FormatError(Reason.FORMAT_INVALID, f"{field}: no such moment") from error


def check_ext(ext: dict[str, Any], depth: int = 1) -> None:
    """Raise FormatError unless `ext` holds strings, integers within 2^53 and objects, 4 deep."""
    if depth > EXT_DEPTH_MAX:
        raise FormatError(Reason.FORMAT_INVALID, f"ext is deeper than {EXT_DEPTH_MAX}")
    for key, value in ext.items():
        match value:
            case bool():
                raise FormatError(
                    Reason.FORMAT_INVALID, f"ext.{key}: true and false are not allowed"
                )
            case str():
                pass
            case int():
                if abs(value) > INTEGER_MAX:
                    raise FormatError(Reason.FORMAT_INVALID, f"ext.{key}: integer beyond 2^53")
            case dict():
                check_ext(value, depth + 1)
            case _:
                raise FormatError(
                    Reason.FORMAT_INVALID, f"ext.{key}: only strings, integers, objects"
                )
