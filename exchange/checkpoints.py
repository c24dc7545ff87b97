"""Signs the journal's checkpoints: commit first, then sign, then keep (clause 10.4).

The size about to be signed is kept in a file beside the database first: a journal that is smaller
than it, after a restart, has lost data.
"""

from pathlib import Path

from exchange.ports import Archive, Clock
from exchange.signed_size import SignedSize, SizeFile
from schemas.leaves import LeafKind
from schemas.limits import Limits
from schemas.moments import DAY, Instant
from schemas.records import Changes, Committed
from signing.keys import JournalSigner
from signing.notes import read_origin, sign_checkpoint

QUIET_KINDS = frozenset({LeafKind.WITNESSED, LeafKind.TIMESTAMP, LeafKind.RENEWAL})
"""Leaves of these kinds follow from checkpoints, and make none due by themselves."""


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
        self._size_file = SizeFile(size_file)
        self._epoch = read_origin(origin)[1]
        self._signed = 0
        self._signed_at: Instant = 0
        self._waits_since: Instant | None = None

    def use_key(self, signer: JournalSigner) -> None:
        """Sign with another key from now on; what was signed before counts under its own."""
        self._signer = signer

    async def check(self, leaves: int) -> SignedSize | None:
        """Compare the journal with what was signed; return what it lacks, if anything.

        The file of an epoch that has ended binds no more: from now on it has the running one.
        Raises SizeFileDamaged and SizeUnwritable.
        """
        last = await self._archive.last_checkpoint()
        signed = SignedSize(self._epoch, last[0] if last is not None else 0)
        self._signed_at = last[1] if last is not None else 0
        in_file = self._size_file.read()
        if in_file is not None:
            signed = max(signed, in_file)
        self._signed = signed.size
        if leaves < signed.size or signed.epoch > self._epoch:
            return signed
        if in_file is not None and in_file.epoch < self._epoch:
            self._size_file.write(SignedSize(self._epoch, leaves))
        return None

    async def sign_due(self, journal: Committed | None, *, at_once: bool = False) -> bool:
        """Sign a checkpoint where one is due; return whether.

        Some time after a leaf that counts, else once a day where there is any new leaf: what
        witnesses and time-stamps add makes nobody sign, else no journal would ever rest.
        """
        now = self._clock()
        if journal is None or not self._is_due(journal, now):
            self._waits_since = None
            return False
        self._waits_since = self._waits_since or now
        if not at_once and now - self._waits_since < self._due_us:
            return False
        self._size_file.write(SignedSize(self._epoch, journal.leaves))
        note = sign_checkpoint(self._origin, journal.leaves, journal.root, self._signer)
        await self._archive.add_checkpoint(journal.leaves, now, note)
        self._signed, self._signed_at = journal.leaves, now
        self._waits_since = None
        return True

    def _is_due(self, journal: Committed, now: Instant) -> bool:
        if journal.leaves - journal.quiet > self._signed:
            return True
        return journal.leaves > self._signed and not 0 <= now - self._signed_at < DAY


def grown(before: Committed | None, after: Committed, changes: Changes) -> Committed:
    """Return the journal after a commit of `changes`, with the leaves at its end that are quiet."""
    counting = [row.index for row in changes.leaves if row.kind not in QUIET_KINDS]
    if counting:
        quiet = after.leaves - 1 - counting[-1]
    else:
        quiet = len(changes.leaves) + (0 if before is None else before.quiet)
    return Committed(after.leaves, after.root, quiet)
