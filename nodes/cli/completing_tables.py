"""Completeness, reconciliation and the archive's figures as people read them."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from nodes.cli.archive_shapes import ArchiveCounts
from nodes.cli.completing_shapes import (
    ExpectedReports,
    GapLine,
    GapReport,
    NeighbourTold,
    ReportTold,
    StreamLine,
)
from nodes.cli.drawing import new_table
from nodes.cli.moments import utc_and_local, utc_over_local
from nodes.config import spoken_language
from nodes.texts import text


def expected(told: ExpectedReports) -> Iterator[RenderableType]:
    """Draw `completeness expected`: the shares of subtrees, then who owes what."""
    if not told.reports:
        yield _say("completeness.none", period=told.period)
    for report in told.reports:
        yield _say(
            "completeness.expected",
            under=f"{report.type_}, {report.under}",
            period=told.period,
            expected=report.expected,
            received=report.received,
            on_time=report.on_time,
            share=_percent(report.on_time_share),
        )
        over = _say("completeness.over" if report.is_over else "completeness.running")
        yield f"{_say('completeness.due')}: {utc_and_local(report.due)}, {over}"
        yield from _owing(report)
    if told.shares:
        names = ("organisation", "wanted", "came", "share")
        table = new_table(*(_say(f"completeness.{name}") for name in names))
        for share in told.shares:
            figures = (str(share.expected), str(share.received), _percent(share.on_time_share))
            table.add_row(share.address, *figures)
        yield table


def _owing(report: ReportTold) -> Iterator[RenderableType]:
    if not report.missing and not report.late:
        return
    table = new_table(*(_say(f"completeness.{name}") for name in ("organisation", "state")))
    style = "red" if report.is_over else "yellow"
    for owing in report.missing:
        table.add_row(owing.address, Text(_say("completeness.missing"), style))
    for late in report.late:
        table.add_row(late.address, _say("completeness.late", at=utc_and_local(late.came)))
    yield table


def gaps(told: GapReport) -> Iterator[RenderableType]:
    """Draw `completeness gaps`."""
    if not told.gaps:
        yield _say("completeness.no-gaps", to=told.to)
        return
    names = ("sender", "numbers", "why", "between")
    table = new_table(*(_say(f"completeness.{name}") for name in names))
    for gap in told.gaps:
        numbers = f"{gap.first}" if gap.first == gap.last else f"{gap.first}-{gap.last}"
        table.add_row(f"{gap.from_}/{gap.epoch}", numbers, _why(gap), _between(gap))
    yield table
    yield _say("completeness.gaps", to=told.to, missing=told.missing, unexplained=told.unexplained)
    if told.is_cut:
        yield Text(_say("completeness.cut"), "yellow")


def _why(gap: GapLine) -> Text:
    said = _say(f"completeness.reason.{gap.why.replace(' ', '-')}", detail=gap.detail)
    return Text(said, "red" if gap.why == "unexplained" else "")


def _between(gap: GapLine) -> str:
    after = "-" if gap.sealed_after is None else utc_over_local(gap.sealed_after)
    return f"{after}\n{utc_over_local(gap.sealed_before)}"


def reconciled(told: Sequence[NeighbourTold]) -> Iterator[RenderableType]:
    """Draw `reconcile`."""
    names = ("neighbour", "stream", "ours", "theirs", "result")
    table = new_table(*(_say(f"reconcile.{name}") for name in names))
    for neighbour in told:
        for stream in neighbour.streams:
            name = f"{stream.writer}: {stream.lane}/{stream.epoch}"
            result = Text(_result(stream), "" if stream.differs is None else "red")
            table.add_row(neighbour.neighbour, name, str(stream.ours), str(stream.theirs), result)
        if neighbour.problem is not None:
            table.add_row(neighbour.neighbour, "-", "-", "-", Text(neighbour.problem, "red"))
    yield table


def _result(stream: StreamLine) -> str:
    if stream.differs is None:
        return _say("reconcile.agreed", number=stream.agreed)
    if stream.packet is not None:
        return _say("reconcile.packet", number=stream.differs, packet=stream.packet)
    if stream.exact:
        return _say("reconcile.exact", number=stream.differs)
    return _say("reconcile.within", first=stream.agreed, last=stream.differs)


def counts(told: ArchiveCounts) -> Iterator[RenderableType]:
    """Draw `archive counts`."""
    names = ("section", "region", "type", "period", "packets", "bytes")
    table = new_table(*(_say(f"archive.{name}") for name in names))
    for line in told.lines:
        groups = (line.section, line.region, line.type_, line.period)
        table.add_row(*(each or "-" for each in groups), str(line.packets), str(line.bytes))
    yield table
    yield _say("archive.sum", packets=told.packets, bytes=told.bytes)
    if told.owner is not None:
        yield _say("archive.owner", owner=told.owner.in_language(spoken_language()))


def written(key: str, **facts: object) -> Iterator[RenderableType]:
    """Draw what `archive export` and `archive public` have written."""
    yield _say(f"archive.{key}", **facts)


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _say(key: str, **facts: object) -> str:
    return text(key, spoken_language(), **facts)
