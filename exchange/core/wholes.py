"""Files in parts: when the recipient has the whole, and when it never will (clause 8.8).

The manifest is answered, once, on the whole. What is signed by its sender and contradicts it ends
the exchange; a part without its manifest waits.
"""

from collections.abc import Container

import msgspec

from exchange.core.rules import Finding, Rules
from exchange.core.steps import AskParts, Conclude, Hold, Keep, Raise, Step, put_aside
from schemas.documents.registry import DOCUMENT_FILE
from schemas.header import Header
from schemas.leaves import LeafKind
from schemas.manifest import Manifest, Piece
from schemas.reasons import Reason
from schemas.records import Trail
from schemas.statements import LACKING_MAX, NumberRange

MANIFEST = "manifest"
"""What a part waits for."""


class KnownWhole(msgspec.Struct, frozen=True, gc=False):
    """What the record holds about a file that travels in parts."""

    trail: Trail | None
    """Of its manifest."""
    manifest: Manifest | None
    """None where it is not at hand, or is not for us."""
    bucket: str | None
    """Where the manifest's payload is kept."""
    parts: int
    """So many of its parts are here."""
    is_given_up: bool = False
    """Its manifest was refused, or has not come within the hold limit."""


def take_manifest(manifest: Manifest, whole: KnownWhole, rules: Rules) -> Step:
    """Keep a manifest; its receipt waits for the parts, which may all be here already."""
    kept = Keep(LeafKind.RECEIVED)
    if whole.parts < manifest.parts:
        return (kept,)
    return (kept, Conclude(None, rules.system_for(DOCUMENT_FILE)))


def take_manifest_again(manifest: Manifest, trail: Trail, whole: KnownWhole) -> Step | None:
    """Ask for what is lacking of a file whose manifest is here; None: nothing is to be asked.

    Streams keep their order: whatever its sender had placed before it has come, or is lost.
    """
    if whole.is_given_up or whole.parts >= manifest.parts:
        return None
    return (AskParts(trail.packet, manifest.parts),)


def lacking_of(parts: int, here: Container[int]) -> tuple[NumberRange, ...]:
    """Return the numbers of parts that are not here, as rising ranges: the first LACKING_MAX."""
    ranges: list[NumberRange] = []
    for number in range(1, parts + 1):
        if number in here:
            continue
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        elif len(ranges) == LACKING_MAX:
            break
        else:
            ranges.append((number, number))
    return tuple(ranges)


def take_part(header: Header, piece: Piece, whole: KnownWhole, rules: Rules) -> Step:
    """Keep a part that its manifest names; the last one brings the receipt on the whole."""
    assert header.part is not None, "its type says so"
    if whole.is_given_up:
        return refuse_part(Finding(Reason.PARTS_MISMATCH, f"no manifest {header.part.of}"))
    if whole.trail is None:
        return (Hold(MANIFEST, header.certificate),)
    manifest, packet = whole.manifest, whole.trail.packet
    if manifest is None or packet.recipient != header.to:
        return refuse_part(Finding(Reason.PARTS_MISMATCH, f"{header.part.of} is no manifest"))
    if not manifest.names(header.part.number, piece.sha256, piece.size):
        detail = f"part {header.part.number} is not what the manifest names"
        finding = Finding(Reason.PARTS_MISMATCH, detail)
        refused = Conclude(packet, "", finding.reason, finding.detail)
        return (*refuse_part(finding), refused)
    kept = Keep(LeafKind.RECEIVED, bucket=whole.bucket)
    if whole.parts + 1 < manifest.parts:
        return (kept,)
    return (kept, Conclude(packet, rules.system_for(packet.type)))


def refuse_part(finding: Finding) -> Step:
    """Put a part aside; no receipt answers it (R-29e), so somebody must look."""
    return (*put_aside(finding), Raise("part_refused", f"{finding.reason}: {finding.detail}"))
