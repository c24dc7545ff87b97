"""Periods that documents report on: a day, a month, a quarter or a year that exists.

A quarter is one of the calendar. A school's own terms are numbered by the document that needs
them, because their dates are data of region and year.
"""

import re
from datetime import date, timedelta
from enum import StrEnum
from typing import Annotated

import msgspec

from schemas.patterns import whole

DAY_PATTERN = whole("[0-9]{4}-[0-9]{2}-[0-9]{2}")

Day = Annotated[str, msgspec.Meta(pattern=DAY_PATTERN, max_length=10)]

_PERIOD = re.compile(
    r"(?P<year>[0-9]{4})(?:-(?:Q(?P<quarter>[1-4])|(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2}))?))?",
    re.ASCII,
)


class PeriodKind(StrEnum):
    """How long a period is."""

    DAY = "day"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


FORMS: dict[PeriodKind, str] = {
    PeriodKind.DAY: "2026-11-23",
    PeriodKind.MONTH: "2026-11",
    PeriodKind.QUARTER: "2026-Q4",
    PeriodKind.YEAR: "2026",
}
"""An example of each form, for messages."""


class Period(msgspec.Struct, frozen=True, gc=False):
    """A period that exists: its kind, its first and its last day."""

    kind: PeriodKind
    first: date
    last: date


def parse_period(text: str) -> Period | None:
    """Return the period that `text` names, or None where it names none (30 February)."""
    match = _PERIOD.fullmatch(text)
    if match is None:
        return None
    year, quarter, month, day = (int(part) if part else None for part in match.groups())
    assert year is not None
    try:
        if day is not None and month is not None:
            only = date(year, month, day)
            return Period(PeriodKind.DAY, only, only)
        if month is not None:
            return Period(PeriodKind.MONTH, date(year, month, 1), _month_end(year, month))
        if quarter is not None:
            first = date(year, 3 * quarter - 2, 1)
            return Period(PeriodKind.QUARTER, first, _month_end(year, 3 * quarter))
        return Period(PeriodKind.YEAR, date(year, 1, 1), _month_end(year, 12))
    except ValueError:
        return None


def find_period_problem(text: str, allowed: tuple[PeriodKind, ...]) -> str | None:
    """Return why `text` is no period of the kinds allowed, or None."""
    forms = " or ".join(f"{kind} ({FORMS[kind]})" for kind in allowed)
    period = parse_period(text)
    if period is None:
        return f"{text!r} is not a period that exists; the type wants a {forms}"
    if period.kind not in allowed:
        return f"{text!r} is a {period.kind}; the type wants a {forms}"
    return None


def _month_end(year: int, month: int) -> date:
    if month == 12:
        return date(year, 12, 31)
    return date(year, month + 1, 1) - timedelta(days=1)


def texts_within(text: str) -> list[tuple[str, str]]:
    """Return the ranges [low, high) of texts, byte by byte, of a period and all periods in it.

    Behind `2026-11` come `2026-11-23` and nothing else that is a period; of a quarter the months.
    """
    period = parse_period(text)
    names = [text]
    if period is not None and period.kind is PeriodKind.QUARTER:
        names += [
            f"{text[:4]}-{month:02}" for month in range(period.first.month, period.last.month + 1)
        ]
    return [(name, f"{name}.") for name in names]
