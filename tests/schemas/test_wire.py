"""The one encoding: what departs from it is refused: no two readers see two values."""

import contextlib
import json
from collections import OrderedDict
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.drafts import draft, exts, texts
from schemas import wire
from schemas.errors import FormatError
from schemas.header import Header, decode_header, encode_header
from schemas.limits import EXT_DEPTH_MAX, HEADER_BYTES_MAX, INTEGER_MAX
from schemas.reasons import Reason


class Small(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    number: int
    text: str = ""
    ext: dict[str, Any] | None = None


_decoder = msgspec.json.Decoder(Small)


@given(st.integers(-INTEGER_MAX, INTEGER_MAX), texts)
def test_what_is_encoded_is_read_back(number, text):
    """A value and its one encoding stand for each other."""
    value = Small(number, text)
    assert wire.decode(wire.encode(value), _decoder) == value


@pytest.mark.parametrize(
    "raw",
    [
        b'{ "number":1}',
        b'{"number":1} ',
        b'{"number":1}{',
        b'{"text":"a","number":1}',
        b'{"number":1,"number":1}',
        b'{"number":01}',
        b'{"number":1.0}',
        b'{"number":1e0}',
        b'{"number":-0}',
        b'{"number":+1}',
        b'{"number":1,"text":""}',
        b'{"number":1,"ext":null}',
        b'{"number":1,"more":2}',
        b'{"number":true}',
        b'{"number":"1"}',
        b'{"number":1,"ext":{"b":1,"a":2}}',
        b'{"number":1,"text":"\\u0061"}',
        b'{"number":1,"text":"a\tb"}',
        '{"number":1,"text":"ә"}'.encode(),
        b'{"number":1,"text":"\x7f"}',
        b'\xef\xbb\xbf{"number":1}',
        b'[{"number":1}]',
        b"",
        b"null",
        b"[" * 5000,
        b'{"number":1,"ext":' + b'{"a":' * 4000 + b"1" + b"}" * 4001,
    ],
)
def test_every_departure_is_format_invalid(raw):
    """White space, order, repeats, other number forms, nulls, escapes and depth are refused."""
    with pytest.raises(FormatError) as refused:
        wire.decode(raw, _decoder)
    assert refused.value.reason is Reason.FORMAT_INVALID


@given(st.binary(max_size=80))
def test_noise_is_refused_and_nothing_worse(raw):
    """Whatever the bytes, the answer is a value or a refusal."""
    with contextlib.suppress(FormatError):
        assert wire.encode(wire.decode(raw, _decoder)) == raw


@given(st.integers(0, 1 << 16), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_another_value(at, change):
    """No two texts are read as the same header."""
    raw = bytearray(encode_header(draft(ext={"a": 1, "b": {"c": "x"}})))
    raw[at % len(raw)] ^= change
    try:
        header = decode_header(bytes(raw))
    except FormatError:
        return
    assert encode_header(header) == bytes(raw)
    assert header != draft(ext={"a": 1, "b": {"c": "x"}})


@given(st.randoms(use_true_random=False))
def test_another_order_of_fields_is_refused(random):
    """Of all orders of a header's fields one is read."""
    raw = encode_header(draft())
    pairs = list(json.loads(raw).items())
    random.shuffle(pairs)
    text = json.dumps(OrderedDict(pairs), separators=(",", ":")).encode()
    if text == raw:
        assert decode_header(text) == draft()
        return
    with pytest.raises(FormatError, match="one encoding"):
        decode_header(text)


def test_text_over_the_limit_is_refused_before_decoding():
    """A byte more than a header may have is refused for its size."""
    raw = b'{"number":1,"text":"' + b"a" * HEADER_BYTES_MAX + b'"}'
    with pytest.raises(FormatError, match="limit 16384"):
        wire.decode(raw, _decoder)


def test_a_text_of_just_the_limit_is_read():
    """The limit itself is allowed."""
    value = Small(1, "a" * (HEADER_BYTES_MAX - len(b'{"number":1,"text":""}')))
    raw = wire.encode(value)
    assert (len(raw), wire.decode(raw, _decoder)) == (HEADER_BYTES_MAX, value)


@given(st.dictionaries(texts, exts, max_size=4))
def test_ext_of_allowed_values_passes(ext):
    """Texts, integers within 2^53 and objects of these are allowed, down to the fourth level."""
    if _depth(ext) <= EXT_DEPTH_MAX:
        wire.check_ext(ext)
        assert decode_header(encode_header(draft(ext=ext))).ext == ext
    else:
        with pytest.raises(FormatError, match="deeper than 4"):
            wire.check_ext(ext)


def _depth(value):
    if not isinstance(value, dict):
        return 0
    return 1 + max(map(_depth, value.values()), default=0)


@pytest.mark.parametrize(
    "value", [True, False, None, 1.5, [1], INTEGER_MAX + 1, -INTEGER_MAX - 1, {"deep": [1]}]
)
def test_ext_of_other_values_is_refused(value):
    """Truth values, nulls, fractions, lists and larger integers are not allowed, at any level."""
    for ext in ({"a": value}, {"a": {"b": {"c": value}}}):
        with pytest.raises(FormatError):
            wire.check_ext(ext)


@given(st.text(max_size=400))
def test_printable_fits_a_detail(text):
    """Whatever a complaint says, what a header carries of it is ASCII without quotes, bounded."""
    printed = wire.printable(text)
    assert len(printed) <= 200
    assert all(0x20 <= ord(c) <= 0x7E and c not in '"\\' for c in printed)


def test_complaints_do_not_repeat_what_they_complain_about():
    """A decoder's words name field and rule, and no value of a pupil."""
    raw = encode_header(draft()).replace(b'"epoch":1', b'"epoch":"870101300123"')
    with pytest.raises(FormatError) as refused:
        wire.decode(raw, msgspec.json.Decoder(Header))
    assert "870101300123" not in refused.value.detail
