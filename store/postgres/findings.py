"""The index over what is in documents delivered here: it holds marks, and no number or word.

Filled beside the sequencer, in the order of frames, and made again from nothing where it is lost.
Each row lies in the partition of its payload's bucket, and goes with it.
"""

from collections.abc import Sequence

import msgspec

from schemas.leaves import read_leaf
from schemas.records import PacketRow
from store.postgres.reader import Reader

INDEXED_FRAMES_MAX = 2_000
"""So many frames are looked at for documents in one step."""

_OWNER = "SELECT address FROM identity ORDER BY epoch DESC LIMIT 1"

_CURSOR = "SELECT frame, leaf FROM finding_cursor"

_LAST = "SELECT COALESCE(max(frame), 0) FROM packet"

# By the index leaf_destroyed: payloads that were moved are few.
_MOVED = """
SELECT index, frame, record FROM leaf WHERE kind = 'moved' AND index > $1 ORDER BY index LIMIT $2
"""

# A type that has findable fields, to us, and accepted.
_DELIVERED = """
SELECT p.frame FROM packet AS p
WHERE {} AND p.recipient = $3 AND p.type = ANY ($4::text[])
    AND NOT EXISTS (SELECT FROM leaf AS l WHERE l.frame = p.frame AND l.kind = 'refused')
ORDER BY p.frame
"""

# One session commits frames in their order: below one that is seen, none is to come.
_BETWEEN = _DELIVERED.format("p.frame > $1 AND p.frame <= $2")

_AMONG = _DELIVERED.format("p.frame = ANY ($1::bigint[]) AND p.frame <= $2")

_ADD = """
INSERT INTO finding (frame, bucket, subjects, words) VALUES ($1, $2, $3, $4)
ON CONFLICT (bucket, frame) DO UPDATE
SET subjects = EXCLUDED.subjects, words = EXCLUDED.words
"""

_MOVE_CURSOR = """
UPDATE finding_cursor SET frame = GREATEST(frame, $1), leaf = GREATEST(leaf, $2)
"""

# The bucket is a literal, so that the planner sees the one partition.
_FIND = "SELECT frame FROM finding WHERE bucket = '{}' AND {}"


class FindingRow(msgspec.Struct, frozen=True, gc=False):
    """What one document is found by, under the key of its bucket."""

    frame: int
    bucket: str
    subjects: list[int]
    words: list[int]


class Delivered(msgspec.Struct, frozen=True, gc=False):
    """A document to index."""

    frame: int
    bucket: str | None = None
    """Where its payload was moved to; None: where it is found."""


class ToIndex(msgspec.Struct, frozen=True, gc=False):
    """Documents that are not in the index yet, and where it stands once they are."""

    documents: list[Delivered]
    frame: int
    """Up to this frame there are no others."""
    leaf: int
    """Up to this leaf no others were moved."""
    is_new: bool
    """Whether it stands elsewhere now."""
    is_end: bool
    """Nothing was committed beyond it."""


class Wanted(msgspec.Struct, frozen=True, gc=False):
    """What is looked for in one bucket."""

    bucket: str
    subject: int | None
    words: list[list[int]]
    """Of each word one of its marks must be there."""


class Findings(Reader):
    """Reads and writes of the index."""

    async def to_index(self, types: Sequence[str]) -> ToIndex:
        """Return what is to be indexed next: what came, then what was moved."""
        frame, leaf = tuple(await self._row(_CURSOR))
        last: int = await self._value(_LAST)
        if last <= frame:
            return await self._moved(frame, leaf, types)
        reached = min(frame + INDEXED_FRAMES_MAX, last)
        found = await self._delivered(_BETWEEN, frame, reached, types)
        documents = [Delivered(each) for each in found]
        return ToIndex(documents, reached, leaf, is_new=True, is_end=False)

    async def _moved(self, frame: int, leaf: int, types: Sequence[str]) -> ToIndex:
        rows = await self._rows(_MOVED, leaf, INDEXED_FRAMES_MAX)
        if not rows:
            return ToIndex([], frame, leaf, is_new=False, is_end=True)
        into = {row["frame"]: read_leaf(row["record"])["into"] for row in rows}
        found = await self._delivered(_AMONG, list(into), frame, types)
        moved = [Delivered(each, into[each]) for each in found]
        return ToIndex(moved, frame, rows[-1]["index"], is_new=True, is_end=False)

    async def _delivered(
        self, query: str, frames: int | list[int], upto: int, types: Sequence[str]
    ) -> list[int]:
        owner = await self._value(_OWNER)
        rows = await self._rows(query, frames, upto, owner, list(types))
        return [row["frame"] for row in rows]

    async def payload_of(self, document: Delivered) -> tuple[PacketRow, str, bytes] | None:
        """Return a document's packet, bucket and sealed payload; None where it is gone."""
        packet, _, bucket, sealed = await self.stored_frame(document.frame)
        if document.bucket is not None:
            bucket = document.bucket
            sealed = (await self._sealed(bucket, [document.frame])).get(document.frame)
        if packet is None or bucket is None or sealed is None:
            return None
        return packet, bucket, sealed

    async def add_findings(self, rows: Sequence[FindingRow], of: ToIndex) -> None:
        """Put rows into the index, and note that what they come from was looked at.

        Raises PartitionMissing where a bucket has no partition; then nothing is stored.
        """
        async with self._reading() as connection, connection.transaction():
            await connection.executemany(_ADD, [msgspec.structs.astuple(row) for row in rows])
            await connection.execute(_MOVE_CURSOR, of.frame, of.leaf)

    async def behind(self) -> int:
        """Return how many frames have not been looked at yet."""
        last: int = await self._value(_LAST)
        reached: int = await self._value(_CURSOR)  # its first column
        return max(last - reached, 0)

    async def find(self, wanted: Sequence[Wanted]) -> list[int]:
        """Return frames that may hold what is looked for, newest first; content tells."""
        frames: set[int] = set()
        for one in wanted:
            texts, values = _conditions(one)
            query = _FIND.format(one.bucket.replace("'", "''"), " AND ".join(texts))
            frames |= {row["frame"] for row in await self._rows(query, *values)}
        return sorted(frames, reverse=True)


def _conditions(wanted: Wanted) -> tuple[list[str], list[list[int]]]:
    """Return the conditions of a search, each with one value; there is one at least."""
    asked = [] if wanted.subject is None else [("subjects", [wanted.subject])]
    asked += [("words", marks) for marks in wanted.words]
    texts = [f"{column} && ${place}::bigint[]" for place, (column, _) in enumerate(asked, 1)]
    return texts, [marks for _, marks in asked]
