"""Counting of reports: metrics at each look, and one order for each type and period."""

import msgspec
import pytest

from exchange.core.registry import KnownCard, Registry
from nodes.config import Completeness as CompletenessConfig
from nodes.config import Config, Database, Keys
from nodes.counting import ReportCounter
from nodes.errors import ConfigurationFault
from nodes.telemetry import Telemetry
from schemas.calendar_sample import SAMPLE, calendar_text
from schemas.cards import CardFacts
from schemas.codes import Tier
from schemas.documents.completeness import Completeness
from schemas.documents.registry import ARCHIVE_COMPLETENESS, check_document
from schemas.moments import DAY, format_instant, parse_instant
from schemas.records import SeqGap

HERE, SCHOOLS = "kz.akmola", [f"kz.akmola.school-{number}" for number in range(4)]
DUE = parse_instant("2026-11-24T19:00:00.000000Z")
DAILY = ("attendance.daily/1", "2026-11-23")


class Record:
    """A record in memory: what came, what is missing, and what the daemon is told."""

    def __init__(self):
        self.came = {DAILY: dict.fromkeys(SCHOOLS[:2], DUE) | {SCHOOLS[2]: DUE + 1}}
        self.told = []

    async def first_arrivals(self, type_, period):
        return self.came.get((type_, period), {})

    async def seq_gaps(self, recipient, **_):
        return [SeqGap(SCHOOLS[0], recipient, 1, 7, 9, DUE, 1, DUE, DUE - 3 * DAY, HERE)]

    async def refusals_of(self, *_):
        return []

    async def voids_of(self, _):
        return {}

    async def instruct(self, row):
        self.told.append(row)


def card(address, tier):
    facts = CardFacts(address=address, tier=tier, standing="active", since=format_instant(0))
    return KnownCard(facts, 1, b"", b"")


class Office:
    """A counter at an oblast with four schools."""

    def __init__(self, folder, *, text=None, to_parent=True):
        path = folder / "calendar.json"
        path.write_bytes(text or calendar_text(SAMPLE))
        config = Config(
            address=HERE,
            data=folder,
            keys=Keys(folder=folder, root=folder, authorities=folder, crls=folder),
            database=Database(url=""),
            completeness=CompletenessConfig(calendar=path, to_parent=to_parent),
        )
        self.record, self.now, self.telemetry = Record(), DUE, Telemetry(HERE)
        cards = [card(HERE, Tier.OBLAST), *(card(each, Tier.SCHOOL) for each in SCHOOLS)]
        self.registry = Registry(HERE, cards)
        self.counter = ReportCounter(
            config, self.record, self.registry, lambda: self.now, self.telemetry
        )

    def metric(self, name, type_="attendance.daily/1", period="day"):
        labels = {"type": type_, "period": period}
        return self.telemetry.registry.get_sample_value(f"bbaj_reports_{name}", labels)


async def test_the_metrics_show_the_last_period_that_is_over(tmp_path):
    """Expected, missing and on time; what comes later is counted at the next look."""
    office = Office(tmp_path)
    await office.counter.look()
    shown = [office.metric(name) for name in ("expected", "missing", "on_time_share")]
    assert shown == [4, 1, 0.5]
    office.record.came[DAILY][SCHOOLS[3]] = DUE + DAY
    await office.counter.look()
    assert (office.metric("missing"), office.metric("on_time_share")) == (0, 0.5)


async def test_counts_are_told_once_for_each_type_and_period(tmp_path):
    """The document adds up, and counts the numbers that nothing explains."""
    office = Office(tmp_path)
    for _ in range(3):
        await office.counter.look()
    daily = [row for row in office.record.told if DAILY[0] in row.id]
    assert [row.id for row in daily] == ["count-attendance.daily/1-2026-11-23"]
    counts = msgspec.json.decode(daily[0].content, type=Completeness)
    check_document(ARCHIVE_COMPLETENESS, daily[0].content)
    assert (counts.expected, counts.received, counts.on_time, counts.gaps) == (4, 3, 2, 3)
    again = Office(tmp_path)  # a restart: the same name, which the record takes once
    await again.counter.look()
    assert {row.id for row in again.record.told} == {row.id for row in office.record.told}


async def test_nothing_is_told_where_it_is_off(tmp_path):
    """Counts go to the parent by configuration alone."""
    office = Office(tmp_path, to_parent=False)
    assert await office.counter.look()
    assert office.record.told == []


async def test_a_calendar_that_cannot_be_used_is_named(tmp_path):
    """The fault says in which file, and what is wrong."""
    office = Office(tmp_path, text=b'{"format":"other"}')
    with pytest.raises(ConfigurationFault, match=r"completeness\.calendar: calendar\.json"):
        await office.counter.look()
