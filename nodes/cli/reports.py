"""From rows of the record to the shapes that commands print."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import TypeVar

from nodes.cli.errors import UsageFault
from nodes.cli.moments import seconds_between
from nodes.cli.opening import find, reading
from nodes.cli.retaining import Term, terms_of
from nodes.cli.shapes import (
    Happening,
    Incident,
    Overdue,
    PacketLine,
    Quarantined,
    Story,
)
from nodes.cli.shelf import Shelf
from nodes.cli.tracking import last_word, leaves_in, newest_of
from nodes.cli.tracking_shapes import LeafTold
from nodes.clock import now
from nodes.config import Config
from nodes.errors import NotFound
from nodes.said import Said
from schemas.addresses import is_address
from schemas.answers import RECEIPT, decode_receipt
from schemas.documents.periods import FORMS, parse_period
from schemas.errors import FormatError
from schemas.moments import SECOND, Instant, format_instant, parse_instant
from schemas.reasons import NEXT_STEP, Reason
from schemas.records import DestroyedRow, PacketRow, QuarantineRow, TrackedRow
from signing.errors import BucketKeyMissingError
from store.reading import ListedPacket, Moment, Reading
from store.standing import State

Choice = TypeVar("Choice", bound=StrEnum)


async def tell_story(config: Config, packet_id: str) -> Story:
    """Return all that the record has under an id. Raises NotFound."""
    async with reading(config) as desk:
        timeline = await desk.timeline(packet_id)
        if not timeline.packets and not timeline.moments:
            raise NotFound(f"packet {packet_id} is not in the record: `bbaj list` shows what is")
        happenings = [_happening(moment) for moment in timeline.moments]
        happenings += _told(await desk.tracked([packet_id]))
        return Story(
            packets=await packet_lines(config, desk, timeline.packets),
            happenings=sorted(happenings, key=lambda each: each.at),
            answers=await _lines_of(config, desk, timeline.answers),
            answered=await _lines_of(config, desk, timeline.answered),
        )


async def _lines_of(config: Config, desk: Reading, rows: Iterable[PacketRow]) -> list[PacketLine]:
    found = [await find(desk, row.id, sender=row.sender) for row in rows]
    return await packet_lines(config, desk, found)


async def packet_lines(
    config: Config, desk: Reading, found: Sequence[ListedPacket]
) -> list[PacketLine]:
    """Return lines of a list; of our own packets the addressee says when it received them."""
    here = config.address
    own = [line.packet for line in found if line.packet.sender == here]
    received = await _received_by_addressees(Shelf(config), desk, own)
    destroyed = await desk.destroyed_of([line.packet.frame for line in found])
    terms = await terms_of(config, desk, [line.packet for line in found])
    return [
        packet_line(
            line,
            received.get(line.packet.id) if line.packet.sender == here else line.packet.received,
            destroyed.get(line.packet.frame),
            terms[line.packet.frame],
        )
        for line in found
    ]


async def _received_by_addressees(
    shelf: Shelf, desk: Reading, packets: Sequence[PacketRow]
) -> dict[str, Instant]:
    """Return what the addressees' receipts say, by packet id; nothing where none can be opened."""
    addressees = {packet.id: packet.recipient for packet in packets}
    received: dict[str, Instant] = {}
    for row in await desk.answers_to(list(addressees)):
        if row.type == RECEIPT and row.re is not None and row.sender == addressees[row.re]:
            try:
                kept = await shelf.fetch(desk, row.frame)
                receipt = decode_receipt(shelf.content_of(kept.raw)) if kept.raw else None
            except (FormatError, BucketKeyMissingError):
                continue
            if receipt is not None and receipt.verdict == "accepted":
                received[row.re] = parse_instant(receipt.received)
    return received


async def list_overdue(config: Config, limit: int) -> list[Overdue]:
    """Return what has no receipt past its deadline, the longest waiting first."""
    moment = now()
    async with reading(config) as desk:
        found = await desk.overdue(moment, limit)
        told: dict[str, list[TrackedRow]] = {}
        for word in await desk.tracked([row.packet.id for row in found]):
            told.setdefault(word.packet, []).append(word)
        return [
            Overdue(
                id=row.packet.id,
                type_=row.packet.type,
                to=row.packet.recipient,
                sent=format_instant(row.packet.sent),
                since=format_instant(row.open.since),
                age_s=(moment - row.open.since) // SECOND,
                holder=row.holder,
                resends=row.open.attempts,
                next_resend=format_instant(row.open.next_at),
                last_told=last_word(told.get(row.packet.id, [])),
            )
            for row in found
        ]


async def list_incidents(config: Config, limit: int) -> list[Incident]:
    """Return incidents, newest first."""
    async with reading(config) as desk:
        return [
            Incident(
                at=format_instant(row.happened),
                kind=row.kind,
                neighbour=row.neighbour,
                detail=row.detail,
                frame=row.frame,
            )
            for row in await desk.incidents(limit=limit)
        ]


def address(text: str | None) -> str | None:
    """Return an address that a list is narrowed to. Raises UsageFault where it is none."""
    if text is not None and not is_address(text):
        raise UsageFault(f"{text} is no address: write it like kz.akmola.burabay")
    return text


def state(text: str | None) -> State | None:
    """Return the state that a list is narrowed to. Raises UsageFault where there is none such."""
    if text is None:
        return None
    try:
        return State(text.replace("-", " "))
    except ValueError as error:
        known = ", ".join(each.replace(" ", "-") for each in State)
        raise UsageFault(f"--state {text}: use one of {known}") from error


def choice(option: str, text: str | None, choices: type[Choice]) -> Choice | None:
    """Return what an option chooses, if anything. Raises UsageFault where there is none such."""
    if text is None:
        return None
    try:
        return choices(text)
    except ValueError as error:
        raise UsageFault(f"{option} {text}: use one of {', '.join(choices)}") from error


def period(text: str | None) -> str | None:
    """Return a period that a list is narrowed to. Raises UsageFault where there is none such."""
    if text is not None and parse_period(text) is None:
        forms = ", ".join(FORMS.values())
        raise UsageFault(f"--period {text}: there is none such: write it like {forms}")
    return text


def packet_line(
    line: ListedPacket, received: Instant | None, destroyed: DestroyedRow | None, term: Term
) -> PacketLine:
    """Return a line of a list."""
    packet, standing = line.packet, line.standing
    return PacketLine(
        id=packet.id,
        type_=packet.type,
        from_=packet.sender,
        to=packet.recipient,
        epoch=packet.epoch,
        seq=packet.seq,
        section=packet.section,
        class_=packet.class_,
        flow=packet.flow,
        period=packet.period,
        re=packet.re,
        sent=format_instant(packet.sent),
        received=None if received is None else format_instant(received),
        transit_s=None if received is None else seconds_between(packet.sent, received),
        kept=format_instant(packet.received),
        via=packet.via,
        size=packet.size,
        state=standing.state,
        since=format_instant(standing.since),
        overdue=standing.overdue,
        holder=standing.holder,
        reason=standing.reason,
        next_step=next_step(standing.reason),
        frame=packet.frame,
        destroyed=None if destroyed is None else format_instant(destroyed.at),
        act=None if destroyed is None else destroyed.act,
        bucket=term.bucket,
        keep_until=term.ends,
        basis=term.basis,
        term_status=term.status,
        held_by=term.held_by,
    )


def quarantined(row: QuarantineRow) -> Quarantined:
    """Return a line about a quarantined frame."""
    return Quarantined(
        frame=row.frame,
        state=row.state,
        reason=row.reason,
        detail=row.detail,
        next_step=next_step(row.reason),
        neighbour=row.neighbour,
        received=format_instant(row.received),
        size=row.size,
        sha256=row.sha256.hex(),
        kept=row.kept,
        id=row.id,
        from_=row.sender,
        to=row.recipient,
    )


def next_step(reason: str | None) -> str | None:
    """Return what to do about a reason for refusal; None for anything else."""
    return NEXT_STEP[Reason(reason)] if reason in set(Reason) else None


def _told(rows: Sequence[TrackedRow]) -> list[Happening]:
    """Return what the nodes on a packet's way have said that they did, each by its own clock."""
    return [
        Happening(
            at=leaf.at,
            what=leaf.what,
            where=row.issuer,
            frame=None,
            leaf=None,
            facts={
                "told": format_instant(row.at),
                "proven": _proof_of(leaf),
                "reason": leaf.reason or "",
                "detail": leaf.detail or "",
            },
            next_step=next_step(leaf.reason),
        )
        for row in newest_of(rows).values()
        for leaf in leaves_in(row)
    ]


def _proof_of(leaf: LeafTold) -> str:
    """Return under which checkpoint a leaf is proven; nothing where it is a node's word alone."""
    if leaf.checkpoint is None:
        return ""
    return Said("packets.leaf-under", {"index": leaf.index, "size": leaf.checkpoint})


def _happening(moment: Moment) -> Happening:
    return Happening(
        at=format_instant(moment.at),
        what=moment.what,
        where=moment.where,
        frame=moment.frame,
        leaf=moment.index,
        facts=moment.facts,
        next_step=next_step(moment.facts.get("reason")),
    )
