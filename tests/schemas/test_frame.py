"""Frames: cut and joined without ever encoding again."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.drafts import FACTS, draft
from schemas.errors import FormatError
from schemas.frame import cut, join_head, signed_bytes
from schemas.header import encode_header
from schemas.limits import (
    FRAME_BYTES_MAX,
    HEADER_BYTES_MAX,
    PAYLOAD_BYTES_MAX,
    SIGNATURE_BYTES_MAX,
)
from schemas.reasons import Reason

SIGNATURE = bytes(range(1, 71))
PAYLOAD = b"salt and content"
FRAME = join_head(signed_bytes(draft()), SIGNATURE) + PAYLOAD
HEADER_END = 8 + len(encode_header(draft()))


def reason_of(raw):
    with pytest.raises(FormatError) as refused:
        cut(raw)
    return refused.value.reason


@given(st.binary(min_size=1, max_size=200), st.binary(max_size=300))
def test_cutting_undoes_joining(signature, payload):
    """The pieces of a frame are those it was joined from, and joined again they are the frame."""
    signed = signed_bytes(draft())
    frame = cut(join_head(signed, signature) + payload)
    assert (frame.header, frame.signed, frame.signature) == (draft(), signed, signature)
    assert frame.payload == payload
    assert frame.head + frame.payload == frame.raw


@given(st.integers(0, len(FRAME) - len(PAYLOAD) - 1))
def test_a_head_cut_short_is_format_invalid(end):
    """A frame that ends anywhere within its head is refused."""
    assert reason_of(FRAME[:end]) is Reason.FORMAT_INVALID


@given(st.binary(max_size=200))
def test_noise_is_refused(raw):
    """No noise passes as a frame, with our magic or without."""
    for each in (raw, b"BBAJ" + raw, b"BBAJ\x01\x01" + raw):
        with pytest.raises(FormatError):
            cut(each)


@given(st.integers(0, 255).filter(lambda version: version != 1))
def test_other_versions_are_told(version):
    """A frame of another version is refused as that, whatever stands behind."""
    raw = FRAME[:4] + bytes([version]) + b"\xff" * 20
    assert reason_of(raw) is Reason.FORMAT_VERSION


@given(st.integers(0, 255).filter(lambda algorithm: algorithm != 1))
def test_other_algorithms_are_told(algorithm):
    """A sound frame under another algorithm is refused as that."""
    raw = FRAME[:5] + bytes([algorithm]) + FRAME[6:]
    assert reason_of(raw) is Reason.ALGORITHM_NOT_ALLOWED


def test_a_bad_header_is_told_before_a_bad_algorithm():
    """The first failure in the order of the clause decides."""
    raw = bytearray(FRAME)
    raw[5], raw[8] = 2, ord("[")
    assert reason_of(bytes(raw)) is Reason.FORMAT_INVALID


@pytest.mark.parametrize("size", [0, SIGNATURE_BYTES_MAX + 1])
def test_a_signature_has_1_to_8192_bytes(size):
    """An empty signature and one over the limit are refused."""
    raw = join_head(signed_bytes(draft()), bytes(size)) + PAYLOAD
    assert reason_of(raw) is Reason.FORMAT_INVALID


def test_the_largest_frame_is_cut():
    """Header, signature and payload may each have all that they may."""
    room = HEADER_BYTES_MAX - len(encode_header(draft(ext={"a": ""})))
    header = draft(ext={"a": "x" * room})
    signature, payload = bytes([1]) * SIGNATURE_BYTES_MAX, bytes(PAYLOAD_BYTES_MAX)
    frame = cut(join_head(signed_bytes(header), signature) + payload)
    assert len(frame.raw) == FRAME_BYTES_MAX
    assert frame.payload == payload


def test_a_header_over_the_limit_is_never_made():
    """A sender is stopped before it signs what nobody would read."""
    with pytest.raises(FormatError, match="limit 16384"):
        signed_bytes(draft(ext={"a": "x" * HEADER_BYTES_MAX}))


def test_a_header_length_over_the_limit_is_refused():
    """A length of 16,385 is refused although the bytes are there."""
    raw = FRAME[:6] + (HEADER_BYTES_MAX + 1).to_bytes(2) + bytes(40_000)
    assert reason_of(raw) is Reason.FORMAT_INVALID


def test_a_payload_over_the_limit_is_too_large():
    """One byte over a mebibyte is refused, and so is a header that names as much."""
    head = join_head(signed_bytes(draft()), SIGNATURE)
    assert reason_of(head + bytes(PAYLOAD_BYTES_MAX + 1)) is Reason.TOO_LARGE
    claims = draft(payload=msgspec.structs.replace(FACTS, size=PAYLOAD_BYTES_MAX + 1))
    assert reason_of(join_head(signed_bytes(claims), SIGNATURE)) is Reason.TOO_LARGE


def test_lengths_are_big_endian():
    """Both lengths in the head are u16 in network order."""
    assert int.from_bytes(FRAME[6:8], "big") == HEADER_END - 8
    assert int.from_bytes(FRAME[HEADER_END : HEADER_END + 2], "big") == len(SIGNATURE)
