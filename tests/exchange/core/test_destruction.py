"""What may be proposed, approved and destroyed: each refusal says what is in the way."""

import msgspec
import pytest

from exchange.core.destruction import (
    Approve,
    Proposal,
    Propose,
    Proposed,
    find_change,
    find_lack,
    find_need,
    find_refusal,
    find_undue,
    proposals_in,
)
from schemas.documents.act import Hand
from schemas.moments import parse_instant
from schemas.records import BucketContent, InstructionOutcome, InstructionRow, StillNeeded
from schemas.retention import DEFAULT, RetentionPolicy

NOW = parse_instant("2026-11-23T03:32:06.000000Z")
BUCKET = "R5-2018-08"
DIGEST = "ab" * 32
PROPOSED = Proposed(
    bucket=BUCKET,
    packets=3,
    size=3000,
    held=1,
    frames_sha256=DIGEST,
    term_ended="2023-09-01T00:00:00.000000Z",
    basis="Order 12",
    policy_sha256="cd" * 32,
)
HANDS = [
    Hand(by=f"op-{number}", role="approver", at="2026-11-23T03:32:06.000000Z") for number in (1, 2)
]


def approved_policy(*classes: str) -> RetentionPolicy:
    rules = {
        name: msgspec.structs.replace(rule, is_approved=name in classes, basis="Order 12")
        for name, rule in DEFAULT.classes.items()
    }
    return RetentionPolicy(2, rules)


def content(packets=3, held=1, digest=DIGEST) -> BucketContent:
    return BucketContent(packets, 1000 * packets, bytes.fromhex(digest), held)


@pytest.mark.parametrize(
    ("policy", "bucket", "why"),
    [
        (DEFAULT, BUCKET, "R5-2018-08: the term of class R5 (P5Y) is proposed, not approved"),
        (
            approved_policy("R5"),
            "R5-2022-08",
            "R5-2022-08: its term ends 2027-09-01T00:00:00.000000Z",
        ),
        (approved_policy("PERM"), "PERM-2001-01", "PERM-2001-01: class PERM is kept for ever"),
        (approved_policy(), "R7-2001-01", "is no bucket of a class that the policy"),
        (approved_policy(), "payload", "is no bucket of a class that the policy"),
    ],
)
def test_what_is_not_due_is_not_proposed(policy, bucket, why):
    """Only a bucket whose approved term is over may go, and what is missing is said."""
    assert why in str(find_undue(policy, bucket, NOW))


@pytest.mark.parametrize("bucket", [BUCKET, "R5-2021-08", f"{BUCKET}-2", f"{BUCKET}-h1"])
def test_what_is_due_may_go(bucket):
    """So may what came after a bucket was closed, and what was moved under a legal hold."""
    assert find_undue(approved_policy("R5"), bucket, NOW) is None


def test_what_the_node_still_needs_is_said():
    """Frames to judge, to send, to be answered or to seal keep a bucket."""
    assert find_need(BUCKET, StillNeeded(0, 0, 0, 0)) is None
    said = find_need(BUCKET, StillNeeded(1, 2, 3, 4))
    assert said is not None
    for part in ("1 frames in it", "2 frames of it wait", "3 exchanges", "4 documents"):
        assert part in said


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (content(4, 1, "00" * 32), ["had 4 packets and has 5"]),
        (content(2, 2, "00" * 32), ["a legal hold came on 1"]),
        (content(4, 0, "00" * 32), ["a legal hold on 1 of them was lifted"]),
        (content(3, 2, "00" * 32), ["had 4 packets and has 5", "a legal hold came on 1"]),
        (content(3, 1, "00" * 32), ["other packets are in it"]),
    ],
)
def test_what_changed_is_said(now, words):
    """A bucket that is not what was proposed is told by how it differs."""
    said = find_change(PROPOSED, now)
    assert said is not None
    assert all(word in said for word in words)


def test_what_did_not_change_is_sound():
    """The same frames are the same content, whatever else is held beside them."""
    assert find_change(PROPOSED, content()) is None
    assert find_change(PROPOSED, content(held=5)) is None


def proposal(*hands: Hand) -> Proposal:
    return Proposal("id", PROPOSED, HANDS[0], hands)


def test_nobody_approves_twice():
    """The same person is refused a second time; a third person is not needed."""
    assert find_refusal(proposal(), "op-1") is None
    assert "you have approved it before" in str(find_refusal(proposal(HANDS[0]), "op-1"))
    assert find_refusal(proposal(HANDS[0]), "op-2") is None
    assert "2 people have approved it already" in str(find_refusal(proposal(*HANDS), "op-3"))


@pytest.mark.parametrize(("hands", "missing"), [([], "2 of 2"), (HANDS[:1], "1 of 2")])
def test_less_than_two_approvals_destroy_nothing(hands, missing):
    """One approval changes nothing, and what is missing is said."""
    assert missing in str(find_lack(proposal(*hands)))
    assert find_lack(proposal(*HANDS)) is None


def test_proposals_are_read_from_the_record():
    """Of each person the first approval counts, in the order of the record."""

    def said(id_, who, what, content, answer):
        row = InstructionRow(id_, NOW, who, what, msgspec.json.encode(content))
        return row, InstructionOutcome(id_, NOW, "done", msgspec.json.encode(answer))

    id_ = "01a20675-fef0-7a11-8c3e-0d5a4b7f6e21"
    wish = Approve(id_, DIGEST, "approver")
    proposed = [said(id_, "op-1", "p", Propose(BUCKET, "operator"), PROPOSED)]
    approved = [said(f"a{who}", who, "a", wish, {}) for who in ("op-2", "op-2", "op-1", "op-3")]
    [found] = proposals_in(proposed, approved)
    assert (found.id, found.bucket, found.by.role) == (id_, BUCKET, "operator")
    assert [hand.by for hand in found.approved] == ["op-2", "op-1"]
