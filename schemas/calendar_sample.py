"""A calendar of expected reports to begin with: its days are examples, of one school year.

Whoever uses it writes the days of the year's own orders into it, and the act that it rests on.
"""

import msgspec

from schemas.codes import Names, Section, Tier
from schemas.documents.periods import PeriodKind
from schemas.documents.registry import ATTENDANCE_DAILY, PERFORMANCE_PERIOD
from schemas.report_calendar import Calendar, Due, Report, Vacation

_FIVE_DAYS = (1, 2, 3, 4, 5)

SAMPLE = Calendar(
    format="bbaj-calendar/1",
    owner=Names(
        kk="Қазақстан Республикасының Оқу-ағарту министрлігі",
        ru="Министерство просвещения Республики Казахстан",
        en="Ministry of Education of the Republic of Kazakhstan",
    ),
    basis="sample, to be replaced: name the act and its number",
    utc_offset_min=300,
    week=_FIVE_DAYS,
    days_off=(
        "2026-10-26", "2026-12-16", "2027-01-01", "2027-01-04", "2027-01-07", "2027-03-08",
        "2027-03-22", "2027-03-23", "2027-03-24", "2027-05-03", "2027-05-07", "2027-05-10",
    ),
    vacations=(
        Vacation(first="2026-10-26", last="2026-11-01"),
        Vacation(first="2026-12-31", last="2027-01-10"),
        Vacation(first="2027-03-19", last="2027-03-29"),
        Vacation(first="2027-05-26", last="2027-08-31"),
    ),
    reports=(
        Report(
            type=ATTENDANCE_DAILY, section=Section.S15, period=PeriodKind.DAY, under="kz",
            tiers=(Tier.SCHOOL,), due=Due(working_days=1),
        ),
        Report(
            type=PERFORMANCE_PERIOD, section=Section.S15, period=PeriodKind.QUARTER, under="kz",
            tiers=(Tier.SCHOOL,), due=Due(working_days=5),
        ),
        Report(
            type=PERFORMANCE_PERIOD, section=Section.S15, period=PeriodKind.YEAR, under="kz",
            tiers=(Tier.SCHOOL,), due=Due(days=30),
        ),
    ),
)  # fmt: skip


def calendar_text(calendar: Calendar) -> bytes:
    """Return a calendar as a file has it."""
    return msgspec.json.format(msgspec.json.encode(calendar), indent=1) + b"\n"
