"""What `--json` prints about completeness; as nodes.cli.shapes.

completeness expected   ExpectedReports    completeness gaps       GapReport
reconcile               [NeighbourTold]
"""

from nodes.cli.shapes import Shape


class Late(Shape, frozen=True, kw_only=True):
    """A report that came after its deadline."""

    address: str
    kato: str | None
    came: str


class Owing(Shape, frozen=True, kw_only=True):
    """An organisation whose report has not come."""

    address: str
    kato: str | None


class ReportTold(Shape, frozen=True, kw_only=True):
    """One rule of the calendar for the period."""

    type_: str
    section: str
    under: str
    due: str
    is_over: bool
    """Whether the deadline has passed."""
    expected: int
    received: int
    on_time: int
    on_time_share: float
    late: list[Late]
    missing: list[Owing]


class ShareLine(Shape, frozen=True, kw_only=True):
    """What came of all that was expected below an address; no organisation is named."""

    address: str
    kato: str | None
    expected: int
    received: int
    on_time: int
    on_time_share: float


class ExpectedReports(Shape, frozen=True, kw_only=True):
    """What the calendar expects for a period, and what of it has come."""

    period: str
    under: str
    reports: list[ReportTold]
    shares: list[ShareLine]


class GapLine(Shape, frozen=True, kw_only=True):
    """Numbers of one sender's packets that are not here, and why."""

    from_: str
    epoch: int
    first: int
    last: int
    count: int
    why: str
    """refused, voided, on its way, or unexplained."""
    detail: str
    sealed_after: str | None
    """When the number before was sealed, as its sender says; null: the epoch begins with these."""
    sealed_before: str
    """When the number behind was sealed."""


class GapReport(Shape, frozen=True, kw_only=True):
    """Gaps in the numbers of what was sent to this node."""

    to: str
    period: str | None
    gaps: list[GapLine]
    missing: int
    unexplained: int
    is_cut: bool
    """There are more gaps than one report shows: narrow it."""


class StreamLine(Shape, frozen=True, kw_only=True):
    """One stream at both ends."""

    writer: str
    lane: str
    epoch: int
    ours: int
    theirs: int
    agreed: int
    differs: int | None
    exact: bool
    packet: str | None
    """The packet of ours under the number that differs, where it is exact and one."""


class NeighbourTold(Shape, frozen=True, kw_only=True):
    """What has come of comparing with a neighbour."""

    neighbour: str
    problem: str | None
    """Why nothing was compared."""
    streams: list[StreamLine]
