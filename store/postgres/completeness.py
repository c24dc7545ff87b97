"""What completeness is judged by: arrivals by period, gaps in numbers, counts of the archive.

Asked for in reports; nothing here runs in daily operation but by period and by time of receipt.
"""

from collections.abc import Collection, Sequence

from schemas.moments import Instant
from schemas.records import ArchiveCount, PacketRow, SeqGap
from store.filters import DOCUMENTS
from store.postgres.renewing import Renewing
from store.postgres.rows import read_all

Ranges = Sequence[tuple[str, str]]
"""Of texts of periods: each from the first up to, not with, the second."""

_ARRIVALS = """
SELECT sender, min(received) AS first FROM packet
WHERE type = $1 AND period = $2 GROUP BY sender
"""

_UNDER = """
($2::text IS NULL OR p.sender = $2 OR p.sender >= $2 || '.' AND p.sender < $2 || '/')
"""

# Packets whose number does not follow on the one before, in one pass over all numbers.
_GAPS = """
SELECT sender, recipient, epoch, coalesce(before, 0) + 1, seq - 1,
    sent_before, frame_before, sent, received, via
FROM (
    SELECT p.*, lag(p.seq) OVER w AS before, lag(p.sent) OVER w AS sent_before,
        lag(p.frame) OVER w AS frame_before
    FROM packet AS p WHERE p.recipient = $1 AND p.seq IS NOT NULL AND {under}
    WINDOW w AS (PARTITION BY p.sender, p.recipient, p.epoch ORDER BY p.seq)
) AS numbered
WHERE seq > coalesce(before, 0) + 1
ORDER BY sender, epoch, seq LIMIT $3
"""

# The same of some time: for each packet received since, an index probe finds the one before.
_GAPS_BETWEEN = """
SELECT p.sender, p.recipient, p.epoch, coalesce(b.seq, 0) + 1, p.seq - 1,
    b.sent, b.frame, p.sent, p.received, p.via
FROM packet AS p LEFT JOIN LATERAL (
    SELECT seq, sent, frame FROM packet
    WHERE sender = p.sender AND recipient = p.recipient AND epoch = p.epoch
        AND seq < p.seq AND seq IS NOT NULL
    ORDER BY seq DESC LIMIT 1
) AS b ON true
WHERE p.recipient = $1 AND {under} AND p.seq > coalesce(b.seq, 0) + 1
    AND p.received >= $4 AND p.sent >= $4 AND coalesce(b.sent, p.sent) < $5
ORDER BY p.sender, p.epoch, p.seq LIMIT $3
"""

_REFUSALS = """
SELECT l.record FROM quarantine AS q JOIN leaf AS l ON l.frame = q.frame AND l.kind = 'refused'
WHERE q.frame > $1 AND q.state = 'refused' AND q.recipient = $2 AND q.sender = ANY ($3::text[])
ORDER BY l.index
"""

_VOIDS = """
SELECT neighbour, count(*) FROM incident
WHERE kind = 'void_entry' AND neighbour = ANY ($1::text[]) GROUP BY neighbour
"""

_IN_RANGES = """
JOIN unnest($1::text[], $2::text[]) AS r (low, high) ON p.period >= r.low AND p.period < r.high
"""

# The oblast of the end that is not the root; answers go with what they answer.
_REGION = """
array_to_string((string_to_array(
    CASE WHEN position('.' IN p.sender) > 0 THEN p.sender ELSE p.recipient END, '.'))[1:2], '.')
"""

_COUNTS = """
SELECT p.section, {region} AS region, p.type, p.period, count(*), sum(p.size)::bigint,
    count(DISTINCT p.sender)
FROM packet AS p {ranges}
WHERE {documents}
GROUP BY p.section, region, p.type, p.period ORDER BY p.section, region, p.type, p.period
"""

_REPORTED = """
SELECT p.section, {region} AS region, p.type, NULL, count(*), sum(p.size)::bigint,
    count(DISTINCT p.sender)
FROM packet AS p {ranges}
WHERE p.section <> 'net' AND p.sender <> $3 AND {documents}
GROUP BY p.section, region, p.type ORDER BY region, p.type, p.section
"""

_FORMS = """
SELECT p.* FROM packet AS p {ranges}
WHERE p.type = $3 AND p.frame > $4 ORDER BY p.frame LIMIT $5
"""

_FORMS_COUNT = "SELECT count(*) FROM packet AS p {ranges} WHERE p.type = $3"


_PLACED = """
SELECT p.id FROM entry AS e JOIN packet AS p ON p.frame = e.frame
WHERE e.stream = $1 AND e.epoch = $2 AND e.number = $3
"""

# A frame that had come before is no new packet: then there is none of this moment.
_TAKEN = """
SELECT p.id FROM intake AS i JOIN packet AS p
    ON p.received = i.taken AND p.via = split_part($1::text, '/', 1)
    AND p.frame_sha256 = substring(i.digests FROM (32 * ($3 - i.first) + 1)::integer FOR 32)
WHERE i.stream = $1 AND i.epoch = $2 AND i.first <= $3 AND i.last >= $3
"""


class Completing(Renewing):
    """Reads of what came, and of what did not."""

    async def first_arrivals(self, type_: str, period: str) -> dict[str, Instant]:
        """Return when the first packet of a type and period came of each sender."""
        found = await self._rows(_ARRIVALS, type_, period)
        return {row["sender"]: row["first"] for row in found}

    async def seq_gaps(
        self,
        recipient: str,
        *,
        under: str | None = None,
        between: tuple[Instant, Instant] | None = None,
        limit: int = 1000,
    ) -> list[SeqGap]:
        """Return numbers that senders (at or below `under`) have used and that are not here.

        `between`: only gaps that may have been sealed within these two moments.
        """
        query = _GAPS if between is None else _GAPS_BETWEEN
        rows = await self._rows(
            query.format(under=_UNDER), recipient, under, limit, *(between or ())
        )
        return [SeqGap(*row) for row in rows]

    async def refusals_of(
        self, senders: Collection[str], recipient: str, behind: int
    ) -> list[bytes]:
        """Return the leaves about frames of these senders that were refused, behind a frame."""
        found = await self._rows(_REFUSALS, behind, recipient, list(senders))
        return [row["record"] for row in found]

    async def voids_of(self, neighbours: Collection[str]) -> dict[str, int]:
        """Return how many void entries neighbours have sent."""
        return dict(map(tuple, await self._rows(_VOIDS, list(neighbours))))

    async def packet_placed(
        self, stream: str, epoch: int, number: int, *, incoming: bool = False
    ) -> str | None:
        """Return the id of the packet under a number of a stream; None where it is no new one."""
        query = _TAKEN if incoming else _PLACED
        id_: str | None = await self._value(query, stream, epoch, number)
        return id_

    async def archive_counts(self, ranges: Ranges | None) -> list[ArchiveCount]:
        """Return counts by section, region, type and period: of some periods, or of everything."""
        join = "" if ranges is None else _IN_RANGES
        query = _COUNTS.format(documents=DOCUMENTS, region=_REGION, ranges=join)
        return read_all(ArchiveCount, await self._rows(query, *_turned(ranges)))

    async def archive_reported(self, ranges: Ranges, here: str) -> list[ArchiveCount]:
        """Return counts by section, region and type of what others than `here` have reported."""
        query = _REPORTED.format(documents=DOCUMENTS, region=_REGION, ranges=_IN_RANGES)
        return read_all(ArchiveCount, await self._rows(query, *_turned(ranges), here))

    async def forms(self, type_: str, ranges: Ranges, behind: int, limit: int) -> list[PacketRow]:
        """Return the packets of a type about some periods, behind a frame, in their order."""
        query = _FORMS.format(ranges=_IN_RANGES)
        return read_all(PacketRow, await self._rows(query, *_turned(ranges), type_, behind, limit))

    async def forms_count(self, type_: str, ranges: Ranges) -> int:
        """Return how many packets of a type there are about some periods."""
        query = _FORMS_COUNT.format(ranges=_IN_RANGES)
        count: int = await self._value(query, *_turned(ranges), type_)
        return count


def _turned(ranges: Ranges | None) -> list[list[str]]:
    if ranges is None:
        return []
    return [[low for low, _ in ranges], [high for _, high in ranges]]
