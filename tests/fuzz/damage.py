"""Damage at the structure: what is well formed is taken apart, changed in one place, and joined.

    damaged(raw, random.Random(7))                     # the long lane
    @given(st.randoms(use_true_random=False))          # hypothesis draws, and shrinks

One step goes down through the forms (`forms.py`) and stops at some level, to leave out, repeat,
move or exchange pieces there, lie about a length, or change bytes, a number, a DER element or JSON.
"""

import random
import zlib
from collections.abc import Callable
from typing import Any

from fuzz.forms import Form, Literal, Pairs, form_of, json_of, json_text, tlv

BYTES_MAX = 1 << 16
"""What is longer is not made longer still, but for a bomb."""
_STEPS = (1, 1, 1, 1, 2, 3)
_EDGES = (
    b"\x00", b"\x01", b"\x7f", b"\x80", b"\xff", b"\x00\x00", b"\xff\xff", b"\x7f\xff",
    b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00",
    b"\n", b"\r\n", b"\n\n", b" ", b"\t", b'"', b"\\", b"\\u0000", b"\xc3\x28", b"\xed\xa0\x80",
    b"\xe2\x80\x94 ", b"BBAJ", b"BBAL", b"bbaj1:", b"9" * 25, b"-1", b"0", b"=", b"+", b"/",
)  # fmt: skip
_VALUES = (
    0, -1, 1, 2**31, 2**32, 2**53 - 1, 2**53, 2**63 - 1, 2**63, 2**64, 10**40, -(2**63) - 1,
    True, False, None, "", " ", "a" * 5000, "\u0000", "\ud800", "\u0131", "қ", "\u202e", "a\nb",
    "9999-12-31T23:59:59.999999Z", "0000-00-00T00:00:00.000000Z", "2026-02-30T00:00:00.000000Z",
    "0001-01-01T00:00:00.000000Z", "2026-11-23T23:59:60.000000Z", "kz", "kz." * 90, "0" * 64,
    Literal("1.0"), Literal("1e400"), Literal("-0"), Literal("01"), Literal("NaN"),
    Literal("9" * 5000), Literal('"\\u0061"'), Literal("{}"), Literal("[]"), Literal(" 1"),
    Literal("[" * 900 + "]" * 900), Literal("[" * 9000), Literal('{"a":' * 900 + "1" + "}" * 900),
)  # fmt: skip
_TAGS = (0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0A, 0x0C, 0x13, 0x16, 0x17, 0x18, 0x1E, 0x24, 0x30,
         0x31, 0x80, 0x82, 0x86, 0x87, 0xA0, 0xA1, 0xA3, 0xBF)  # fmt: skip
_CONSTRUCTED = {0x30, 0x31, 0x03, 0x04, 0xA0, 0xA1, 0xA3}
_DER_VALUES = (
    b"", b"\0", b"\xff", b"\0\0", b"\x80", b"\x7f" * 20, b"\xff" * 21, b"\x55\x1d\x11",
    b"\x2b\x06\x01\x04\x01", b"99991231235959Z", b"00000101000000Z", b"20260230000000Z",
    b"500101000000Z", b"491231235959Z", b"kz", b"*", b"\xc3\x28", b"\0k\0z", b"\x80" * 9 + b"\x01",
)  # fmt: skip
_BOMB = zlib.compress(bytes(1 << 21), 9, -15)
"""2 MiB in 2 KiB; it comes in one piece or many."""


def damaged(raw: bytes, chance: random.Random, others: tuple[bytes, ...] = ()) -> bytes:
    """Return bytes changed in one place, or in a few; `others` lend pieces of their own."""
    for _ in range(chance.choice(_STEPS)):
        raw = _step(raw, chance, others)
    return raw


def _step(raw: bytes, chance: random.Random, others: tuple[bytes, ...]) -> bytes:
    if chance.random() < 0.12:
        return _bytes(raw, chance, others)
    value = json_of(raw)
    if value is not None:
        return json_text(_json(value, chance, others))
    form = form_of(raw)
    if form is None or not form.parts:
        is_element = len(raw) > 1 and raw[1] == len(raw) - 2
        if is_element and chance.random() < 0.6:
            return _element(raw, chance)
        return _bytes(raw, chance, others)
    if chance.random() < 0.7:
        place = chance.randrange(len(form.parts))
        parts = list(form.parts)
        parts[place] = _step(parts[place], chance, others)
        return form.join(parts)
    return _whole(raw, form, chance, others)


def _whole(raw: bytes, form: Form, chance: random.Random, others: tuple[bytes, ...]) -> bytes:
    """Change the order and number of pieces, or the frame that holds them."""
    if raw[0] in _CONSTRUCTED and chance.random() < 0.4:
        return _element(raw, chance)
    if not form.is_list:
        other = form_of(chance.choice(others)) if others else None
        if other is None or len(other.parts) != len(form.parts):
            return _lengths(raw, chance)
        place, parts = chance.randrange(len(form.parts)), list(form.parts)
        parts[place] = other.parts[place]
        return form.join(parts)
    return form.join(_order(list(form.parts), chance, others))


def _order(parts: list[bytes], chance: random.Random, others: tuple[bytes, ...]) -> list[bytes]:
    place, other = chance.randrange(len(parts)), chance.randrange(len(parts))
    match chance.randrange(6):
        case 0:
            del parts[place]
        case 1:
            parts.insert(other, parts[place])
        case 2:
            parts[place], parts[other] = parts[other], parts[place]
        case 3:
            parts[place] = chance.choice(others) if others else b""
        case 4:
            parts[place] = b""
        case _:
            parts += [parts[place]] * chance.choice((1, 8, 64))
    return parts


# ---------------------------------------------------------------------------- bytes


def _bytes(raw: bytes, chance: random.Random, others: tuple[bytes, ...]) -> bytes:
    return chance.choice(_BYTES)(raw, chance, others)


def _flip(raw: bytes, chance: random.Random, others: tuple[bytes, ...]) -> bytes:
    if not raw:
        return b"\0"
    changed = bytearray(raw)
    changed[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _cut(raw: bytes, chance: random.Random, others: tuple[bytes, ...]) -> bytes:
    return raw[: _place(raw, chance)]


def _drop(raw: bytes, chance: random.Random, others: tuple[bytes, ...]) -> bytes:
    at = _place(raw, chance)
    return raw[:at] + raw[at + chance.choice((1, 2, 4, 16, 64)) :]


def _insert(raw: bytes, chance: random.Random, others: tuple[bytes, ...]) -> bytes:
    at = _place(raw, chance)
    return raw[:at] + chance.choice(_EDGES) + raw[at:]


def _replace(raw: bytes, chance: random.Random, others: tuple[bytes, ...]) -> bytes:
    at, edge = _place(raw, chance), chance.choice(_EDGES)
    return raw[:at] + edge + raw[at + len(edge) :]


def _repeat(raw: bytes, chance: random.Random, others: tuple[bytes, ...]) -> bytes:
    if len(raw) > BYTES_MAX:
        return raw
    at = _place(raw, chance)
    end = at + chance.choice((1, 2, 8, 64, 512))
    return raw[:end] + raw[at:end] * chance.choice((1, 2, 30)) + raw[end:]


def _splice(raw: bytes, chance: random.Random, others: tuple[bytes, ...]) -> bytes:
    other = chance.choice(others) if others else b"\0" * 64
    return raw[: _place(raw, chance)] + other[_place(other, chance) :]


def _inflate(raw: bytes, chance: random.Random, others: tuple[bytes, ...]) -> bytes:
    """Put a bomb in place of what may be deflated."""
    at = chance.choice((0, 1, 16, _place(raw, chance)))
    return raw[:at] + _BOMB[: -chance.choice((1, 2, 900))] * chance.choice((1, 8))


_BYTES: tuple[Callable[[bytes, random.Random, tuple[bytes, ...]], bytes], ...] = (
    _flip, _flip, _flip, _cut, _drop, _insert, _replace, _replace, _repeat, _splice, _inflate
)  # fmt: skip


def _place(raw: bytes, chance: random.Random) -> int:
    return chance.randrange(len(raw) + 1)


def _lengths(raw: bytes, chance: random.Random) -> bytes:
    """Lie about one of the lengths near the beginning, or near the end of the header."""
    changed = bytearray(raw)
    at = chance.choice((4, 5, 6, 7, 8)) if chance.random() < 0.7 else _place(raw, chance)
    edge = chance.choice((0, 1, 2, 0x3F, 0x40, 0x41, 0x7F, 0x80, 0xFF))
    if at < len(changed):
        changed[at] = edge
    return bytes(changed)


# ---------------------------------------------------------------------------- DER


def _element(raw: bytes, chance: random.Random) -> bytes:
    """Change an element's tag, its content, or the form of its length."""
    content = raw[2:] if raw[1] < 0x80 else raw[2 + raw[1] - 0x80 :]
    match chance.randrange(6):
        case 0:
            return tlv(bytes([chance.choice(_TAGS)]), content)
        case 1:
            return tlv(raw[:1], chance.choice(_DER_VALUES))
        case 2:
            return raw[:1] + b"\x80" + content + b"\0\0"
        case 3:
            return raw[:1] + b"\x84" + len(content).to_bytes(4) + content
        case 4:
            return raw[:1] + b"\x84\xff\xff\xff\xff" + content
        case _:
            return tlv(raw[:1], chance.choice(_DER_VALUES) + content)


# ---------------------------------------------------------------------------- JSON


def _json(value: Any, chance: random.Random, others: tuple[bytes, ...]) -> Any:
    """Change one place of a JSON value."""
    if isinstance(value, Pairs) and value and chance.random() < 0.85:
        return _fields(value, chance, others)
    if isinstance(value, list) and value and chance.random() < 0.85:
        return _items(value, chance, others)
    if isinstance(value, str) and value and chance.random() < 0.6:
        changed = _step(value.encode("utf-8", "surrogatepass"), chance, others)
        return changed.decode("utf-8", "replace")
    if isinstance(value, int) and chance.random() < 0.4:
        return value + chance.choice((-1, 1, 2**32))
    return chance.choice(_VALUES)


def _fields(pairs: Pairs, chance: random.Random, others: tuple[bytes, ...]) -> Pairs:
    changed = Pairs(pairs)
    place = chance.randrange(len(pairs))
    name, value = pairs[place]
    match chance.randrange(10):
        case 0:
            del changed[place]
        case 1:
            changed.insert(chance.randrange(len(pairs)), (name, value))
        case 2:
            other = chance.randrange(len(pairs))
            changed[place], changed[other] = changed[other], changed[place]
        case 3:
            changed[place] = (chance.choice(("", "ext", "a", "from", name.upper(), "ә")), value)
        case 4:
            changed.append((chance.choice(("ext", "part", "re", "z", "expires")), _any(chance)))
        case _:
            changed[place] = (name, _json(value, chance, others))
    return changed


def _items(items: list[Any], chance: random.Random, others: tuple[bytes, ...]) -> list[Any]:
    changed, place = list(items), chance.randrange(len(items))
    match chance.randrange(4):
        case 0:
            del changed[place]
        case 1:
            changed += [items[place]] * chance.choice((1, 8, 70))
        case _:
            changed[place] = _json(items[place], chance, others)
    return changed


def _any(chance: random.Random) -> Any:
    """Return some value that no field has, or an object of those."""
    if chance.random() < 0.5:
        return chance.choice(_VALUES)
    names = ("a", "b", "b", "A", "")
    return Pairs((chance.choice(names), chance.choice(_VALUES)) for _ in range(3))
