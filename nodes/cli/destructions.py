"""`bbaj retention propose`, `approve`, `act`, `show` and `list`: destruction, step by step."""

from collections.abc import Sequence

import msgspec

from exchange.core.destruction import Approve, Proposal, Propose, find_change, proposals_in
from exchange.destroying import ACT, APPROVE, PROPOSE, Carried
from nodes import rights
from nodes.cli.errors import UsageFault
from nodes.cli.instructing import instruct
from nodes.cli.opening import reading
from nodes.cli.shapes import Shape
from nodes.config import Config
from nodes.errors import ConfigurationFault, NotFound
from schemas.documents.act import APPROVALS, Hand
from schemas.moments import format_instant
from schemas.records import DestroyedRow
from store.reading import Reading

DIGEST_CHARACTERS_MIN = 12


class ProposalLine(Shape, frozen=True, kw_only=True):
    """A proposal to destroy a bucket, and what became of it."""

    id: str
    bucket: str
    state: str
    """`proposed`, `approved`, `destroyed`, or `outdated`: destroyed under another proposal."""
    packets: int
    size: int
    """Bytes that the payloads take."""
    held: int
    """Packets under a legal hold, which are moved and kept."""
    frames_sha256: str
    term_ended: str
    basis: str
    policy_sha256: str
    proposed: Hand
    approved: list[Hand]
    act: str | None
    destroyed: str | None
    changed: str | None = None
    """How the bucket differs by now, so that the proposal is void; only `show` looks."""


class ActDone(Shape, frozen=True, kw_only=True):
    """A bucket is destroyed: the act is committed."""

    act: str
    bucket: str
    packets: int
    held: int
    at: str
    instruction: str


async def propose(config: Config, buckets: Sequence[str], wait_s: float) -> list[ProposalLine]:
    """Propose buckets, one after the other. Raises NotDone at the first that is not due."""
    role = _role(config)
    made = [
        (await instruct(config, PROPOSE, Propose(bucket, role), wait_s=wait_s)).id
        for bucket in buckets
    ]
    return [line for line in await list_proposals(config) if line.id in made]


async def approve(config: Config, id_: str, digest: str, wait_s: float) -> ProposalLine:
    """Approve a proposal under the digest that a person has looked at."""
    wish = await _wish(config, id_, digest)
    await instruct(config, APPROVE, wish, wait_s=wait_s)
    return await show(config, id_)


async def act(config: Config, id_: str, digest: str, wait_s: float) -> ActDone:
    """Destroy what two people have approved."""
    told = await instruct(config, ACT, await _wish(config, id_, digest), wait_s=wait_s)
    done = msgspec.convert(told.content, Carried)
    return ActDone(
        act=done.act,
        bucket=done.bucket,
        packets=done.packets,
        held=done.held,
        at=told.at,
        instruction=told.id,
    )


async def show(config: Config, id_: str) -> ProposalLine:
    """Return a proposal, compared with what is in its bucket now. Raises NotFound."""
    async with reading(config) as desk:
        proposal = await _find(desk, id_)
        line = _line(proposal, {row.bucket: row for row in await desk.destroyed()})
        if line.act is not None or proposal.bucket not in await desk.payload_buckets():
            return line
        content = await desk.bucket_content(proposal.bucket)
        return msgspec.structs.replace(line, changed=find_change(proposal.proposed, content))


async def list_proposals(config: Config) -> list[ProposalLine]:
    """Return all proposals, oldest first."""
    async with reading(config) as desk:
        done = {row.bucket: row for row in await desk.destroyed()}
        return [_line(proposal, done) for proposal in await _proposals(desk)]


def _role(config: Config) -> str:
    """Return the role of whoever runs the command. Raises ConfigurationFault without a policy."""
    if config.rights.policy is None:
        raise ConfigurationFault(
            ["rights.policy: missing; destruction needs to know who approves: two people"]
        )
    return rights.load_policy(config.rights.policy).users[rights.login_name()].value


async def _wish(config: Config, id_: str, digest: str) -> Approve:
    """Return what a person says of a proposal. Raises UsageFault for another digest."""
    role = _role(config)
    async with reading(config) as desk:
        whole = (await _find(desk, id_)).proposed.frames_sha256
    if len(digest) < DIGEST_CHARACTERS_MIN or not whole.startswith(digest.lower()):
        raise UsageFault(
            f"{digest} is not the digest of proposal {id_}: see `bbaj retention show {id_}`, and "
            f"give {DIGEST_CHARACTERS_MIN} characters of it at least"
        )
    return Approve(id_, whole, role)


async def _proposals(desk: Reading) -> list[Proposal]:
    approved = await desk.done_instructions(APPROVE)
    return proposals_in(await desk.done_instructions(PROPOSE), approved)


async def _find(desk: Reading, id_: str) -> Proposal:
    for proposal in await _proposals(desk):
        if proposal.id == id_:
            return proposal
    raise NotFound(f"there is no proposal {id_}: `bbaj retention list` shows which there are")


def _line(proposal: Proposal, destroyed: dict[str, DestroyedRow]) -> ProposalLine:
    proposed, done = proposal.proposed, destroyed.get(proposal.bucket)
    is_done = done is not None and done.proposal == proposal.id
    state = "approved" if len(proposal.approved) == APPROVALS else "proposed"
    if done is not None:
        state = "destroyed" if is_done else "outdated"
    return ProposalLine(
        id=proposal.id,
        bucket=proposal.bucket,
        state=state,
        packets=proposed.packets,
        size=proposed.size,
        held=proposed.held,
        frames_sha256=proposed.frames_sha256,
        term_ended=proposed.term_ended,
        basis=proposed.basis,
        policy_sha256=proposed.policy_sha256,
        proposed=proposal.by,
        approved=list(proposal.approved),
        act=done.act if done is not None and is_done else None,
        destroyed=format_instant(done.at) if done is not None and is_done else None,
    )
