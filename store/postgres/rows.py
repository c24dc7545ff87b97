"""Between the rows of schemas.records and the columns of the tables: names and order.

A table's columns begin with the fields of its row, in order (a test compares them); so `SELECT *`
may be cut to a row, and a column added later changes nothing here. Heads and most leaves lie packed
(store.packing).
"""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import msgspec

from schemas.records import (
    AccessRow,
    AlarmRow,
    BackupRun,
    CardRow,
    CertificateRow,
    Certified,
    CosignatureRow,
    CrlRow,
    DestroyedRow,
    DiskSample,
    DropOutcome,
    DropPart,
    EntryRow,
    EpochRow,
    GrantRow,
    HeldRow,
    HoldLifted,
    IncidentRow,
    InstructionOutcome,
    InstructionRow,
    IntakeRow,
    InvitationRow,
    InvitationUse,
    IssuedCosignature,
    IssuedHead,
    IssuedRow,
    LeafMark,
    LeafRow,
    LegalHold,
    LinkMark,
    NoteRow,
    OpenRow,
    OwnKey,
    PacketRow,
    PartRow,
    PayloadRow,
    PendingDrop,
    PolicyRow,
    QuarantineRow,
    RebuiltRow,
    RecoveryRow,
    Released,
    RenewalRow,
    RenewedTile,
    RequestRow,
    ReturnedRow,
    Revoked,
    TimestampRow,
    TrackedRow,
    WitnessedRow,
)
from store.packing import PACKED_LEAVES, pack, unpack

AnyRow = TypeVar("AnyRow", bound=msgspec.Struct)

TABLES: dict[type[msgspec.Struct], str] = {
    PacketRow: "packet",
    PayloadRow: "payload",
    PartRow: "part",
    LeafRow: "leaf",
    EntryRow: "entry",
    IntakeRow: "intake",
    NoteRow: "note",
    QuarantineRow: "quarantine",
    IncidentRow: "incident",
    CertificateRow: "certificate",
    CrlRow: "crl",
    DropOutcome: "drop_outcome",
    Released: "released",
    LinkMark: "link_mark",
    CardRow: "card",
    InstructionRow: "instruction",
    InstructionOutcome: "instruction_outcome",
    InvitationRow: "invitation",
    InvitationUse: "invitation_use",
    RequestRow: "request",
    GrantRow: "request_grant",
    IssuedRow: "issued",
    IssuedHead: "issued_head",
    IssuedCosignature: "issued_cosignature",
    AlarmRow: "alarm",
    Certified: "certified",
    Revoked: "revoked",
    OwnKey: "own_key",
    AccessRow: "access",
    WitnessedRow: "witnessed",
    CosignatureRow: "cosignature",
    TimestampRow: "timestamp_token",
    RenewalRow: "renewal_token",
    RenewedTile: "renewed_tile",
    PolicyRow: "policy",
    RecoveryRow: "recovery",
    EpochRow: "identity",
    TrackedRow: "tracked",
    ReturnedRow: "returned",
    RebuiltRow: "rebuilt",
    LegalHold: "legal_hold",
    HoldLifted: "legal_hold_lifted",
    DestroyedRow: "destroyed",
    BackupRun: "backup_run",
    DiskSample: "disk_sample",
    OpenRow: "open_exchange",
    HeldRow: "held_open",
    PendingDrop: "drop_pending",
    DropPart: "drop_part",
}


def columns(row_type: type[msgspec.Struct]) -> tuple[str, ...]:
    """Return the columns of a row type; `class_` is the column `class`."""
    return tuple(name.rstrip("_") for name in row_type.__struct_fields__)


_HEAD = PacketRow.__struct_fields__.index("head")


def values_of(rows: Sequence[msgspec.Struct]) -> list[tuple[Any, ...]]:
    """Return rows of one type as their table takes them."""
    values = [msgspec.structs.astuple(row) for row in rows]
    match rows:
        case [PacketRow(), *_]:
            heads = pack([each[_HEAD] for each in values])
            return [
                (*each[:_HEAD], head, *each[_HEAD + 1 :])
                for each, head in zip(values, heads, strict=True)
            ]
        case [LeafRow(), *_]:
            records = iter(pack([record for _, kind, _, record in values if kind in PACKED_LEAVES]))
            return [
                (*rest, kind, frame, next(records) if kind in PACKED_LEAVES else record)
                for *rest, kind, frame, record in values
            ]
        case _:
            return values


def read_all(row_type: type[AnyRow], found: Iterable[Any]) -> list[AnyRow]:
    """Return rows of a type from records that begin with its columns, in order."""
    width = len(row_type.__struct_fields__)
    if row_type is PacketRow:
        found = ((*each[:_HEAD], unpack(each[_HEAD]), *each[_HEAD + 1 :]) for each in found)
    return [row_type(*record[:width]) for record in found]


def read_marks(found: Iterable[Any]) -> list[LeafMark]:
    """Return leaves from records of index, kind and record."""
    return [LeafMark(index, kind, unpack(record)) for index, kind, record in found]
