"""`archive.completeness/1`: how many reports of a type came for a period, from below a node.

Counts alone: nobody is named but the node that counts.
"""

from collections.abc import Iterator

from schemas.addresses import Address
from schemas.documents.common import CodeLists, Document, check_period
from schemas.documents.faults import Fault
from schemas.documents.periods import PeriodKind
from schemas.header import PeriodText, Size, TypeName
from schemas.moments import InstantText

PERIODS = tuple(PeriodKind)


class Completeness(Document, frozen=True, gc=False, kw_only=True):
    """What a node counts once the last deadline for a period is over."""

    period: PeriodText
    reports: TypeName
    """The type that is counted."""
    under: Address
    """All that hang below this node."""
    due: InstantText
    """The last deadline."""
    counted: InstantText
    expected: Size
    received: Size
    on_time: Size
    missing: Size
    gaps: Size
    """Numbers of packets that were sealed for this node about then, did not come, and are not
    explained."""

    def faults(self, lists: CodeLists) -> Iterator[Fault]:
        """Yield what does not add up."""
        del lists
        yield from check_period(self.period, PERIODS, "$.period")
        if self.received > self.expected:
            yield Fault("$.received", f"more than the {self.expected} expected")
        if self.on_time > self.received:
            yield Fault("$.on_time", f"more than the {self.received} received")
        if self.missing != self.expected - self.received:
            yield Fault("$.missing", "is not what was expected less what was received")
