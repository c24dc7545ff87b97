"""What a decision asks for: effects as data, in the order in which they are to be done.

An effect may be repeated after a crash; each is written to bear it. `frame` fields number stored
frames; `None` there means the frame that the event itself brings.
"""

import msgspec

from exchange.core.rules import Finding
from schemas.leaves import LeafKind
from schemas.moments import Instant
from schemas.objects import Lane
from schemas.reasons import Reason
from schemas.records import PacketRow


class Keep(msgspec.Struct, frozen=True, gc=False):
    """Store the packet that arrived, with its first leaf.

    `received` and `detail` are given where it had arrived before and comes back; `bucket` is that
    of a part's manifest.
    """

    kind: LeafKind
    received: Instant | None = None
    detail: str = ""
    bucket: str | None = None


class Mark(msgspec.Struct, frozen=True, gc=False):
    """Append a leaf about a stored packet (or about the one that arrived, just kept)."""

    kind: LeafKind
    packet: PacketRow | None = None
    verdict: str = ""
    reason: str = ""
    detail: str = ""
    by: str = ""
    receipt: str = ""


class Forward(msgspec.Struct, frozen=True, gc=False):
    """Place the frame that arrived into a neighbour's stream."""

    neighbour: str
    lane: Lane


class PlaceAgain(msgspec.Struct, frozen=True, gc=False):
    """Place a stored frame again, unless an earlier place is unacknowledged or too recent."""

    packet: PacketRow


class AnswerAgain(msgspec.Struct, frozen=True, gc=False):
    """Place the stored answer to a packet again, where there is one; else the packet itself."""

    packet: PacketRow
    by: str
    """Only answers that this node signed count."""
    otherwise_forward: bool
    ended: Reason | None = None
    """Why its recipient, for whom we answer, takes nothing any more: then we say so."""
    detail: str = ""


class Release(msgspec.Struct, frozen=True, gc=False):
    """Put the document that arrived into a local system's inbox; its leaf comes with it."""

    system: str


class SendReceipt(msgspec.Struct, frozen=True, gc=False):
    """Seal a receipt on a frame; its index is that of the leaf appended last."""

    verdict: str
    reason: Reason | None = None
    detail: str = ""
    await_closing: bool = False


class SendRefusedReceipt(msgspec.Struct, frozen=True, gc=False):
    """Tell a sender that a neighbour refused the frame which we had passed on."""

    packet: PacketRow
    refused_by: str
    reason: Reason
    detail: str


class Conclude(msgspec.Struct, frozen=True, gc=False):
    """Give the one receipt on a file that came in parts; an accepted one is released as well.

    `packet` is its manifest; None: the manifest is what arrived, just kept.
    """

    packet: PacketRow | None
    system: str
    reason: Reason | None = None
    detail: str = ""


class AskParts(msgspec.Struct, frozen=True, gc=False):
    """Ask the sender of a manifest for what is lacking of its `parts` parts."""

    packet: PacketRow
    parts: int


class SendClosing(msgspec.Struct, frozen=True, gc=False):
    """Seal the closing to the receipt that arrived, about `packet`."""

    packet: PacketRow


class RefuseOnLink(msgspec.Struct, frozen=True, gc=False):
    """Answer the neighbour with a numbered refusal entry."""

    reason: Reason
    detail: str
    again_at: Instant | None = None


class RefuseAgain(msgspec.Struct, frozen=True, gc=False):
    """Give the stored answer to bytes refused before: our receipt on `id`, else a link entry."""

    id: str | None
    finding: Finding


class Quarantine(msgspec.Struct, frozen=True, gc=False):
    """Keep the bytes that arrived, closed to further processing."""

    state: str
    reason: str
    detail: str


class Hold(msgspec.Struct, frozen=True, gc=False):
    """Take into custody without judging; ask the neighbour for what is missing."""

    missing: str
    certificate: str


class PlaceLater(msgspec.Struct, frozen=True, gc=False):
    """Place a stored frame again at a time that the neighbour has named."""

    packet: PacketRow
    at: Instant


class Finish(msgspec.Struct, frozen=True, gc=False):
    """The exchange about this packet awaits no more answers here."""

    packet: PacketRow


class ReportStatus(msgspec.Struct, frozen=True, gc=False):
    """Tell the local system that dropped the document what became of it."""

    packet: PacketRow
    state: str
    reason: str = ""
    detail: str = ""


class Raise(msgspec.Struct, frozen=True, gc=False):
    """Open an incident for the operator."""

    kind: str
    detail: str


Effect = (
    Keep
    | Mark
    | Forward
    | PlaceAgain
    | PlaceLater
    | AnswerAgain
    | Release
    | SendReceipt
    | Conclude
    | AskParts
    | SendRefusedReceipt
    | SendClosing
    | RefuseOnLink
    | RefuseAgain
    | Quarantine
    | Hold
    | Finish
    | ReportStatus
    | Raise
)
Step = tuple[Effect, ...]


def put_aside(finding: Finding) -> Step:
    """Keep a frame that is refused in quarantine, with its leaf."""
    reason, detail = finding.reason, finding.detail
    return (
        Quarantine("refused", reason, detail),
        Mark(LeafKind.REFUSED, verdict="refused", reason=reason, detail=detail),
    )
