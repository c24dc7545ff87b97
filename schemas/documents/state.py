"""`archive.state/1`: how a node is, once a day, for the one that it hangs under (R-13).

Counts, sizes and ages of the machine's side alone: nothing of what packets are about, no name.
"""

from collections.abc import Iterator
from typing import Annotated

import msgspec

from schemas.documents.common import CodeLists, Document, ShortText, check_period, check_text
from schemas.documents.faults import Fault
from schemas.documents.periods import Day, PeriodKind
from schemas.header import Count, Size

PERIODS = (PeriodKind.DAY,)
PURPOSES_MAX = 16

Days = Annotated[int, msgspec.Meta(ge=-36500, le=36500)]


class ArchiveState(Document, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """What a node says of itself. What is left out it does not know."""

    period: Day
    version: ShortText
    """Of the program."""
    uptime_s: Size
    epoch: Count
    leaves: Size
    unwitnessed_leaves: Size
    """Of the newest checkpoint, those that too few witnesses have cosigned."""
    waiting: Size
    """Entries of outgoing streams that no neighbour has taken yet."""
    waiting_s: Size
    """How long the oldest of them has waited."""
    open_exchanges: Size
    held_frames: Size
    database_bytes: Size
    growth_bytes_a_day: Size | None = None
    free_bytes: Size | None = None
    days_left: Size | None = None
    """Until the disk is full, at the growth of these days."""
    certificate_days: Annotated[dict[ShortText, Days], msgspec.Meta(max_length=PURPOSES_MAX)]
    """Days until the end of each certificate in use, by purpose."""
    clock_offset_ms: int | None = None
    """From the parent's, by the last greeting."""
    clock_doubted: bool
    backup_age_h: Size | None = None
    """Of the last backup that was restored and verified."""

    def faults(self, lists: CodeLists) -> Iterator[Fault]:
        """Yield what cannot be."""
        del lists
        yield from check_period(self.period, PERIODS, "$.period")
        yield from check_text(self.version, "$.version")
        for purpose in self.certificate_days:
            yield from check_text(purpose, "$.certificate_days")
