"""`bbaj store verify`: which part of the record is due, and where an interrupted run goes on.

What the runs before found in order is kept in `scrub.json` in the data folder, where nobody who can
only write to the database reaches it. It can put off work, never end it: an incremental run begins
where a witness vouches for the journal, whatever the file says, and today's share of the old part
is looked at in any case.
"""

from collections.abc import Callable
from pathlib import Path
from time import monotonic

import msgspec

from nodes.whole_files import replace_file
from schemas.moments import DAY, HOUR, Instant
from store.scope import WHOLE, Order, Scope, parts_due

RESUMED_WITHIN_US = 36 * HOUR
"""An older run that was interrupted is begun anew."""
KEPT_EVERY_S = 2.0


class Ended(msgspec.Struct, frozen=True):
    """The last run that ended without a fault."""

    day: int
    """Since 1970."""
    leaves: int
    """So many it found in order, with all that belongs to them."""


class Running(msgspec.Struct, frozen=True):
    """A run that has not ended, and has found no fault so far."""

    incremental: bool
    begun: Instant
    leaves: int
    left: Scope


class Notes(msgspec.Struct, frozen=True):
    """The file; what it says of another epoch of the journal counts for nothing."""

    epoch: int
    ended: Ended | None = None
    running: Running | None = None


class Scrub:
    """One run, and the notes that it keeps."""

    def __init__(
        self, folder: Path, epoch: int, now: Instant, *, incremental: bool, anew: bool
    ) -> None:
        """Read what runs before have left; `anew` goes on with none of them."""
        self._path = folder / "scrub.json"
        self._now = now
        self._incremental = incremental
        self._notes = _read(self._path, epoch)
        self._kept_at = -KEPT_EVERY_S
        running = self._notes.running
        resumes = (
            running is not None
            and not anew
            and running.incremental == incremental
            and 0 <= now - running.begun <= RESUMED_WITHIN_US
        )
        self._resumed = running if resumes else None

    @property
    def resumes(self) -> Instant | None:
        """When the run began that this one goes on with; None for one of its own."""
        return None if self._resumed is None else self._resumed.begun

    @property
    def sound_leaves(self) -> int:
        """How many leaves were found in order by the run that this one builds on; 0: by none."""
        if self._resumed is not None:
            return self._resumed.leaves
        ended = self._notes.ended
        return ended.leaves if self._incremental and ended is not None else 0

    def order(self, vouched_size: int) -> Order:
        """Return what is to be looked at.

        `vouched_size` is the largest size up to `sound_leaves` that a witness vouches for; where
        there is none, everything is due.
        """
        if vouched_size == 0:
            self._resumed = None
            return WHOLE
        today = self._now // DAY
        if self._resumed is not None:
            return Order(vouched_size, parts_due(today - 1, today), self._resumed.left)
        ended = self._notes.ended
        return Order(vouched_size, parts_due(None if ended is None else ended.day, today))

    def keeper(self, leaves: int) -> Callable[[Scope], None]:
        """Return what writes down, now and then, what is left of a run over `leaves` leaves."""
        begun = self._resumed.begun if self._resumed else self._now

        def keep(left: Scope) -> None:
            if monotonic() - self._kept_at >= KEPT_EVERY_S:
                self._kept_at = monotonic()
                self._write(Running(self._incremental, begun, leaves, left))

        return keep

    def end(self, leaves: int, *, holds: bool) -> None:
        """Write down that the run has ended; after a fault, the next one begins as this one did."""
        ended = self._notes.ended
        if holds:
            begun = self._resumed.begun if self._resumed else self._now
            ended = Ended(begun // DAY, leaves)
        self._notes = Notes(self._notes.epoch, ended)
        replace_file(self._path, msgspec.json.encode(self._notes))

    def _write(self, running: Running) -> None:
        self._notes = Notes(self._notes.epoch, self._notes.ended, running)
        replace_file(self._path, msgspec.json.encode(self._notes))


def _read(path: Path, epoch: int) -> Notes:
    """Return what the file says; one that cannot be read says nothing, so that all is due."""
    try:
        notes = msgspec.json.decode(path.read_bytes(), type=Notes)
    except (FileNotFoundError, msgspec.DecodeError):
        return Notes(epoch)
    return notes if notes.epoch == epoch else Notes(epoch)
