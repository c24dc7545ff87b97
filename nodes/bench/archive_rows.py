"""Rows of a republic's record at any size, straight into its tables: for what reads, not for proof.

Every school of a made-up country sends its attendance each day and its marks each quarter, the
republic sends an order to each district now and then, and each document has its receipt and its
closing: so two packets of three are answers, and one day of documents follows another. The same
seed makes the same rows. Heads are filler of a real head's size; digests and signatures hold
nowhere, so the record does not verify.
"""

import hashlib
from collections.abc import Iterator
from datetime import date, timedelta

import msgspec

from schemas.answers import CLOSING, RECEIPT
from schemas.documents.registry import (
    ADMIN_ORDER,
    ATTENDANCE_DAILY,
    DOCUMENT_FILE,
    PERFORMANCE_PERIOD,
)
from schemas.leaves import LeafKind, leaf_record
from schemas.moments import SECOND, Instant, format_instant
from schemas.records import LeafRow, PacketRow
from store.postgres.rows import columns
from store.postgres.session import Connection, session

HERE = "kz"
HEAD_BYTES = 900
FIRST_DAY = date(2016, 9, 1)
FIRST_SENT: Instant = 1_472_688_000_000_000
"""2016-09-01T00:00:00Z."""
COPIED_ROWS = 10_000
ORDER_EVERY_DAYS = 20
FILE_EVERY = 50
QUARTER_DAYS = 90
REFUSED_EVERY = 997


class Country(msgspec.Struct, frozen=True):
    """How many organisations send to the republic, and what tells two countries apart."""

    oblasts: int = 20
    districts: int = 10
    """In each oblast."""
    schools: int = 15
    """In each district."""
    seed: int = 1

    def addresses(self) -> list[str]:
        """Return the addresses of all schools."""
        return [
            f"{district}.school-{n}" for district in self.offices() for n in range(self.schools)
        ]

    def offices(self) -> list[str]:
        """Return the addresses of all districts."""
        return [
            f"{HERE}.oblast-{oblast}.district-{district}"
            for oblast in range(self.oblasts)
            for district in range(self.districts)
        ]


class Document(msgspec.Struct, frozen=True, gc=False):
    """One document before it has a frame."""

    sender: str
    recipient: str
    type_: str
    section: str
    class_: str
    flow: str
    period: str | None


def documents(country: Country) -> Iterator[Document]:
    """Yield documents without end, day after day, in the order in which they come."""
    schools, offices = country.addresses(), country.offices()
    day = 0
    while True:
        today = str(FIRST_DAY + timedelta(days=day))
        for number, school in enumerate(schools):
            yield Document(school, HERE, ATTENDANCE_DAILY, "S15", "R5", "result", today)
            if (number + day) % FILE_EVERY == 0:
                yield Document(school, HERE, DOCUMENT_FILE, "S09", "R5", "info", None)
        if day % QUARTER_DAYS == 0:
            at = FIRST_DAY + timedelta(days=day)
            quarter = f"{at.year}-Q{(at.month + 2) // 3}"
            for school in schools:
                yield Document(school, HERE, PERFORMANCE_PERIOD, "S15", "R50", "result", quarter)
        if day % ORDER_EVERY_DAYS == 0:
            for office in offices:
                yield Document(HERE, office, ADMIN_ORDER, "S05", "R10", "admin", None)
        day += 1


def packet_rows(country: Country, count: int, first_frame: int = 1) -> Iterator[PacketRow]:
    """Yield `count` packets, each document followed by its receipt and its closing."""
    frame = first_frame
    for document in documents(country):
        receipt = Document(
            document.recipient, document.sender, RECEIPT, "net", document.class_, "oper", None
        )
        closing = msgspec.structs.replace(
            receipt, sender=document.sender, recipient=document.recipient, type_=CLOSING
        )
        answered: str | None = None
        for each in (document, receipt, closing):
            if frame == first_frame + count:
                return
            row = _row(each, frame, answered, country.seed)
            answered = row.id
            yield row
            frame += 1


async def fill(owner_url: str, country: Country, count: int) -> None:
    """Put `count` packets with a leaf each into an empty record, and let the planner know them."""
    async with session(owner_url, "bbaj bench") as connection:
        chunk: list[PacketRow] = []
        for row in packet_rows(country, count):
            chunk.append(row)
            if len(chunk) == COPIED_ROWS:
                await _copy(connection, chunk)
                chunk.clear()
        await _copy(connection, chunk)
        # Autovacuum does so by itself where a record grows at the pace of its packets.
        await connection.execute("VACUUM (ANALYZE) packet")
        await connection.execute("VACUUM (ANALYZE) leaf")


async def _copy(connection: Connection, rows: list[PacketRow]) -> None:
    await connection.copy_records_to_table(
        "packet", records=map(msgspec.structs.astuple, rows), columns=columns(PacketRow)
    )
    await connection.copy_records_to_table(
        "leaf",
        records=(msgspec.structs.astuple(_leaf(row)) for row in rows),
        columns=columns(LeafRow),
    )


def _leaf(row: PacketRow) -> LeafRow:
    at = format_instant(row.received)
    kind = LeafKind.RELEASED if row.recipient == HERE else LeafKind.RELAYED
    fields = {}
    if row.frame % REFUSED_EVERY == 0:
        kind, fields = LeafKind.REFUSED, {"reason": "type-not-allowed", "verdict": "refused"}
    return LeafRow(row.frame - 1, kind, row.frame, leaf_record(kind, at=at, **fields))


def _row(document: Document, frame: int, answered: str | None, seed: int) -> PacketRow:
    mark = hashlib.sha256(f"{seed} {frame}".encode()).digest()
    sent = FIRST_SENT + frame * SECOND
    return PacketRow(
        frame=frame,
        id=_packet_id(sent, mark),
        sender=document.sender,
        recipient=document.recipient,
        epoch=1,
        seq=frame,  # rises for each pair of ends, with gaps
        type=document.type_,
        section=document.section,
        class_=document.class_,
        flow=document.flow,
        period=document.period,
        re=answered,
        sent=sent,
        received=sent + SECOND,
        via=document.sender
        if document.sender == HERE
        else ".".join(document.sender.split(".")[:2]),
        size=HEAD_BYTES + 2000,
        head_sha256=mark,
        frame_sha256=hashlib.sha256(mark).digest(),
        head=mark * (HEAD_BYTES // len(mark)),
        media_type="application/json",
        coding="salt",
    )


def _packet_id(sent: Instant, mark: bytes) -> str:
    time, tail = f"{sent // 1000:012x}", mark.hex()
    return f"{time[:8]}-{time[8:]}-7{tail[:3]}-8{tail[3:6]}-{tail[6:18]}"
