"""Reads of the record, each by index, so that its age costs nothing."""

from collections.abc import Iterable, Sequence
from typing import Self

from schemas.moments import Instant
from schemas.records import (
    CertificateRow,
    CrlRow,
    HeldRow,
    LeafMark,
    OpenRow,
    PacketRow,
    QuarantineRow,
    StoredEntry,
    Trail,
)
from store.merkle import Span, Tree, consistency_spans, hashes_of, inclusion_spans, tiles_of
from store.packing import unpack
from store.postgres.drop_reader import DropReader
from store.postgres.part_reader import Name, PartReader
from store.postgres.position import EdgeRoots, load_tiles, load_tree
from store.postgres.rows import read_all, read_marks

Number = tuple[str, str, int, int]
"""A packet's number: sender, recipient, epoch, seq."""

Place = tuple[str, int, Instant]
"""Where a frame stands in an outgoing stream: stream, number, when placed."""

_KNOWN = """
SELECT p.*
FROM unnest($1::text[], $2::bigint[], $3::text[]) AS n (sender, epoch, id)
JOIN packet AS p ON p.id = n.id AND p.sender = n.sender AND p.epoch = n.epoch
"""

_PACKETS = "SELECT * FROM packet WHERE frame = ANY ($1::bigint[])"

_MARKS = """
SELECT frame, index, kind, record FROM leaf WHERE frame = ANY ($1::bigint[]) ORDER BY index
"""

_NUMBERS_KNOWN = """
SELECT p.sender, p.recipient, p.epoch, p.seq, p.head_sha256
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[])
    AS n (sender, recipient, epoch, seq)
JOIN packet AS p ON p.sender = n.sender AND p.recipient = n.recipient AND p.epoch = n.epoch
    AND p.seq = n.seq AND p.seq IS NOT NULL
"""

_REFUSED = """
SELECT * FROM quarantine
WHERE sha256 = ANY ($1::bytea[]) AND state = 'refused' ORDER BY frame
"""

_LAST_SEQ = """
SELECT seq FROM packet WHERE sender = $1 AND recipient = $2 AND epoch = $3 AND seq IS NOT NULL
ORDER BY seq DESC LIMIT 1
"""

_ANSWERS = """
SELECT * FROM packet
WHERE re = ANY ($1::text[]) AND re IS NOT NULL ORDER BY frame
"""

# The first entry comes whatever its size, the next ones while their sum stays within the limit.
_ENTRIES = """
WITH ahead AS MATERIALIZED (
    SELECT number, frame, sha256, chain, size, object, sum(size) OVER (ORDER BY number) AS bytes
    FROM (
        SELECT * FROM entry WHERE stream = $1 AND epoch = $2 AND number > $3
        ORDER BY number LIMIT $4
    ) AS most
)
SELECT a.number, a.frame, a.sha256, a.chain, a.size, a.object, p.head, k.bucket
FROM ahead AS a
LEFT JOIN packet AS p ON p.frame = a.frame
LEFT JOIN LATERAL (
    SELECT bucket FROM kept WHERE frame = a.frame
        AND NOT EXISTS (SELECT FROM destroyed AS d WHERE d.bucket = kept.bucket)
    ORDER BY split_part(bucket, '-', 1) = p.class DESC NULLS LAST, bucket DESC LIMIT 1
) AS k ON true
WHERE a.bytes <= $5 OR a.bytes = a.size
ORDER BY a.number
"""

# The bucket stands in the text, so that the planner opens one partition and locks no other.
_SEALED = "SELECT frame, sealed FROM payload WHERE bucket = '{}' AND frame = ANY ($1::bigint[])"

_PLACES = """
SELECT frame, stream, number, placed FROM entry
WHERE frame = ANY ($1::bigint[]) AND frame IS NOT NULL AND epoch = $2 ORDER BY placed, number
"""

_OUTGOING_CHAIN = "SELECT chain FROM entry WHERE stream = $1 AND epoch = $2 AND number = $3"

_INCOMING_CHAIN = "SELECT chain FROM intake WHERE stream = $1 AND epoch = $2 AND last = $3"

_DUE = """
SELECT * FROM open_exchange
WHERE LEAST(next_at, deadline) <= $1 ORDER BY LEAST(next_at, deadline) LIMIT $2
"""

_HELD = "SELECT * FROM held_open ORDER BY frame"

_HELD_BYTES = """
SELECT COALESCE(sum(q.size), 0)::bigint FROM held_open AS h
JOIN quarantine AS q ON q.frame = h.frame AND q.state = 'held' WHERE h.neighbour = $1
"""

_QUARANTINED = """
SELECT * FROM quarantine
WHERE frame = $1 ORDER BY state = 'held' LIMIT 1
"""

_BUCKETS = """
SELECT k.bucket, d.bucket IS NOT NULL AS is_destroyed
FROM kept AS k LEFT JOIN destroyed AS d ON d.bucket = k.bucket
WHERE k.frame = $1
ORDER BY d.bucket IS NOT NULL, split_part(k.bucket, '-', 1) <> $2, k.bucket DESC LIMIT 1
"""

_CERTIFICATES = "SELECT * FROM certificate ORDER BY learned, sha256"

_CRLS = "SELECT DISTINCT ON (issuer) * FROM crl ORDER BY issuer, number DESC"

_ALL_CRLS = "SELECT * FROM crl ORDER BY issuer, number"

_LAST_CHECKPOINT = "SELECT size, at, note FROM checkpoint ORDER BY size DESC LIMIT 1"

_LEAF_COUNT = "SELECT COALESCE(max(index) + 1, 0) FROM leaf"


class Reader(DropReader, PartReader):
    """What sequencer and commands ask. Every call may raise StoreUnavailable; try it again."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._edge_roots = EdgeRoots()

    async def start(self) -> Self:
        """Open the pool, and forget what was read before: the record may be another one now."""
        self._edge_roots = EdgeRoots()
        return await super().start()

    async def known(self, names: Sequence[Name]) -> dict[Name, Trail]:
        """Return the trail of each packet that the record has."""
        if not names:
            return {}
        senders, epochs, ids = zip(*names, strict=True)
        rows = read_all(PacketRow, await self._rows(_KNOWN, senders, epochs, ids))
        trails = await self._trails(rows)
        return {(row.sender, row.epoch, row.id): trails[row.frame] for row in rows}

    async def trail_of_frame(self, frames: Sequence[int]) -> dict[int, Trail]:
        """Return the trail of each frame that is a packet's."""
        if not frames:
            return {}
        return await self._trails(read_all(PacketRow, await self._rows(_PACKETS, frames)))

    async def _trails(self, rows: list[PacketRow]) -> dict[int, Trail]:
        marks: dict[int, list[LeafMark]] = {row.frame: [] for row in rows}
        if rows:
            for frame, *mark in await self._rows(_MARKS, list(marks)):
                marks[frame] += read_marks([mark])
        return {row.frame: Trail(row, tuple(marks[row.frame])) for row in rows}

    async def numbers_known(self, numbers: Sequence[Number]) -> dict[Number, bytes]:
        """Return the SHA-256 of the head that bears each number, where there is one."""
        if not numbers:
            return {}
        found = await self._rows(_NUMBERS_KNOWN, *zip(*numbers, strict=True))
        return {(row[0], row[1], row[2], row[3]): row[4] for row in found}

    async def last_seq(self, recipient: str, sender: str, epoch: int) -> int:
        """Return the highest number of a pair's packets in that epoch, 0 where there is none."""
        return await self._value(_LAST_SEQ, sender, recipient, epoch) or 0

    async def refused_before(self, sha256s: Sequence[bytes]) -> dict[bytes, QuarantineRow]:
        """Return the newest refusal of each frame, by the SHA-256 of all of its bytes."""
        rows = read_all(QuarantineRow, await self._rows(_REFUSED, sha256s)) if sha256s else []
        return {row.sha256: row for row in rows}

    async def answers_to(self, ids: Sequence[str]) -> list[PacketRow]:
        """Return the packets whose `re` is one of the ids, oldest first."""
        return read_all(PacketRow, await self._rows(_ANSWERS, ids)) if ids else []

    async def entries(
        self, stream: str, epoch: int, after: int, count_max: int, bytes_max: int
    ) -> list[StoredEntry]:
        """Return what follows on number `after`: at least one entry, if there is any.

        An entry with neither `object` nor `sealed` has lost its payload (destroyed).
        """
        found = await self._rows(_ENTRIES, stream, epoch, after, count_max, bytes_max)
        by_bucket: dict[str, list[int]] = {}
        for row in found:
            if row["bucket"] is not None:
                by_bucket.setdefault(row["bucket"], []).append(row["frame"])
        sealed: dict[int, bytes] = {}
        for bucket, frames in by_bucket.items():
            sealed |= await self._sealed(bucket, frames)
        entries = []
        for row in found:
            head = None if row["head"] is None else unpack(row["head"])
            rest = {"head": head, "bucket": row["bucket"], "sealed": sealed.get(row["frame"])}
            entries.append(StoredEntry(*row[:6], **rest))
        return entries

    async def _sealed(self, bucket: str, frames: Sequence[int]) -> dict[int, bytes]:
        query = _SEALED.format(bucket.replace("'", "''"))
        return {row["frame"]: row["sealed"] for row in await self._rows(query, frames)}

    async def places_of(self, frames: Sequence[int]) -> dict[int, list[Place]]:
        """Return each frame's places in the outgoing streams of the running epoch."""
        places: dict[int, list[Place]] = {}
        if frames:
            for frame, *place in await self._rows(_PLACES, frames, self.epoch):
                places.setdefault(frame, []).append((place[0], place[1], place[2]))
        return places

    async def chain_at(
        self, stream: str, epoch: int, number: int, *, incoming: bool = False
    ) -> bytes | None:
        """Return a stream's chain value at a number; of an incoming one where an intake ended."""
        query = _INCOMING_CHAIN if incoming else _OUTGOING_CHAIN
        chain: bytes | None = await self._value(query, stream, epoch, number)
        return chain

    async def open_due(self, now: Instant, limit: int) -> list[OpenRow]:
        """Return open exchanges whose next resend or deadline has come, the longest due first."""
        return read_all(OpenRow, await self._rows(_DUE, now, limit))

    async def open_count(self) -> int:
        """Return how many packets wait for an answer."""
        count: int = await self._value("SELECT count(*) FROM open_exchange")
        return count

    async def held_all(self) -> list[HeldRow]:
        """Return the frames that wait to be judged."""
        return read_all(HeldRow, await self._rows(_HELD))

    async def held_bytes(self, neighbour: str) -> int:
        """Return the size of all frames from a neighbour that wait to be judged."""
        size: int = await self._value(_HELD_BYTES, neighbour)
        return size

    async def stored_frame(
        self, frame: int
    ) -> tuple[PacketRow | None, QuarantineRow | None, str | None, bytes | None]:
        """Return all there is of a frame: packet, quarantine, bucket, sealed payload.

        Bucket without payload: destroyed. Where it was put into two buckets (held, then judged; or
        moved under a legal hold), one that is not destroyed goes first, then the packet's class.
        """
        packets = read_all(PacketRow, await self._rows(_PACKETS, [frame]))
        packet = packets[0] if packets else None
        quarantined = read_all(QuarantineRow, await self._rows(_QUARANTINED, frame))
        row = await self._row(_BUCKETS, frame, packet.class_ if packet else "QRN")
        bucket = None if row is None else row["bucket"]
        is_here = row is not None and not row["is_destroyed"]
        sealed = (await self._sealed(row["bucket"], [frame])).get(frame) if is_here else None
        return packet, quarantined[0] if quarantined else None, bucket, sealed

    async def certificates(self) -> list[CertificateRow]:
        """Return every certificate, in the order in which they were learned."""
        return read_all(CertificateRow, await self._rows(_CERTIFICATES))

    async def crls(self, *, every: bool = False) -> list[CrlRow]:
        """Return the newest CRL of each issuer (CRLs never drop entries), or all of them."""
        found = await self._rows(_ALL_CRLS if every else _CRLS)
        return [CrlRow(row[0], row[1], int(row[2]), row[3], row[4]) for row in found]

    async def last_checkpoint(self) -> tuple[int, Instant, str] | None:
        """Return size, time and text of the newest checkpoint."""
        row = await self._row(_LAST_CHECKPOINT)
        return row and tuple(row)

    async def leaf_count(self) -> int:
        """Return how many leaves are committed."""
        count: int = await self._value(_LEAF_COUNT)
        return count

    async def tree_at(self, size: int) -> Tree:
        """Return the journal's tree when it had `size` leaves."""
        async with self._reading() as connection:
            return await load_tree(connection, size, self._edge_roots)

    async def root_at(self, size: int) -> bytes:
        """Return the journal's root when it had `size` leaves."""
        return (await self.tree_at(size)).root()

    async def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        """Return the proof that leaf `index` is among the first `size`."""
        return await self._hashes_of(inclusion_spans(index, size), size)

    async def consistency_proof(self, old_size: int, size: int) -> list[bytes]:
        """Return the proof that the journal of `size` leaves extends the one of `old_size`."""
        return await self._hashes_of(consistency_spans(old_size, size), size)

    async def _hashes_of(self, spans: Iterable[Span], size: int) -> list[bytes]:
        wanted = list(spans)
        async with self._reading() as connection:
            tiles = await load_tiles(connection, tiles_of(wanted), size, self._edge_roots)
        return hashes_of(wanted, lambda level, index: tiles[level, index])
