"""What is read of journals, stamps, losses and destruction; as store/postgres/notary.py and on."""

from collections.abc import AsyncIterator, Mapping, Sequence
from hashlib import sha256

from schemas.header import FAST_FLOWS
from schemas.moments import Instant
from schemas.records import (
    BucketContent,
    CosignatureRow,
    DestroyedRow,
    EntryRow,
    HoldLifted,
    IncidentRow,
    IntakeRow,
    KeptApart,
    KnownHold,
    LeafMark,
    LeafRow,
    LegalHold,
    NoteRow,
    OwnGap,
    PacketRow,
    PolicyRow,
    QuarantineRow,
    RebuiltRow,
    RecoveryRow,
    RenewalRow,
    RenewedTile,
    ReturnedRow,
    StillNeeded,
    TimestampRow,
    TrackedRow,
    WitnessedRow,
)
from simulation.record import Record
from store.merkle import consistency_proof, inclusion_proof, root_of

TILE = 256
ANSWERS = ("receipt/1", "closing/1")


class EvidenceReads(Record):
    """Reads of what makes evidence."""

    # --- our journal ----------------------------------------------------------------------------

    def add_checkpoint(self, size: int, at: Instant, note: str) -> None:
        self.checkpoints.setdefault(size, (size, at, note))

    def last_checkpoint(self) -> tuple[int, Instant, str] | None:
        return self.checkpoints[max(self.checkpoints)] if self.checkpoints else None

    def checkpoint_from(self, size: int) -> tuple[int, Instant, str] | None:
        return min((row for row in self.checkpoints.values() if row[0] >= size), default=None)

    def root_at(self, size: int) -> bytes:
        return root_of(self.leaf_hashes[:size])

    def _tile(self, level: int, index: int, size: int) -> bytes:
        width = TILE**level
        hashes = self.leaf_hashes[:size]
        first = index * TILE
        roots = [
            root_of(hashes[at * width : (at + 1) * width])
            for at in range(first, min(first + TILE, size // width))
        ]
        return b"".join(roots)

    def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        return inclusion_proof(index, size, lambda level, at: self._tile(level, at, size))

    def consistency_proof(self, old_size: int, size: int) -> list[bytes]:
        return consistency_proof(old_size, size, lambda level, at: self._tile(level, at, size))

    def leaves_at(self, indexes: Sequence[int]) -> dict[int, bytes]:
        leaves: list[LeafRow] = self.tables[LeafRow]
        return {index: leaves[index].record for index in indexes if 0 <= index < len(leaves)}

    def leaves_about(self, sender: str, packet: str) -> list[LeafMark]:
        rows = [*self.tables[PacketRow], *self.tables[QuarantineRow]]
        frames = {row.frame for row in rows if (row.id, row.sender) == (packet, sender)}
        marks = [mark for frame in frames for mark in self.marks.get(frame, ())]
        return sorted(marks, key=lambda mark: mark.index)

    # --- what neighbours show and cosign ----------------------------------------------------------

    def _witnessed(self) -> list[WitnessedRow]:
        return sorted(self.tables[WitnessedRow], key=lambda row: (row.origin, row.size))

    def witnessed_newest(self) -> list[WitnessedRow]:
        return list({row.origin: row for row in self._witnessed()}.values())

    def witnessed_at(self, origin: str, size: int) -> WitnessedRow | None:
        rows = self._witnessed()
        return next((row for row in rows if (row.origin, row.size) == (origin, size)), None)

    def witnessed_last(self, origin: str) -> WitnessedRow | None:
        return {row.origin: row for row in self._witnessed()}.get(origin)

    def cosignatures(self, epoch: int, size: int) -> list[CosignatureRow]:
        rows = [r for r in self.tables[CosignatureRow] if (r.epoch, r.size) == (epoch, size)]
        return sorted(rows, key=lambda row: row.witness)

    def last_cosigned(self, epoch: int) -> list[CosignatureRow]:
        rows = [row for row in self.tables[CosignatureRow] if row.epoch == epoch]
        newest = {row.witness: row for row in sorted(rows, key=lambda row: row.size)}
        return [newest[witness] for witness in sorted(newest)]

    def newest_cosigned(self, epoch: int) -> int:
        sizes = [row.size for row in self.tables[CosignatureRow] if row.epoch == epoch]
        return max(sizes, default=0)

    def incident_since(self, kind: str, neighbour: str, since: Instant) -> bool:
        return any(
            (row.kind, row.neighbour) == (kind, neighbour) and row.happened >= since
            for row in self.tables[IncidentRow]
        )

    # --- stamps and policies --------------------------------------------------------------------

    def last_renewals(self, limit: int) -> list[RenewalRow]:
        rows = sorted(self.tables[RenewalRow], key=lambda row: (row.size, row.at))
        return rows[::-1][:limit]

    async def grow_second_log(self, size: int) -> AsyncIterator[list[RenewedTile]]:
        assert size < TILE * TILE, "no simulated journal is so long"
        for nothing in ():
            yield nothing

    def renewed_root(self, _size: int) -> bytes:
        raise AssertionError("nothing is stamped in a simulation")

    def newest_timestamps(self) -> dict[str, TimestampRow]:
        rows = sorted(self.tables[TimestampRow], key=lambda row: (row.size, row.gen_time))
        return {row.authority: row for row in rows}

    def policies(self) -> list[PolicyRow]:
        return sorted(self.tables[PolicyRow], key=lambda row: (row.learned, row.sha256))

    # --- losses ---------------------------------------------------------------------------------

    def recoveries(self) -> list[RecoveryRow]:
        return sorted(self.tables[RecoveryRow], key=lambda row: row.asked)

    def returned(self) -> list[ReturnedRow]:
        return sorted(self.tables[ReturnedRow], key=lambda row: row.at)

    def rebuilt(self) -> list[RebuiltRow]:
        rows = sorted(self.tables[RebuiltRow], key=lambda row: (row.stream, row.epoch, row.first))
        return list({(row.stream, row.epoch): row for row in rows}.values())

    def rebuilt_sums(self) -> tuple[int, int, int]:
        rows: list[RebuiltRow] = self.tables[RebuiltRow]
        kept, objects = sum(r.kept for r in rows), sum(r.objects for r in rows)
        return kept, objects, sum(r.last - r.first + 1 for r in rows) - kept - objects

    def own_gaps(self, here: str, epoch: int) -> list[OwnGap]:
        numbered: dict[tuple[str, int], list[int]] = {}
        for row in self.tables[PacketRow]:
            if row.sender == here and row.epoch < epoch and row.seq is not None:
                numbered.setdefault((row.recipient, row.epoch), []).append(row.seq)
        gaps = []
        for (recipient, of_epoch), found in sorted(numbered.items()):
            seqs = sorted(found)
            for before, seq in zip([0, *seqs], seqs, strict=False):
                if seq > before + 1:
                    gaps.append(OwnGap(recipient, of_epoch, before + 1, seq - 1))
        return gaps

    def notes_beyond(
        self, stream: str, epoch: int, after: int, reach: int
    ) -> tuple[list[NoteRow], int]:
        kept = [
            row
            for row in self.tables[NoteRow]
            if (row.stream, row.epoch) == (stream, epoch) and row.up_to > after and row.object
        ]
        if not kept:
            return [], after
        limit = max(reach, min(row.up_to for row in kept))
        first: dict[int, NoteRow] = {}
        for row in sorted(kept, key=lambda row: (row.up_to, row.noted)):
            if row.up_to <= limit:
                first.setdefault(row.up_to, row)
        return list(first.values()), max(row.up_to for row in kept)

    def entry_digests(self, stream: str, epoch: int, after: int, up_to: int) -> list[bytes]:
        return [row.sha256 for row in self.streams.get((stream, epoch), [])[after:up_to]]

    def has_sent(self, sender: str, type_: str, period: str) -> bool:
        wanted = (sender, type_, period)
        return any((r.sender, r.type, r.period) == wanted for r in self.tables[PacketRow])

    def has_packets(self) -> bool:
        return bool(self.packets)

    # --- streams compared -------------------------------------------------------------------------

    def last_number(self, stream: str, epoch: int) -> int:
        return len(self.streams.get((stream, epoch), ()))

    def entries_waiting(self, stream: str, epoch: int, after: int) -> list[EntryRow]:
        return self.streams.get((stream, epoch), [])[after:]

    def _intakes(self, stream: str, epoch: int) -> list[IntakeRow]:
        rows = [r for r in self.tables[IntakeRow] if (r.stream, r.epoch) == (stream, epoch)]
        return sorted(rows, key=lambda row: row.last)

    def taken_of(self, stream: str, epoch: int, after: int) -> tuple[int, Instant | None]:
        rows = self._intakes(stream, epoch)
        since = min((row.taken for row in rows if row.last > after), default=None)
        return max((row.last for row in rows), default=0), since

    def intakes_about(self, stream: str, epoch: int, number: int) -> list[IntakeRow]:
        rows = self._intakes(stream, epoch)
        before = [row for row in rows if row.last <= number][-1:]
        return before + [row for row in rows if row.first <= number < row.last][:1]

    def sealed_by(
        self, sender: str, epoch: int, lane: str, since: Instant, behind: int, limit: int
    ) -> list[PacketRow]:
        found = [
            row
            for row in self.tables[PacketRow]
            if (row.sender, row.via, row.epoch) == (sender, sender, epoch)
            and row.received >= since
            and row.frame > behind
            and (row.type in ANSWERS or row.flow in FAST_FLOWS) == (lane == "fast")
        ]
        return sorted(found, key=lambda row: row.frame)[:limit]

    def tracked(self, packets: Sequence[str]) -> list[TrackedRow]:
        rows = [row for row in self.tables[TrackedRow] if row.packet in packets]
        return sorted(rows, key=lambda row: row.at)

    # --- keeping and destroying; no simulated scenario destroys ------------------------------

    def legal_holds(self) -> list[KnownHold]:
        lifted = {row.number: row for row in self.tables[HoldLifted]}
        holds: list[LegalHold] = sorted(self.tables[LegalHold], key=lambda row: row.number)
        return [KnownHold(hold, lifted.get(hold.number)) for hold in holds]

    def bucket_content(self, bucket: str) -> BucketContent:
        """As without legal holds."""
        sealed = {frame: raw for (name, frame), raw in self.sealed.items() if name == bucket}
        digests = sorted(self._digest(frame) for frame in sealed)
        size = sum(map(len, sealed.values()))
        return BucketContent(len(sealed), size, sha256(b"".join(digests)).digest(), 0)

    def _digest(self, frame: int) -> bytes:
        if frame in self.packets:
            return self.packets[frame].frame_sha256
        return next(row.sha256 for row in self.tables[QuarantineRow] if row.frame == frame)

    def kept_apart(self, *_about: object) -> list[KeptApart]:
        raise AssertionError("nothing is destroyed in a simulation")

    def still_needed(self, _bucket: str, _cursors: Mapping[str, int]) -> StillNeeded:
        raise AssertionError("nothing is destroyed in a simulation")

    def payload_buckets(self) -> set[str]:
        return set(self.buckets)

    def drop_bucket(self, bucket: str) -> bool:
        for key in [key for key in self.sealed if key[0] == bucket]:
            del self.sealed[key]
        was_there = bucket in self.buckets
        self.buckets.discard(bucket)
        return was_there

    def destroyed(self) -> list[DestroyedRow]:
        return sorted(self.tables[DestroyedRow], key=lambda row: row.at)

    def acts_not_done(self, sender: str) -> list[PacketRow]:
        done = {row.act for row in self.tables[DestroyedRow]}
        return [
            row
            for row in self.tables[PacketRow]
            if row.type == "archive.act/1" and row.sender == sender and row.id not in done
        ]
