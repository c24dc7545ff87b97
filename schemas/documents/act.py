"""`archive.act/1`: the act under which a node destroyed the payloads of a bucket (clause 23).

Nodes make it; no local system drops it. People stand in it as keyed digests of their node, so it
has no personal data, and outlives what it tells of.
"""

from collections.abc import Iterator
from typing import Annotated

import msgspec

from schemas import wire
from schemas.documents.common import CodeLists, Document, check_text
from schemas.documents.faults import Fault, FaultKind
from schemas.header import ClassCode, Count, PacketId, Sha256Hex, Size
from schemas.moments import InstantText
from schemas.patterns import whole

BucketText = Annotated[str, msgspec.Meta(pattern=whole(r"[A-Z][A-Za-z0-9-]{0,63}"))]
Pseudonym = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
RoleName = Annotated[str, msgspec.Meta(pattern=whole(r"[a-z]{1,32}"))]

APPROVALS = 2
"""So many different people approve."""


class Hand(msgspec.Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """Who did a step, in which role, and when."""

    by: Pseudonym
    role: RoleName
    at: InstantText


class ArchiveAct(
    Document, frozen=True, gc=False, kw_only=True, rename={"class_": "class"}, omit_defaults=True
):
    """What was destroyed, on which basis, and by whom."""

    bucket: BucketText
    class_: ClassCode
    term_ended: InstantText
    basis: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
    """Of the term, as the policy cited it."""
    policy_sha256: Sha256Hex
    """Of the version of the policy on retention."""
    packets: Count
    """Frames whose payloads were destroyed, quarantined ones included."""
    size: Size
    """Bytes that their payloads took."""
    frames_sha256: Sha256Hex
    """Over the SHA-256 of each frame, in rising order (23.2)."""
    held: Size
    """Frames under a legal hold, moved before and kept."""
    proposal: PacketId
    proposed: Hand
    approved: Annotated[tuple[Hand, ...], msgspec.Meta(min_length=APPROVALS, max_length=APPROVALS)]
    acted: Hand

    def faults(self, lists: CodeLists) -> Iterator[Fault]:
        """Yield texts that cannot be shown, and one person who approves twice."""
        del lists
        yield from check_text(self.basis, "$.basis")
        for index, hand in enumerate(self.approved):
            yield from check_text(hand.by, f"$.approved[{index}].by")
            if hand.by in {other.by for other in self.approved[:index]}:
                yield Fault(
                    f"$.approved[{index}].by", "the same person approves twice", FaultKind.DUPLICATE
                )


_acts = msgspec.json.Decoder(ArchiveAct)
_ACT_BYTES_MAX = 16_384


def decode_act(content: bytes) -> ArchiveAct:
    """Return the act whose one encoding a content is. Raises FormatError(format-invalid)."""
    return wire.decode_text(content, _acts, _ACT_BYTES_MAX)
