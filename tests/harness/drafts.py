"""Headers, packets and their trails for tests that need no keys; and strategies for their parts."""

from hashlib import sha256
from typing import Any

import msgspec
from hypothesis import strategies as st

from schemas.frame import join_head, signed_bytes
from schemas.header import Header, PayloadFacts
from schemas.leaves import LeafKind, leaf_record
from schemas.limits import INTEGER_MAX
from schemas.moments import Instant, format_instant, parse_instant
from schemas.records import LeafMark, PacketRow, Trail

NOW = parse_instant("2026-11-23T03:32:06.000000Z")
OBLAST, DISTRICT, SCHOOL = "kz.akmola", "kz.akmola.burabay", "kz.akmola.burabay.school-7"
PACKET_ID = "01a20675-fef0-7a11-8c3e-0d5a4b7f6e21"
ANSWER_ID = "01a20676-31b8-7b52-9d1f-2e6b8c4a7f03"
OTHER_ID = "01a20676-6480-7c93-ae20-3f7c9d5b8014"
FACTS = PayloadFacts("0" * 64, "0" * 128, 100, "application/json", "salt")

DRAFT = Header(
    id=PACKET_ID,
    type="attendance.daily/1",
    from_=SCHOOL,
    to=OBLAST,
    sent=format_instant(NOW),
    epoch=1,
    seq=1,
    section="S15",
    class_="R5",
    flow="result",
    certificate="ab" * 32,
    payload=FACTS,
)


def draft(**changes: Any) -> Header:
    """Return the header of a school's attendance for its oblast, but for these fields."""
    return msgspec.structs.replace(DRAFT, **changes)


def head_of(header: Header) -> bytes:
    """Return a head: the signature in it is of zeros."""
    return join_head(signed_bytes(header), bytes(70))


def packet_of(header: Header, frame: int = 1, via: str = "") -> PacketRow:
    """Return the record's row of a packet with this header."""
    head = head_of(header)
    return PacketRow(
        frame=frame,
        id=header.id,
        sender=header.from_,
        recipient=header.to,
        epoch=header.epoch,
        seq=header.seq,
        type=header.type,
        section=header.section,
        class_=header.class_,
        flow=header.flow,
        period=header.period,
        re=header.re,
        sent=header.sent_at,
        received=NOW,
        via=via or header.from_,
        size=len(head) + header.payload.size,
        head_sha256=sha256(head).digest(),
        frame_sha256=sha256(head + bytes(header.payload.size)).digest(),
        head=head,
        media_type=header.payload.media_type,
        coding=header.payload.coding,
    )


def trail_of(packet: PacketRow, *leaves: tuple[LeafKind, dict[str, str]]) -> Trail:
    """Return a packet with leaves about it, each its kind and fields."""
    marks = [
        LeafMark(index, kind, leaf_record(kind, at=format_instant(NOW), **fields))
        for index, (kind, fields) in enumerate(leaves)
    ]
    return Trail(packet, tuple(marks))


labels = st.from_regex(r"\A[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?\Z")
addresses = st.lists(labels, min_size=1, max_size=8).map(".".join).filter(lambda a: len(a) <= 200)
instants: st.SearchStrategy[Instant] = st.integers(
    parse_instant("0001-01-01T00:00:00.000000Z"), parse_instant("9999-12-31T23:59:59.999999Z")
)
moments = instants.map(format_instant)
texts = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters='"\\'), max_size=40
)
details = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters='"\\'), max_size=300
)
digests = st.from_regex(r"\A[0-9a-f]{64}\Z")
packet_ids = st.from_regex(
    r"\A[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z"
)
counts = st.integers(1, INTEGER_MAX)
exts = st.recursive(
    texts | st.integers(-INTEGER_MAX, INTEGER_MAX),
    lambda inner: st.dictionaries(texts, inner, max_size=4),
    max_leaves=6,
)
