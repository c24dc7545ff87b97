"""Headers: every field has its pattern, its limits and its place."""

from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.drafts import (
    FACTS,
    PACKET_ID,
    SCHOOL,
    addresses,
    counts,
    digests,
    draft,
    moments,
    packet_ids,
)
from schemas.errors import FormatError
from schemas.header import Coding, Header, Part, decode_header, encode_binding, encode_header
from schemas.limits import INTEGER_MAX
from schemas.moments import format_instant
from schemas.reasons import Reason

_ends = st.lists(addresses, min_size=2, max_size=2, unique=True)
headers = st.builds(
    lambda ends, **fields: draft(from_=ends[0], to=ends[1], **fields),
    ends=_ends,
    id=packet_ids,
    sent=moments,
    epoch=counts,
    seq=counts,
    period=st.sampled_from([None, "2026", "2026-11", "2026-11-23", "2026-Q4"]),
    section=st.sampled_from(["S01", "S15", "net"]),
    class_=st.sampled_from(["R5", "QRN", "N5"]),
    flow=st.sampled_from(["info", "admin", "oper", "tech", "result"]),
    re=st.none() | packet_ids,
    certificate=digests,
    expires=st.none() | moments,
)


@given(headers)
def test_headers_come_back(header):
    """Every header reads back as it was written."""
    assert decode_header(encode_header(header)) == header


def test_fields_stand_in_the_order_of_the_clause():
    """The order of the table in the protocol is that of the bytes."""
    part = Part(PACKET_ID, 1)
    raw = encode_header(
        draft(period="2026", re=PACKET_ID, expires=draft().sent, part=part, ext={"a": 1})
    )
    names = list(msgspec.json.decode(raw))
    assert names == [
        "id", "type", "from", "to", "sent", "epoch", "seq", "period", "section", "class", "flow",
        "re", "certificate", "payload", "expires", "part", "ext",
    ]  # fmt: skip


def refuse(**changes):
    """Return why a header with these fields is refused."""
    with pytest.raises(FormatError) as refused:
        decode_header(encode_header(draft(**changes)))
    assert refused.value.reason is Reason.FORMAT_INVALID
    return refused.value.detail


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", PACKET_ID.upper()),
        ("id", PACKET_ID.replace("-7a11-", "-4a11-")),
        ("id", PACKET_ID.replace("-8c3e-", "-cc3e-")),
        ("type", "attendance.daily"),
        ("type", "attendance.daily/0"),
        ("type", "attendance.daily/01"),
        ("type", "Attendance/1"),
        ("type", "a." * 32 + "a/1"),
        ("from_", "KZ"),
        ("to", "kz..a"),
        ("to", ".".join(["a" * 32] * 6 + ["bbb"])),
        ("sent", "2026-11-23T03:32:06Z"),
        ("sent", "2026-02-30T03:32:06.000000Z"),
        ("expires", "2026-02-30T03:32:06.000000Z"),
        ("epoch", 0),
        ("epoch", INTEGER_MAX + 1),
        ("seq", 0),
        ("seq", -1),
        ("period", "26"),
        ("period", "2026-Q5"),
        ("period", "2026-1"),
        ("section", "S1"),
        ("section", "s01"),
        ("class_", "r5"),
        ("class_", "R23456789"),
        ("flow", "bulk"),
        ("re", "x"),
        ("certificate", "AB" * 32),
        ("certificate", "ab" * 31),
    ],
)
def test_field_outside_its_pattern_is_refused(field, value):
    """A field that departs from its row of the table makes the header invalid."""
    assert refuse(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sha256", "0" * 63),
        ("sha512", "0" * 127),
        ("size", -1),
        ("media_type", "application"),
        ("media_type", "Application/json"),
        ("media_type", "text/plain; charset=utf-8"),
        ("media_type", "a/" + "b" * 99),
        ("coding", "deflate"),
        ("coding", "salt+zstd"),
        ("clear_sha256", "x"),
    ],
)
def test_payload_facts_outside_their_pattern_are_refused(field, value):
    """Digests, size, media type and coding of the payload have their patterns, too."""
    assert refuse(payload=msgspec.structs.replace(FACTS, **{field: value}))


def test_a_packet_to_its_sender_is_refused():
    """Nobody sends to itself."""
    assert "from equal to to" in refuse(to=SCHOOL)


@pytest.mark.parametrize(
    "changes",
    [
        {"seq": None},
        {"part": Part(PACKET_ID, 1)},
        {"seq": None, "part": Part(PACKET_ID, 1)},
        {"type": "part/1"},
        {"type": "part/1", "part": Part(PACKET_ID, 1)},
    ],
)
def test_a_number_is_that_of_a_packet_or_of_a_part(changes):
    """`part` stands in the headers of parts alone, and `seq` in all others."""
    assert "part" in refuse(**changes)


def test_a_part_reads_back():
    """The header of a part has its number within the whole, and none of its own."""
    header = draft(type="part/1", seq=None, part=Part(PACKET_ID, 7))
    assert decode_header(encode_header(header)) == header


@pytest.mark.parametrize("coding", get_args(Coding))
def test_the_digest_of_what_is_clear_is_there_exactly_when_encrypted(coding):
    """`clear_sha256` stands beside the codings that end in `hpke`, and beside no other."""
    clear = msgspec.structs.replace(FACTS, coding=coding)
    with_digest = msgspec.structs.replace(clear, clear_sha256="ab" * 32)
    right, wrong = (with_digest, clear) if coding.endswith("hpke") else (clear, with_digest)
    assert decode_header(encode_header(draft(payload=right))).payload == right
    assert "clear_sha256" in refuse(payload=wrong)


@pytest.mark.parametrize(
    "coding", ["hpke", "salt+pad", "salt+hpke+deflate", "deflate+hpke", "salt+hpke+hpke", ""]
)
def test_steps_in_any_other_order_are_refused(coding):
    """The codings are a closed list."""
    facts = msgspec.structs.replace(FACTS, coding=coding, clear_sha256="ab" * 32)
    assert refuse(payload=facts)


def test_the_binding_is_the_header_without_its_payload():
    """Cut out of the text: what is left is JSON with every other field."""
    whole = draft(ext={"payload": {"a": 1}}, period="2026-11-23", re=PACKET_ID)
    bound = msgspec.json.decode(encode_binding(whole))
    expected = msgspec.json.decode(encode_header(whole))
    del expected["payload"]
    assert bound == expected


def test_the_binding_does_not_change_with_the_payload():
    """It can be made before the payload is."""
    other = msgspec.structs.replace(FACTS, size=7, clear_sha256="cd" * 32, coding="salt+hpke")
    assert encode_binding(draft()) == encode_binding(draft(payload=other))


@given(moments)
def test_sent_at_is_the_moment_sent(moment):
    """The instant of a header is that of its text."""
    assert format_instant(draft(sent=moment).sent_at) == moment


STRINGS = {
    "id": PACKET_ID,
    "type": "ping/1",
    "from_": "kz.a",
    "to": "kz.b",
    "sent": "2026-11-23T03:32:06.000000Z",
    "period": "2026",
    "section": "S01",
    "class_": "R5",
    "re": PACKET_ID,
    "certificate": "ab" * 32,
    "expires": "2026-11-23T03:32:06.000000Z",
}


@pytest.mark.parametrize(("field", "value"), STRINGS.items())
def test_a_last_newline_is_not_overlooked(field, value):
    """A pattern is over the whole text: what ends in a newline does not match it."""
    name = {"from_": "from", "class_": "class"}.get(field, field)
    tree = msgspec.to_builtins(draft(**{field: value}))
    assert msgspec.convert(tree, Header)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(tree | {name: value + "\n"}, Header)
