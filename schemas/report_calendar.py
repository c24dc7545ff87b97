"""Which reports are expected from whom, and by when: a policy file (docs/protocol.md 24.5).

    {"format":"bbaj-calendar/1","owner":{"kk":"…","ru":"…","en":"…"},"basis":"…",
     "utc_offset_min":300,"week":[1,2,3,4,5],"days_off":["2026-12-16"],"work_days":[],
     "vacations":[{"first":"2026-10-26","last":"2026-11-01"}],
     "reports":[{"type":"attendance.daily/1","section":"S15","period":"day","under":"kz",
                 "tiers":["school"],"due":{"working_days":1}}]}

All days are those of the one local time that the file names.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Annotated

import msgspec

from schemas.addresses import Address, is_within
from schemas.codes import Names, Section, Tier
from schemas.documents.periods import FORMS, Day, Period, PeriodKind, parse_period
from schemas.documents.registry import TYPES, PacketType
from schemas.errors import FormatError
from schemas.header import TypeName
from schemas.moments import DAY, MINUTE, Instant
from schemas.reasons import Reason
from schemas.wire import describe

CALENDAR_NAME = "calendar.json"
"""What a version of it is called in the record and in its leaf."""
CALENDAR_BYTES_MAX = 256 * 1024
DUE_DAYS_MAX = 366
LOOKED_BACK_DAYS = 800
"""The last period that is over by its deadline is looked for so far back."""
_FIRST_DAY = date(1970, 1, 1)


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


_Days = Annotated[int, msgspec.Meta(ge=0, le=DUE_DAYS_MAX)]


class Due(_Strict, frozen=True, kw_only=True):
    """So many days after the last day of the period, by the end of the day; one of the two."""

    working_days: _Days | None = None
    days: _Days | None = None


class Vacation(_Strict, frozen=True, kw_only=True):
    """Days without school, the first and the last one included."""

    first: Day
    last: Day


class Report(_Strict, frozen=True, kw_only=True):
    """One kind of report: what, from whom, by when."""

    type: TypeName
    section: Section
    period: PeriodKind
    due: Due
    under: Address
    """Of those at or below here."""
    tiers: tuple[Tier, ...] = ()
    """Of these tiers; empty: of all."""
    only: tuple[Address, ...] = ()
    """These alone; empty: all."""
    except_: tuple[Address, ...] = msgspec.field(default=(), name="except")
    in_vacations: bool = False
    """Of a daily report: whether it is expected while there is no school."""


class Calendar(_Strict, frozen=True, kw_only=True):
    """One version of the policy."""

    format: Annotated[str, msgspec.Meta(pattern=r"^bbaj-calendar/1\Z")]
    owner: Names
    """Whom the archive of these reports belongs to."""
    basis: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
    """The act that it rests on."""
    utc_offset_min: Annotated[int, msgspec.Meta(ge=-720, le=840)]
    week: tuple[Annotated[int, msgspec.Meta(ge=1, le=7)], ...]
    """Working days of a week, Monday is 1."""
    days_off: tuple[Day, ...] = ()
    work_days: tuple[Day, ...] = ()
    """Days of the weekend that are worked, as the government moves them."""
    vacations: tuple[Vacation, ...] = ()
    reports: tuple[Report, ...]

    def is_working_day(self, day: date) -> bool:
        """Say whether offices and schools work on a day."""
        if str(day) in self.work_days:
            return True
        return day.isoweekday() in self.week and str(day) not in self.days_off

    def is_expected(self, report: Report, period: Period) -> bool:
        """Say whether there is anything to report for a period: no attendance on a day off."""
        if report.period != PeriodKind.DAY:
            return True
        if not self.is_working_day(period.first):
            return False
        day = str(period.first)
        return report.in_vacations or not any(v.first <= day <= v.last for v in self.vacations)

    def due_at(self, report: Report, period: Period) -> Instant:
        """Return the moment after which a report is late: the end of the day that it is due on."""
        day, left = period.last, report.due.working_days or 0
        if report.due.days is not None:
            day += timedelta(days=report.due.days)
        for _ in range(_working_span(left)):
            if not left:
                break
            day += timedelta(days=1)
            left -= self.is_working_day(day)
        return self._midnight(day + timedelta(days=1))

    def opens_at(self, period: Period) -> Instant:
        """Return when a period begins."""
        return self._midnight(period.first)

    def closes_at(self, period: Period) -> Instant:
        """Return when a period ends."""
        return self._midnight(period.last + timedelta(days=1))

    def last_due(self, report: Report, now: Instant) -> str | None:
        """Return the newest period whose report is due by now; None where none is in sight."""
        today = _FIRST_DAY + timedelta(days=(now + self.utc_offset_min * MINUTE) // DAY)
        for text in _periods_back(report.period, today):
            period = parse_period(text)
            assert period is not None, text
            if self.is_expected(report, period) and self.due_at(report, period) <= now:
                return text
        return None

    def _midnight(self, day: date) -> Instant:
        return (day - _FIRST_DAY).days * DAY - self.utc_offset_min * MINUTE


class Reporter(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A node that may have to report, as its card says."""

    address: str
    tier: Tier
    kato: str | None = None
    closed: Instant | None = None
    """Since when it is closed."""


def assign(
    calendar: Calendar, period: Period, reporters: Sequence[Reporter]
) -> list[tuple[Report, list[Reporter]]]:
    """Return which reports for a period are expected of whom.

    Of two rules for one type that fit a node, the one for the smaller subtree counts.
    """
    rules = [
        report
        for report in calendar.reports
        if report.period == period.kind and calendar.is_expected(report, period)
    ]
    opens = calendar.opens_at(period)
    chosen: list[tuple[Report, list[Reporter]]] = [(rule, []) for rule in rules]
    for reporter in reporters:
        if reporter.closed is not None and reporter.closed <= opens:
            continue
        for rule, who in chosen:
            if _fits(rule, reporter) and not _is_overruled(rule, reporter, rules):
                who.append(reporter)
    return chosen


def decode_calendar(raw: bytes, types: Mapping[str, PacketType] = TYPES) -> Calendar:
    """Return the calendar in JSON text. Raises FormatError, which names the first thing wrong."""
    if len(raw) > CALENDAR_BYTES_MAX:
        raise _fault(f"{len(raw)} bytes, limit {CALENDAR_BYTES_MAX}")
    try:
        calendar = msgspec.json.decode(raw, type=Calendar)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise _fault(describe(error)) from error
    for problem in _problems(calendar, types):
        raise _fault(problem)
    return calendar


def _problems(calendar: Calendar, types: Mapping[str, PacketType]) -> Iterator[str]:
    if not calendar.week:
        yield "week: no working day"
    for name in ("days_off", "work_days"):
        yield from _day_problems(name, getattr(calendar, name))
    for index, vacation in enumerate(calendar.vacations):
        yield from _day_problems(f"vacations[{index}]", (vacation.first, vacation.last))
        if vacation.first > vacation.last:
            yield f"vacations[{index}]: {vacation.last} lies before {vacation.first}"
    seen: set[tuple[str, str, str]] = set()
    for index, report in enumerate(calendar.reports):
        yield from (f"reports[{index}].{each}" for each in _report_problems(report, types))
        key = (report.type, report.period, report.under)
        if key in seen:
            yield f"reports[{index}]: {report.type} per {report.period} under {report.under} twice"
        seen.add(key)


def _report_problems(report: Report, types: Mapping[str, PacketType]) -> Iterator[str]:
    packet_type = types.get(report.type)
    if packet_type is None:
        yield f"type: {report.type} is no type of this node"
        return
    if report.section not in packet_type.sections:
        yield f"section: {report.type} belongs to {', '.join(packet_type.sections)}"
    if report.period not in packet_type.periods:
        known = ", ".join(packet_type.periods) or "none"
        yield f"period: {report.type} has {known}, as {FORMS[report.period]} is not"
    if (report.due.working_days is None) == (report.due.days is None):
        yield "due: give working_days or days, one of them"
    for name, addresses in (("only", report.only), ("except", report.except_)):
        for address in addresses:
            if not is_within(address, report.under):
                yield f"{name}: {address} is not under {report.under}"


def _day_problems(name: str, days: Iterable[str]) -> Iterator[str]:
    for day in days:
        if parse_period(day) is None:
            yield f"{name}: there is no {day}"


def _fits(rule: Report, reporter: Reporter) -> bool:
    return (
        is_within(reporter.address, rule.under)
        and (not rule.tiers or reporter.tier in rule.tiers)
        and (not rule.only or reporter.address in rule.only)
        and reporter.address not in rule.except_
    )


def _is_overruled(rule: Report, reporter: Reporter, rules: Iterable[Report]) -> bool:
    return any(
        other.type == rule.type
        and len(other.under) > len(rule.under)
        and is_within(reporter.address, other.under)
        for other in rules
    )


def _working_span(days: int) -> int:
    """Return within how many days so many working days are looked for."""
    return 7 * days + DUE_DAYS_MAX


def _periods_back(kind: PeriodKind, today: date) -> Iterator[str]:
    """Go back from the period of a day."""
    before = ""
    for back in range(LOOKED_BACK_DAYS):
        day = today - timedelta(days=back)
        text = {
            PeriodKind.DAY: str(day),
            PeriodKind.MONTH: str(day)[:7],
            PeriodKind.QUARTER: f"{day.year:04}-Q{(day.month + 2) // 3}",
            PeriodKind.YEAR: f"{day.year:04}",
        }[kind]
        if text != before:
            yield text
        before = text


def _fault(detail: str) -> FormatError:
    return FormatError(Reason.FORMAT_INVALID, f"{CALENDAR_NAME}: {detail}")
