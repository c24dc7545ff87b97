"""Receipts and closings: how an exchange ends (docs/protocol.md clause 8, R-28 to R-31).

A state is the fold of a packet's leaves. Weaker evidence than that at hand changes nothing: a
relay's refusal never undoes the addressee's acceptance, and that acceptance overrides everything.
"""

import msgspec

from exchange.core.rules import Finding, Rules
from exchange.core.steps import (
    Effect,
    Finish,
    Keep,
    Mark,
    PlaceAgain,
    PlaceLater,
    Quarantine,
    Raise,
    ReportStatus,
    SendClosing,
    SendRefusedReceipt,
    Step,
)
from schemas.addresses import is_on_tree_path
from schemas.answers import UNANSWERED, Closing, Receipt
from schemas.header import Header
from schemas.leaves import LeafKind, read_leaf
from schemas.moments import Instant
from schemas.reasons import Reason
from schemas.records import PacketRow, Trail


def verdict_of(trail: Trail) -> str:
    """Return `accepted`, `refused`, or empty text: how the sender's packet stands confirmed."""
    verdict = ""
    for mark in trail.marks:
        if mark.kind == LeafKind.CONFIRMED:
            found = read_leaf(mark.record).get("verdict", "")
            verdict = "accepted" if "accepted" in {found, verdict} else found
    return verdict


def is_closed(trail: Trail) -> bool:
    """Say whether the sender's closing is at hand."""
    return any(mark.kind == LeafKind.CLOSED for mark in trail.marks)


def take_receipt(header: Header, receipt: Receipt, about: Trail | None, rules: Rules) -> Step:
    """Judge a receipt addressed to us and move its packet's state."""
    fault = _find_receipt_fault(header, receipt, about, rules)
    if fault is not None or about is None:
        return refuse_answer(header, fault or "no such packet")
    packet = about.packet
    kept = Keep(LeafKind.RECEIVED)
    if receipt.verdict == "accepted":
        return (kept, *_deliver(header, about))
    if bytes.fromhex(receipt.frame_sha256) != packet.frame_sha256:
        return (kept, Raise("damaged_on_the_way", f"{packet.id} {receipt.reason}"))
    if receipt.reason == Reason.BUSY or verdict_of(about):
        return (kept,)
    reason = str(receipt.reason or "")
    by = receipt.refused_by or header.from_
    confirmed = Mark(
        LeafKind.CONFIRMED,
        packet,
        verdict="refused",
        reason=reason,
        detail=receipt.detail,
        by=by,
        receipt=header.id,
    )
    status = ReportStatus(packet, "refused", reason, receipt.detail)
    return (kept, confirmed, Finish(packet), status)


def _deliver(header: Header, about: Trail) -> Step:
    """Move to delivered. An acceptance after a refusal counts, and somebody must look."""
    packet = about.packet
    stands = verdict_of(about)
    if stands == "accepted":
        return (SendClosing(packet),)
    confirmed = Mark(
        LeafKind.CONFIRMED, packet, verdict="accepted", by=header.from_, receipt=header.id
    )
    effects: list[Effect] = [
        confirmed,
        Finish(packet),
        SendClosing(packet),
        ReportStatus(packet, "delivered"),
    ]
    if stands == "refused":
        effects.append(Raise("accepted_after_refusal", packet.id))
    return tuple(effects)


def _find_receipt_fault(  # noqa: PLR0911 - one return for each fault
    header: Header, receipt: Receipt, about: Trail | None, rules: Rules
) -> str | None:
    if about is None or about.packet.sender != rules.here:
        return f"no packet {receipt.packet.id} of ours"
    packet = about.packet
    if header.re != packet.id or receipt.packet.id != packet.id:
        return "receipt names two packets"
    if packet.type in UNANSWERED:
        return f"answers our {packet.type}, which nothing answers"
    same_head = bytes.fromhex(receipt.head_sha256) == packet.head_sha256
    same_frame = bytes.fromhex(receipt.frame_sha256) == packet.frame_sha256
    if not same_head and (same_frame or receipt.verdict == "accepted"):
        return "head digest is not that of the packet"
    if receipt.verdict == "accepted":
        if header.from_ != packet.recipient:
            return "accepted by a node that is not the recipient"
        if not same_frame:
            return "frame digest is not that of the packet"
    elif same_head and not _is_on_way(header.from_, packet, rules):
        return "refused by a node that is not on the way"
    return None


def _is_on_way(node: str, packet: PacketRow, rules: Rules) -> bool:
    """Say whether a node may refuse a packet: by the cards at hand, or by names alone.

    Where one of the ends has moved, its parent by name still speaks for it.
    """
    ends = (packet.sender, packet.recipient)
    return is_on_tree_path(node, *ends) or rules.registry.is_on_way(node, *ends)


def refuse_answer(header: Header, detail: str) -> Step:
    """Quarantine a receipt or closing that proves nothing; its packet keeps its state (R-29e)."""
    reason = Reason.DIGEST_MISMATCH
    return (
        Quarantine("refused", reason, detail),
        Mark(LeafKind.REFUSED, verdict="refused", reason=reason, detail=detail),
        Raise("answer_refused", f"{header.type} of {header.from_}: {detail}"),
    )


def take_closing(
    header: Header, closing: Closing, about: Trail | None, receipt: Trail | None, rules: Rules
) -> Step:
    """Archive a closing and end the exchange at the recipient."""
    if about is None or about.packet.recipient != rules.here:
        return refuse_answer(header, f"no packet {closing.packet.id} to us")
    if about.packet.sender != header.from_:
        return refuse_answer(header, "closing is not by the packet's sender")
    if closing.receipt.from_ != rules.here or header.re != closing.receipt.id:
        return refuse_answer(header, "closing names another receipt")
    if receipt is None or receipt.packet.head_sha256.hex() != closing.receipt_head_sha256:
        return refuse_answer(header, "closing names another head of the receipt")
    kept = Keep(LeafKind.RECEIVED)
    if is_closed(about):
        return (kept,)
    closed = Mark(LeafKind.CLOSED, about.packet, by=header.from_, receipt=closing.receipt.id)
    return (kept, closed, Finish(about.packet))


class RefusedEntry(msgspec.Struct, frozen=True, gc=False):
    """A neighbour's refusal, held against our own copy of what it refused."""

    refused_by: str
    intact: bool
    """The refused bytes are those we hold and once authenticated."""
    again_at: Instant
    """With `busy`: when to come again."""


def take_refusal_entry(  # noqa: PLR0911 - one return for each case
    trail: Trail | None, entry: RefusedEntry, finding: Finding, *, rules: Rules
) -> Step:
    """Act on a neighbour's refusal of a frame that we had placed for it.

    A good frame refused for good is told to its sender; one for which there was no room comes
    again; a damaged copy is only placed again.
    """
    refused_by = entry.refused_by
    if trail is None:
        return (Raise("refusal_of_unknown_entry", f"{refused_by}: {finding.reason}"),)
    packet = trail.packet
    if not entry.intact:
        return (
            Raise("damaged_on_the_way", f"{packet.id} refused by {refused_by}: {finding.reason}"),
            PlaceAgain(packet),
        )
    if finding.reason == Reason.BUSY:
        return (PlaceLater(packet, entry.again_at),)
    if packet.type in UNANSWERED:
        return (Raise("answer_refused", f"{packet.type} refused by {refused_by}"),)
    if packet.sender != rules.here:
        return (SendRefusedReceipt(packet, refused_by, finding.reason, finding.detail),)
    if verdict_of(trail):
        return ()
    confirmed = Mark(
        LeafKind.CONFIRMED,
        packet,
        verdict="refused",
        reason=finding.reason,
        detail=finding.detail,
        by=refused_by,
    )
    status = ReportStatus(packet, "refused", finding.reason, finding.detail)
    return (confirmed, Finish(packet), status)
