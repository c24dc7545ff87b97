"""Gathers what is known of a packet, or of a quarantined frame, from the record. Writes nothing."""

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence

from exchange.vouching import read_card
from nodes.errors import NotFound
from nodes.printing.dossier import Answer, Dossier, LeafAt, Opened, Signer, Vouched
from schemas.answers import ARCHIVE_STATE, CLOSING, RECEIPT, decode_closing, decode_receipt
from schemas.codes import Names
from schemas.documents.faults import DocumentError
from schemas.documents.registry import decode_document
from schemas.documents.state import ArchiveState
from schemas.errors import FormatError
from schemas.frame import cut
from schemas.header import Header
from schemas.moments import DAY, Instant, format_instant, parse_instant
from schemas.records import PacketRow, QuarantineRow, TimestampRow
from signing.certificates import life_of, parse_certificate
from signing.notes import checkpoint_of, read_origin
from store.merkle import leaf_hash
from store.reading import Filters, ListedPacket, Moment, Reading

CLOCK_WITHIN_US = DAY
"""A doubt about our clock so near to a moment is told with it."""

Open = Callable[[int], Awaitable[Opened]]
"""Opens a stored frame by its number, as far as this reader may."""

STAMPS_EVERY_US = 10 * DAY

_FRAME = re.compile(r"[1-9][0-9]{0,17}")


async def gather(desk: Reading, name: str, here: str, open_frame: Open, now: Instant) -> Dossier:
    """Return what is known under a packet's id, or a frame's number. Raises NotFound."""
    packet, quarantined = await _rows_of(desk, name)
    frame = packet.packet.frame if packet else quarantined[0].frame
    opened = await open_frame(frame)
    header = _header(packet, opened)
    happened, answers = await _story(desk, packet, open_frame)
    received = packet.packet.received if packet else quarantined[0].received
    leaf = next((each for each in happened if each.index is not None), None)
    return Dossier(
        here=here,
        printed=now,
        packet=packet,
        header=header,
        quarantined=quarantined,
        opened=opened,
        names=await _names(desk, {here, *_ends(header, happened)}),
        happened=happened,
        answers=answers,
        received_there=_received_there(packet, here, answers),
        doubts=tuple(await desk.incidents_about("clock_disagrees", received, CLOCK_WITHIN_US)),
        offsets=() if header is None else await _offsets(desk, header, received, open_frame),
        signer=None if header is None else await _signer(desk, header.certificate),
        leaf=await _leaf(desk, leaf),
        vouched=None if leaf is None else await _vouched(desk, leaf.index or 0),
    )


async def _rows_of(
    desk: Reading, name: str
) -> tuple[ListedPacket | None, tuple[QuarantineRow, ...]]:
    """Return the packet under a name, and what is in quarantine under it."""
    number = int(name) if _FRAME.fullmatch(name) else None
    if number is not None:
        row, *_ = await desk.stored_frame(number)
        packet = None if row is None else await _listed(desk, row.id, number)
        quarantined = await desk.quarantine_show(number)
    else:
        packet = await _listed(desk, name, None)
        moments = (await desk.timeline(name)).moments
        frames = sorted({each.frame for each in moments if each.what == "quarantine"})
        quarantined = [row for frame in frames for row in await desk.quarantine_show(frame)]
    if packet is None and not quarantined:
        raise NotFound(
            f"{name} is neither packet nor quarantined frame here: `bbaj list` and "
            "`bbaj quarantine list` show what is"
        )
    return packet, tuple(quarantined)


async def _listed(desk: Reading, packet_id: str, frame: int | None) -> ListedPacket | None:
    page = await desk.list_packets(Filters(id=packet_id))
    fitting = [each for each in page.packets if frame in (None, each.packet.frame)]
    return fitting[0] if fitting else None


def _header(packet: ListedPacket | None, opened: Opened) -> Header | None:
    """Return the header that was signed; of a quarantined frame the one it claims, if any."""
    raw = opened.raw if packet is None else packet.packet.head
    try:
        return None if raw is None else cut(raw).header
    except FormatError:
        return None


async def _story(
    desk: Reading, packet: ListedPacket | None, open_frame: Open
) -> tuple[tuple[Moment, ...], tuple[Answer, ...]]:
    """Return what happened to this very frame, and what answers it, in order of time."""
    if packet is None:
        return (), ()
    timeline = await desk.timeline(packet.packet.id)
    own = {packet.packet.frame}
    rows = [row for row in timeline.answers if _is_about(row, packet.packet)]
    rows += [row for row in timeline.answers if row.re in {each.id for each in rows}]
    about = own | {row.frame for row in rows}
    happened = tuple(each for each in timeline.moments if each.frame in about)
    return happened, tuple([await _answer(row, open_frame) for row in rows])


def _is_about(answer: PacketRow, packet: PacketRow) -> bool:
    """Say whether an answer under the packet's id is one to this packet's sender."""
    return answer.re == packet.id and answer.recipient == packet.sender


async def _answer(row: PacketRow, open_frame: Open) -> Answer:
    content = (await open_frame(row.frame)).content
    try:
        match row.type:
            case _ if content is None:
                return Answer(row, None)
            case _ if row.type == RECEIPT:
                return Answer(row, decode_receipt(content))
            case _ if row.type == CLOSING:
                return Answer(row, decode_closing(content))
            case _:
                return Answer(row, None)
    except FormatError:
        return Answer(row, None)


def _received_there(
    packet: ListedPacket | None, here: str, answers: Iterable[Answer]
) -> Instant | None:
    """Return when the addressee received it: by our own word where that is us."""
    if packet is None:
        return None
    row = packet.packet
    if row.recipient == here:
        return row.received
    for each in answers:
        said = each.said
        is_word = each.packet.type == RECEIPT and each.packet.sender == row.recipient
        if is_word and said is not None and getattr(said, "verdict", "") == "accepted":
            return parse_instant(said.received)  # type: ignore[union-attr] # a receipt
    return None


def _ends(header: Header | None, happened: Sequence[Moment]) -> set[str]:
    ends = set() if header is None else {header.from_, header.to}
    return ends | {each.where.partition("/")[0] for each in happened if each.where}


async def _names(desk: Reading, addresses: set[str]) -> dict[str, Names]:
    """Return the names that the newest cards of these addresses give them."""
    names: dict[str, Names] = {}
    for row in sorted(await desk.cards_of(sorted(addresses)), key=lambda each: each.number):
        try:
            said = read_card(row.object).facts.names
        except FormatError:
            continue
        if said is not None:
            names[row.address] = said
    return names


async def _offsets(
    desk: Reading, header: Header, received: Instant, open_frame: Open
) -> tuple[tuple[str, str, int], ...]:
    """Return what the packet's ends have said of their clocks on the days of sending and receipt.

    A node says it in its daily state, which it and its parent have.
    """
    offsets = []
    for address, day in (
        (header.from_, header.sent[:10]),
        (header.to, format_instant(received)[:10]),
    ):
        filters = Filters(type_=ARCHIVE_STATE, sender=address, period=day)
        for line in (await desk.list_packets(filters, limit=1)).packets:
            said = _state_in((await open_frame(line.packet.frame)).content)
            if said is not None and said.clock_offset_ms is not None:
                offsets.append((address, day, said.clock_offset_ms))
    return tuple(offsets)


def _state_in(content: bytes | None) -> ArchiveState | None:
    try:
        said = None if content is None else decode_document(ARCHIVE_STATE, content)
    except DocumentError:
        return None
    return said if isinstance(said, ArchiveState) else None


async def _signer(desk: Reading, fingerprint: str) -> Signer:
    row = await desk.certificate_of(bytes.fromhex(fingerprint))
    certificate = None if row is None else parse_certificate(row.der)
    if certificate is None:
        return Signer(sha256=fingerprint)
    life = life_of(certificate)
    return Signer(
        sha256=fingerprint,
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        since=life.since,
        until=life.until,
    )


async def _leaf(desk: Reading, moment: Moment | None) -> LeafAt | None:
    if moment is None or moment.index is None:
        return None
    record = (await desk.leaves_at([moment.index]))[moment.index]
    return LeafAt(moment.index, moment.what, leaf_hash(record).hex())


async def _vouched(desk: Reading, index: int) -> Vouched | None:
    """Return the first checkpoint over a leaf; None where none is signed yet."""
    found = await desk.checkpoint_from(index + 1)
    if found is None:
        return None
    size, at, note = found
    checkpoint = checkpoint_of(note)
    cosigned = await desk.cosignatures(read_origin(checkpoint.origin)[1], size)
    stamps = await desk.stamps_over([index], STAMPS_EVERY_US)
    first = {each.authority: each for each in sorted(stamps, key=_latest_first)}
    return Vouched(
        size=size,
        at=at,
        origin=checkpoint.origin,
        root=checkpoint.root.hex(),
        cosigned=tuple((each.witness, each.at) for each in cosigned),
        stamped=tuple((name, first[name].gen_time) for name in sorted(first)),
    )


def _latest_first(stamp: TimestampRow) -> Instant:
    return -stamp.gen_time
