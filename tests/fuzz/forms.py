"""What bytes are made of: takes a thing of the protocol apart, and joins changed pieces again.

    form = form_of(raw)          # None: nothing known, bytes and no more
    raw == form.join(form.parts)

`join` mends what only counts or measures (lengths, counts, base64, compression), so that damage in
a piece gets past the first check. Digests and signatures it leaves as they were.
"""

import base64
import binascii
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_FRAME, _OBJECT = b"BBAJ", b"BBAL"
_INVITATION = b"bbaj1:"
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\n([A-Za-z0-9+/=\n]+)-----END \1-----\n")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{12,}={0,2}")
_INFLATED_MAX = 1 << 20
PIECES_MAX = 1000
NESTED_MAX = 300


@dataclass(frozen=True)
class Form:
    """Pieces, and how they make the whole again."""

    parts: list[bytes]
    join: Callable[[list[bytes]], bytes]
    is_list: bool = False
    """Pieces may be left out, repeated and moved; else each has its place."""


def form_of(raw: bytes) -> Form | None:
    """Return what bytes are made of, or None where no form fits."""
    for cut in (signed_form, _invitation, pem_form, _der, _pieces, _lines, _base64):
        form = cut(raw)
        if form is not None:
            return form
    return None


def pack(parts: list[bytes]) -> bytes:
    """Return pieces as link objects have them."""
    return len(parts).to_bytes(2) + b"".join(len(part).to_bytes(4) + part for part in parts)


def signed_form(raw: bytes) -> Form | None:
    """Cut a frame or link object: what precedes the header, header, signature, and the rest."""
    begin = {_FRAME: 6, _OBJECT: 7}.get(raw[:4])
    if begin is None or len(raw) < begin + 2:
        return None
    header_end = begin + 2 + int.from_bytes(raw[begin : begin + 2])
    signature_end = header_end + 2 + int.from_bytes(raw[header_end : header_end + 2])
    parts = [
        raw[:begin],
        raw[begin + 2 : header_end],
        raw[header_end + 2 : signature_end],
        raw[signature_end:],
    ]
    return Form(parts, _join_signed) if signature_end <= len(raw) else None


def _join_signed(parts: list[bytes]) -> bytes:
    start, header, signature, rest = parts
    return b"".join((start, _u16(header), header, _u16(signature), signature, rest))


def _u16(part: bytes) -> bytes:
    return (len(part) & 0xFFFF).to_bytes(2)


def _pieces(raw: bytes) -> Form | None:
    """Cut one list of pieces, or several one behind the other."""
    lists, at = [], 0
    while at < len(raw):
        cut = _piece_list(raw, at)
        if cut is None:
            return None
        found, at = cut
        lists.append(found)
    if len(lists) == 1:
        return Form(lists[0], pack, is_list=True) if lists[0] else None
    return Form([pack(each) for each in lists], b"".join) if lists else None


def _piece_list(raw: bytes, at: int) -> tuple[list[bytes], int] | None:
    count, at = int.from_bytes(raw[at : at + 2]), at + 2
    if count > PIECES_MAX:
        return None
    found = []
    for _ in range(count):
        end = at + 4 + int.from_bytes(raw[at : at + 4])
        if end > len(raw):
            return None
        found.append(raw[at + 4 : end])
        at = end
    return (found, at) if at <= len(raw) else None


def _invitation(raw: bytes) -> Form | None:
    if not raw.startswith(_INVITATION):
        return None
    try:
        packed = base64.urlsafe_b64decode(raw[len(_INVITATION) :] + b"==")
        inflated = zlib.decompressobj().decompress(packed, _INFLATED_MAX)
    except (ValueError, zlib.error):
        return None
    return Form([inflated], _join_invitation)


def _join_invitation(parts: list[bytes]) -> bytes:
    return _INVITATION + base64.urlsafe_b64encode(zlib.compress(parts[0], 1)).rstrip(b"=")


def pem_form(raw: bytes) -> Form | None:
    blocks = _PEM.findall(raw)
    if not blocks:
        return None
    labels = [label for label, _ in blocks]
    try:
        parts = [base64.b64decode(body) for _, body in blocks]
    except binascii.Error:
        return None

    def join(ders: list[bytes]) -> bytes:
        given = [*labels, *labels[-1:] * len(ders)]
        return b"".join(map(_armoured, given, ders))

    return Form(parts, join, is_list=True) if join(parts) == raw else None


def _armoured(label: bytes, der: bytes) -> bytes:
    text = base64.b64encode(der)
    lines = b"".join(text[at : at + 64] + b"\n" for at in range(0, len(text), 64))
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (label, lines, label)


def _der(raw: bytes) -> Form | None:
    """Cut one constructed element, or strings that hold one, into the elements within."""
    if len(raw) < 4 or (raw[0] not in {0x30, 0x31, 0x04, 0x03} and raw[0] & 0xE0 != 0xA0):
        return None
    outer = _element(raw, 0)
    if outer is None or outer[1] != len(raw):
        return None
    begin = outer[0] + (raw[0] == 0x03)
    parts, at = [], begin
    while at < len(raw):
        inner = _element(raw, at)
        if inner is None:
            return None
        parts.append(raw[at : inner[1]])
        at = inner[1]
    start, unused = raw[:1], raw[outer[0] : begin]
    return Form(parts, lambda ders: tlv(start, unused + b"".join(ders)), is_list=True)


def _element(raw: bytes, at: int) -> tuple[int, int] | None:
    """Return where an element's content begins and ends, or None where it does not fit."""
    if at + 2 > len(raw):
        return None
    size, begin = raw[at + 1], at + 2
    if size > 0x80:
        begin += size - 0x80
        size = int.from_bytes(raw[at + 2 : begin])
    return (begin, begin + size) if size != 0x80 and begin + size <= len(raw) else None


def tlv(tag: bytes, content: bytes) -> bytes:
    """Return a DER element."""
    size = len(content)
    if size < 0x80:
        return tag + bytes([size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return tag + bytes([0x80 | len(length)]) + length + content


def _lines(raw: bytes) -> Form | None:
    if b"\n" not in raw or b"\0" in raw:
        return None
    return Form(raw.split(b"\n"), b"\n".join, is_list=True)


def _base64(raw: bytes) -> Form | None:
    """Cut the last long run of base64 out of a line or a text."""
    runs = list(_BASE64.finditer(raw))
    if not runs or b"\0" in raw:
        return None
    begin, end = runs[-1].span()
    try:
        data = base64.b64decode(raw[begin:end], validate=True)
    except binascii.Error:
        return None
    before, behind = raw[:begin], raw[end:]
    return Form([data], lambda parts: before + base64.b64encode(parts[0]) + behind)


Json = list[tuple[str, Any]]
"""An object as pairs: a name may come twice."""


class Pairs(list[tuple[str, Any]]):
    """A JSON object, told apart from a list."""


def json_of(raw: bytes) -> Any | None:
    """Return a JSON text as lists and `Pairs`, or None; deep ones are bytes and no more."""
    if raw[:1] not in {b"{", b"["} or raw.count(b"{") + raw.count(b"[") > NESTED_MAX:
        return None
    try:
        return json.loads(raw, object_pairs_hook=Pairs)
    except (ValueError, RecursionError):
        return None


def json_text(value: Any) -> bytes:
    """Return the text of such a value, in the order that it has, without white space."""
    return _text(value).encode("utf-8", "surrogatepass")


def _text(value: Any) -> str:
    match value:
        case Pairs():
            return "{" + ",".join(f"{_text(name)}:{_text(each)}" for name, each in value) + "}"
        case list():
            return "[" + ",".join(map(_text, value)) + "]"
        case Literal():
            return value.text
        case _:
            return json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True)
class Literal:
    """Text that stands in JSON as it is, whatever it is."""

    text: str
