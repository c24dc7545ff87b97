"""`bbaj list`: packets in the order of time or of organisations, page by page.

A page ends with a cursor: what comes later shifts nothing. By time it is a frame; by organisation
the sender's address and a frame, `kz.akmola.burabay/4711`, or no frame before its first packet.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from enum import StrEnum

import msgspec

from nodes.card_files import registry_from
from nodes.cli.errors import UsageFault
from nodes.cli.opening import reading
from nodes.cli.reports import packet_lines
from nodes.cli.shapes import PacketLine, PacketList
from nodes.config import Config, spoken_language
from schemas.answers import ANSWERS
from schemas.kazakh import sort_key
from store.reading import PAGE_PACKETS, Filters, ListedPacket, Reading
from store.standing import State

LOOKING_S = 10.0
"""A list that finds little gives up after so long, and says where to go on."""


class Sort(StrEnum):
    """What a list is sorted by."""

    NEWEST = "newest"
    ORGANISATION = "organisation"
    """The sender's name by its card, in the order of the Kazakh alphabet; each newest first."""


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What a list is narrowed to; addresses stand for their subtrees."""

    from_: str | None = None
    to: str | None = None
    under: str | None = None
    type_: str | None = None
    period: str | None = None
    section: str | None = None
    flow: str | None = None
    state: State | None = None
    reason: str | None = None
    overdue: bool = False
    answers: bool = False
    """Receipts, closings and parts too."""
    sort: Sort = Sort.NEWEST
    after: str | None = None
    limit: int = 50

    @property
    def filters(self) -> Filters:
        """The same in the words of the record."""
        return Filters(
            sender_under=self.from_,
            recipient_under=self.to,
            under=self.under,
            type_=self.type_,
            period=self.period,
            section=self.section,
            flow=self.flow,
            state=self.state,
            reason=self.reason,
            overdue=self.overdue or None,
            documents=not (self.answers or self.type_),
        )


class Part(msgspec.Struct, frozen=True, gc=False):
    """Some lines of a list, and how much of it was looked through."""

    packets: list[ListedPacket]
    next_after: str | None
    """Where the list goes on behind all of them; None at its end."""
    done: int
    total: int
    name: str | None = None
    """Of the organisation that all of them are from, in a list sorted by that."""


async def list_packets(config: Config, query: Query) -> PacketList:
    """Return a page of a list. Raises UsageFault for a cursor of another order."""
    found: list[PacketLine] = []
    after = query.after
    until = asyncio.get_running_loop().time() + LOOKING_S
    async with reading(config) as desk, aclosing(parts(config, desk, query, query.limit)) as run:
        async for part in run:
            taken = part.packets[: query.limit - len(found)]
            found += await lines_of(config, desk, part, taken)
            after = part.next_after
            if len(found) == query.limit:
                after = cursor_of(query.sort, taken[-1])
            if len(found) == query.limit or asyncio.get_running_loop().time() > until:
                break
    return PacketList(packets=found, next_after=after)


async def parts(
    config: Config, desk: Reading, query: Query, count: int = PAGE_PACKETS
) -> AsyncGenerator[Part, None]:
    """Yield a list part by part, to its end. Raises UsageFault."""
    run = _newest if query.sort is Sort.NEWEST else _by_organisation
    async for part in run(config, desk, query, count):
        yield part


async def lines_of(
    config: Config, desk: Reading, part: Part, packets: Sequence[ListedPacket]
) -> list[PacketLine]:
    """Return packets of a part as they are shown."""
    lines = await packet_lines(config, desk, packets)
    if part.name is None:
        return lines
    return [msgspec.structs.replace(line, from_name=part.name) for line in lines]


def cursor_of(sort: Sort, line: ListedPacket) -> str:
    """Return the cursor that leads behind a packet."""
    frame = line.packet.frame
    return str(frame) if sort is Sort.NEWEST else f"{line.packet.sender}/{frame}"


def frame_in(cursor: str) -> int:
    """Return the frame that a cursor names. Raises UsageFault."""
    if not (cursor.isascii() and cursor.isdecimal()):
        raise UsageFault(f"--after {cursor}: use what the page before has named, in the same order")
    return int(cursor)


async def _newest(
    _config: Config, desk: Reading, query: Query, count: int
) -> AsyncGenerator[Part, None]:
    after = None if query.after is None else frame_in(query.after)
    top = after
    while True:
        page = await desk.list_packets(query.filters, after, count)
        if top is None:
            top = page.packets[0].packet.frame if page.packets else 0
        after = page.next_after
        cursor = None if after is None else str(after)
        yield Part(page.packets, cursor, top - (after or 0), top)
        if after is None:
            return


async def _by_organisation(
    config: Config, desk: Reading, query: Query, count: int
) -> AsyncGenerator[Part, None]:
    """Go from sender to sender by name: the cost follows their number, not the record's age."""
    if not query.filters.only_documents:
        raise UsageFault(
            f"--sort {query.sort}: lists documents only, no {' and '.join(sorted(ANSWERS))}"
        )
    names = await _names(desk, config)
    senders = await desk.senders(query.filters)
    senders.sort(key=lambda each: (sort_key(names.get(each) or each), each))
    first, after = _place_in(senders, query.after)
    for place in range(first, len(senders)):
        sender, following = senders[place], senders[place + 1 : place + 2]
        of_one = msgspec.structs.replace(query.filters, sender=sender)
        while True:
            page = await desk.list_packets(of_one, after, count)
            after = page.next_after
            cursor = f"{sender}/{after}" if after is not None else None
            if cursor is None and following:
                cursor = f"{following[0]}/"
            name = names.get(sender, sender)
            yield Part(page.packets, cursor, place + (after is None), len(senders), name)
            if after is None:
                break


def _place_in(senders: Sequence[str], cursor: str | None) -> tuple[int, int | None]:
    """Return where a list by organisation goes on: whose packets, and from below which frame."""
    if cursor is None:
        return 0, None
    sender, _, frame = cursor.partition("/")
    if sender not in senders:
        raise UsageFault(f"--after {cursor}: use what the page before has named, in the same order")
    return senders.index(sender), frame_in(frame) if frame else None


async def _names(desk: Reading, config: Config) -> dict[str, str]:
    """Return what the cards of the record call each address, in the language spoken here."""
    language = spoken_language()
    registry = registry_from(config.address, [row.object for row in await desk.cards()])
    return {
        card.facts.address: card.facts.names.in_language(language)
        for card in registry.cards()
        if card.facts.names is not None
    }
