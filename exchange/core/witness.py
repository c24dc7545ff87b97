"""What a node answers that is shown a checkpoint of a neighbour's journal (clause 18.1).

The answers are those of C2SP tlog-witness. Whether a proof holds, and who has signed, the caller
has found out: this sees no hashes. And who witnesses the log of what an authority has issued, and
when a cosignature of that is missing (clause 14.4).
"""

from typing import Literal

import msgspec

from exchange.core.registry import Registry
from schemas.moments import Instant

Status = Literal[200, 400, 403, 404, 409, 422]


class Head(msgspec.Struct, frozen=True, gc=False):
    """A journal at one moment."""

    size: int
    root: bytes


class Request(msgspec.Struct, frozen=True, gc=False):
    """A checkpoint as it was shown, and what is known of it."""

    head: Head
    old_size: int
    is_known: bool
    """Its origin is the running journal of the neighbour that shows it."""
    is_signed: bool
    """The journal's own key has signed it."""
    extends: bool
    """Its proof shows that it extends what is held; asked only where the sizes fit."""


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """The answer, and whether the journal has two histories by now."""

    status: Status
    detail: str = ""
    forked: bool = False
    is_new: bool = False
    """The checkpoint is to be kept: it is beyond what is held."""


def judge(  # noqa: PLR0911 - one answer a rule, in the order of the specification
    request: Request, held: Head, root_before: bytes | None
) -> Verdict:
    """Judge a checkpoint by what is held of its journal.

    `held` is the newest that was kept: of nothing, size 0 and the empty tree's root. `root_before`
    is the root kept of the very size that is shown, None where none is.
    """
    shown = request.head
    if not request.is_known:
        return Verdict(404, "no such journal is known here")
    if not request.is_signed:
        return Verdict(403, "the journal key of its node has not signed it")
    if request.old_size > shown.size:
        return Verdict(400, f"old size {request.old_size} is beyond the size {shown.size}")
    if root_before is not None and root_before != shown.root:
        return Verdict(409, f"two roots were signed at size {shown.size}", forked=True)
    if request.old_size != held.size:
        return Verdict(409, f"size {held.size} is held")
    if not request.extends:
        detail = f"the proof from size {held.size} to {shown.size} does not hold"
        return Verdict(422, detail, forked=True)
    return Verdict(200, is_new=shown.size > held.size)


def is_log_witness(registry: Registry, address: str, authority: str) -> bool:
    """Say whether a node is a witness of what an authority issues.

    That is the node above the authority's; of the root's, each that hangs under the root.
    """
    above = registry.hangs_under(authority)
    if above is not None:
        return address == above
    return registry.hangs_under(address) == authority


def can_be_witnessed(registry: Registry, authority: str) -> bool:
    """Say whether anybody known may hold a witness key for an authority's log.

    Only who has children holds one. Above an authority there is such a node; below the root, one
    that is known to have a child.
    """
    if registry.hangs_under(authority) is not None:
        return True
    above = (registry.hangs_under(card.facts.address) for card in registry.cards())
    return any(each is not None and registry.hangs_under(each) == authority for each in above)


def is_unwitnessed(
    since: Instant, up_since: Instant | None, now: Instant, hold_limit_us: int
) -> bool:
    """Say whether a log has gone without a cosignature for too long.

    `since` its newest entries have stood there; the line that would bring a cosignature has been up
    since `up_since`, and is down where that is None: then nobody can tell.
    """
    return up_since is not None and now - max(since, up_since) > hold_limit_us
