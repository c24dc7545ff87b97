"""What an evidence folder is gathered from, beside the packets themselves (protocol clause 20)."""

from collections.abc import Collection, Sequence
from typing import TypeVar

from schemas.moments import Instant
from schemas.records import (
    CertificateRow,
    IncidentRow,
    LeafMark,
    NoteRow,
    RenewalRow,
    TimestampRow,
)
from store.postgres.completeness import Completing
from store.postgres.rows import TABLES, read_all, read_marks

Stamped = TypeVar("Stamped", TimestampRow, RenewalRow)

# Kinds with one leaf for each certificate, list, token or policy: few, and found by leaf_binding.
_BINDING = """
SELECT index, kind, record FROM leaf
WHERE kind IN ('certificate', 'crl', 'timestamp', 'renewal', 'policy', 'epoch')
    AND (kind = 'epoch' OR substring(
        convert_from(record, 'UTF8') FROM '\\nsha256 ([0-9a-f]{64})\\n') = ANY ($1::text[]))
ORDER BY index
"""

# A note's leaf follows the leaf of what it is about, mostly within seconds.
_CUSTODY = """
SELECT index, kind, record FROM leaf
WHERE index > $1 AND kind = 'custody' AND position($2::bytea IN record) > 0
ORDER BY index LIMIT 1
"""

# The first note over each place of a frame in a neighbour's stream; byte 5 is the object's kind.
_NOTES = """
SELECT e.number, n.* FROM entry AS e, LATERAL (
    SELECT stream, epoch, up_to, noted, object FROM note
    WHERE stream = e.stream AND epoch = e.epoch AND up_to >= e.number
        AND object IS NOT NULL AND get_byte(object, 5) = $2
    ORDER BY up_to, place LIMIT 1
) AS n
WHERE e.frame = $1 ORDER BY n.noted, e.number
"""

_ENTRIES = """
SELECT number, sha256 FROM entry
WHERE stream = $1 AND epoch = $2 AND number BETWEEN $3 AND $4 ORDER BY number
"""

# Of each authority the first time-stamp over some leaves, and one in each period after that.
_FIRST_STAMPS = """
SELECT DISTINCT ON (authority) * FROM {table} WHERE size > $1 ORDER BY authority, gen_time
"""
_BY_PERIOD = """
SELECT DISTINCT ON (authority, gen_time / $2) * FROM {table} WHERE size > $1
ORDER BY authority, gen_time / $2, gen_time
"""

_CRLS_ABOUT = """
SELECT sha256, der FROM crl
WHERE EXISTS (SELECT FROM unnest($1::bigint[]) AS m WHERE learned BETWEEN m - $2 AND m + $2)
"""

_CHECKPOINTS = "SELECT size, at, note FROM checkpoint WHERE size = ANY ($1::bigint[])"

_CERTIFICATE = "SELECT * FROM certificate WHERE sha256 = $1"

_INCIDENTS_ABOUT = """
SELECT happened, kind, neighbour, detail, frame FROM incident
WHERE kind = $1 AND happened BETWEEN $2 AND $3 ORDER BY place LIMIT $4
"""
INCIDENTS_ABOUT_MAX = 20


class Dossiers(Completing):
    """Reads of what vouches for a packet."""

    async def binding_leaves(self, digests: Collection[str]) -> list[LeafMark]:
        """Return the leaves that name these (SHA-256 in hex), and those that begin an epoch."""
        return read_marks(await self._rows(_BINDING, list(digests)))

    async def custody_leaf(self, after: int, note_sha256: str) -> LeafMark | None:
        """Return the leaf of a custody note that came later than leaf `after`."""
        wanted = f"\nnote-sha256 {note_sha256}\n".encode()
        found = await self._rows(_CUSTODY, after, wanted)
        return read_marks(found)[0] if found else None

    async def notes_over(self, frame: int, kind: int) -> list[tuple[int, NoteRow]]:
        """Return each place of a frame with the first custody note (`kind`) that covers it."""
        found = await self._rows(_NOTES, frame, kind)
        return [(row["number"], NoteRow(*row[1:])) for row in found]

    async def digests_of(
        self, stream: str, epoch: int, first: int, last: int
    ) -> list[tuple[int, bytes]]:
        """Return number and SHA-256 of a stream's entries, in order."""
        return [tuple(row) for row in await self._rows(_ENTRIES, stream, epoch, first, last)]

    async def stamps_over(self, leaves: Collection[int], every_us: int) -> list[TimestampRow]:
        """Return each authority's first time-stamp over each leaf, and one a period after that."""
        return await self._stamps_over(TimestampRow, leaves, every_us)

    async def renewals_over(self, leaves: Collection[int], every_us: int) -> list[RenewalRow]:
        """Return the same of the second log's heads."""
        return await self._stamps_over(RenewalRow, leaves, every_us)

    async def _stamps_over(
        self, row_type: type[Stamped], leaves: Collection[int], every_us: int
    ) -> list[Stamped]:
        table = TABLES[row_type]
        found = list(await self._rows(_BY_PERIOD.format(table=table), min(leaves), every_us))
        for leaf in leaves:
            found += await self._rows(_FIRST_STAMPS.format(table=table), leaf)
        return list({row.sha256: row for row in read_all(row_type, found)}.values())

    async def crls_about(self, moments: Collection[Instant], within_us: int) -> list[bytes]:
        """Return the revocation lists (DER) learned about some moments, and the newest ones."""
        found = await self._rows(_CRLS_ABOUT, list(moments), within_us)
        newest = {row.sha256: row.der for row in await self.crls()}
        return list(({row["sha256"]: row["der"] for row in found} | newest).values())

    async def checkpoints_at(self, sizes: Sequence[int]) -> dict[int, tuple[Instant, str]]:
        """Return when our checkpoints of these sizes were signed, and their notes."""
        found = await self._rows(_CHECKPOINTS, sizes)
        return {row["size"]: (row["at"], row["note"]) for row in found}

    async def certificate_of(self, sha256: bytes) -> CertificateRow | None:
        """Return the certificate of a fingerprint."""
        row = await self._row(_CERTIFICATE, sha256)
        return read_all(CertificateRow, [row])[0] if row else None

    async def incidents_about(
        self, kind: str, moment: Instant, within_us: int
    ) -> list[IncidentRow]:
        """Return incidents of a kind so near to a moment, oldest first."""
        since, until = moment - within_us, moment + within_us
        found = await self._rows(_INCIDENTS_ABOUT, kind, since, until, INCIDENTS_ABOUT_MAX)
        return read_all(IncidentRow, found)
