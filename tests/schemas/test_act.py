"""Acts of destruction: one encoding, two different people, nothing that names anybody."""

import json

import pytest

from nodes import samples
from schemas import wire
from schemas.answers import ARCHIVE_ACT
from schemas.documents.act import decode_act
from schemas.documents.faults import DocumentError
from schemas.documents.registry import TYPES, check_document
from schemas.errors import FormatError

FIELDS = [
    "bucket", "class", "term_ended", "basis", "policy_sha256", "packets", "size",
    "frames_sha256", "held", "proposal", "proposed", "approved", "acted",
]  # fmt: skip


def altered(**changes) -> bytes:
    document = json.loads(samples.act(1)) | changes
    return json.dumps(document, separators=(",", ":")).encode()


def test_an_act_reads_back():
    """What is sealed is what is read, field by field in the order of the protocol."""
    raw = samples.act(1)
    assert wire.encode(decode_act(raw)) == raw
    assert list(json.loads(raw)) == FIELDS


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        samples.act(1) + b" ",
        samples.act(1).replace(b"{", b'{"more":1,', 1),
        altered(approved=json.loads(samples.act(1))["approved"][:1]),
        altered(packets=0),
        altered(frames_sha256="AB" * 32),
        altered(bucket="no bucket"),
        altered(basis="x" * 20_000),
    ],
)
def test_what_is_no_act_is_refused(raw):
    """Other forms, one approval, and what is beyond its limits are no act."""
    with pytest.raises(FormatError):
        decode_act(raw)


def test_one_person_does_not_approve_twice():
    """An act that names one person for both approvals is faulty, whoever made it."""
    twice = json.loads(samples.act(1))["approved"][0]
    with pytest.raises(DocumentError, match="the same person approves twice"):
        check_document(ARCHIVE_ACT, altered(approved=[twice, twice]))


def test_acts_are_kept_for_ever_and_made_by_nodes_alone():
    """No local system drops an act, and none is destroyed itself."""
    kind = TYPES[ARCHIVE_ACT]
    assert (kind.retention, kind.droppable, kind.personal) == ("PERM", False, False)
