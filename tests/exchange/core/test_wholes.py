"""Files in parts at their recipient: kept, asked for, concluded once, or refused as a whole."""

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.core.custody import Arrival, Known, decide_arrival
from exchange.core.rules import Rules
from exchange.core.steps import (
    AnswerAgain,
    AskParts,
    Conclude,
    Hold,
    Keep,
    Mark,
    Quarantine,
    Raise,
    SendReceipt,
)
from exchange.core.wholes import MANIFEST, KnownWhole, lacking_of
from harness.cards import registry_of
from harness.drafts import ANSWER_ID, DISTRICT, NOW, OBLAST, PACKET_ID, draft, packet_of, trail_of
from schemas.documents.common import SourceRef
from schemas.documents.registry import DOCUMENT_FILE
from schemas.header import PART, Part
from schemas.leaves import LeafKind
from schemas.limits import PART_CONTENT_BYTES, Limits
from schemas.manifest import MANIFEST_MEDIA_TYPE, Manifest, ManifestFacts, piece_of
from schemas.reasons import Reason
from schemas.statements import LACKING_MAX, Lacking

PIECES = [bytes([number]) * PART_CONTENT_BYTES for number in range(2)] + [b"the rest"]
FACTS = ManifestFacts(
    title="survey",
    media_type="text/plain",
    source_ref=SourceRef(kind="register", issuer=DISTRICT, number="1"),
    size=sum(map(len, PIECES)),
)
FILE = Manifest(FACTS, b"".join(piece_of(piece).sha256 for piece in PIECES))
RULES = Rules(
    here=OBLAST,
    registry=registry_of(OBLAST, DISTRICT),
    limits=Limits(),
    types=frozenset({DOCUMENT_FILE, PART}),
    systems={"archive": (DOCUMENT_FILE,)},
)
NAMED = draft(id=PACKET_ID, type=DOCUMENT_FILE, from_=DISTRICT, flow="info")
HEADER = msgspec.structs.replace(
    NAMED, payload=msgspec.structs.replace(NAMED.payload, media_type=MANIFEST_MEDIA_TYPE)
)
PACKET = packet_of(HEADER)
TRAIL = trail_of(PACKET, (LeafKind.RECEIVED, {"id": PACKET_ID}))


def whole(parts, **facts):
    """Return how the file stands at its recipient, so many of its parts being here."""
    fields = {"trail": TRAIL, "manifest": FILE, "bucket": "R5-2027-08"}
    return KnownWhole(**{**fields, "parts": parts, **facts})


def manifest_comes(parts, trail=None, **facts):
    """Return what the manifest's coming causes; once more where it has a trail."""
    arrival = Arrival(HEADER, PACKET.head_sha256, PACKET.frame_sha256, DISTRICT, FILE)
    known = Known(trail, None, None, whole=whole(parts, trail=trail, **facts))
    return decide_arrival(arrival, known, NOW, RULES)


def part_comes(number, content, stands):
    header = draft(
        id=ANSWER_ID, type=PART, from_=DISTRICT, flow="info", seq=None,
        part=Part(PACKET_ID, number),
    )  # fmt: skip
    packet = packet_of(header)
    piece = piece_of(content)
    arrival = Arrival(header, packet.head_sha256, packet.frame_sha256, DISTRICT, piece)
    return decide_arrival(arrival, Known(None, None, None, whole=stands), NOW, RULES)


def test_a_manifest_is_kept_and_not_answered_yet():
    """Its receipt is on the whole."""
    assert manifest_comes(0) == (Keep(LeafKind.RECEIVED),)


def test_a_manifest_behind_its_parts_concludes():
    """Where all parts were held for it and are here by now, it is answered and released."""
    assert manifest_comes(3) == (Keep(LeafKind.RECEIVED), Conclude(None, "archive"))


def test_a_manifest_that_comes_again_asks_for_what_is_lacking():
    """What had been placed before it has come, or is lost."""
    assert manifest_comes(2, TRAIL) == (AskParts(PACKET, 3),)


@pytest.mark.parametrize(("parts", "given_up"), [(3, False), (1, True)], ids=["whole", "refused"])
def test_a_manifest_that_was_answered_brings_its_answer(parts, given_up):
    """Nothing is asked for of a file that is whole, or that was refused."""
    step = manifest_comes(parts, TRAIL, is_given_up=given_up)
    assert step == (AnswerAgain(PACKET, by=OBLAST, otherwise_forward=False),)


def test_a_part_is_kept_where_its_manifest_lies():
    """No receipt answers it."""
    kept = Keep(LeafKind.RECEIVED, bucket="R5-2027-08")
    assert part_comes(2, PIECES[1], whole(0)) == (kept,)


def test_the_last_part_concludes():
    """Whichever number comes last: one receipt, on the manifest."""
    kept = Keep(LeafKind.RECEIVED, bucket="R5-2027-08")
    assert part_comes(1, PIECES[0], whole(2)) == (kept, Conclude(PACKET, "archive"))


def test_a_part_waits_for_its_manifest():
    """It may be ahead of it."""
    (step,) = part_comes(1, PIECES[0], whole(0, trail=None, manifest=None))
    assert isinstance(step, Hold)
    assert step.missing == MANIFEST


@pytest.mark.parametrize(
    ("number", "content"),
    [(1, PIECES[1]), (3, PIECES[2] + b"."), (4, PIECES[2])],
    ids=["another digest", "another size", "no such number"],
)
def test_a_part_that_is_not_named_ends_the_exchange(number, content):
    """It is put aside, and its manifest refused: its sender has contradicted himself."""
    aside, mark, told, ended = part_comes(number, content, whole(1))
    assert isinstance(aside, Quarantine)
    assert (mark.kind, mark.reason) == (LeafKind.REFUSED, Reason.PARTS_MISMATCH)
    assert told.kind == "part_refused"
    assert (ended.packet, ended.reason) == (PACKET, Reason.PARTS_MISMATCH)


@pytest.mark.parametrize(
    "stands",
    [
        whole(1, is_given_up=True),
        whole(0, manifest=None),
        whole(0, trail=None, manifest=None, is_given_up=True),
    ],
    ids=["late: refused meanwhile", "no manifest", "late: waited too long"],
)
def test_a_part_without_a_manifest_that_counts_is_put_aside(stands):
    """No receipt answers it, and no exchange ends by it."""
    step = part_comes(1, PIECES[0], stands)
    assert [type(each) for each in step] == [Quarantine, Mark, Raise]
    assert not any(isinstance(each, SendReceipt) for each in step)


@given(parts=st.integers(1, 3000), data=st.data())
def test_what_is_asked_for_is_what_is_lacking(parts, data):
    """Ranges rise, do not touch, and name each lacking number up to the last range's end."""
    here = data.draw(st.sets(st.integers(1, parts), max_size=min(parts - 1, 600)))
    ranges = lacking_of(parts, here)
    stamp = {"from_": OBLAST, "to": DISTRICT, "epoch": 1, "number": 1, "certificate": "ab" * 32}
    asked = Lacking(**stamp, packet_epoch=1, packet=PACKET_ID, parts=ranges)
    assert 1 <= len(ranges) <= LACKING_MAX
    assert all(first <= last for first, last in ranges)
    assert all(one[1] + 1 < two[0] for one, two in itertools.pairwise(ranges))
    end = parts if len(ranges) < LACKING_MAX else ranges[-1][1]
    for number in range(1, end + 1):
        assert asked.names(number) == (number not in here)
    assert not asked.names(parts + 1)


def test_no_more_is_asked_for_than_one_object_holds():
    """Every other part of many is lacking: the first so many ranges, the rest another time."""
    ranges = lacking_of(4 * LACKING_MAX, range(2, 4 * LACKING_MAX, 2))
    assert ranges == tuple((2 * at + 1, 2 * at + 1) for at in range(LACKING_MAX))
