"""Signs the journal's checkpoints: commit first, then sign, then keep (clause 10.4).

The size about to be signed is kept in a file beside the database first: a journal that is smaller
than it, after a restart, has lost data.
"""

import os
from pathlib import Path

from exchange.ports import Archive, Clock
from schemas.errors import Fatal, Retryable
from schemas.limits import Limits
from schemas.records import Committed
from signing.keys import JournalSigner, sync_folder
from signing.notes import sign_checkpoint


class JournalLost(Fatal):
    """The journal is smaller than one we have signed: data were lost or an old copy restored."""

    exit_code = 76


class SizeUnwritable(Retryable):
    """The signed size cannot be written now: nothing is signed until there is room."""


class Checkpoints:
    """Signs what is due; one a node."""

    def __init__(
        self,
        *,
        origin: str,
        signer: JournalSigner,
        archive: Archive,
        clock: Clock,
        limits: Limits,
        size_file: Path,
    ) -> None:
        """Hold the parts."""
        self._origin = origin
        self._signer = signer
        self._archive = archive
        self._clock = clock
        self._due_us = limits.checkpoint_due_us
        self._size_file = size_file
        self._signed = 0
        self._waits_since: int | None = None

    def use_key(self, signer: JournalSigner) -> None:
        """Sign with another key from now on; what was signed before counts under its own."""
        self._signer = signer

    async def check(self, leaves: int) -> None:
        """Compare the journal with what was signed. Raises JournalLost."""
        last = await self._archive.last_checkpoint()
        in_record = last[0] if last is not None else 0
        in_file = self._read_size()
        self._signed = max(in_record, in_file)
        if leaves < self._signed:
            raise JournalLost(
                f"journal has {leaves} leaves, {self._signed} were signed: an older database was "
                f"restored or data were lost; do not seal with it, restore the newest one",
            )

    async def sign_due(self, journal: Committed | None, *, at_once: bool = False) -> bool:
        """Sign a checkpoint where one is due; return whether."""
        if journal is None or journal.leaves <= self._signed:
            self._waits_since = None
            return False
        now = self._clock()
        self._waits_since = self._waits_since or now
        if not at_once and now - self._waits_since < self._due_us:
            return False
        self._write_size(journal.leaves)
        note = sign_checkpoint(self._origin, journal.leaves, journal.root, self._signer)
        await self._archive.add_checkpoint(journal.leaves, now, note)
        self._signed = journal.leaves
        self._waits_since = None
        return True

    def _read_size(self) -> int:
        try:
            return int(self._size_file.read_text(encoding="ascii"))
        except FileNotFoundError:
            return 0

    def _write_size(self, size: int) -> None:
        try:
            self._replace_size(size)
        except OSError as error:
            detail = f"{self._size_file}: {error.strerror}: make room, or let this user write it"
            raise SizeUnwritable(detail) from error

    def _replace_size(self, size: int) -> None:
        draft = self._size_file.with_suffix(".new")
        with draft.open("w", encoding="ascii") as file:
            file.write(f"{size}\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._size_file)
        sync_folder(self._size_file.parent)
