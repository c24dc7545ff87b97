"""What a node does with a frame that came over a link (docs/protocol.md clauses 8 and 9).

The caller has authenticated: format, route, certificate, signature and payload digest. Judged
here, in this order: replay, time window, standing, expiry; then the duty that follows.
"""

import msgspec

from exchange.core.confirmation import take_closing, take_receipt
from exchange.core.rules import (
    Finding,
    Rules,
    find_class_fault,
    find_end,
    find_standing_fault,
    lane_of,
)
from exchange.core.steps import (
    AnswerAgain,
    Forward,
    Hold,
    Keep,
    Raise,
    RefuseAgain,
    RefuseOnLink,
    Release,
    SendReceipt,
    Step,
    put_aside,
)
from exchange.core.wholes import (
    KnownWhole,
    refuse_part,
    take_manifest,
    take_manifest_again,
    take_part,
)
from schemas.answers import ANSWERS, CLOSING, FOR_NODES, UNANSWERED, Closing, Receipt
from schemas.errors import FormatError
from schemas.header import PART, Header
from schemas.leaves import LeafKind
from schemas.manifest import Manifest, Piece
from schemas.moments import Instant, parse_instant
from schemas.reasons import Reason
from schemas.records import Trail

Content = Receipt | Closing | Manifest | Piece | FormatError | None


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """A frame whose seal holds, as the core sees it."""

    header: Header
    head_sha256: bytes
    frame_sha256: bytes
    via: str
    content: Content
    """What an answer, a manifest or a part to us says; of any packet: why it can't be read."""


class Known(msgspec.Struct, frozen=True, gc=False):
    """What the record holds about an arrival when it comes."""

    trail: Trail | None
    """Of the packet with the same sender, epoch and id."""
    number_held_by: bytes | None
    """SHA-256 of the head with the same sender, recipient, epoch and seq; or part and number."""
    about: Trail | None
    """Of the packet that a receipt or closing answers."""
    answered: Trail | None = None
    """Of our receipt that a closing answers."""
    refused_for: Finding | None = None
    """These very bytes were refused before: that verdict is final."""
    whole: KnownWhole | None = None
    """Of a manifest, or of a part: how the file that it belongs to stands."""
    may_come_back: bool = False
    """What an answer is about is ours, of an epoch that lost its end: a neighbour may hold it."""


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """A frame that did not authenticate at the gate."""

    header: Header | None
    finding: Finding
    proven: bool
    """The frame's own signature has held."""
    via: str
    seen_before: bool
    """These very bytes were refused before."""


def decide_arrival(  # noqa: PLR0911 - one return for each judgement, in their order
    arrival: Arrival, known: Known, now: Instant, rules: Rules
) -> Step:
    """Return what an authentic frame causes; one already known causes its stored answer again."""
    if known.refused_for is not None:
        return _refuse_again(arrival.header, known.refused_for)
    if known.trail is not None and known.trail.packet.head_sha256 == arrival.head_sha256:
        return _know_again(arrival.content, known.trail, known.whole, rules)
    if known.trail is not None or known.number_held_by not in {None, arrival.head_sha256}:
        finding = Finding(Reason.REPLAY, "another packet bears this id or number")
        refused = refuse(arrival.header, finding, arrival.via, proven=True)
        return (*refused, Raise("replay", f"{arrival.header.from_} {arrival.header.id}"))
    fault = find_fault(arrival.header, now, rules)
    if fault is not None:
        return refuse(arrival.header, fault, arrival.via, proven=True)
    if arrival.header.to != rules.here:
        return _relay(arrival.header, known, rules)
    if arrival.header.type not in rules.types:
        return (Hold("type", arrival.header.certificate),)
    fault = find_class_fault(arrival.header, rules)
    if fault is not None:
        return refuse(arrival.header, fault, arrival.via, proven=True)
    return _receive(arrival, known, rules)


def decide_refusal(refusal: Refusal) -> Step:
    """Return what a frame that failed at the gate causes."""
    header = refusal.header
    if refusal.seen_before and header is not None and header.type in UNANSWERED:
        return ()  # it opened an incident the first time, and is not answered (R-29e)
    if refusal.seen_before:
        id_ = header.id if header is not None and refusal.proven else None
        return (RefuseAgain(id_, refusal.finding),)
    return refuse(header, refusal.finding, refusal.via, proven=refusal.proven)


def find_fault(header: Header, now: Instant, rules: Rules) -> Finding | None:
    """Judge time window, standing and expiry of a frame that is no replay."""
    if header.sent_at > now + rules.limits.time_window_ahead_us:
        return Finding(Reason.OUTSIDE_TIME_WINDOW, f"sent {header.sent} is ahead of our clock")
    finding = find_standing_fault(header, rules)
    if finding is not None:
        return finding
    if header.expires is not None and parse_instant(header.expires) < now:
        return Finding(Reason.EXPIRED, f"expired {header.expires}")
    return None


def refuse(header: Header | None, finding: Finding, via: str, *, proven: bool) -> Step:
    """Keep a bad frame in quarantine and answer it: its proven sender, or else the neighbour.

    An answer that fails is not answered (R-29e), nor is a part: its manifest is.
    """
    kept = put_aside(finding)
    if header is not None and header.type == PART:
        return refuse_part(finding)
    if header is not None and header.type in ANSWERS:
        return (*kept, Raise("answer_refused", f"{header.type} refused: {finding.reason}"))
    if header is not None and proven:
        return (*kept, SendReceipt("refused", finding.reason, finding.detail))
    link_answer = RefuseOnLink(finding.reason, finding.detail)
    return (*kept, link_answer, Raise("unproven_frame_refused", f"{finding.reason} from {via}"))


def _refuse_again(header: Header, finding: Finding) -> Step:
    """Repeat a refusal: once signed it is final; an answer's is not answered (R-29e)."""
    return () if header.type in UNANSWERED else (RefuseAgain(header.id, finding),)


def _know_again(content: Content, trail: Trail, whole: KnownWhole | None, rules: Rules) -> Step:
    """Repeat the stored answer; a file that is not whole has none yet, and asks for the rest."""
    asked = None
    if isinstance(content, Manifest) and whole is not None:
        asked = take_manifest_again(content, trail, whole)
    return _answer_again(trail, rules) if asked is None else asked


def _answer_again(trail: Trail, rules: Rules) -> Step:
    packet = trail.packet
    if packet.recipient == rules.here:
        if packet.type == CLOSING:
            return ()
        return (AnswerAgain(packet, by=rules.here, otherwise_forward=False),)
    end = None if packet.type in UNANSWERED else find_end(packet.recipient, rules)
    if end is not None:
        by = packet.recipient
        return (
            AnswerAgain(packet, by, otherwise_forward=False, ended=end.reason, detail=end.detail),
        )
    return (AnswerAgain(packet, by=packet.recipient, otherwise_forward=True),)


def _relay(header: Header, known: Known, rules: Rules) -> Step:
    hop = rules.registry.next_hop(header.to)
    assert hop is not None, "find_fault has found a way"
    bucket = None if known.whole is None else known.whole.bucket
    return (Keep(LeafKind.RELAYED, bucket=bucket), Forward(hop, lane_of(header)))


def _receive(  # noqa: PLR0911 - one return for each kind
    arrival: Arrival, known: Known, rules: Rules
) -> Step:
    header = arrival.header
    if isinstance(arrival.content, FormatError):
        return refuse(
            header,
            Finding(arrival.content.reason, arrival.content.detail),
            arrival.via,
            proven=True,
        )
    if known.may_come_back:
        return (Hold("packet", header.certificate),)
    match header.type:
        case _ if isinstance(arrival.content, Receipt):
            return take_receipt(header, arrival.content, known.about, rules)
        case _ if isinstance(arrival.content, Closing):
            return take_closing(header, arrival.content, known.about, known.answered, rules)
        case _ if isinstance(arrival.content, Manifest):
            assert known.whole is not None, "looked up for each manifest"
            return take_manifest(arrival.content, known.whole, rules)
        case _ if isinstance(arrival.content, Piece):
            assert known.whole is not None, "looked up for each part"
            return take_part(header, arrival.content, known.whole, rules)
        case _ if header.type in FOR_NODES:
            return (Keep(LeafKind.RECEIVED), SendReceipt("accepted", await_closing=True))
        case _:
            return (
                Keep(LeafKind.RECEIVED),
                SendReceipt("accepted", await_closing=True),
                Release(rules.system_for(header.type)),
            )
