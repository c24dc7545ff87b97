"""Destruction of buckets at the wish of operators: proposed, approved, carried out (clause 23).

All of it is derived from the record: a proposal is an instruction that was carried out, so is an
approval, and what was destroyed is a row that is committed together with its act.
"""

from collections.abc import Mapping
from hashlib import sha256

import msgspec

from exchange.acts import Acts, is_about
from exchange.batch import Batch
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
from exchange.instructions import Declined, Done, Handler
from exchange.standing import PolicySeen
from exchange.state import NodeState
from schemas.buckets import read_bucket
from schemas.documents.act import ArchiveAct, Hand
from schemas.moments import Instant, format_instant
from schemas.records import BucketContent, InstructionRow
from schemas.retention import POLICY_NAME, encode_policy, ends_at, rule_of
from signing.errors import BucketDamagedError, BucketKeyMissingError

PROPOSE, APPROVE, ACT = "propose-destruction", "approve-destruction", "destroy"
FOREVER: Instant = 2**62


class Approved(msgspec.Struct, frozen=True):
    """Answer to an approval: how many there are by now."""

    proposal: str
    bucket: str
    approvals: int


class Carried(msgspec.Struct, frozen=True):
    """Answer to `destroy`: the act is committed; key and partition go now."""

    act: str
    bucket: str
    packets: int
    held: int


class Destroying:
    """The instructions about destruction."""

    def __init__(self, state: NodeState, acts: Acts) -> None:
        """Share the node's state; `acts` carries out what was approved."""
        self._state = state
        self._acts = acts

    def handlers(self) -> Mapping[str, Handler]:
        """Return who does what."""
        steps = {PROPOSE: self.propose, APPROVE: self.approve, ACT: self.act}
        return {what: self._alone(step) for what, step in steps.items()}

    def _alone(self, step: Handler) -> Handler:
        """Let a step wait for a batch in which no other instruction has said what no read sees."""

        async def take(row: InstructionRow, batch: Batch) -> Done | Declined | None:
            if batch.changes.outcomes:
                batch.after_commit(self._state.wake)
                return None
            return await step(row, batch)

        return take

    async def propose(self, row: InstructionRow, batch: Batch) -> Done | Declined:
        """Fix what of a bucket would be destroyed, where its term is over."""
        bucket = msgspec.json.decode(row.content, type=Propose).bucket
        why = self._find_gone(bucket) or find_undue(self._state.gate.retention, bucket, batch.now)
        if why is not None:
            return Declined(why)
        if bucket not in await self._state.archive.payload_buckets():
            return Declined(f"{bucket} is not here: `bbaj retention due` shows which are")
        content = await self._state.archive.bucket_content(bucket)
        if (why := await self._find_need(bucket, content)) is not None:
            return Declined(why)
        proposed = await self._proposed(bucket, content)
        detail = f"{bucket} {content.packets} packets {proposed.frames_sha256}"
        return Done(proposed, detail=detail)

    async def approve(self, row: InstructionRow, batch: Batch) -> Done | Declined:
        """Count a person's approval of exactly what was proposed."""
        wish = msgspec.json.decode(row.content, type=Approve)
        proposal = await self._find(wish)
        if isinstance(proposal, Declined):
            return proposal
        why = find_refusal(proposal, row.who)
        if why is None:
            content = await self._state.archive.bucket_content(proposal.bucket)
            why = await self._find_void(proposal, content, batch)
        if why is not None:
            return Declined(why)
        said = Approved(proposal.id, proposal.bucket, len(proposal.approved) + 1)
        return Done(said, detail=f"{proposal.id} {wish.frames_sha256}")

    async def act(self, row: InstructionRow, batch: Batch) -> Done | Declined | None:
        """Destroy what two people have approved, packets under a legal hold moved before.

        Moves are committed as they come; the last of them, the act and the row that destroys are
        one commit. None: moves are under way, the batch itself changes the bucket, or the node may
        not seal now (7.4).
        """
        if not self._state.may_seal(batch.now):
            return None
        wish = msgspec.json.decode(row.content, type=Approve)
        proposal = await self._find(wish)
        if isinstance(proposal, Declined):
            return proposal
        if (why := find_lack(proposal)) is not None:
            return Declined(why)
        if (addressee := self._acts.addressee()) is None:
            return Declined(
                "no neighbour can keep the act: a node without parent and children destroys nothing"
            )
        if is_about(proposal.bucket, batch):
            return None
        hand = Hand(by=row.who, role=wish.role, at=batch.at)
        return await self._carry_out(proposal, hand, addressee, batch)

    async def _carry_out(
        self, proposal: Proposal, hand: Hand, addressee: str, batch: Batch
    ) -> Done | Declined | None:
        """Check once more what is to be destroyed, with the bucket closed; then do it."""
        bucket, gate = proposal.bucket, self._state.gate
        gate.close_buckets([bucket])
        content = await self._state.archive.bucket_content(bucket)
        why = await self._find_void(proposal, content, batch)
        try:
            if why is None and not await self._acts.move(bucket, proposal.id, FOREVER, batch):
                return None
        except (BucketDamagedError, BucketKeyMissingError) as error:
            why = f"a packet under a legal hold cannot be moved: {error}"
        if why is not None:
            gate.reopen_bucket(bucket)
            return Declined(why)
        packet = await self._acts.send(_act_of(proposal, content, hand), addressee, batch)
        said = Carried(packet.id, bucket, content.packets, content.held)
        return Done(said, detail=f"{bucket} act {packet.id}")

    # --- what all of them ask -------------------------------------------------------------------

    async def _find(self, wish: Approve) -> Proposal | Declined:
        """Return the proposal that a person has looked at, unless it was carried out."""
        archive = self._state.archive
        known = proposals_in(
            await archive.done_instructions(PROPOSE), await archive.done_instructions(APPROVE)
        )
        proposal = next((each for each in known if each.id == wish.proposal), None)
        if proposal is None:
            return Declined(f"there is no proposal {wish.proposal}: see `bbaj retention list`")
        if (gone := self._find_gone(proposal.bucket)) is not None:
            return Declined(gone)
        if wish.frames_sha256 != proposal.proposed.frames_sha256:
            return Declined("the digest is not that of the proposal: look at it once more")
        return proposal

    def _find_gone(self, bucket: str) -> str | None:
        done = self._acts.done.get(bucket)
        if done is None:
            return None
        return f"{bucket} was destroyed under act {done.act} on {format_instant(done.at)}"

    async def _find_void(
        self, proposal: Proposal, content: BucketContent, batch: Batch
    ) -> str | None:
        """Return why a proposal does not stand any more, and what to do."""
        why = (
            find_undue(self._state.gate.retention, proposal.bucket, batch.now)
            or find_change(proposal.proposed, content)
            or await self._find_need(proposal.bucket, content)
        )
        return None if why is None else f"the proposal is void: {why}; propose it again"

    async def _find_need(self, bucket: str, content: BucketContent) -> str | None:
        if content.packets == 0:
            held = f" but {content.held} under a legal hold" if content.held else ""
            return f"{bucket} has nothing to destroy: no packets{held}"
        streams = dict.fromkeys(self._state.require_tails().streams, 0)
        cursors = streams | self._state.effects.cursors
        return find_need(bucket, await self._state.archive.still_needed(bucket, cursors))

    async def _proposed(self, bucket: str, content: BucketContent) -> Proposed:
        """Return what a proposal says of a bucket whose term is over."""
        policy = self._state.gate.retention
        rule, ended = rule_of(policy, bucket), ends_at(policy, bucket)
        assert rule is not None, "what is due has a rule"
        assert ended is not None, "what is due has a term"
        return Proposed(
            bucket=bucket,
            packets=content.packets,
            size=content.size,
            held=content.held,
            frames_sha256=content.frames_sha256.hex(),
            term_ended=format_instant(ended),
            basis=rule.basis,
            policy_sha256=await self._policy_sha256(),
        )

    async def _policy_sha256(self) -> str:
        """Return the SHA-256 of the policy on retention as it was told; else of our own default."""
        for row in reversed(await self._state.archive.instructions_of("policy")):
            seen = msgspec.json.decode(row.content, type=PolicySeen)
            if seen.name == POLICY_NAME:
                return seen.sha256
        return sha256(encode_policy(self._state.gate.retention)).hexdigest()


def _act_of(proposal: Proposal, content: BucketContent, acted: Hand) -> ArchiveAct:
    """Return the act on what two people have approved."""
    proposed = proposal.proposed
    name = read_bucket(proposed.bucket)
    assert name is not None, "what has a term has a name"
    return ArchiveAct(
        bucket=proposed.bucket,
        class_=name.class_,
        term_ended=proposed.term_ended,
        basis=proposed.basis,
        policy_sha256=proposed.policy_sha256,
        packets=content.packets,
        size=content.size,
        frames_sha256=content.frames_sha256.hex(),
        held=content.held,
        proposal=proposal.id,
        proposed=proposal.by,
        approved=proposal.approved,
        acted=acted,
    )
