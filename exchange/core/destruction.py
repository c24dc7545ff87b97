"""Whether a bucket may be proposed, approved and destroyed (clause 23). Pure: each says why not."""

from collections.abc import Iterable

import msgspec

from schemas.documents.act import APPROVALS, BucketText, Hand, RoleName
from schemas.header import PacketId, Sha256Hex
from schemas.moments import Instant, format_instant
from schemas.records import BucketContent, InstructionOutcome, InstructionRow, StillNeeded
from schemas.retention import RetentionPolicy, due_at, ends_at, rule_of, term_text


class Propose(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Content of `propose-destruction`."""

    bucket: BucketText
    role: RoleName


class Approve(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Content of `approve-destruction` and `destroy`: what the person has looked at."""

    proposal: PacketId
    frames_sha256: Sha256Hex
    role: RoleName


class Proposed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a proposal is about, as the record keeps it: fixed by the digest of its frames."""

    bucket: str
    packets: int
    size: int
    held: int
    frames_sha256: str
    term_ended: str
    basis: str
    policy_sha256: str


class Proposal(msgspec.Struct, frozen=True):
    """A proposal, who made it, and who has approved it so far."""

    id: str
    proposed: Proposed
    by: Hand
    approved: tuple[Hand, ...] = ()

    @property
    def bucket(self) -> str:
        """What would be destroyed."""
        return self.proposed.bucket


def find_undue(policy: RetentionPolicy, bucket: str, now: Instant) -> str | None:
    """Return why the term of a bucket lets nobody destroy it now; None where it is over."""
    rule = rule_of(policy, bucket)
    if rule is None:
        return f"{bucket} is no bucket of a class that the policy on retention knows"
    if rule.months is None:
        return f"{bucket}: class {rule.class_} is kept for ever"
    ends = ends_at(policy, bucket)
    assert ends is not None, "a term that is no end has been told apart"
    if due_at(policy, bucket) is None:
        term = term_text(rule.months)
        return f"{bucket}: the term of class {rule.class_} ({term}) is proposed, not approved"
    if now < ends:
        return f"{bucket}: its term ends {format_instant(ends)}"
    return None


def find_need(bucket: str, needed: StillNeeded) -> str | None:
    """Return what the node has yet to do with a bucket; None where nothing."""
    needs = (
        (needed.judged, "frames in it wait to be judged"),
        (needed.sent, "frames of it wait in streams or inboxes until they are taken"),
        (needed.answered, "exchanges about packets in it wait for an answer"),
        (needed.sealed, "documents handed over lie under its key, not sealed yet"),
    )
    said = [f"{count} {what}" for count, what in needs if count]
    return f"{bucket} is still needed: {'; '.join(said)}" if said else None


def find_change(proposed: Proposed, content: BucketContent) -> str | None:
    """Return how a bucket differs from what was proposed; None where it does not."""
    if content.frames_sha256.hex() == proposed.frames_sha256:
        return None
    before, now = proposed.packets + proposed.held, content.packets + content.held
    said = []
    if now != before:
        said.append(f"it had {before} packets and has {now} by now")
    if content.held > proposed.held:
        said.append(f"a legal hold came on {content.held - proposed.held} of them")
    if content.held < proposed.held:
        said.append(f"a legal hold on {proposed.held - content.held} of them was lifted")
    if not said:
        said.append("other packets are in it, or under a legal hold, than were proposed")
    return f"{proposed.bucket} has changed since it was proposed: {', '.join(said)}"


def find_refusal(proposal: Proposal, by: str) -> str | None:
    """Return why a person cannot approve a proposal; None where he can."""
    if by in {hand.by for hand in proposal.approved}:
        return "you have approved it before: another person must approve it, too"
    if len(proposal.approved) == APPROVALS:
        return f"{APPROVALS} people have approved it already"
    return None


def find_lack(proposal: Proposal) -> str | None:
    """Return what approvals a proposal lacks; None where it has them."""
    missing = APPROVALS - len(proposal.approved)
    if missing > 0:
        return f"{missing} of {APPROVALS} approvals are missing: nothing was destroyed"
    return None


Said = tuple[InstructionRow, InstructionOutcome]


def proposals_in(proposed: Iterable[Said], approved: Iterable[Said]) -> list[Proposal]:
    """Return the proposals that instructions have made, with their approvals, oldest first.

    Of each person the first approval counts, and of all so many as are needed.
    """
    hands: dict[str, dict[str, Hand]] = {}
    for row, outcome in approved:
        wish = msgspec.json.decode(row.content, type=Approve)
        hands.setdefault(wish.proposal, {}).setdefault(row.who, _hand(row, wish.role, outcome))
    found = []
    for row, outcome in proposed:
        role = msgspec.json.decode(row.content, type=Propose).role
        what = msgspec.json.decode(outcome.content, type=Proposed)
        first = tuple(hands.get(row.id, {}).values())[:APPROVALS]
        found.append(Proposal(row.id, what, _hand(row, role, outcome), first))
    return found


def _hand(row: InstructionRow, role: str, outcome: InstructionOutcome) -> Hand:
    return Hand(by=row.who, role=role, at=format_instant(outcome.at))
