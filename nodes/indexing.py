"""Indexes what is delivered here, beside the sequencer: no packet waits for it (R-4.5).

It follows the frames of the record from a cursor in the index itself. What a crash cuts off is done
again; an index that was emptied fills by itself.
"""

import asyncio

from exchange.gate import Gate
from exchange.ports import Observer
from schemas.documents.faults import DocumentError
from schemas.documents.findable import findable_of, findable_types
from schemas.errors import FormatError, OutcomeUnknown, Retryable
from schemas.manifest import as_file
from schemas.records import PacketRow
from schemas.spellings import stems_of
from signing.errors import BucketDamagedError, BucketKeyMissingError
from store.postgres.findings import Delivered, FindingRow, Findings

IDLE_S = 2.0
RETRY_S = 30.0
REST_FACTOR = 4.0
"""It rests so many times as long as it has worked: a fifth of a processor is the most it takes."""
SLICE_DOCUMENTS = 20
"""So many documents are opened between two rests."""


class Indexing:
    """Fills the index of one node."""

    def __init__(self, url: str, gate: Gate, observer: Observer) -> None:
        """Hold the parts; the index has connections of its own."""
        self._url = url
        self._gate = gate
        self._observer = observer
        self._types = findable_types()
        self._waiting: str | None = None

    async def run(self) -> None:
        """Index until cancelled; what fails for now is tried again, and told once."""
        while True:
            try:
                async with Findings(self._url) as findings:
                    while True:
                        done = await self.step(findings)
                        self._waiting = None
                        await asyncio.sleep(IDLE_S if done else 0)
            except (Retryable, OutcomeUnknown) as error:
                self._tell(str(error))
                await asyncio.sleep(RETRY_S)

    async def step(self, findings: Findings) -> bool:
        """Index some documents; return whether nothing is left."""
        loop = asyncio.get_running_loop()
        work = await findings.to_index(self._types)
        rows: list[FindingRow] = []
        for first in range(0, len(work.documents), SLICE_DOCUMENTS):
            begun = loop.time()
            for document in work.documents[first : first + SLICE_DOCUMENTS]:
                row = await self._row(findings, document)
                if row is not None:
                    rows.append(row)
            await asyncio.sleep((loop.time() - begun) * REST_FACTOR)
        if work.is_new:
            await findings.add_findings(rows, work)
        return work.is_end

    async def _row(self, findings: Findings, document: Delivered) -> FindingRow | None:
        """Return what a document is found by; None where it is gone or cannot be read."""
        stored = await findings.payload_of(document)
        if stored is None:
            return None
        try:
            return await asyncio.to_thread(self._read, *stored)
        except BucketKeyMissingError:
            return None  # it is being destroyed, or the key backup is yet to be restored
        except (BucketDamagedError, FormatError, DocumentError) as error:
            frame, what = document.frame, type(error).__name__
            self._observer.noticed("document_not_indexed", level="warning", frame=frame, why=what)
            return None

    def _read(self, packet: PacketRow, bucket: str, sealed: bytes) -> FindingRow:
        content = self._gate.content_of(packet.head, bucket, sealed, packet.frame_sha256)
        found = findable_of(packet.type, as_file(content, packet.type, packet.media_type))
        marks = self._gate.marks(bucket)
        return FindingRow(
            packet.frame,
            bucket,
            sorted(map(marks.subject, found.subjects)),
            sorted(map(marks.stem, stems_of(found.texts))),
        )

    def _tell(self, why: str) -> None:
        if self._waiting != why:
            self._waiting = why
            self._observer.noticed("index_waits", level="warning", why=why)
