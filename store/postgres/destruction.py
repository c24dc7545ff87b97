"""What the destruction of a bucket asks of the record, and what it has left there (clause 23)."""

from collections.abc import Mapping
from typing import Any

from schemas.moments import Instant
from schemas.records import (
    BucketContent,
    DestroyedRow,
    InstructionOutcome,
    InstructionRow,
    KeptApart,
    PacketRow,
    StillNeeded,
)
from store.postgres.retaining import Retaining
from store.postgres.rows import read_all

SURVEY_TIMEOUT_S = 600.0

# A bucket's payloads with what is known of each; the bucket stands in the text, so that the
# planner opens one partition.
_CONTENT = """
SELECT l.frame, l.sealed, COALESCE(p.frame_sha256, q.sha256) AS sha256,
    COALESCE(p.received, q.received) AS received, p.id, p.sender, p.epoch,
    l.frame IN (SELECT h.frame FROM held_frames('{bucket}') AS h) AS held
FROM payload AS l
LEFT JOIN packet AS p ON p.frame = l.frame
LEFT JOIN LATERAL (
    SELECT sha256, received FROM quarantine WHERE frame = l.frame AND p.frame IS NULL LIMIT 1
) AS q ON true
WHERE l.bucket = '{bucket}'
"""

_SURVEY = """
SELECT count(*) FILTER (WHERE NOT held),
    COALESCE(sum(octet_length(sealed)) FILTER (WHERE NOT held), 0)::bigint,
    sha256(COALESCE(string_agg(sha256, ''::bytea ORDER BY sha256) FILTER (WHERE NOT held), '')),
    count(*) FILTER (WHERE held)
FROM ({content}) AS content
"""

_APART = """
SELECT frame, sha256, sealed, id, sender, epoch FROM ({content}) AS content
WHERE (held OR received > $1)
    AND NOT EXISTS (SELECT FROM kept AS k WHERE k.frame = content.frame AND k.bucket = $2)
ORDER BY frame LIMIT $3
"""

# A whole bucket is read, so the habits of point reads are left aside.
_WHOLE_READS = """
SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on
"""

# What is under a legal hold is moved and stays at hand, so it does not count.
_NEEDED = """
WITH kept_anyway AS (SELECT frame FROM held_frames($1))
SELECT
    (SELECT count(*) FROM held_open AS h JOIN kept AS k ON k.frame = h.frame AND k.bucket = $1
        WHERE h.frame NOT IN (SELECT frame FROM kept_anyway)),
    (SELECT count(*) FROM unnest($2::text[], $3::bigint[]) AS s (stream, cursor)
        JOIN entry AS e ON e.stream = s.stream AND e.epoch = $4 AND e.number > s.cursor
        JOIN kept AS k ON k.frame = e.frame AND k.bucket = $1
        WHERE e.frame NOT IN (SELECT frame FROM kept_anyway)
            AND NOT (starts_with(e.stream, 'inbox/')
                AND EXISTS (SELECT FROM taken AS t WHERE t.frame = e.frame))),
    (SELECT count(*) FROM open_exchange AS o JOIN kept AS k ON k.frame = o.frame AND k.bucket = $1
        WHERE o.frame NOT IN (SELECT frame FROM kept_anyway)),
    (SELECT count(*) FROM drop_pending WHERE bucket = $1)
        + (SELECT count(*) FROM drop_part WHERE bucket = $1)
"""

_PARTITIONS = """
SELECT substr(c.relname, length('payload_') + 1) AS bucket
FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'payload'::regclass AND NOT i.inhdetachpending
"""

_DONE = """
SELECT i.id, i.given, i.who, i.what, i.content, o.id, o.at, o.state, o.content
FROM instruction AS i JOIN instruction_outcome AS o ON o.id = i.id AND o.state = 'done'
WHERE i.what = $1 ORDER BY i.id
"""

_ACTS_ALONE = """
SELECT p.* FROM packet AS p
WHERE p.type = 'archive.act/1' AND p.sender = $1
    AND NOT EXISTS (SELECT FROM destroyed AS d WHERE d.act = p.id)
ORDER BY p.frame
"""

_DESTROYED_OF = """
SELECT k.frame, d.* FROM kept AS k JOIN destroyed AS d ON d.bucket = k.bucket
WHERE k.frame = ANY ($1::bigint[])
    AND NOT EXISTS (
        SELECT FROM kept AS other WHERE other.frame = k.frame
            AND NOT EXISTS (SELECT FROM destroyed AS o WHERE o.bucket = other.bucket))
ORDER BY k.frame, d.at
"""


class Destruction(Retaining):
    """Reads about buckets: what is in them, who still needs it, and which were destroyed."""

    async def bucket_content(self, bucket: str) -> BucketContent:
        """Return what would be destroyed of a bucket now; reads all of its rows."""
        [row] = await self._whole(_SURVEY, bucket)
        return BucketContent(*row)

    async def kept_apart(
        self, bucket: str, since: Instant, into: str, limit: int
    ) -> list[KeptApart]:
        """Return payloads that are not to be destroyed with a bucket, and not in `into` yet.

        They are under a legal hold, or came after `since`.
        """
        return read_all(KeptApart, await self._whole(_APART, bucket, since, into, limit))

    async def _whole(self, query: str, bucket: str, *values: object) -> list[Any]:
        content = _CONTENT.format(bucket=bucket.replace("'", "''"))
        async with self._reading() as connection, connection.transaction():
            await connection.execute(_WHOLE_READS)
            rows: list[Any] = await connection.fetch(
                query.format(content=content), *values, timeout=SURVEY_TIMEOUT_S
            )
            return rows

    async def still_needed(self, bucket: str, cursors: Mapping[str, int]) -> StillNeeded:
        """Return what the node has yet to do with a bucket; `cursors` as the streams have them."""
        row = await self._row(_NEEDED, bucket, list(cursors), list(cursors.values()), self.epoch)
        return StillNeeded(*row)

    async def payload_buckets(self) -> set[str]:
        """Return the buckets that have a partition."""
        return {row["bucket"] for row in await self._rows(_PARTITIONS)}

    async def drop_bucket(self, bucket: str) -> bool:
        """Drop the partitions of a bucket that was destroyed; False where they are gone.

        Raises StoreUnavailable while readers are in the way: try again in a moment.
        """
        return bool(await self._value("SELECT drop_bucket($1)", bucket))

    async def done_instructions(self, what: str) -> list[tuple[InstructionRow, InstructionOutcome]]:
        """Return the instructions of a kind that were carried out, oldest first."""
        width = len(InstructionRow.__struct_fields__)
        return [
            (InstructionRow(*row[:width]), InstructionOutcome(*row[width:]))
            for row in await self._rows(_DONE, what)
        ]

    async def destroyed(self) -> list[DestroyedRow]:
        """Return the buckets that were destroyed, oldest first."""
        return read_all(DestroyedRow, await self._rows("SELECT * FROM destroyed ORDER BY at"))

    async def destroyed_of(self, frames: list[int]) -> dict[int, DestroyedRow]:
        """Return under which act each of these frames lost its payload, where it did."""
        found = await self._rows(_DESTROYED_OF, frames) if frames else []
        return {row[0]: DestroyedRow(*row[1:]) for row in found}

    async def acts_not_done(self, sender: str) -> list[PacketRow]:
        """Return the acts of `sender` by which nothing was destroyed here yet, oldest first."""
        return read_all(PacketRow, await self._rows(_ACTS_ALONE, sender))
