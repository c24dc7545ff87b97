"""Lays to rest what an act has destroyed: first the key, then the partition (clause 23.5).

The commit of the act is behind it, and the record alone says what is left to do: so it goes on
wherever a crash has cut it off, and does nothing the second time.
"""

import asyncio

from exchange.gate import Gate
from exchange.ports import Archive, Observer
from schemas.errors import Retryable
from schemas.moments import format_instant
from schemas.records import DestroyedRow

AGAIN_S = 1.0
"""Readers in the way of a partition are let through; it is tried again after so long."""


class Undertaker:
    """Runs beside the sequencer."""

    def __init__(self, gate: Gate, archive: Archive, observer: Observer) -> None:
        """Hold what knows keys, and what knows partitions."""
        self._gate = gate
        self._archive = archive
        self._observer = observer
        self._work = asyncio.Event()
        self._work.set()
        self._told = ""

    def wake(self) -> None:
        """Look again: an act was committed."""
        self._work.set()

    async def run(self) -> None:
        """Work at the start, and whenever an act was committed, until all of it is done."""
        while True:
            await self._work.wait()
            self._work.clear()
            if not await self.lay_to_rest():
                await asyncio.sleep(AGAIN_S)
                self._work.set()

    async def lay_to_rest(self) -> bool:
        """Destroy keys and partitions that acts have left; say whether nothing is left."""
        try:
            done = await self._archive.destroyed()
            for row in done:
                self._destroy_key(row)
            there = await self._archive.payload_buckets()
            for row in done:
                if row.bucket in there:
                    await self._archive.drop_bucket(row.bucket)
                    self._observer.noticed("bucket_destroyed", bucket=row.bucket, act=row.act)
        except (Retryable, OSError) as error:
            self._tell(str(error))
            return False
        self._told = ""
        return True

    def _tell(self, why: str) -> None:
        """Say once why it takes longer; readers may be in the way for hours."""
        if why != self._told:
            self._told = why
            self._observer.noticed("destruction_waits", level="warning", why=why)

    def _destroy_key(self, row: DestroyedRow) -> None:
        if self._gate.destroy_bucket(row.bucket, row.act, format_instant(row.at)):
            self._observer.noticed("key_destroyed", bucket=row.bucket, act=row.act)
