"""Loads a record through the store's own path: rows such as the sequencer of a republic makes.

Each packet comes with all that it leaves behind for good: head, payload, leaves, places in streams,
intakes with their digests, custody notes, and what documents are found by. What is open for a while
and then goes is left out. Heads and leaves are as a node makes them, but that digests, signatures
and sealed bytes are random: nothing compresses better than in earnest.
"""

import os
from collections import defaultdict
from collections.abc import Callable
from hashlib import sha256, sha512
from itertools import islice
from time import perf_counter
from types import TracebackType
from typing import Self, cast

import msgspec

from exchange.batch import Batch, Tails, packet_name, stream_to
from nodes.bench.archive_rows import HERE, Country, packet_rows
from schemas.answers import ANSWERS, RECEIPT
from schemas.frame import join_head, signed_bytes
from schemas.header import FlowCode, Header, PayloadFacts
from schemas.leaves import LeafKind
from schemas.moments import format_instant
from schemas.objects import Lane
from schemas.records import IntakeRow, NoteRow, PacketRow, PayloadRow, Released
from schemas.retention import DEFAULT, bucket_of
from signing.at_rest import OVERHEAD_BYTES
from store.postgres import PostgresArchive
from store.postgres.findings import FindingRow, Findings, ToIndex

GROUP_PACKETS = 200
"""As a busy sequencer groups them."""
BULK_PACKETS = 25 * GROUP_PACKETS
"""Of one commit where nobody looks at the clock."""
SIGNATURE_BYTES = 71
"""Of most ECDSA signatures on P-256, in DER."""
NOTE_BYTES = 600
"""Of a custody note."""
SYSTEM = "sis"
CONTENT_BYTES_A_SUBJECT = 200
SUBJECTS_A_SCHOOL = 440
WORDS, WORDS_A_DOCUMENT = 5000, 4
ENDLESS = 2**62

Progress = Callable[[str, int, int], None]


class Loader:
    """Stores the packets of a made-up country in one empty record, in their order."""

    def __init__(self, url: str, frame_bytes: int) -> None:
        """Stand by for the record at `url`; each frame has `frame_bytes`."""
        self.archive = PostgresArchive(url)
        self.frame_bytes = frame_bytes
        self._findings = Findings(url)
        self._rows = packet_rows(Country(), ENDLESS)
        self._taken: dict[str, int] = defaultdict(int)
        self._document: PacketRow | None = None
        self._found: list[FindingRow] = []

    async def __aenter__(self) -> Self:
        self.tails = Tails(await self.archive.open())
        await self._findings.start()
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self._findings.close()
        await self.archive.close()

    async def fill(self, until: int, on_progress: Progress) -> None:
        """Store packets until there are so many."""
        while self.tails.frame < until:
            await self.store(min(BULK_PACKETS, until - self.tails.frame))
            on_progress("packets", self.tails.frame, until)

    async def store(self, count: int) -> float:
        """Store the next packets with one commit; return the seconds that it took."""
        rows = list(islice(self._rows, count))
        batch = Batch(self.tails, rows[-1].received)
        for first in range(0, count, GROUP_PACKETS):
            self._add_group(rows[first : first + GROUP_PACKETS], batch)
        began = perf_counter()
        await self.archive.commit(batch.changes)
        took_s = perf_counter() - began
        batch.adopt()
        await self._index()
        return took_s

    async def _index(self) -> None:
        """Do what the daemon does beside its sequencer."""
        found, self._found = self._found, []
        reached = ToIndex([], self.tails.frame, self.tails.leaf - 1, is_new=True, is_end=True)
        await self._findings.add_findings(found, reached)

    def _add_group(self, rows: list[PacketRow], batch: Batch) -> None:
        came: dict[str, list[bytes]] = defaultdict(list)
        placed = {self._add(row, batch, came) for row in rows} - {None}
        for stream, digests in came.items():
            first, self._taken[stream] = self._taken[stream] + 1, self._taken[stream] + len(digests)
            last = self._taken[stream]
            chain = sha256(digests[-1]).digest()
            intake = IntakeRow(stream, 1, first, last, chain, batch.now, b"".join(digests))
            batch.changes.intakes.append(intake)
        for stream in sorted(filter(None, placed)):
            _add_note(stream, batch)

    def _add(self, row: PacketRow, batch: Batch, came: dict[str, list[bytes]]) -> str | None:
        """Add a packet; return the stream that it was placed in, where it was."""
        frame = batch.next_frame()
        assert frame == row.frame, "packets are numbered from 1 without a gap"
        head = _head(row, self.frame_bytes)
        digest = sha256(head).digest()
        row = msgspec.structs.replace(row, head=head, head_sha256=digest, size=self.frame_bytes)
        bucket = bucket_of(DEFAULT, row.class_, row.period, row.received)
        sealed = os.urandom(self.frame_bytes - len(head) + OVERHEAD_BYTES)
        batch.changes.packets.append(row)
        batch.changes.payloads.append(PayloadRow(frame, bucket, sealed))
        lane: Lane = "fast" if row.type in ANSWERS else "bulk"
        if row.type not in ANSWERS:
            self._document = row
        if row.sender == HERE:
            batch.append_leaf(LeafKind.SENT, frame, **_facts(row))
            stream = stream_to(_neighbour(row.recipient), lane)
            batch.place(stream, row.frame_sha256, row.size, frame=frame)
            return stream
        came[stream_to(_neighbour(row.sender), lane)].append(row.frame_sha256)
        facts = {"received": batch.at, "via": row.via, "crl": "7", "verdict": "accepted"}
        batch.append_leaf(LeafKind.RECEIVED, frame, **_facts(row), **facts)
        if row.type in ANSWERS:
            self._add_answer(row, batch)
            return None
        self._found.append(self._finding(row, bucket))
        batch.mark_packet(row, LeafKind.RELEASED)
        batch.changes.released.append(Released(frame, SYSTEM, batch.now))
        stream = f"inbox/{SYSTEM}"
        batch.place(stream, row.frame_sha256, row.size, frame=frame)
        return stream

    def _add_answer(self, row: PacketRow, batch: Batch) -> None:
        """Note that a document of ours has its receipt."""
        document = self._document
        if row.type != RECEIPT or document is None:
            return
        said = {"verdict": "accepted", "reason": "", "detail": "", "by": row.sender}
        batch.append_leaf(
            LeafKind.CONFIRMED, document.frame, **packet_name(document), **said, receipt=row.id
        )

    def _finding(self, row: PacketRow, bucket: str) -> FindingRow:
        persons = (self.frame_bytes - len(row.head)) // CONTENT_BYTES_A_SUBJECT
        subjects = {
            _mark(f"{row.sender} {(row.frame + number) % SUBJECTS_A_SCHOOL}")
            for number in range(persons)
        }
        words = {
            _mark(str((row.frame * number) % WORDS)) for number in range(1, WORDS_A_DOCUMENT + 1)
        }
        return FindingRow(row.frame, bucket, sorted(subjects), sorted(words))


def _facts(row: PacketRow) -> dict[str, str]:
    """Return what the first leaf of a packet says, whichever it is."""
    return {
        **packet_name(row),
        "seq": str(row.seq),
        "sent": format_instant(row.sent),
        "size": str(row.size),
        "head_sha512": sha512(row.head).hexdigest(),
        "frame_sha256": row.frame_sha256.hex(),
        "certificate": _certificate(row),
    }


def _head(row: PacketRow, frame_bytes: int) -> bytes:
    """Return a head that says what the row says, of a frame of so many bytes."""
    is_encrypted = row.type not in ANSWERS
    facts = PayloadFacts(
        sha256=os.urandom(32).hex(),
        sha512=os.urandom(64).hex(),
        size=frame_bytes,
        media_type=row.media_type,
        coding="salt+pad+hpke" if is_encrypted else "salt",
        clear_sha256=os.urandom(32).hex() if is_encrypted else None,
    )
    header = Header(
        id=row.id,
        type=row.type,
        from_=row.sender,
        to=row.recipient,
        sent=format_instant(row.sent),
        epoch=row.epoch,
        seq=row.seq,
        period=row.period,
        section=row.section,
        class_=row.class_,
        flow=cast("FlowCode", row.flow),
        re=row.re,
        certificate=_certificate(row),
        payload=facts,
    )
    return join_head(signed_bytes(header), os.urandom(SIGNATURE_BYTES))


def _certificate(row: PacketRow) -> str:
    return sha256(row.sender.encode()).hexdigest()


def _add_note(stream: str, batch: Batch) -> None:
    """Move a stream's cursor to its end: by a custody note, or by the own broker's word."""
    tail = batch.streams[stream]
    if stream.startswith("inbox/"):
        batch.changes.notes.append(NoteRow(stream, 1, tail.number, batch.now, None))
        return
    note = os.urandom(NOTE_BYTES)
    batch.changes.notes.append(NoteRow(stream, 1, tail.number, batch.now, note))
    neighbour, _, lane = stream.rpartition("/")
    batch.append_leaf(
        LeafKind.CUSTODY,
        None,
        neighbour=neighbour,
        lane=lane,
        epoch="1",
        up_to=str(tail.number),
        chain=tail.chain.hex(),
        note_sha256=sha256(note).hexdigest(),
    )


def _neighbour(address: str) -> str:
    """Return the republic's child that an address lies under."""
    return ".".join(address.split(".")[:2])


def _mark(text: str) -> int:
    return int.from_bytes(sha256(text.encode()).digest()[:8], signed=True)
