"""Contents of receipts and closings: one encoding, exactly the fields named."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.drafts import (
    ANSWER_ID,
    DISTRICT,
    OBLAST,
    PACKET_ID,
    SCHOOL,
    addresses,
    details,
    digests,
    moments,
)
from schemas import wire
from schemas.answers import (
    ANSWERS,
    CLOSING,
    RECEIPT,
    Closing,
    PacketName,
    Receipt,
    decode_closing,
    decode_receipt,
)
from schemas.errors import FormatError
from schemas.reasons import Reason

MOMENT = "2026-11-23T03:32:19.000000Z"
RECEIPT_OF_PACKET = Receipt(
    packet=PacketName(SCHOOL, 1, PACKET_ID),
    head_sha256="ab" * 32,
    frame_sha256="cd" * 32,
    verdict="accepted",
    received=MOMENT,
    epoch=1,
    index=4711,
)
CLOSING_OF_RECEIPT = Closing(
    packet=PacketName(SCHOOL, 1, PACKET_ID),
    receipt=PacketName(OBLAST, 1, ANSWER_ID),
    receipt_head_sha256="ef" * 32,
    confirmed=MOMENT,
)


@given(
    reason=st.sampled_from(Reason),
    detail=details,
    refused_by=st.none() | addresses,
    received=moments,
    digest=digests,
)
def test_refused_receipts_come_back(reason, detail, refused_by, received, digest):
    """A refused receipt reads back with reason, detail and refuser."""
    receipt = msgspec.structs.replace(
        RECEIPT_OF_PACKET,
        verdict="refused",
        reason=reason,
        detail=detail,
        refused_by=refused_by,
        received=received,
        frame_sha256=digest,
    )
    assert decode_receipt(wire.encode(receipt)) == receipt


@given(moments, digests)
def test_closings_come_back(confirmed, digest):
    """A closing reads back."""
    closing = msgspec.structs.replace(
        CLOSING_OF_RECEIPT, confirmed=confirmed, receipt_head_sha256=digest
    )
    assert decode_closing(wire.encode(closing)) == closing


def test_a_plain_encoder_writes_the_one_encoding():
    """What any msgspec encoder makes of an answer is what the decoder wants."""
    assert decode_receipt(msgspec.json.encode(RECEIPT_OF_PACKET)) == RECEIPT_OF_PACKET
    assert decode_closing(msgspec.json.encode(CLOSING_OF_RECEIPT)) == CLOSING_OF_RECEIPT


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "perhaps"},
        {"verdict": "accepted", "reason": "because"},
        {"head_sha256": "AB" * 32},
        {"detail": "x" * 301},
        {"received": "2026-02-30T00:00:00.000000Z"},
        {"index": -1},
        {"epoch": 0},
        {"refused_by": "KZ"},
        {"packet": {"from": SCHOOL, "epoch": 1}},
        {"more": 1},
    ],
)
def test_a_receipt_outside_its_fields_is_format_invalid(change):
    """A value outside its pattern, a moment that does not exist, a field too many: refused."""
    tree = msgspec.to_builtins(RECEIPT_OF_PACKET) | change
    with pytest.raises(FormatError) as refused:
        decode_receipt(msgspec.json.encode(tree))
    assert refused.value.reason is Reason.FORMAT_INVALID


@pytest.mark.parametrize(
    "change",
    [
        {"confirmed": "2026-02-30T00:00:00.000000Z"},
        {"receipt": {"from": DISTRICT, "epoch": 1, "id": "x"}},
        {"receipt_head_sha256": ""},
        {"verdict": "accepted"},
    ],
)
def test_a_closing_outside_its_fields_is_format_invalid(change):
    """A closing has exactly its four fields."""
    tree = msgspec.to_builtins(CLOSING_OF_RECEIPT) | change
    with pytest.raises(FormatError):
        decode_closing(msgspec.json.encode(tree))


@given(st.binary(max_size=100))
def test_noise_is_refused(raw):
    """Whatever the bytes, nothing worse than a refusal comes of them."""
    for decode in (decode_receipt, decode_closing):
        with pytest.raises(FormatError):
            decode(raw)


def test_answers_are_receipts_and_closings():
    """Nothing answers these two types; a ping is answered."""
    assert {RECEIPT, CLOSING} == ANSWERS
