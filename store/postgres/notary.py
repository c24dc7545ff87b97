"""The record's side of evidence: checkpoints shown and cosigned, time-stamps, policies, losses."""

from collections.abc import Sequence

from schemas.header import FAST_FLOWS
from schemas.moments import Instant
from schemas.records import (
    CosignatureRow,
    EntryRow,
    IntakeRow,
    LeafMark,
    NoteRow,
    OwnGap,
    PacketRow,
    PolicyRow,
    RebuiltRow,
    RecoveryRow,
    ReturnedRow,
    TimestampRow,
    TrackedRow,
    WitnessedRow,
)
from store.packing import unpack
from store.postgres.registrar import Registrar
from store.postgres.rows import read_all, read_marks

# The newest row of each name by as many steps of an index as there are names: a journal is shown
# thousands of times a day, and there are few journals.
_NEWEST_WITNESSED = """
WITH RECURSIVE name AS (
    (SELECT origin FROM witnessed ORDER BY origin LIMIT 1)
    UNION ALL
    SELECT (SELECT origin FROM witnessed WHERE origin > name.origin ORDER BY origin LIMIT 1)
    FROM name WHERE name.origin IS NOT NULL
)
SELECT newest.* FROM name, LATERAL (
    SELECT * FROM witnessed WHERE origin = name.origin ORDER BY size DESC LIMIT 1
) newest
"""

_LAST_COSIGNED = """
WITH RECURSIVE name AS (
    (SELECT witness FROM cosignature WHERE epoch = $1 ORDER BY witness LIMIT 1)
    UNION ALL
    SELECT (
        SELECT witness FROM cosignature WHERE epoch = $1 AND witness > name.witness
        ORDER BY witness LIMIT 1
    )
    FROM name WHERE name.witness IS NOT NULL
)
SELECT newest.* FROM name, LATERAL (
    SELECT * FROM cosignature WHERE epoch = $1 AND witness = name.witness
    ORDER BY size DESC LIMIT 1
) newest
"""

_CHECKPOINT_AT = "SELECT size, at, note FROM checkpoint WHERE size >= $1 ORDER BY size LIMIT 1"

_NEWEST_TOKENS = """
SELECT DISTINCT ON (authority) * FROM timestamp_token
ORDER BY authority, size DESC, gen_time DESC
"""

_NEWEST_COSIGNED = "SELECT max(size) FROM cosignature WHERE epoch = $1"

_INTAKES_ABOUT = """
(SELECT * FROM intake WHERE stream = $1 AND epoch = $2 AND last <= $3 ORDER BY last DESC LIMIT 1)
UNION ALL
(SELECT * FROM intake WHERE stream = $1 AND epoch = $2 AND last > $3 AND first <= $3
 ORDER BY last LIMIT 1)
"""

_INCIDENT_SINCE = """
SELECT 1 FROM incident WHERE happened >= $3 AND kind = $1 AND neighbour = $2 LIMIT 1
"""

_HAS_SENT = "SELECT 1 FROM packet WHERE sender = $1 AND type = $2 AND period = $3 LIMIT 1"

_LAST_NUMBER = "SELECT max(number) FROM entry WHERE stream = $1 AND epoch = $2"

_TAKEN = """
SELECT max(last) AS last, min(taken) FILTER (WHERE last > $3) AS since
FROM intake WHERE stream = $1 AND epoch = $2
"""

# By the index on sender and epoch: what a neighbour has sealed itself, whomever it was for.
_SEALED_BY = """
SELECT * FROM packet
WHERE sender = $1 AND epoch = $2 AND via = $1 AND received >= $3 AND frame > $4
    AND (type IN ('receipt/1', 'closing/1') OR flow = ANY ($6::text[])) = $5
ORDER BY frame LIMIT $7
"""

_REBUILT = """
SELECT DISTINCT ON (stream, epoch) * FROM rebuilt ORDER BY stream, epoch, first DESC
"""

_REBUILT_SUMS = """
SELECT COALESCE(sum(kept), 0)::bigint, COALESCE(sum(objects), 0)::bigint,
    COALESCE(sum(last - first + 1 - kept - objects), 0)::bigint
FROM rebuilt
"""

_REBUILT_GAPS = """
SELECT * FROM rebuilt WHERE gaps <> '[]' AND (stream, epoch, first) > ($1, $2, $3)
ORDER BY stream, epoch, first LIMIT $4
"""

# The first note at each number within reach, or else the nearest one beyond it. Both ends are
# found by the index: a stream has as many notes as bundles, and is read page by page.
_NOTES_BEYOND = """
SELECT DISTINCT ON (up_to) stream, epoch, up_to, noted, object, (
    SELECT up_to FROM note WHERE stream = $1 AND epoch = $2 AND object IS NOT NULL
    ORDER BY up_to DESC LIMIT 1
) AS most
FROM note
WHERE stream = $1 AND epoch = $2 AND object IS NOT NULL AND up_to > $3
    AND up_to <= greatest($4::bigint, (
        SELECT up_to FROM note
        WHERE stream = $1 AND epoch = $2 AND object IS NOT NULL AND up_to > $3
        ORDER BY up_to LIMIT 1
    ))
ORDER BY up_to, noted
"""

# The bucket that `stored_frame` would read, for many frames at once.
_BUCKETS_OF = """
SELECT p.frame, k.bucket FROM packet AS p CROSS JOIN LATERAL (
    SELECT bucket FROM kept WHERE frame = p.frame
        AND NOT EXISTS (SELECT FROM destroyed AS d WHERE d.bucket = kept.bucket)
    ORDER BY split_part(bucket, '-', 1) = p.class DESC, bucket DESC LIMIT 1
) AS k
WHERE p.frame = ANY ($1::bigint[])
"""

_ENTRY_DIGESTS = """
SELECT sha256 FROM entry WHERE stream = $1 AND epoch = $2 AND number > $3 AND number <= $4
ORDER BY number
"""

# What we had sent of an epoch that is over, number by number: what lies between two that came back.
_OWN_GAPS = """
SELECT recipient, epoch, before + 1 AS first, seq - 1 AS last FROM (
    SELECT recipient, epoch, seq,
        lag(seq, 1, 0::bigint) OVER (PARTITION BY recipient, epoch ORDER BY seq) AS before
    FROM packet WHERE sender = $1 AND epoch < $2
) AS numbered WHERE seq > before + 1 ORDER BY recipient, epoch, seq
"""

_NOTES_OF = "SELECT size, note FROM checkpoint WHERE size = ANY ($1::bigint[])"

_LEAF_RECORDS = "SELECT record FROM leaf WHERE index >= $1 AND index < $2 ORDER BY index"

_LEAVES_AT = "SELECT index, record FROM leaf WHERE index = ANY ($1::bigint[])"

# What was refused or is held under an id is no packet, and has leaves all the same.
_LEAVES_ABOUT = """
SELECT index, kind, record FROM leaf WHERE frame IN (
    SELECT frame FROM packet WHERE id = $1 AND sender = $2
    UNION SELECT frame FROM quarantine WHERE id = $1 AND sender = $2
) ORDER BY index
"""


class Notary(Registrar):
    """Reads of what makes evidence, each by an index of its table."""

    async def witnessed_newest(self) -> list[WitnessedRow]:
        """Return the newest checkpoint shown to us of each journal."""
        return read_all(WitnessedRow, await self._rows(_NEWEST_WITNESSED))

    async def witnessed_at(self, origin: str, size: int) -> WitnessedRow | None:
        """Return the checkpoint of just this size that was shown of a journal, or None."""
        found = await self._where(WitnessedRow, "origin = $1 AND size = $2", origin, size)
        return found[0] if found else None

    async def witnessed_last(self, origin: str) -> WitnessedRow | None:
        """Return the largest checkpoint shown to us of a journal; None where there is none."""
        found = await self._where(WitnessedRow, "origin = $1 ORDER BY size DESC LIMIT 1", origin)
        return found[0] if found else None

    async def cosignatures(self, epoch: int, size: int) -> list[CosignatureRow]:
        """Return the cosignatures of a checkpoint of ours."""
        condition = "epoch = $1 AND size = $2 ORDER BY witness"
        return await self._where(CosignatureRow, condition, epoch, size)

    async def last_cosigned(self, epoch: int) -> list[CosignatureRow]:
        """Return the newest cosignature of each witness in an epoch of ours."""
        return read_all(CosignatureRow, await self._rows(_LAST_COSIGNED, epoch))

    async def cosigned_below(self, size: int, limit: int) -> list[CosignatureRow]:
        """Return the newest cosignatures of checkpoints up to `size`, the largest first."""
        condition = "size <= $1 ORDER BY epoch DESC, size DESC LIMIT $2"
        return await self._where(CosignatureRow, condition, size, limit)

    async def checkpoint_notes(self, sizes: Sequence[int]) -> dict[int, str]:
        """Return our checkpoints of these sizes; what is not there is left out."""
        found = await self._rows(_NOTES_OF, list(sizes))
        return {row["size"]: row["note"] for row in found}

    async def checkpoint_from(self, size: int) -> tuple[int, Instant, str] | None:
        """Return size, time and note of our first checkpoint of at least `size` leaves."""
        found = await self._rows(_CHECKPOINT_AT, size)
        return (found[0]["size"], found[0]["at"], found[0]["note"]) if found else None

    async def timestamps(self, size: int) -> list[TimestampRow]:
        """Return the time-stamps over checkpoints of at least `size` leaves, oldest first."""
        return await self._where(TimestampRow, "size >= $1 ORDER BY gen_time, sha256", size)

    async def newest_cosigned(self, epoch: int) -> int:
        """Return the size of our newest checkpoint that is cosigned; 0 where none is."""
        found = await self._rows(_NEWEST_COSIGNED, epoch)
        return int(found[0][0] or 0)

    async def incident_since(self, kind: str, neighbour: str, since: Instant) -> bool:
        """Say whether an incident of a kind about a neighbour was opened at `since` or later."""
        return bool(await self._rows(_INCIDENT_SINCE, kind, neighbour, since))

    async def last_timestamps(self, limit: int) -> list[TimestampRow]:
        """Return the newest time-stamps, newest first."""
        return await self._where(TimestampRow, "true ORDER BY size DESC, at DESC LIMIT $1", limit)

    async def newest_timestamps(self) -> dict[str, TimestampRow]:
        """Return the newest time-stamp of each authority."""
        found = read_all(TimestampRow, await self._rows(_NEWEST_TOKENS))
        return {row.authority: row for row in found}

    async def policies(self) -> list[PolicyRow]:
        """Return every version of every policy, oldest first."""
        return await self._where(PolicyRow, "true ORDER BY learned, sha256")

    async def recoveries(self) -> list[RecoveryRow]:
        """Return who has asked for a new epoch, oldest first."""
        return await self._where(RecoveryRow, "true ORDER BY asked")

    async def returned(self) -> list[ReturnedRow]:
        """Return from which streams of ours everything has come back, in which epoch."""
        return await self._where(ReturnedRow, "true ORDER BY at")

    async def rebuilt(self) -> list[RebuiltRow]:
        """Return the newest page of each stream that has come back, or that comes back."""
        return read_all(RebuiltRow, await self._rows(_REBUILT))

    async def rebuilt_sums(self) -> tuple[int, int, int]:
        """Return how many packets, other entries and entries that came not all pages have."""
        row = await self._row(_REBUILT_SUMS)
        return row[0], row[1], row[2]

    async def rebuilt_gaps(self, behind: tuple[str, int, int], limit: int) -> list[RebuiltRow]:
        """Return pages in which something is missing, behind one of them."""
        return read_all(RebuiltRow, await self._rows(_REBUILT_GAPS, *behind, limit))

    async def own_gaps(self, here: str, epoch: int) -> list[OwnGap]:
        """Return which numbers of our own packets of epochs before `epoch` are not here."""
        return [OwnGap(*row) for row in await self._rows(_OWN_GAPS, here, epoch)]

    async def notes_beyond(
        self, stream: str, epoch: int, after: int, reach: int
    ) -> tuple[list[NoteRow], int]:
        """Return the custody notes kept of a stream beyond `after`, and how far any of them goes.

        The first one at each number up to `reach`; where none is, the next one beyond.
        """
        rows = await self._rows(_NOTES_BEYOND, stream, epoch, after, reach)
        return read_all(NoteRow, rows), rows[0]["most"] if rows else after

    async def entry_digests(self, stream: str, epoch: int, after: int, up_to: int) -> list[bytes]:
        """Return the SHA-256 of the entries placed behind `after` and up to `up_to`, in order."""
        rows = await self._rows(_ENTRY_DIGESTS, stream, epoch, after, up_to)
        return [row["sha256"] for row in rows]

    async def payloads_of(self, frames: Sequence[int]) -> dict[int, tuple[str, bytes]]:
        """Return bucket and payload at rest of packets, by frame.

        What is no packet, was destroyed or is lost is left out.
        """
        by_bucket: dict[str, list[int]] = {}
        for frame, bucket in await self._rows(_BUCKETS_OF, frames) if frames else []:
            by_bucket.setdefault(bucket, []).append(frame)
        found: dict[int, tuple[str, bytes]] = {}
        for bucket, within in by_bucket.items():
            sealed = await self._sealed(bucket, within)
            found |= {frame: (bucket, sealed[frame]) for frame in sealed}
        return found

    async def has_sent(self, sender: str, type_: str, period: str) -> bool:
        """Say whether a packet of a sender, type and period was ever kept here."""
        return bool(await self._value(_HAS_SENT, sender, type_, period))

    async def has_packets(self) -> bool:
        """Say whether any packet was ever kept here."""
        return bool(await self._value("SELECT EXISTS (SELECT FROM packet)"))

    async def last_number(self, stream: str, epoch: int) -> int:
        """Return the last number placed in an outgoing stream in an epoch; 0 where none was."""
        return await self._value(_LAST_NUMBER, stream, epoch) or 0

    async def entries_waiting(self, stream: str, epoch: int, after: int) -> list[EntryRow]:
        """Return what an outgoing stream has beyond `after`, without the bytes of its frames."""
        condition = "stream = $1 AND epoch = $2 AND number > $3 ORDER BY number"
        return await self._where(EntryRow, condition, stream, epoch, after)

    async def taken_of(self, stream: str, epoch: int, after: int) -> tuple[int, Instant | None]:
        """Return how far an incoming stream was taken in an epoch, and since when beyond `after`.

        The time is that of the first intake that went beyond; None where none did.
        """
        row = await self._row(_TAKEN, stream, epoch, after)
        return (row["last"] or 0, row["since"])

    async def intakes_about(self, stream: str, epoch: int, number: int) -> list[IntakeRow]:
        """Return the intake that covers a number, and the last one that ended before or there."""
        return read_all(IntakeRow, await self._rows(_INTAKES_ABOUT, stream, epoch, number))

    async def sealed_by(  # noqa: PLR0917 - what narrows the read
        self, sender: str, epoch: int, lane: str, since: Instant, behind: int, limit: int
    ) -> list[PacketRow]:
        """Return the packets that a neighbour has sealed and sent us itself in an epoch and lane.

        Those that were kept at `since` or later, behind a frame number, in their order.
        """
        is_fast = lane == "fast"
        rows = await self._rows(
            _SEALED_BY, sender, epoch, since, behind, is_fast, list(FAST_FLOWS), limit
        )
        return read_all(PacketRow, rows)

    async def leaf_records(self, first: int, end: int) -> list[bytes]:
        """Return the leaves from `first` up to, not with, `end`; those that are not there lack."""
        return [unpack(row["record"]) for row in await self._rows(_LEAF_RECORDS, first, end)]

    async def leaves_at(self, indexes: Sequence[int]) -> dict[int, bytes]:
        """Return the records of leaves by index; what is not there is left out."""
        rows = await self._rows(_LEAVES_AT, list(indexes))
        return {row["index"]: unpack(row["record"]) for row in rows}

    async def leaves_about(self, sender: str, packet: str) -> list[LeafMark]:
        """Return our leaves about a sender's frames of one id, oldest first."""
        return read_marks(await self._rows(_LEAVES_ABOUT, packet, sender))

    async def tracked(self, packets: Sequence[str]) -> list[TrackedRow]:
        """Return what nodes have told us of packets, by their ids, oldest first."""
        return await self._where(TrackedRow, "packet = ANY ($1::text[]) ORDER BY at", packets)
