"""Counts the reports of each period as its last deadline passes: metrics, and a packet to above.

    async with TaskGroup: ReportCounter(...).run()

Counted is by period, over an index; numbers that are missing are looked for once for each period.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from exchange.core.registry import Registry
from exchange.counting import count_order
from exchange.ports import Clock
from nodes.completeness import Arrivals, Tally, reporters_below, tallies
from nodes.config import Config
from nodes.errors import ConfigurationFault
from nodes.policies import DAEMON, open_calendar
from nodes.seq_gaps import Gapped, missing_numbers, unexplained
from nodes.telemetry import Telemetry
from schemas.documents.completeness import Completeness
from schemas.documents.periods import PeriodKind, parse_period
from schemas.moments import Instant, format_instant
from schemas.records import InstructionRow
from schemas.report_calendar import Calendar

LOOK_EVERY_S = 600.0
CARDS_AWAITED_S = 5.0
"""So soon it is looked again while no card of anybody below has been taken yet."""

Counted = tuple[str, PeriodKind]
"""A type and how long its periods are."""


class Record(Arrivals, Gapped, Protocol):
    """The record, as it is counted."""

    async def instruct(self, instruction: InstructionRow) -> None:
        """Keep an instruction for the next sweep; the same one again is harmless."""


class ReportCounter:
    """Looks from time to time which period is over by its deadlines."""

    def __init__(
        self,
        config: Config,
        record: Record,
        registry: Registry,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        """Hold what it reads; nothing is counted before `run` or `look`."""
        self._config = config
        self._record = record
        self._registry = registry
        self._clock = clock
        self._telemetry = telemetry
        self._told: set[tuple[str, str]] = set()

    async def run(self) -> None:
        """Count for ever, where there is a calendar."""
        while self._config.completeness.calendar is not None:
            pause_s = LOOK_EVERY_S
            try:
                if not await self.look():
                    pause_s = CARDS_AWAITED_S
            except ConfigurationFault as error:
                self._telemetry.noticed("calendar_unreadable", level="error", why=str(error))
            await asyncio.sleep(pause_s)

    async def look(self) -> bool:
        """Count each type's newest period that is over; return whether anybody is known below.

        Raises ConfigurationFault, Retryable.
        """
        calendar, now = open_calendar(self._config), self._clock()
        reporters = reporters_below(self._registry, self._config.address)
        for (type_, kind), period in _periods_over(calendar, now).items():
            found = await tallies(calendar, period, reporters, self._record)
            found = [each for each in found if each.report.type == type_]
            if not found:
                continue
            self._telemetry.reports_counted(type_, kind, *_sums(found))
            await self._tell(calendar, period, found, now)
        return bool(reporters)

    async def _tell(
        self, calendar: Calendar, period: str, found: Sequence[Tally], now: Instant
    ) -> None:
        """Have the counts sent up, once for each type and period."""
        type_ = found[0].report.type
        wanted = self._config.completeness.to_parent and self._registry.uplink is not None
        if not wanted or (type_, period) in self._told:
            return
        counts = await self._count(calendar, period, found, now)
        await self._record.instruct(count_order(counts, DAEMON, now))
        self._told.add((type_, period))

    async def _count(
        self, calendar: Calendar, period_text: str, found: Sequence[Tally], now: Instant
    ) -> Completeness:
        period = parse_period(period_text)
        assert period is not None, period_text
        between = (calendar.opens_at(period), calendar.closes_at(period))
        here = self._config.address
        missing = await missing_numbers(
            self._record, here, now, self._config.limits, under=here, between=between
        )
        expected, received, on_time = _sums(found)
        return Completeness(
            period=period_text,
            reports=found[0].report.type,
            under=here,
            due=format_instant(max(each.due for each in found)),
            counted=format_instant(now),
            expected=expected,
            received=received,
            on_time=on_time,
            missing=expected - received,
            gaps=unexplained(missing),
        )


def _periods_over(calendar: Calendar, now: Instant) -> dict[Counted, str]:
    """Return the newest period of each type whose deadlines are all over."""
    newest: dict[Counted, str] = {}
    for report in calendar.reports:
        text, key = calendar.last_due(report, now), (report.type, report.period)
        if text is not None:
            newest[key] = min(text, newest.get(key, text))  # texts of one kind sort by time
    return newest


def _sums(found: Sequence[Tally]) -> tuple[int, int, int]:
    """Return how many were expected, have come, and came in time."""
    return (
        sum(len(each.expected) for each in found),
        sum(len(each.came) for each in found),
        sum(len(each.on_time) for each in found),
    )
