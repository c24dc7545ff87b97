"""What operators read: lists with a state for each packet, timelines, what is open or refused.

States come from store.standing; none is stored.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec

from schemas.leaves import read_leaf
from schemas.moments import Instant
from schemas.records import IncidentRow, LeafMark, OpenRow, PacketRow, QuarantineRow
from store.filters import Filters
from store.postgres.findings import Findings
from store.postgres.lists import Lists
from store.postgres.position import CURSORS, OUTGOING
from store.postgres.rows import read_all
from store.standing import Placement, Standing, last_holder, leaf_at, standing

PAGE_PACKETS = 200
STRETCHES_MAX = 50
"""A list gives up after so many stretches in which too little fits, and says where to go on."""


class ListedPacket(msgspec.Struct, frozen=True, gc=False):
    """A line of a list."""

    packet: PacketRow
    standing: Standing


class Page(msgspec.Struct, frozen=True, gc=False):
    """Part of a list; `next_after` is the `after_frame` of the next part, None at the end."""

    packets: list[ListedPacket]
    next_after: int | None


class Moment(msgspec.Struct, frozen=True, gc=False):
    """One thing that happened to a packet: a leaf, a place, a note, an answer, a quarantine."""

    at: Instant
    what: str
    where: str
    facts: dict[str, str]
    frame: int
    index: int | None = None
    """Of the leaf, where it is one."""


class Timeline(msgspec.Struct, frozen=True, gc=False):
    """All that the record has under one packet id, in order of time."""

    packets: list[ListedPacket]
    moments: list[Moment]
    answers: list[PacketRow]
    """Packets that answer it, and those that answer them."""
    answered: list[PacketRow]
    """The packet that it answers, and the one answered by that."""


class OverduePacket(msgspec.Struct, frozen=True, gc=False):
    """A packet whose deadline has passed without a receipt."""

    packet: PacketRow
    open: OpenRow
    holder: str


class StreamGauge(msgspec.Struct, frozen=True, gc=False):
    """What a stream holds beyond its cursor."""

    beyond_cursor: int
    oldest_placed: Instant | None


class Gauges(msgspec.Struct, frozen=True, gc=False):
    """Counts for metrics; the cost of each follows what is open, not the age of the record."""

    open: dict[str, int]
    held: dict[str, int]
    drops_pending: int
    streams: dict[str, StreamGauge]
    leaves: int
    last_frame: int


_OWNER = "SELECT address FROM identity ORDER BY epoch DESC LIMIT 1"

# Each place of a frame in a neighbour's stream, and when a note first covered it.
_PLACES = """
SELECT e.frame, e.stream, e.epoch, e.number, e.placed, n.noted
FROM entry AS e
LEFT JOIN LATERAL (
    SELECT noted FROM note
    WHERE stream = e.stream AND epoch = e.epoch AND up_to >= e.number
    ORDER BY up_to, place LIMIT 1
) AS n ON true
WHERE e.frame = ANY ($1::bigint[]) AND e.frame IS NOT NULL
ORDER BY e.placed, e.stream, e.number
"""

_BY_ID = "SELECT * FROM packet WHERE id = $1 ORDER BY frame"

_BY_IDS = "SELECT * FROM packet WHERE id = ANY ($1::text[]) ORDER BY frame"

_QUARANTINE_OF = """
SELECT * FROM quarantine WHERE id = $1
UNION SELECT * FROM quarantine WHERE frame = ANY ($2::bigint[])
ORDER BY frame, received
"""

_TAKEN = """
SELECT r.frame, r.system, t.at, t.by FROM released AS r JOIN taken AS t ON t.frame = r.frame
WHERE r.frame = ANY ($1::bigint[])
"""

_QUARANTINE = """
SELECT * FROM quarantine
WHERE ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR neighbour = $2)
    AND ($3::text IS NULL OR reason = $3) AND ($4::bigint IS NULL OR frame < $4)
ORDER BY frame DESC LIMIT $5
"""

_QUARANTINE_SHOW = "SELECT * FROM quarantine WHERE frame = $1 ORDER BY received, state"

_INCIDENTS = """
SELECT happened, kind, neighbour, detail, frame FROM incident
WHERE ($1::bigint IS NULL OR happened < $1) ORDER BY place DESC LIMIT $2
"""

_OVERDUE = """
SELECT o.* FROM open_exchange AS o
WHERE o.awaited = 'receipt' AND (o.deadline <= $1 OR o.deadline IS NULL AND EXISTS (
    SELECT FROM leaf AS l WHERE l.frame = o.about AND l.kind = 'overdue'))
ORDER BY o.since LIMIT $2
"""

_PACKETS = "SELECT * FROM packet WHERE frame = ANY ($1::bigint[])"

_OPEN_COUNTS = "SELECT awaited, count(*) FROM open_exchange GROUP BY awaited"

_HELD_COUNTS = "SELECT neighbour, count(*) FROM held_open GROUP BY neighbour"

_DROP_COUNT = "SELECT count(*) FROM drop_pending"

_NEXT_PLACED = "SELECT placed FROM entry WHERE stream = $1 AND epoch = $2 AND number = $3"

_LAST_FRAME = """
SELECT GREATEST((SELECT max(frame) FROM packet), (SELECT max(frame) FROM quarantine), 0)
"""


class Reading(Lists, Findings):
    """The desk of an operator: it reads beside the daemon, and never takes its lock."""

    settings: ClassVar[Mapping[str, str]] = {
        "application_name": "bbaj reading",
        "plan_cache_mode": "force_custom_plan",
        "jit": "off",
    }

    async def list_packets(
        self, filters: Filters, after_frame: int | None = None, limit: int = PAGE_PACKETS
    ) -> Page:
        """Return packets, newest first, from below frame `after_frame` on.

        A list may come back short, with `next_after` set: then nothing more was found in a long
        stretch, and the caller decides whether to go on.
        """
        filters = filters.at(await self._value(_OWNER))
        listed: list[ListedPacket] = []
        after = after_frame
        for _stretch in range(STRETCHES_MAX):
            count = PAGE_PACKETS if filters.is_judged else limit - len(listed)
            stretch = await self.stretch(filters, after, count)
            for line in await self._listed(stretch.rows):
                if filters.fits(line.standing):
                    listed.append(line)
                if len(listed) == limit:
                    return Page(listed, line.packet.frame)
            after = stretch.reached
            if after is None:
                return Page(listed, None)
        return Page(listed, after)

    async def listed_among(self, frames: Sequence[int], filters: Filters) -> list[ListedPacket]:
        """Return those of some frames that fit, newest first."""
        rows = await self.packets_of(frames, filters)
        return [line for line in await self._listed(rows) if filters.fits(line.standing)]

    async def _listed(self, rows: list[PacketRow]) -> list[ListedPacket]:
        owner = await self._value(_OWNER)
        trails = await self._trails(rows)
        places = await self._places([row.frame for row in rows])
        return [
            ListedPacket(
                row, standing(owner, row, trails[row.frame].marks, places.get(row.frame, []))
            )
            for row in rows
        ]

    async def _places(self, frames: list[int]) -> dict[int, list[Placement]]:
        places: dict[int, list[Placement]] = {}
        for row in await self._rows(_PLACES, frames) if frames else []:
            places.setdefault(row["frame"], []).append(Placement(*row))
        return places

    async def timeline(self, packet_id: str) -> Timeline:
        """Return everything that the record has under a packet id."""
        rows = read_all(PacketRow, await self._rows(_BY_ID, packet_id))
        frames = [row.frame for row in rows]
        trails = await self._trails(rows)
        answers = await self.answers_to([packet_id])
        # A closing answers the receipt, and so ends the document's trail.
        answers += await self.answers_to([answer.id for answer in answers])
        moments = [_of_mark(mark, frame) for frame in frames for mark in trails[frame].marks]
        for frame, places in (await self._places(frames)).items():
            moments += [moment for place in places for moment in _of_place(place, frame)]
        moments += [_of_answer(row) for row in answers]
        quarantined = await self._rows(_QUARANTINE_OF, packet_id, frames)
        moments += [_of_quarantine(row) for row in read_all(QuarantineRow, quarantined)]
        for row in await self._rows(_TAKEN, frames):
            facts = {"by": row["by"]}
            moments.append(Moment(row["at"], "taken", row["system"], facts, row["frame"]))
        moments.sort(key=lambda moment: moment.at)
        answered = await self._by_ids([row.re for row in rows if row.re])
        answered += await self._by_ids([row.re for row in answered if row.re])
        return Timeline(
            packets=await self._listed(rows),
            moments=moments,
            answers=answers,
            answered=answered,
        )

    async def _by_ids(self, ids: list[str]) -> list[PacketRow]:
        return read_all(PacketRow, await self._rows(_BY_IDS, ids)) if ids else []

    async def quarantine_list(
        self,
        state: str | None = None,
        neighbour: str | None = None,
        reason: str | None = None,
        after_frame: int | None = None,
        limit: int = PAGE_PACKETS,
    ) -> list[QuarantineRow]:
        """Return quarantined frames, newest first, from below frame `after_frame` on."""
        found = await self._rows(_QUARANTINE, state, neighbour, reason, after_frame, limit)
        return read_all(QuarantineRow, found)

    async def quarantine_show(self, frame: int) -> list[QuarantineRow]:
        """Return what is known of a quarantined frame; its bytes come by `stored_frame`."""
        return read_all(QuarantineRow, await self._rows(_QUARANTINE_SHOW, frame))

    async def incidents(
        self, before: Instant | None = None, limit: int = PAGE_PACKETS
    ) -> list[IncidentRow]:
        """Return incidents, newest first."""
        return read_all(IncidentRow, await self._rows(_INCIDENTS, before, limit))

    async def overdue(self, now: Instant, limit: int = PAGE_PACKETS) -> list[OverduePacket]:
        """Return packets without a receipt past their deadline, the longest waiting first."""
        rows = read_all(OpenRow, await self._rows(_OVERDUE, now, limit))
        frames = [row.about for row in rows]
        packets = {
            row.frame: row for row in read_all(PacketRow, await self._rows(_PACKETS, frames))
        }
        places = await self._places(frames)
        owner = await self._value(_OWNER)
        return [
            OverduePacket(packets[row.about], row, last_holder(places.get(row.about, [])) or owner)
            for row in rows
        ]

    async def gauges(self) -> Gauges:
        """Return the counts that metrics show."""
        outgoing = await self._rows(OUTGOING, self.epoch)
        notes = await self._rows(CURSORS, self.epoch)
        cursors = {row["stream"]: row["up_to"] for row in notes}
        streams = {}
        for row in outgoing:
            stream, cursor = row["stream"], cursors.get(row["stream"], 0)
            beyond = row["number"] - cursor
            oldest = await self._value(_NEXT_PLACED, stream, self.epoch, cursor + 1)
            streams[stream] = StreamGauge(max(beyond, 0), oldest)
        return Gauges(
            open=dict(map(tuple, await self._rows(_OPEN_COUNTS))),
            held=dict(map(tuple, await self._rows(_HELD_COUNTS))),
            drops_pending=await self._value(_DROP_COUNT),
            streams=streams,
            leaves=await self.leaf_count(),
            last_frame=await self.last_frame(),
        )

    async def last_frame(self) -> int:
        """Return the newest frame's number, 0 in an empty record."""
        frame: int = await self._value(_LAST_FRAME)
        return frame


def _of_mark(mark: LeafMark, frame: int) -> Moment:
    facts = read_leaf(mark.record)
    return Moment(leaf_at(facts), mark.kind, facts.get("via", ""), facts, frame, mark.index)


def _of_place(place: Placement, frame: int) -> list[Moment]:
    facts = {"number": str(place.number), "epoch": str(place.epoch)}
    moments = [Moment(place.placed, "placed", place.stream, facts, frame)]
    if place.noted is not None:
        moments.append(Moment(place.noted, "custody", place.stream, facts, frame))
    return moments


def _of_answer(row: PacketRow) -> Moment:
    facts = {"id": row.id, "type": row.type, "from": row.sender, "to": row.recipient}
    return Moment(row.received, "answer", row.via, facts, row.frame)


def _of_quarantine(row: QuarantineRow) -> Moment:
    facts = {"state": row.state, "reason": row.reason, "detail": row.detail}
    return Moment(row.received, "quarantine", row.neighbour, facts, row.frame)


__all__ = [
    "PAGE_PACKETS",
    "Filters",
    "Gauges",
    "ListedPacket",
    "Moment",
    "OverduePacket",
    "Page",
    "Reading",
    "StreamGauge",
    "Timeline",
]
