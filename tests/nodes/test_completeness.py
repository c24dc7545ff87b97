"""Which reports came: tallies and shares, over arrivals as a record gives them."""

import msgspec
import pytest

from nodes.completeness import shares, tallies
from schemas.calendar_sample import SAMPLE
from schemas.codes import Tier
from schemas.moments import DAY, parse_instant
from schemas.report_calendar import Due, Reporter

TYPE = "attendance.daily/1"
PERIOD = "2026-11-23"
DUE = parse_instant("2026-11-24T19:00:00.000000Z")
FIRST, SECOND, THIRD = (f"kz.akmola.{name}" for name in ("a.school-1", "a.school-2", "b.school-3"))
SCHOOLS = [Reporter(address=each, tier=Tier.SCHOOL) for each in (FIRST, SECOND, THIRD)]


class Came(dict):
    """Arrivals by type and period."""

    async def first_arrivals(self, type_, period):
        return self.get((type_, period), {})


async def count(arrivals, calendar=SAMPLE, period=PERIOD):
    return await tallies(calendar, period, SCHOOLS, Came({(TYPE, PERIOD): arrivals}))


async def test_who_came_late_and_who_did_not_come_are_named():
    """The moment of the deadline is in time, the next one late; a stranger's report counts not."""
    [tally] = await count({FIRST: DUE, SECOND: DUE + 1, "kz.abai.x.school-9": DUE})
    assert (tally.due, tally.on_time, tally.late, tally.missing) == (
        DUE, [FIRST], [SECOND], [THIRD],
    )  # fmt: skip


@pytest.mark.parametrize("period", ["2026-11-22", "2026-10-28"])
async def test_nothing_is_missing_where_nothing_is_expected(period):
    """A Sunday and a vacation have no tally at all."""
    assert await count({}, period=period) == []


async def test_regions_count_by_their_own_deadlines():
    """The same moment is late in one region and in time in the other."""
    daily = SAMPLE.reports[0]
    own = msgspec.structs.replace(daily, under="kz.akmola.b", due=Due(days=5))
    calendar = msgspec.structs.replace(SAMPLE, reports=(daily, own))
    at = DUE + DAY
    found = await count({FIRST: at, THIRD: at}, calendar)
    assert [(each.report.under, each.late, each.on_time) for each in found] == [
        ("kz", [FIRST], []),
        ("kz.akmola.b", [], [THIRD]),
    ]


async def test_every_subtree_has_its_share():
    """Counts add up from the districts to the republic."""
    found = await count({FIRST: DUE, SECOND: DUE + 1})
    assert [
        (share.address, share.expected, share.received, share.on_time)
        for share in shares(found, "kz")
    ] == [
        ("kz", 3, 2, 1),
        ("kz.akmola", 3, 2, 1),
        ("kz.akmola.a", 2, 2, 1),
        ("kz.akmola.b", 1, 0, 0),
    ]
    assert [share.address for share in shares(found, "kz.akmola.a")] == ["kz.akmola.a"]
