"""One node's database in memory: rows that were committed, and nothing else.

The tables are those of store/postgres, insert-only but for the three derived ones, with the same
unique keys. What reads them is in `reads_*.py`; `archive.py` makes the port of it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from schemas import records as rows
from schemas.records import Changes, Committed
from store.errors import BucketDestroyed, RecordConflict
from store.merkle import Tree, leaf_hash

Key = Callable[[Any], object]

KEYS: dict[type, tuple[Key, ...]] = {
    rows.PacketRow: (
        lambda r: r.frame,
        lambda r: (r.id, r.sender, r.epoch),
        lambda r: None if r.seq is None else (r.sender, r.recipient, r.epoch, r.seq),
    ),
    rows.PayloadRow: (lambda r: (r.bucket, r.frame),),
    rows.PartRow: (lambda r: r.frame, lambda r: (r.of, r.sender, r.epoch, r.number)),
    rows.EntryRow: (lambda r: (r.stream, r.epoch, r.number),),
    rows.IntakeRow: (
        lambda r: (r.stream, r.epoch, r.last),
        lambda r: (r.stream, r.epoch, r.first, "first"),
    ),
    rows.QuarantineRow: (lambda r: (r.frame, r.state),),
    rows.DropOutcome: (lambda r: (r.system, r.drop_id),),
    rows.Released: (lambda r: r.frame,),
    rows.CardRow: (lambda r: (r.address, r.number),),
    rows.InstructionRow: (lambda r: r.id,),
    rows.InstructionOutcome: (lambda r: r.id,),
    rows.InvitationRow: (lambda r: r.id,),
    rows.InvitationUse: (lambda r: None if r.state == "refused" else r.id,),
    rows.RequestRow: (lambda r: r.sha256,),
    rows.GrantRow: (lambda r: r.request,),
    rows.IssuedRow: (lambda r: (r.authority, r.index),),
    rows.IssuedHead: (lambda r: (r.authority, r.size),),
    rows.IssuedCosignature: (lambda r: (r.authority, r.witness, r.size),),
    rows.AlarmRow: (lambda r: r.sha256,),
    rows.Certified: (lambda r: r.sha256,),
    rows.Revoked: (lambda r: r.sha256,),
    rows.WitnessedRow: (lambda r: (r.origin, r.size),),
    rows.CosignatureRow: (lambda r: (r.epoch, r.size, r.witness),),
    rows.TimestampRow: (lambda r: r.sha256,),
    rows.RenewalRow: (lambda r: r.sha256,),
    rows.RenewedTile: (lambda r: (r.level, r.index),),
    rows.RecoveryRow: (lambda r: r.sha256,),
    rows.EpochRow: (lambda r: r.epoch,),
    rows.TrackedRow: (lambda r: r.sha256,),
    rows.ReturnedRow: (lambda r: (r.stream, r.epoch),),
    rows.RebuiltRow: (lambda r: (r.stream, r.epoch, r.first),),
    rows.LegalHold: (lambda r: r.number,),
    rows.HoldLifted: (lambda r: r.number,),
    rows.DestroyedRow: (lambda r: r.bucket,),
}
"""What must be unique in each table; None is not compared."""

NAMED_BY_DIGEST: dict[type, Key] = {
    rows.OwnKey: lambda r: r.sha256,
    rows.CertificateRow: lambda r: r.sha256,
    rows.CrlRow: lambda r: r.sha256,
    rows.PolicyRow: lambda r: (r.sha256, r.name),
}
"""Here the same row again is no conflict."""

DERIVED = ("waiting", "open", "closed", "held", "judged", "sealed_parts", "unwanted_parts")
RECORDED = [name for name in Changes.__struct_fields__ if name not in DERIVED]


class Record:
    """Everything that one node has committed."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.tables: dict[type, list[Any]] = defaultdict(list)
        self.unique: dict[type, set[object]] = defaultdict(set)
        self.tree = Tree()
        self.leaf_hashes: list[bytes] = []
        self.open: dict[int, rows.OpenRow] = {}
        self.held: dict[int, rows.HeldRow] = {}
        self.pending: dict[tuple[str, str], rows.PendingDrop] = {}
        self.checkpoints: dict[int, tuple[int, int, str]] = {}
        self.kept: dict[int, list[str]] = defaultdict(list)
        self.sealed: dict[tuple[str, int], bytes] = {}
        self.buckets: set[str] = set()
        self.packets: dict[int, rows.PacketRow] = {}
        self.names: dict[tuple[str, int, str], rows.PacketRow] = {}
        self.marks: dict[int, list[rows.LeafMark]] = defaultdict(list)
        self.streams: dict[tuple[str, int], list[rows.EntryRow]] = defaultdict(list)
        self.places: dict[int, list[rows.EntryRow]] = defaultdict(list)
        self.add(rows.EpochRow(1, address))

    @property
    def epoch(self) -> int:
        """The running epoch."""
        return max(row.epoch for row in self.tables[rows.EpochRow])

    def copy(self) -> "Record":
        """Return this record as a backup has it."""
        twin = type(self)(self.address)
        for kind, found in self.tables.items():
            for row in found[1:] if kind is rows.EpochRow else found:
                twin._insert(row)
        twin.open, twin.held, twin.pending = dict(self.open), dict(self.held), dict(self.pending)
        twin.checkpoints = dict(self.checkpoints)
        return twin

    def add(self, row: msgspec.Struct) -> None:
        """Insert one row, or raise RecordConflict."""
        self._check([row])
        self._insert(row)

    def commit(self, changes: Changes) -> Committed:
        """Store all of `changes` or nothing; as PostgresArchive.commit."""
        destroyed = {row.bucket for row in self.tables[rows.DestroyedRow]}
        for payload in changes.payloads:
            if payload.bucket in destroyed:
                raise BucketDestroyed(payload.bucket)
        size = self.tree.size
        indexes = [row.index for row in changes.leaves]
        assert indexes == list(range(size, size + len(indexes))), f"{indexes} after {size}"
        added = [row for name in RECORDED for row in getattr(changes, name)]
        self._check(added)
        for row in added:
            self._insert(row)
        self._derive(changes)
        return Committed(self.tree.size, self.tree.root())

    def _check(self, added: Iterable[Any]) -> None:
        fresh: dict[type, set[object]] = defaultdict(set)
        for row in added:
            for key in KEYS.get(type(row), ()):
                name = key(row)
                if name is None:
                    continue
                if name in self.unique[type(row)] or name in fresh[type(row)]:
                    raise RecordConflict(f"{type(row).__name__} {name}")
                fresh[type(row)].add(name)

    def _insert(self, row: Any) -> None:
        kind = type(row)
        if kind in NAMED_BY_DIGEST:
            name = NAMED_BY_DIGEST[kind](row)
            if name in self.unique[kind]:
                return
            self.unique[kind].add(name)
        self.unique[kind].update(key(row) for key in KEYS.get(kind, ()))
        self.tables[kind].append(row)
        self._index(row)

    def _index(self, row: Any) -> None:
        match row:
            case rows.PacketRow():
                self.packets[row.frame] = row
                self.names[row.sender, row.epoch, row.id] = row
            case rows.PayloadRow():
                self.kept[row.frame].append(row.bucket)
                self.sealed[row.bucket, row.frame] = row.sealed
                self.buckets.add(row.bucket)
            case rows.LeafRow():
                hashed = leaf_hash(row.record)
                self.leaf_hashes.append(hashed)
                self.tree.extend([hashed])
                if row.frame is not None:
                    self.marks[row.frame].append(rows.LeafMark(row.index, row.kind, row.record))
            case rows.EntryRow():
                self.streams[row.stream, row.epoch].append(row)
                if row.frame is not None:
                    self.places[row.frame].append(row)
            case _:
                pass

    def _derive(self, changes: Changes) -> None:
        for drop in changes.drops:
            self.pending.pop((drop.system, drop.drop_id), None)
        for waiting in changes.waiting:
            self.pending[waiting.system, waiting.drop_id] = waiting
        gone = set(changes.closed)
        for frame in [frame for frame, row in self.open.items() if row.about in gone]:
            del self.open[frame]
        self.open |= {row.frame: row for row in changes.open}
        for frame in changes.judged:
            self.held.pop(frame, None)
        self.held |= {row.frame: row for row in changes.held}
