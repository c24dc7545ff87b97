"""Lists of packets, newest first, each page at a cost that does not grow with the record's age.

The frame number orders a list and is its cursor: what comes later has a higher one, and shifts no
page. A list is read in stretches. Where its rows come from follows from what it is narrowed to, and
is said in SQL such that the planner has no other choice:

    an id, what is overdue, open or came to a bad end    few frames, which another index names
    a period                                             all reports of the period, then the newest
    few organisations                                    the newest of each of their routes
    anything else                                        back along time, a bounded part at once

A *route* is who sends whom what: a network has few, however long it runs.
"""

from collections.abc import Sequence

import msgspec

from schemas.addresses import is_within
from schemas.records import PacketRow
from store.filters import DOCUMENTS, Conditions, Filters, Span, conditions, is_in, subtree
from store.postgres.dossiers import Dossiers
from store.postgres.rows import read_all
from store.standing import State

WALKED_MAX = 10_000
"""So many packets are looked through for one stretch."""
CANDIDATES_MAX = 1_000
ROUTES_FEW = 64
"""So many routes are merged before anything else is tried."""
ROUTES_MAX = 50_000

_END = 2**63 - 1

_BY_FRAMES = """
SELECT p.* FROM packet AS p WHERE p.frame = ANY ($1::bigint[]) AND {where}
ORDER BY p.frame DESC LIMIT $2
"""

_BY_ID = """
SELECT p.* FROM packet AS p WHERE p.frame < $1 AND {where} ORDER BY p.frame DESC LIMIT $2
"""

# `frame` is chosen apart from the rest, so that heads are read for one page only.
_REPORTS = """
WITH hit AS MATERIALIZED (SELECT p.frame FROM packet AS p WHERE p.frame < $1 AND {where}),
    page AS MATERIALIZED (SELECT frame FROM hit ORDER BY frame DESC LIMIT $2)
SELECT p.* FROM page JOIN packet AS p ON p.frame = page.frame ORDER BY p.frame DESC
"""

# Frames by an index alone, then packet by packet until the page is full.
_WALK = """
SELECT p.* FROM (
    SELECT p.frame FROM packet AS p WHERE p.frame < $1 AND {walked} ORDER BY p.frame DESC LIMIT $3
) AS walked JOIN packet AS p ON p.frame = walked.frame
WHERE {where} ORDER BY walked.frame DESC LIMIT $2
"""

_WALKED_TO = """
SELECT p.frame FROM packet AS p WHERE p.frame < $1 AND {walked}
ORDER BY p.frame DESC OFFSET $2 - 1 LIMIT 1
"""

# From route to route by the index, however many packets each has.
_ROUTES = f"""
WITH RECURSIVE route AS (
    SELECT found.*, span.ends FROM unnest($1::text[], $2::text[]) AS span (begins, ends), LATERAL (
        SELECT p.sender, p.recipient, p.type FROM packet AS p
        WHERE {DOCUMENTS} AND p.{{near}} >= span.begins AND p.{{near}} < span.ends
        ORDER BY p.{{near}}, p.{{far}}, p.type LIMIT 1
    ) AS found
    UNION ALL
    SELECT found.*, route.ends FROM route, LATERAL (
        SELECT p.sender, p.recipient, p.type FROM packet AS p
        WHERE {DOCUMENTS} AND p.{{near}} < route.ends
            AND (p.{{near}}, p.{{far}}, p.type) > (route.{{near}}, route.{{far}}, route.type)
        ORDER BY p.{{near}}, p.{{far}}, p.type LIMIT 1
    ) AS found
)
SELECT sender, recipient, type FROM route LIMIT $3
"""  # noqa: S608 - constants

_NEWEST_OF_ROUTES = f"""
WITH page AS MATERIALIZED (
    SELECT newest.frame
    FROM unnest($3::text[], $4::text[], $5::text[]) AS route (sender, recipient, type), LATERAL (
        SELECT p.frame FROM packet AS p
        WHERE {DOCUMENTS} AND p.sender = route.sender AND p.recipient = route.recipient
            AND p.type = route.type AND p.frame < $1 AND {{where}}
        ORDER BY p.frame DESC LIMIT $2
    ) AS newest
    ORDER BY newest.frame DESC LIMIT $2
)
SELECT p.* FROM page JOIN packet AS p ON p.frame = page.frame ORDER BY p.frame DESC
"""  # noqa: S608 - constants

_SENDERS = f"""
WITH RECURSIVE organisation AS (
    SELECT found.sender, span.ends FROM unnest($1::text[], $2::text[]) AS span (begins, ends),
    LATERAL (
        SELECT p.sender FROM packet AS p
        WHERE {DOCUMENTS} AND p.sender >= span.begins AND p.sender < span.ends
        ORDER BY p.sender LIMIT 1
    ) AS found
    UNION ALL
    SELECT found.sender, organisation.ends FROM organisation, LATERAL (
        SELECT p.sender FROM packet AS p
        WHERE {DOCUMENTS} AND p.sender > organisation.sender AND p.sender < organisation.ends
        ORDER BY p.sender LIMIT 1
    ) AS found
)
SELECT sender FROM organisation
"""  # noqa: S608 - constants

_REPORTERS = "SELECT DISTINCT p.sender FROM packet AS p WHERE {where}"

_OVERDUE = """
SELECT about AS frame FROM open_exchange WHERE about < $1 ORDER BY about DESC LIMIT $2
"""

# The condition is that of the index leaf_bad_end, word by word.
_BAD_END = r"""
SELECT DISTINCT frame FROM leaf
WHERE (kind IN ('refused', 'expired')
    OR kind = 'confirmed' AND position('\x0a766572646963742072656675736564'::bytea IN record) > 0)
    AND frame < $1
ORDER BY frame DESC LIMIT $2
"""

_EVERYWHERE: list[Span] = [("", "~")]


class Stretch(msgspec.Struct, frozen=True, gc=False):
    """Some packets of a list; all above `reached` were looked at, None at the end of the list."""

    rows: list[PacketRow]
    reached: int | None


Route = tuple[str, str, str]
"""Sender, recipient, type."""


class Lists(Dossiers):
    """Reads of packets by what they are narrowed to; standings are looked at by the caller."""

    async def stretch(self, filters: Filters, after: int | None, count: int) -> Stretch:
        """Return at most `count` packets, newest first, from below frame `after` on.

        It may be fewer before the end: then `reached` says where to go on.
        """
        below = _END if after is None else after
        if filters.id is not None:
            return await self._plain(_BY_ID, filters, below, count)
        if filters.overdue or (
            filters.only_documents and filters.state in {State.SENT, State.IN_CUSTODY}
        ):
            return await self._among(_OVERDUE, filters, below, count)
        if filters.reason is not None or filters.state in {State.REFUSED, State.EXPIRED}:
            return await self._among(_BAD_END, filters, below, count)
        if not filters.only_documents:
            return await self._walk(filters, below, count)
        if filters.period is not None:
            return await self._plain(_REPORTS, filters, below, count)
        return await self._by_organisation(filters, below, count)

    async def senders(self, filters: Filters) -> list[str]:
        """Return who has sent documents that may fit, in no order."""
        if filters.period is not None:
            where = conditions(msgspec.structs.replace(filters, documents=True))
            found = await self._rows(_REPORTERS.format(where=where), *where.values)
        else:
            begins, ends = zip(*(filters.senders or _EVERYWHERE), strict=True)
            found = await self._rows(_SENDERS, begins, ends)
        return [row["sender"] for row in found]

    async def packets_of(self, frames: Sequence[int], filters: Filters) -> list[PacketRow]:
        """Return those of some frames that fit, newest first."""
        where = conditions(filters, list(frames), len(frames))
        return read_all(PacketRow, await self._rows(_BY_FRAMES.format(where=where), *where.values))

    async def _plain(self, query: str, filters: Filters, below: int, count: int) -> Stretch:
        where = conditions(filters, below, count)
        rows = await self._packets(query.format(where=where), where)
        return Stretch(rows, rows[-1].frame if len(rows) == count else None)

    async def _among(self, query: str, filters: Filters, below: int, count: int) -> Stretch:
        """Return packets whose frames another index names."""
        frames = [row["frame"] for row in await self._rows(query, below, CANDIDATES_MAX)]
        where = conditions(filters, frames, count)
        rows = await self._packets(_BY_FRAMES.format(where=where), where)
        if len(rows) == count:
            return Stretch(rows, rows[-1].frame)
        return Stretch(rows, frames[-1] if len(frames) == CANDIDATES_MAX else None)

    async def _by_organisation(self, filters: Filters, below: int, count: int) -> Stretch:
        """Merge a few routes; of many the newest come soon by walking, else all are merged."""
        routes = await self._routes(filters, ROUTES_FEW)
        if routes is not None:
            return await self._merge(routes, filters, below, count)
        walked = await self._walk(filters, below, count)
        if len(walked.rows) == count or walked.reached is None or filters.has_rest:
            return walked
        every = await self._routes(filters, ROUTES_MAX)
        if every is None:
            return walked
        rest = await self._merge(every, filters, walked.reached, count - len(walked.rows))
        return Stretch(walked.rows + rest.rows, rest.reached)

    async def _routes(self, filters: Filters, most: int) -> list[Route] | None:
        """Return the routes that fit, from an end that has few; None where each has too many."""
        found: list[Route] | None = None
        if filters.under is not None:
            either = subtree(filters.under)
            found = await self._routes_at("sender", either, most)
            if found is not None:
                came = await self._routes_at("recipient", either, most)
                found = None if came is None else list({*found, *came})
        for near, spans in (("sender", filters.senders), ("recipient", filters.recipients)):
            if found is None and spans is not None:
                found = await self._routes_at(near, spans, most)
        if found is None:
            return None
        return [route for route in found if _takes(filters, *route)]

    async def _routes_at(self, near: str, spans: list[Span], most: int) -> list[Route] | None:
        far = "recipient" if near == "sender" else "sender"
        begins, ends = zip(*spans, strict=True)
        query = _ROUTES.format(near=near, far=far)
        rows = await self._rows(query, begins, ends, most + 1)
        return None if len(rows) > most else [tuple(row) for row in rows]

    async def _merge(
        self, routes: list[Route], filters: Filters, below: int, count: int
    ) -> Stretch:
        if not routes:
            return Stretch([], None)
        where = conditions(filters, below, count, *zip(*routes, strict=True))
        rows = await self._packets(_NEWEST_OF_ROUTES.format(where=where), where)
        return Stretch(rows, rows[-1].frame if len(rows) == count else None)

    async def _walk(self, filters: Filters, below: int, count: int) -> Stretch:
        """Look through a part of all packets, or of one type's documents."""
        walked = _walked(filters, below, count, WALKED_MAX)
        where = conditions(filters, *walked.values)
        rows = await self._packets(_WALK.format(walked=walked, where=where), where)
        if len(rows) == count:
            return Stretch(rows, rows[-1].frame)
        bound = _walked(filters, below, WALKED_MAX)
        reached = await self._value(_WALKED_TO.format(walked=bound), *bound.values)
        return Stretch(rows, reached)

    async def _packets(self, query: str, where: Conditions) -> list[PacketRow]:
        return read_all(PacketRow, await self._rows(query, *where.values))


def _walked(filters: Filters, *values: object) -> Conditions:
    """Return what is walked through: an index has each type's documents in order of time."""
    walked = Conditions(*values)
    if filters.only_documents and filters.type_ is not None:
        walked.add(f"{DOCUMENTS} AND p.type = {{}}", filters.type_)
    return walked


def _takes(filters: Filters, sender: str, recipient: str, type_: str) -> bool:
    """Say whether a route's packets may fit."""
    within = filters.under is None or any(
        is_within(end, filters.under) for end in (sender, recipient)
    )
    return (
        within
        and is_in(sender, filters.senders)
        and is_in(recipient, filters.recipients)
        and filters.type_ in {None, type_}
    )
