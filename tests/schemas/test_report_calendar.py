"""The calendar of expected reports: its deadlines, whom it expects them of, and what it refuses."""

import json
from datetime import date

import msgspec
import pytest

from schemas.calendar_sample import SAMPLE, calendar_text
from schemas.codes import Tier
from schemas.documents.periods import PeriodKind, parse_period
from schemas.errors import FormatError
from schemas.moments import format_instant, parse_instant
from schemas.report_calendar import Due, Reporter, assign, decode_calendar

DAILY, QUARTERLY, YEARLY = SAMPLE.reports


def at(text):
    return parse_instant(f"{text}:00.000000Z")


def due(report, period):
    return format_instant(SAMPLE.due_at(report, parse_period(period)))[:16]


def changed(**changes):
    return json.dumps(json.loads(calendar_text(SAMPLE)) | changes).encode()


# ------------------------------------------------------------------ days and deadlines


@pytest.mark.parametrize(
    ("report", "period", "deadline"),
    [
        (DAILY, "2026-11-23", "2026-11-24T19:00"),  # midnight in Kazakhstan is 19:00 UTC
        (DAILY, "2026-11-27", "2026-11-30T19:00"),  # Friday: over the weekend
        (DAILY, "2026-12-15", "2026-12-17T19:00"),  # a holiday between
        (QUARTERLY, "2026-Q4", "2027-01-12T19:00"),  # three days off among them
        (YEARLY, "2026", "2027-01-30T19:00"),
    ],
)
def test_a_deadline_is_the_end_of_a_local_day(report, period, deadline):
    """Working days leave out weekends and days off; the day ends at local midnight."""
    assert due(report, period) == deadline


@pytest.mark.parametrize(
    ("day", "is_expected"),
    [
        ("2026-11-23", True),
        ("2026-11-22", False),  # Sunday
        ("2026-12-16", False),  # a day off
        ("2026-10-28", False),  # vacation
        ("2027-01-11", True),
    ],
)
def test_no_attendance_is_expected_where_there_is_no_school(day, is_expected):
    """Weekends, days off and vacations have nothing to report."""
    assert SAMPLE.is_expected(DAILY, parse_period(day)) == is_expected


def test_a_weekend_day_that_is_worked_counts():
    """Governments move days: such a Saturday has attendance, and ends terms."""
    calendar = msgspec.structs.replace(SAMPLE, work_days=("2026-11-28",))
    saturday = parse_period("2026-11-28")
    assert calendar.is_expected(DAILY, saturday)
    friday = calendar.due_at(DAILY, parse_period("2026-11-27"))
    assert format_instant(friday)[:16] == "2026-11-28T19:00"


@pytest.mark.parametrize(
    ("report", "now", "period"),
    [
        (DAILY, "2026-11-24T18:59", "2026-11-20"),
        (DAILY, "2026-11-24T19:00", "2026-11-23"),
        (DAILY, "2026-11-01T12:00", "2026-10-23"),  # then came a vacation
        (QUARTERLY, "2026-11-24T12:00", "2026-Q3"),
    ],
)
def test_the_last_period_due_skips_what_is_not_expected(report, now, period):
    """It is the newest one with something to report whose deadline is over."""
    assert SAMPLE.last_due(report, at(now)) == period


# ------------------------------------------------------------------ of whom


SCHOOLS = [
    Reporter(address="kz.akmola", tier=Tier.OBLAST),
    Reporter(address="kz.akmola.a.school-1", tier=Tier.SCHOOL),
    Reporter(address="kz.akmola.b.school-2", tier=Tier.SCHOOL),
    Reporter(address="kz.abai.c.school-3", tier=Tier.SCHOOL, closed=at("2026-09-30T00:00")),
    Reporter(address="kz.abai.c.school-4", tier=Tier.SCHOOL, closed=at("2026-12-01T00:00")),
]


def assigned(calendar, period):
    found = assign(calendar, parse_period(period), SCHOOLS)
    return {(rule.type, rule.under): [who.address for who in whos] for rule, whos in found}


def test_a_report_is_expected_of_its_tiers_that_were_not_closed():
    """What was closed before the period began owes nothing for it; what closed later does."""
    assert assigned(SAMPLE, "2026-11-23") == {
        ("attendance.daily/1", "kz"): [
            "kz.akmola.a.school-1", "kz.akmola.b.school-2", "kz.abai.c.school-4",
        ],
    }  # fmt: skip


def test_a_region_may_have_a_deadline_of_its_own():
    """Of two rules for one type the one for the smaller subtree counts."""
    own = msgspec.structs.replace(DAILY, under="kz.akmola", due=Due(days=3))
    calendar = msgspec.structs.replace(SAMPLE, reports=(DAILY, own))
    assert assigned(calendar, "2026-11-23") == {
        ("attendance.daily/1", "kz"): ["kz.abai.c.school-4"],
        ("attendance.daily/1", "kz.akmola"): ["kz.akmola.a.school-1", "kz.akmola.b.school-2"],
    }


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({"only": ("kz.akmola.a.school-1",)}, ["kz.akmola.a.school-1"]),
        ({"except_": ("kz.akmola.a.school-1", "kz.abai.c.school-4")}, ["kz.akmola.b.school-2"]),
    ],
)
def test_a_list_names_who_reports(changes, left):
    """A rule may be for a list, or leave some out."""
    rule = msgspec.structs.replace(DAILY, **changes)
    calendar = msgspec.structs.replace(SAMPLE, reports=(rule,))
    assert list(assigned(calendar, "2026-11-23").values()) == [left]


# ------------------------------------------------------------------ the file


def test_the_sample_is_a_calendar():
    """What the program prints to begin with is what it reads."""
    assert decode_calendar(calendar_text(SAMPLE)) == SAMPLE


RULE = json.loads(calendar_text(SAMPLE))["reports"][0]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"{", "calendar.json: Input data was truncated"),
        (changed(format="other/1"), "Expected `str` matching regex"),
        (changed(more=1), "unknown field `more`"),
        (changed(basis=""), "$.basis"),
        (changed(week=[]), "week: no working day"),
        (changed(days_off=["2026-02-30"]), "days_off: there is no 2026-02-30"),
        (changed(vacations=[{"first": "2026-11-02", "last": "2026-11-01"}]), "lies before"),
        (changed(reports=[RULE, RULE]), "attendance.daily/1 per day under kz twice"),
        (changed(reports=[RULE | {"type": "other/1"}]), "reports[0].type: other/1 is no type"),
        (changed(reports=[RULE | {"section": "S01"}]), "belongs to S15"),
        (changed(reports=[RULE | {"period": "year"}]), "attendance.daily/1 has day"),
        (changed(reports=[RULE | {"due": {}}]), "give working_days or days"),
        (changed(reports=[RULE | {"only": ["uz.a"]}]), "uz.a is not under kz"),
        (b" " * 300_000, "limit 262144"),
    ],
)
def test_a_calendar_that_cannot_be_used_says_where(raw, said):
    """The first thing wrong is named, with its place."""
    with pytest.raises(FormatError) as caught:
        decode_calendar(raw)
    assert said in caught.value.detail


@pytest.mark.parametrize("kind", PeriodKind)
def test_every_kind_of_period_has_a_last_one(kind):
    """Whatever is expected, some period of it is over by now."""
    rule = msgspec.structs.replace(DAILY, period=kind, in_vacations=True)
    text = SAMPLE.last_due(rule, at("2026-11-24T12:00"))
    assert parse_period(text).kind == kind
    assert parse_period(text).last < date(2026, 11, 24)
