"""What the record says of keeping: where payloads lie, what is in a bucket, what is held."""

from collections.abc import Sequence

import msgspec

from schemas.buckets import is_of_class
from schemas.records import HoldLifted, KnownHold, LegalHold
from store.postgres.notary import Notary

SURVEY_TIMEOUT_S = 600.0

_HOLDS = """
SELECT h.*, l.number, l.at, l.who FROM legal_hold AS h
LEFT JOIN legal_hold_lifted AS l ON l.number = h.number ORDER BY h.number
"""

_HOLDS_ON = "SELECT frame, hold FROM holds_on($1::bigint[]) ORDER BY frame, hold"

_BUCKETS_OF = """
SELECT k.frame, k.bucket, p.class FROM kept AS k
LEFT JOIN packet AS p ON p.frame = k.frame
LEFT JOIN destroyed AS d ON d.bucket = k.bucket
WHERE k.frame = ANY ($1::bigint[]) ORDER BY k.frame, d.bucket IS NULL, k.bucket
"""

# The bucket stands in the text, so that the planner opens one partition.
_BY_SECTION = """
SELECT COALESCE(p.section, '') AS section, count(*), sum(octet_length(l.sealed))::bigint
FROM payload AS l LEFT JOIN packet AS p ON p.frame = l.frame
WHERE l.bucket = '{}' GROUP BY 1 ORDER BY 1
"""

_HELD = "SELECT count(DISTINCT frame) FROM held_frames($1)"


class Fill(msgspec.Struct, frozen=True, gc=False):
    """What is in a bucket now."""

    sections: dict[str, int]
    """Payloads by section; under empty text those in quarantine."""
    size: int
    """Bytes that the payloads take, encrypted."""
    held: int
    """Payloads under a legal hold."""

    @property
    def packets(self) -> int:
        """How many payloads there are."""
        return sum(self.sections.values())


class Retaining(Notary):
    """Reads what retention needs; the work of `fill_of` grows with the bucket, nothing else's."""

    async def legal_holds(self) -> list[KnownHold]:
        """Return every legal hold there ever was, in the order of their numbers."""
        width = len(LegalHold.__struct_fields__)
        return [
            KnownHold(
                LegalHold(*row[:width]),
                None if row[width] is None else HoldLifted(*row[width:]),
            )
            for row in await self._rows(_HOLDS)
        ]

    async def holds_on(self, frames: Sequence[int]) -> dict[int, list[int]]:
        """Return the numbers of the legal holds that each of these frames is under, if any."""
        found: dict[int, list[int]] = {}
        for frame, number in await self._rows(_HOLDS_ON, frames) if frames else []:
            found.setdefault(frame, []).append(number)
        return found

    async def buckets_of(self, frames: Sequence[int]) -> dict[int, str]:
        """Return the bucket that each frame's payload lies in, or was destroyed with.

        Where a frame was held before it was judged, that of its own retention class.
        """
        found: dict[int, str] = {}
        for frame, bucket, class_ in await self._rows(_BUCKETS_OF, frames) if frames else []:
            if frame not in found or class_ is None or is_of_class(bucket, class_):
                found[frame] = bucket
        return found

    async def fill_of(self, bucket: str) -> Fill:
        """Return what is in a bucket; reads all of its rows."""
        query = _BY_SECTION.format(bucket.replace("'", "''"))
        async with self._reading() as connection:
            rows = await connection.fetch(query, timeout=SURVEY_TIMEOUT_S)
            held = await connection.fetchval(_HELD, bucket, timeout=SURVEY_TIMEOUT_S)
        return Fill(
            {section: count for section, count, _size in rows}, sum(row[2] for row in rows), held
        )
