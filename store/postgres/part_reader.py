"""Reads about files in parts (clause 5.10), each by index."""

from collections.abc import Sequence

from schemas.records import DropOutcome, DropPart, Whole
from store.postgres.access import Access
from store.postgres.rows import read_all

Name = tuple[str, int, str]
"""A packet's name: sender, epoch, id."""

PartName = tuple[str, int, str, int]
"""A part's name: sender, epoch, id of its manifest, number."""

_PARTS_KNOWN = """
SELECT w.sender, w.epoch, w.of, w.number, p.head_sha256
FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[]) AS n (sender, epoch, of, number)
JOIN part AS w ON w.of = n.of AND w.sender = n.sender AND w.epoch = n.epoch
    AND w.number = n.number
JOIN packet AS p ON p.frame = w.frame
"""

_WHOLES = """
SELECT n.sender, n.epoch, n.id, k.bucket,
    (SELECT count(*) FROM part AS w
        WHERE w.of = n.id AND w.sender = n.sender AND w.epoch = n.epoch)
FROM unnest($1::text[], $2::bigint[], $3::text[]) AS n (sender, epoch, id)
LEFT JOIN packet AS p ON p.id = n.id AND p.sender = n.sender AND p.epoch = n.epoch
LEFT JOIN LATERAL (
    SELECT bucket FROM kept WHERE frame = p.frame
        AND NOT EXISTS (SELECT FROM destroyed AS d WHERE d.bucket = kept.bucket)
    ORDER BY split_part(bucket, '-', 1) = p.class DESC NULLS LAST, bucket DESC LIMIT 1
) AS k ON true
"""

_PARTS_OF = """
SELECT number, frame FROM part WHERE of = $1 AND sender = $2 AND epoch = $3 ORDER BY number
"""

_DROPS_IN_PARTS = """
SELECT o.* FROM drop_outcome AS o
JOIN (SELECT DISTINCT system, drop_id FROM drop_part) AS d USING (system, drop_id)
WHERE o.frame IS NOT NULL ORDER BY o.frame
"""

_DROP_PARTS = """
SELECT * FROM drop_part WHERE system = $1 AND drop_id = $2 ORDER BY number LIMIT $3
"""


class PartReader(Access):
    """What sequencer and commands ask about manifests and parts."""

    async def parts_known(self, names: Sequence[PartName]) -> dict[PartName, bytes]:
        """Return the SHA-256 of the head of each part that is here."""
        if not names:
            return {}
        found = await self._rows(_PARTS_KNOWN, *zip(*names, strict=True))
        return {(row[0], row[1], row[2], row[3]): row[4] for row in found}

    async def wholes(self, names: Sequence[Name]) -> dict[Name, Whole]:
        """Return how manifests stand, known ones or not."""
        if not names:
            return {}
        found = await self._rows(_WHOLES, *zip(*names, strict=True))
        return {(row[0], row[1], row[2]): Whole(row[3], row[4]) for row in found}

    async def parts_of(self, name: Name) -> dict[int, int]:
        """Return the frames of a manifest's parts that are here by their numbers, which rise."""
        sender, epoch, id_ = name
        return {row[0]: row[1] for row in await self._rows(_PARTS_OF, id_, sender, epoch)}

    async def drops_in_parts(self) -> list[DropOutcome]:
        """Return the drops whose manifests are sealed while parts of them still wait."""
        return read_all(DropOutcome, await self._rows(_DROPS_IN_PARTS))

    async def drop_parts(self, system: str, drop_id: str, limit: int) -> list[DropPart]:
        """Return the next parts of a drop that wait to be sealed."""
        return read_all(DropPart, await self._rows(_DROP_PARTS, system, drop_id, limit))
