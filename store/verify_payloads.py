"""Verification of payloads: the bytes that came, against the header that was signed."""

from collections import Counter
from collections.abc import Iterator, Mapping
from hashlib import sha256

import msgspec

from schemas.buckets import read_bucket
from schemas.errors import BbajError, FormatError
from schemas.header import Header, decode_header
from schemas.leaves import LeafKind
from schemas.records import PacketRow, QuarantineRow
from store.faults import Faults, Kind, OpenPayload
from store.postgres.session import Connection
from store.verify_destroyed import check_destroyed

PAYLOAD_BYTES_AT_ONCE = 8 * 1024 * 1024

_PARTITIONS = """
SELECT substr(c.relname, length('payload_') + 1) FROM pg_inherits AS i
JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = 'payload'::regclass
"""

_SEALED = "SELECT frame, sealed FROM payload WHERE bucket = $1 AND frame = ANY ($2::bigint[])"


class StoredLeaf(msgspec.Struct, frozen=True, gc=False):
    """A leaf of a frame, read."""

    index: int
    facts: dict[str, str]


class StoredFrames(msgspec.Struct, gc=False):
    """Everything that the record has of one range of frames."""

    packets: dict[int, PacketRow]
    quarantine: dict[int, list[QuarantineRow]]
    leaves: dict[int, list[StoredLeaf]]
    released: set[int]
    kept: list[tuple[int, str]]
    outcomes: list[tuple[int, str, str]]


class PayloadCheck:
    """Checks the payloads of one range of frames after the other."""

    def __init__(
        self,
        connection: Connection,
        faults: Faults,
        open_payload: OpenPayload,
        partitions: set[str],
        destroyed: Mapping[str, str],
    ) -> None:
        self.connection = connection
        self.faults = faults
        self.open_payload = open_payload
        self.partitions = partitions
        self.destroyed = destroyed
        """By bucket, the act under which it was destroyed."""
        self.gone: set[str] = set()
        """Buckets without partition and without act, named before."""

    @classmethod
    async def begin(
        cls,
        connection: Connection,
        faults: Faults,
        open_payload: OpenPayload,
        listed: Mapping[str, str],
    ) -> "PayloadCheck":
        """Find out which buckets are still there; `listed` as for `verify`."""
        partitions = {row[0] for row in await connection.fetch(_PARTITIONS)}
        destroyed = await check_destroyed(connection, faults, partitions)
        return cls(connection, faults, open_payload, partitions, {**listed, **destroyed})

    async def check(self, frames: StoredFrames) -> None:
        """Check that every payload is there, unless destroyed, and is what came."""
        expected = set(frames.packets)
        for rows in frames.quarantine.values():
            expected |= {row.frame for row in rows if row.kept}
        for frame in sorted(expected - {frame for frame, _bucket in frames.kept}):
            what = "there is no row: where its payload is, is lost"
            self.faults.add("kept", f"frame {frame}", what, Kind.REMOVED)
        stored = []
        for frame, bucket in frames.kept:
            self._check_move(frames, frame, bucket)
            is_destroyed = bucket in self.destroyed
            self.faults.counts["destroyed"] += is_destroyed
            if is_destroyed:
                continue
            if bucket in self.partitions:
                stored.append((frame, bucket))
            elif bucket not in self.gone:
                self.gone.add(bucket)
                what = "its partition is gone, and no act destroyed it"
                self.faults.add("payload", f"bucket {bucket}", what, Kind.REMOVED)
        for bucket, group in _groups(stored, frames):
            found = dict(map(tuple, await self.connection.fetch(_SEALED, bucket, group)))
            for frame in group:
                self._check_one(frames, bucket, frame, found.get(frame))
            self.faults.counts["payload"] += len(found)

    def _check_move(self, frames: StoredFrames, frame: int, bucket: str) -> None:
        """Check that what lies in a hold partition was moved there by a leaf."""
        name = read_bucket(bucket)
        if name is None or name.hold is None:
            return
        leaves = frames.leaves.get(frame, [])
        moves = [leaf for leaf in leaves if leaf.facts.get("kind") == LeafKind.MOVED]
        what = f"no leaf says that it was moved into {bucket}"
        is_told = any(leaf.facts.get("into") == bucket for leaf in moves)
        self.faults.expect("kept", f"frame {frame}", what, holds=is_told)

    def _check_one(
        self, frames: StoredFrames, bucket: str, frame: int, sealed: bytes | None
    ) -> None:
        row, quarantined = frames.packets.get(frame), frames.quarantine.get(frame)
        key = f"{bucket} frame {frame}" + (f" packet {row.id} of {row.sender}" if row else "")
        if sealed is None:
            self.faults.add("payload", key, "the row was deleted", Kind.REMOVED)
            return
        if row is not None:
            digest = row.frame_sha256
        elif quarantined is not None:
            digest = quarantined[0].sha256
        else:
            what = "belongs to no packet and no quarantined frame"
            self.faults.add("payload", key, what, Kind.ADDED)
            return
        try:
            came = self.open_payload(bucket, digest, sealed)
        except (BbajError, ValueError) as error:
            self.faults.add("payload", key, f"cannot be opened: {error}", Kind.UNREADABLE)
            return
        if row is not None and bucket.split("-", 1)[0] == row.class_:
            self._check_parts(key, row, came)
            came = row.head + came
        what = "its bytes are not those that came: the digest of the whole frame differs"
        self.faults.expect("payload", key, what, holds=sha256(came).digest() == digest)

    def _check_parts(self, key: str, row: PacketRow, payload: bytes) -> None:
        header = header_of(row.head)
        if header is None:
            return
        said = header.payload
        what = f"its size is {len(payload)}, the header says {said.size}"
        self.faults.expect("payload", key, what, holds=len(payload) == said.size)
        what = "its sha256 is not what the header says"
        is_so = sha256(payload).hexdigest() == said.sha256
        self.faults.expect("payload", key, what, holds=is_so)


def header_of(head: bytes) -> Header | None:
    """Return the header within a head, None where there is none."""
    try:
        return decode_header(head[8 : 8 + int.from_bytes(head[6:8])])
    except FormatError:
        return None


def _groups(stored: list[tuple[int, str]], frames: StoredFrames) -> Iterator[tuple[str, list[int]]]:
    """Yield frames by bucket, in groups whose payloads fit into memory together."""
    groups: dict[str, list[int]] = {}
    sizes: Counter[str] = Counter()
    for frame, bucket in stored:
        group = groups.setdefault(bucket, [])
        group.append(frame)
        sizes[bucket] += _size_of(frames, frame)
        if sizes[bucket] > PAYLOAD_BYTES_AT_ONCE:
            yield bucket, groups.pop(bucket)
            del sizes[bucket]
    yield from groups.items()


def _size_of(frames: StoredFrames, frame: int) -> int:
    if frame in frames.packets:
        return frames.packets[frame].size
    return frames.quarantine[frame][0].size if frame in frames.quarantine else 0
