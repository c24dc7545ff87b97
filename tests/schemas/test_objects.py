"""Link objects: each kind comes back from its bytes, and no other kind from the same."""

import contextlib
import hashlib
import itertools
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.drafts import DISTRICT, PACKET_ID, SCHOOL
from schemas.errors import FormatError
from schemas.limits import HEADER_BYTES_MAX, MESSAGE_BYTES_MAX, SIGNATURE_BYTES_MAX
from schemas.objects import (
    NO_CHAIN,
    AnyObject,
    Ask,
    Body,
    Bundle,
    CardList,
    Certificate,
    Crl,
    CustodyNote,
    Hello,
    Issued,
    Kind,
    Refusal,
    StreamPosition,
    Void,
    cut_object,
    join_object,
    object_signed_bytes,
    pack_bundle_body,
    pack_pieces,
    unpack_bundle_body,
    unpack_pieces,
)
from schemas.reasons import Reason
from schemas.rebuilding import Rebuild, Rebuilt
from schemas.reconciling import Mark, Reconcile, Reconciled
from schemas.statements import (
    Alarm,
    Card,
    Grant,
    Invitation,
    Join,
    Keys,
    Lacking,
    NoCard,
    Request,
    Track,
    Tracked,
    Welcome,
)
from schemas.witnessing import Checkpoint, Cosigned, Proven, Recover, Returned

MARK = Mark(SCHOOL, "bulk", 1, 2, "ab" * 32, 3)
STAMP: dict[str, Any] = {
    "from_": SCHOOL,
    "to": DISTRICT,
    "epoch": 1,
    "number": 7,
    "certificate": "ab" * 32,
}
POSITION = StreamPosition("fast", 1, 3, NO_CHAIN, 5)
BODY = Body(hashlib.sha256(b"").hexdigest(), 0)
NONCE = "0f" * 16
CLOCK = "2026-11-23T03:32:06.000000Z"
EXAMPLES: dict[Kind, AnyObject] = {
    Kind.BUNDLE: Bundle(**STAMP, lane="bulk", first=1, last=2, chain=NO_CHAIN, body=BODY),
    Kind.CUSTODY_NOTE: CustodyNote(**STAMP, position=POSITION, hello=NONCE),
    Kind.HELLO: Hello(
        **STAMP,
        nonce=NONCE,
        echo=NONCE,
        clock=CLOCK,
        versions=[1],
        positions=[POSITION],
        placed=[],
    ),
    Kind.REFUSAL: Refusal(
        **STAMP,
        lane="bulk",
        of_epoch=1,
        entry=3,
        frame_sha256="cd" * 32,
        reason=Reason.BUSY,
        detail="come again",
        again_at=CLOCK,
    ),
    Kind.VOID: Void(**STAMP, lane="bulk", entry=3, entry_sha256="cd" * 32, detail=""),
    Kind.ASK: Ask(**STAMP, what="certificate", sha256="cd" * 32),
    Kind.CERTIFICATE: Certificate(**STAMP, answers="cd" * 32, body=BODY),
    Kind.CRL: Crl(**STAMP, body=BODY),
    Kind.CARD: Card(**STAMP, body=BODY),
    Kind.KEYS: Keys(**STAMP, body=BODY),
    Kind.NO_CARD: NoCard(**STAMP, address=SCHOOL),
    Kind.REQUEST: Request(**STAMP, subject=SCHOOL, what="renew", body=BODY),
    Kind.GRANT: Grant(
        **STAMP,
        subject=SCHOOL,
        request="cd" * 32,
        outcome="refused",
        detail="was renewed before",
        body=BODY,
    ),
    Kind.ISSUED: Issued(
        **STAMP,
        authority=DISTRICT,
        journal="cd" * 32,
        first=1,
        last=2,
        size=3,
        body=BODY,
    ),
    Kind.ALARM: Alarm(**STAMP, what="log-forked", detail="", body=BODY),
    Kind.INVITATION: Invitation(**STAMP, invitation="one", ends=CLOCK, body=BODY),
    Kind.JOIN: Join(**STAMP, invitation="one", body=BODY),
    Kind.WELCOME: Welcome(
        **STAMP,
        invitation="one",
        request="cd" * 32,
        state="refused",
        reason="invitation-used",
        body=BODY,
    ),
    Kind.CARD_LIST: CardList(**STAMP, body=BODY),
    Kind.CHECKPOINT: Checkpoint(**STAMP, journal="cd" * 32, body=BODY),
    Kind.COSIGNED: Cosigned(
        **STAMP,
        origin="burabay.akmola.kz.bbaj.internal/1",
        size=7,
        status=200,
        witness="cd" * 32,
        keys=("a+b+c",),
        body=BODY,
    ),
    Kind.PROVEN: Proven(**STAMP, of_epoch=1, index=3, journal="cd" * 32, body=BODY),
    Kind.RECOVER: Recover(**STAMP, of_epoch=1, leaves=3, root="cd" * 32, why="restored"),
    Kind.RETURNED: Returned(**STAMP, lane="bulk", of_epoch=1, last=2, behind=2, body=BODY),
    Kind.TRACK: Track(**STAMP, sender=SCHOOL, packet_epoch=1, packet=PACKET_ID),
    Kind.TRACKED: Tracked(**STAMP, sender=SCHOOL, packet_epoch=1, packet=PACKET_ID, body=BODY),
    Kind.REBUILD: Rebuild(**STAMP, lane="fast", of_epoch=1, after=0),
    Kind.REBUILT: Rebuilt(**STAMP, lane="fast", of_epoch=1, after=0, through=2, last=2, body=BODY),
    Kind.RECONCILE: Reconcile(**STAMP, nonce="0f" * 16, marks=(MARK,)),
    Kind.RECONCILED: Reconciled(**STAMP, answers="0f" * 16, marks=(MARK,)),
    Kind.LACKING: Lacking(**STAMP, packet_epoch=1, packet=PACKET_ID, parts=((1, 1), (3, 9))),
}
ALIKE = {Kind.CRL, Kind.CARD, Kind.KEYS, Kind.CARD_LIST}
"""Kinds with a body and no field of their own; of a certificate object its one may be left out."""
each_kind = pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.name.lower())
RAW = join_object(object_signed_bytes(EXAMPLES[Kind.ASK]), bytes(70))


def reason_of(raw):
    with pytest.raises(FormatError) as refused:
        cut_object(raw)
    return refused.value.reason


def test_there_is_an_example_of_every_kind():
    """The kinds, their types and the examples of this file are the same ones."""
    assert {type(example) for example in EXAMPLES.values()} == set(get_args(AnyObject))
    assert list(EXAMPLES) == list(Kind)


@each_kind
@given(signature=st.binary(min_size=1, max_size=200), body=st.binary(max_size=200))
def test_objects_come_back(kind, signature, body):
    """Header, what is signed, signature and body are cut out as they were joined."""
    signed = object_signed_bytes(EXAMPLES[kind])
    found = cut_object(join_object(signed, signature, body))
    assert (found.header, found.signed) == (EXAMPLES[kind], signed)
    assert (found.signature, found.body) == (signature, body)


@each_kind
def test_the_kind_stands_in_what_is_signed(kind):
    """A signature over one kind is over none of the others, even where the fields would fit."""
    signed = object_signed_bytes(EXAMPLES[kind])
    assert signed[:6] == b"BBAL\x01" + bytes([kind])


def test_fields_of_one_kind_fit_no_other():
    """Only kinds without fields of their own could be read as others, if they were not signed."""
    found = set()
    for kind, other in itertools.permutations(Kind, 2):
        signed = object_signed_bytes(EXAMPLES[kind])
        try:
            cut_object(join_object(signed[:5] + bytes([other]) + signed[6:], bytes(70)))
        except FormatError:
            continue
        found.add((kind, other))
    expected = set(itertools.permutations(ALIKE, 2))
    assert found == expected | {(kind, Kind.CERTIFICATE) for kind in ALIKE}


@given(st.integers(0, len(RAW) - 71))
def test_an_object_cut_short_is_format_invalid(end):
    """An object that ends before its signature does is refused."""
    assert reason_of(RAW[:end]) is Reason.FORMAT_INVALID


@given(st.binary(max_size=200))
def test_noise_is_refused(raw):
    """No noise passes as an object, with our magic or without."""
    for each in (raw, b"BBAL" + raw, b"BBAL\x01\x03\x01" + raw):
        with pytest.raises(FormatError):
            cut_object(each)


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [
        (3, ord("J"), Reason.FORMAT_INVALID),
        (4, 2, Reason.FORMAT_VERSION),
        (5, 0, Reason.FORMAT_INVALID),
        (5, 9, Reason.FORMAT_INVALID),
        (6, 2, Reason.ALGORITHM_NOT_ALLOWED),
    ],
)
def test_prefix(at, value, reason):
    """Magic, version, kind and algorithm are checked before the header."""
    raw = bytearray(RAW)
    raw[at] = value
    assert reason_of(bytes(raw)) is reason


def test_limits():
    """Header, signature and the whole object have limits; each is refused past its own."""
    signed = object_signed_bytes(EXAMPLES[Kind.ASK])
    assert reason_of(join_object(signed, b"")) is Reason.FORMAT_INVALID
    assert reason_of(join_object(signed, bytes(SIGNATURE_BYTES_MAX + 1))) is Reason.FORMAT_INVALID
    assert reason_of(RAW + bytes(MESSAGE_BYTES_MAX)) is Reason.TOO_LARGE
    long = RAW[:7] + (HEADER_BYTES_MAX + 1).to_bytes(2) + bytes(40_000)
    assert reason_of(long) is Reason.FORMAT_INVALID


def test_a_header_over_the_limit_is_never_made():
    """A hello with too many positions is stopped before it is signed."""
    hello = msgspec.structs.replace(EXAMPLES[Kind.HELLO], positions=[POSITION] * 200)
    with pytest.raises(FormatError, match="limit 16384"):
        object_signed_bytes(hello)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (Kind.HELLO, {"clock": "2026-02-30T00:00:00.000000Z"}),
        (Kind.REFUSAL, {"again_at": "2026-02-30T00:00:00.000000Z"}),
        (Kind.HELLO, {"nonce": "0f"}),
        (Kind.CUSTODY_NOTE, {"hello": "0F" * 16}),
        (Kind.BUNDLE, {"first": 0}),
        (Kind.BUNDLE, {"lane": "slow"}),
        (Kind.REFUSAL, {"detail": "x" * 301}),
        (Kind.ASK, {"what": "keys"}),
    ],
)
def test_fields_outside_their_pattern_are_refused(kind, change):
    """A field that departs from its row of the table makes the object invalid, moments too."""
    header = msgspec.structs.replace(EXAMPLES[kind], **change)
    assert reason_of(join_object(object_signed_bytes(header), bytes(70))) is Reason.FORMAT_INVALID


pieces = st.lists(st.binary(max_size=60), max_size=8)


@given(pieces)
def test_pieces_come_back(packed):
    """Pieces are read as they were packed, and the end is found."""
    raw = pack_pieces(packed)
    assert unpack_pieces(raw) == (packed, len(raw))


@given(pieces, pieces)
def test_a_bundles_body_comes_back(certificates, entries):
    """Certificates and entries stay apart."""
    assert unpack_bundle_body(pack_bundle_body(certificates, entries)) == (certificates, entries)


@given(pieces, pieces, st.integers(1, 40))
def test_a_body_cut_short_is_refused(certificates, entries, missing):
    """Lengths that point beyond the end are refused."""
    body = pack_bundle_body(certificates, entries)
    with pytest.raises(FormatError):
        unpack_bundle_body(body[: max(0, len(body) - missing)])


@given(pieces, pieces, st.binary(min_size=1, max_size=20))
def test_bytes_behind_the_last_entry_are_refused(certificates, entries, more):
    """A bundle's body ends with its last entry."""
    with pytest.raises(FormatError, match="behind the last entry"):
        unpack_bundle_body(pack_bundle_body(certificates, entries) + more)


@given(st.binary(max_size=120))
def test_noise_is_no_bundle_body(body):
    """Whatever the bytes, the answer is pieces that pack to them, or a refusal."""
    with contextlib.suppress(FormatError):
        assert pack_bundle_body(*unpack_bundle_body(body)) == body
