"""Which reports of a period have come, and of whom they have not (docs/protocol.md 24.5)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from exchange.core.registry import Registry
from schemas.addresses import is_within, parent_of
from schemas.documents.periods import Period, parse_period
from schemas.moments import Instant, parse_instant
from schemas.report_calendar import Calendar, Report, Reporter, assign


class Arrivals(Protocol):
    """Who knows what came: the record."""

    async def first_arrivals(self, type_: str, period: str) -> dict[str, Instant]:
        """Return when the first packet of a type and period came of each sender."""


class Tally(msgspec.Struct, frozen=True):
    """One report of one period: of whom it was expected, and what became of it."""

    report: Report
    due: Instant
    expected: Sequence[Reporter]
    came: Mapping[str, Instant]
    """When the first one of each of these came."""

    @property
    def on_time(self) -> list[str]:
        """Who sent it so that it was here by the deadline."""
        return [who for who, at in self.came.items() if at <= self.due]

    @property
    def late(self) -> list[str]:
        """Whose came after it."""
        return [who for who, at in self.came.items() if at > self.due]

    @property
    def missing(self) -> list[str]:
        """Whose has not come; before the deadline nobody is late yet."""
        return [who.address for who in self.expected if who.address not in self.came]


class Share(msgspec.Struct, frozen=True):
    """How much of what was expected at or below an address came."""

    address: str
    expected: int
    received: int
    on_time: int


def reporters_below(registry: Registry, here: str) -> list[Reporter]:
    """Return the nodes below this one, by their cards."""
    return [
        Reporter(
            address=facts.address,
            tier=facts.tier,
            kato=None if facts.kato is None else facts.kato.code,
            closed=parse_instant(facts.since) if facts.standing == "closed" else None,
        )
        for facts in sorted(
            (card.facts for card in registry.cards()), key=lambda facts: facts.address
        )
        if facts.address != here and registry.is_below(facts.address, here)
    ]


async def tallies(
    calendar: Calendar, period_text: str, reporters: Sequence[Reporter], record: Arrivals
) -> list[Tally]:
    """Return a tally for each rule that expects something for a period."""
    period = parse_period(period_text)
    assert period is not None, period_text
    found, arrivals = [], {}
    for report, expected in assign(calendar, period, reporters):
        if report.type not in arrivals:
            arrivals[report.type] = await record.first_arrivals(report.type, period_text)
        found.append(_tally(calendar, report, period, expected, arrivals[report.type]))
    return [each for each in found if each.expected]


def _tally(
    calendar: Calendar,
    report: Report,
    period: Period,
    expected: Sequence[Reporter],
    arrivals: Mapping[str, Instant],
) -> Tally:
    came = {who.address: arrivals[who.address] for who in expected if who.address in arrivals}
    return Tally(report, calendar.due_at(report, period), expected, came)


def shares(found: Iterable[Tally], here: str) -> list[Share]:
    """Return the shares of every subtree that something was expected of, the largest first."""
    counts: dict[str, list[int]] = {}
    for tally in found:
        on_time = set(tally.on_time)
        for who in tally.expected:
            for address in _within(who.address, here):
                count = counts.setdefault(address, [0, 0, 0])
                count[0] += 1
                count[1] += who.address in tally.came
                count[2] += who.address in on_time
    named = [Share(address, *count) for address, count in counts.items()]
    return sorted(named, key=lambda share: (share.address.count("."), share.address))


def _within(address: str, here: str) -> Iterable[str]:
    """Go from the node above an address up to this one, by name."""
    at = parent_of(address)
    while at is not None and is_within(at, here):
        yield at
        at = parent_of(at)
