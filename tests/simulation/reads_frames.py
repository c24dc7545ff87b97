"""What the sequencer reads of packets, streams and what is open; as store/postgres/reader.py."""

from collections.abc import Sequence
from typing import Any

from exchange.ports import DropName, Name, Number, PartName
from schemas.leaves import read_leaf
from schemas.moments import Instant, parse_instant
from schemas.records import (
    CertificateRow,
    CrlRow,
    DestroyedRow,
    DropOutcome,
    DropPart,
    EntryRow,
    HeldRow,
    InstructionOutcome,
    InstructionRow,
    IntakeRow,
    LeafRow,
    LinkMark,
    NoteRow,
    OpenRow,
    PacketRow,
    PartRow,
    PendingDrop,
    Position,
    QuarantineRow,
    StoredEntry,
    StreamTail,
    Trail,
    Whole,
)
from simulation.record import Record


class FrameReads(Record):
    """Reads about frames."""

    def position(self) -> Position:
        """Return where the record stands."""
        epoch, leaves = self.epoch, self.tables[LeafRow]
        outgoing = {
            stream: StreamTail(found[-1].number, found[-1].chain, of_epoch)
            for (stream, of_epoch), found in self.streams.items()
            if of_epoch == epoch and found
        }
        cursors = dict.fromkeys(outgoing, 0)
        cursors |= {row.stream: row.up_to for row in self.tables[NoteRow] if row.epoch == epoch}
        incoming: dict[str, IntakeRow] = {}
        for row in self.tables[IntakeRow]:
            known = incoming.get(row.stream)
            if known is None or (row.epoch, row.last) > (known.epoch, known.last):
                incoming[row.stream] = row
        frames = [*self.packets, *self.kept, *(row.frame for row in self.tables[QuarantineRow])]
        return Position(
            address=self.address,
            epoch=epoch,
            last_frame=max(frames, default=0),
            leaves=len(leaves),
            outgoing=outgoing,
            cursors=cursors,
            incoming={
                name: StreamTail(row.last, row.chain, row.epoch) for name, row in incoming.items()
            },
            last_leaf_at=parse_instant(read_leaf(leaves[-1].record)["at"]) if leaves else 0,
        )

    def _trail(self, packet: PacketRow) -> Trail:
        return Trail(packet, tuple(self.marks.get(packet.frame, ())))

    def known(self, names: Sequence[Name]) -> dict[Name, Trail]:
        return {name: self._trail(self.names[name]) for name in names if name in self.names}

    def trail_of_frame(self, frames: Sequence[int]) -> dict[int, Trail]:
        return {
            frame: self._trail(self.packets[frame]) for frame in frames if frame in self.packets
        }

    def parts_known(self, names: Sequence[PartName]) -> dict[PartName, bytes]:
        found = {(row.sender, row.epoch, row.of, row.number): row for row in self.tables[PartRow]}
        return {
            name: self.packets[found[name].frame].head_sha256 for name in names if name in found
        }

    def wholes(self, names: Sequence[Name]) -> dict[Name, Whole]:
        return {name: self._whole(name) for name in names}

    def _whole(self, name: Name) -> Whole:
        packet = self.names.get(name)
        bucket = None if packet is None else self.stored_frame(packet.frame)[2]
        parts = sum((row.sender, row.epoch, row.of) == name for row in self.tables[PartRow])
        return Whole(bucket, parts)

    def parts_of(self, name: Name) -> dict[int, int]:
        rows = [row for row in self.tables[PartRow] if (row.sender, row.epoch, row.of) == name]
        return {row.number: row.frame for row in sorted(rows, key=lambda row: row.number)}

    def drops_in_parts(self) -> list[DropOutcome]:
        """Return none: drops in parts come by command alone, which nobody gives here."""
        return []

    def drop_parts(self, _system: str, _drop_id: str, _limit: int) -> list[DropPart]:
        return []

    def numbers_known(self, numbers: Sequence[Number]) -> dict[Number, bytes]:
        wanted = set(numbers)
        return {
            (row.sender, row.recipient, row.epoch, row.seq): row.head_sha256
            for row in self.tables[PacketRow]
            if (row.sender, row.recipient, row.epoch, row.seq) in wanted and row.seq is not None
        }

    def refused_before(self, digests: Sequence[bytes]) -> dict[bytes, QuarantineRow]:
        wanted = set(digests)
        return {
            row.sha256: row
            for row in sorted(self.tables[QuarantineRow], key=lambda r: r.frame)
            if row.sha256 in wanted and row.state == "refused"
        }

    def last_seq(self, recipient: str, sender: str, epoch: int) -> int:
        return max(
            (
                row.seq
                for row in self.tables[PacketRow]
                if (row.recipient, row.sender, row.epoch) == (recipient, sender, epoch) and row.seq
            ),
            default=0,
        )

    def answers_to(self, ids: Sequence[str]) -> list[PacketRow]:
        found = [row for row in self.tables[PacketRow] if row.re in set(ids) and row.re is not None]
        return sorted(found, key=lambda row: row.frame)

    def places_of(self, frames: Sequence[int]) -> dict[int, list[tuple[str, int, Instant]]]:
        found = {
            frame: [
                (row.stream, row.number, row.placed)
                for row in self.places.get(frame, ())
                if row.epoch == self.epoch
            ]
            for frame in frames
        }
        return {
            frame: sorted(rows, key=lambda each: (each[2], each[1]))
            for frame, rows in found.items()
            if rows
        }

    def entries(
        self, stream: str, epoch: int, after: int, count_max: int, bytes_max: int
    ) -> list[StoredEntry]:
        found: list[StoredEntry] = []
        total = 0
        for row in self._entries_beyond(stream, epoch, after)[:count_max]:
            total += row.size
            if found and total > bytes_max:
                break
            head = bucket = sealed = None
            if row.frame is not None:
                head = self.packets[row.frame].head if row.frame in self.packets else None
                bucket = self._bucket(row.frame)
                sealed = None if bucket is None else self.sealed.get((bucket, row.frame))
            found.append(
                StoredEntry(
                    row.number, row.frame, row.sha256, row.chain, row.size, row.object, head,
                    bucket, sealed,
                )
            )  # fmt: skip
        return found

    def _entries_beyond(self, stream: str, epoch: int, after: int) -> list[EntryRow]:
        return self.streams.get((stream, epoch), [])[max(0, after) :]

    def _bucket(self, frame: int) -> str | None:
        """Return the bucket that a frame is read from: its packet's own class goes first."""
        destroyed = {row.bucket for row in self.tables[DestroyedRow]}
        class_ = self.packets[frame].class_ if frame in self.packets else None
        here = [bucket for bucket in self.kept.get(frame, ()) if bucket not in destroyed]
        return max(here, key=lambda each: (each.split("-")[0] == class_, each), default=None)

    def chain_at(
        self, stream: str, epoch: int, number: int, *, incoming: bool = False
    ) -> bytes | None:
        if incoming:
            ends = {(r.stream, r.epoch, r.last): r.chain for r in self.tables[IntakeRow]}
            return ends.get((stream, epoch, number))
        found = self.streams.get((stream, epoch), [])
        return found[number - 1].chain if 0 < number <= len(found) else None

    def open_due(self, now: Instant, limit: int) -> list[OpenRow]:
        due = [(min(r.next_at, r.deadline or r.next_at), r) for r in self.open.values()]
        found = sorted((each for each in due if each[0] <= now), key=lambda each: each[0])
        return [row for _, row in found[:limit]]

    def open_count(self) -> int:
        return len(self.open)

    def held_all(self) -> list[HeldRow]:
        return sorted(self.held.values(), key=lambda row: row.frame)

    def held_bytes(self, neighbour: str) -> int:
        mine = {row.frame for row in self.held.values() if row.neighbour == neighbour}
        rows = self.tables[QuarantineRow]
        return sum(row.size for row in rows if row.frame in mine and row.state == "held")

    def stored_frame(
        self, frame: int
    ) -> tuple[PacketRow | None, QuarantineRow | None, str | None, bytes | None]:
        packet = self.packets.get(frame)
        rows = [row for row in self.tables[QuarantineRow] if row.frame == frame]
        quarantined = min(rows, key=lambda row: row.state == "held", default=None)
        bucket = self._bucket(frame)
        if bucket is not None:
            return packet, quarantined, bucket, self.sealed.get((bucket, frame))
        return packet, quarantined, max(self.kept.get(frame, ()), default=None), None

    def payloads_of(self, frames: Sequence[int]) -> dict[int, tuple[str, bytes]]:
        found = {}
        for frame in frames:
            packet, _, bucket, sealed = self.stored_frame(frame)
            if packet is not None and bucket is not None and sealed is not None:
                found[frame] = (bucket, sealed)
        return found

    # --- drops and instructions -----------------------------------------------------------------

    def drops_of(self, frames: Sequence[int]) -> dict[int, DropOutcome]:
        rows: list[Any] = self.tables[DropOutcome]
        return {row.frame: row for row in rows if row.frame in set(frames)}

    def drop_outcome(self, system: str, drop_id: str) -> DropOutcome | None:
        rows: list[DropOutcome] = self.tables[DropOutcome]
        key = (system, drop_id)
        return next((row for row in rows if (row.system, row.drop_id) == key), None)

    def drop_outcomes(self, names: Sequence[DropName]) -> dict[DropName, DropOutcome]:
        found = ((name, self.drop_outcome(*name)) for name in names)
        return {name: outcome for name, outcome in found if outcome is not None}

    def drop(self, document: PendingDrop) -> DropOutcome | bool:
        known = self.drop_outcome(document.system, document.drop_id)
        if known is not None:
            return known
        key = (document.system, document.drop_id)
        is_new = key not in self.pending
        self.pending.setdefault(key, document)
        return is_new

    def pending_drops(self, limit: int, ready: Sequence[str] = ()) -> list[PendingDrop]:
        found = [
            row
            for row in self.pending.values()
            if (row.awaits is None or row.recipient in ready)
            and self.drop_outcome(row.system, row.drop_id) is None
        ]
        return sorted(found, key=lambda row: row.dropped)[:limit]

    def awaited_recipients(self) -> list[tuple[str, str]]:
        waiting = [(row.recipient, row.awaits) for row in self.pending.values() if row.awaits]
        return list(dict.fromkeys(waiting))

    def unclaimed(
        self, sender: str, recipient: str, type_name: str, before: int, limit: int
    ) -> list[PacketRow]:
        claimed = {row.frame for row in self.tables[DropOutcome]}
        found = [
            row
            for row in self.tables[PacketRow]
            if (row.sender, row.recipient, row.type) == (sender, recipient, type_name)
            and row.epoch < before
            and row.frame not in claimed
        ]
        return sorted(found, key=lambda row: -row.frame)[:limit]

    def link_marks(self) -> dict[str, LinkMark]:
        return {row.neighbour: row for row in self.tables[LinkMark]}

    def instruct(self, instruction: InstructionRow) -> None:
        if instruction.id not in self.unique[InstructionRow]:
            self.add(instruction)

    def _outcomes(self) -> dict[str, InstructionOutcome]:
        return {row.id: row for row in self.tables[InstructionOutcome]}

    def pending_instructions(self, limit: int) -> list[InstructionRow]:
        done = self._outcomes()
        rows = [row for row in self.tables[InstructionRow] if row.id not in done]
        return sorted(rows, key=lambda row: row.id)[:limit]

    def instruction_outcome(self, id_: str) -> InstructionOutcome | None:
        return self._outcomes().get(id_)

    def instructions_of(self, what: str) -> list[InstructionRow]:
        rows = [row for row in self.tables[InstructionRow] if row.what == what]
        return sorted(rows, key=lambda row: row.id)

    def last_instruction(self, what: str) -> InstructionRow | None:
        return next(reversed(self.instructions_of(what)), None)

    def done_instructions(self, what: str) -> list[tuple[InstructionRow, InstructionOutcome]]:
        done = self._outcomes()
        return [
            (row, done[row.id])
            for row in self.instructions_of(what)
            if row.id in done and done[row.id].state == "done"
        ]

    # --- certificates ---------------------------------------------------------------------------

    def certificates(self) -> list[CertificateRow]:
        return sorted(self.tables[CertificateRow], key=lambda row: (row.learned, row.sha256))

    def crls(self) -> list[CrlRow]:
        newest: dict[str, CrlRow] = {}
        for row in sorted(self.tables[CrlRow], key=lambda row: row.number):
            newest[row.issuer] = row
        return [newest[issuer] for issuer in sorted(newest)]

    def crl_digests(self) -> set[bytes]:
        return {row.sha256 for row in self.tables[CrlRow]}
