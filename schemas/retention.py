"""How long payloads are kept: the policy, and the buckets that they lie in (protocol clause 22).

    {"version":1,"classes":[
      {"class":"R5","term":"P5Y","starts":"school-year-end","basis":"…","status":"proposed"},
      {"class":"PERM","term":"PERM","starts":"period-end","basis":"…","status":"proposed"}, …]}

A payload's bucket is named at its arrival, by the policy of that moment, and stays. When a bucket
is due follows from the policy that is in force when one asks.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Literal

import msgspec

from schemas.buckets import (
    BucketName,
    Month,
    first_moment,
    month_of_day,
    next_with_number,
    read_bucket,
)
from schemas.codes import RetentionClass, show
from schemas.documents.periods import parse_period
from schemas.errors import FormatError
from schemas.header import Count
from schemas.moments import DAY, Instant
from schemas.reasons import Reason
from schemas.wire import describe

POLICY_NAME = "retention.json"
"""What a version of the policy is called in the record and in its leaf."""
POLICY_BYTES_MAX = 64 * 1024
BASIS_CHARACTERS_MAX = 1000
TERM_YEARS_MAX = 500
PERIOD_DISTANCE_MONTHS = 120
"""A period that ends further from the arrival than this is not counted from: the term counts as if
there were none, so that nobody can have partitions made without end."""

PERMANENT = "PERM"
BASIS_TO_BE_APPROVED = "default, basis to be approved"
CLASSES = frozenset(each.value for each in RetentionClass)

_SCHOOL_YEAR_LAST_MONTH = 8
_TERM = re.compile(r"P(?:([0-9]{1,4})Y|([0-9]{1,5})M)", re.ASCII)


class Starts(StrEnum):
    """The month at whose end a term begins to count; without a period, that of the arrival."""

    PERIOD_END = "period-end"
    SCHOOL_YEAR_END = "school-year-end"
    """The 31 August that ends the school year in which the period ends."""
    CALENDAR_YEAR_END = "calendar-year-end"
    RECEIPT = "receipt"
    """The month of arrival, whatever the period."""


_STARTS = frozenset(each.value for each in Starts)


class ClassRule(msgspec.Struct, frozen=True, kw_only=True):
    """What the policy says of one class."""

    class_: str
    months: int | None
    """The term; None: for ever."""
    starts: Starts
    basis: str
    """Text that cites the act that the term rests on."""
    is_approved: bool
    """Only an approved term ever ends."""


class RetentionPolicy(msgspec.Struct, frozen=True):
    """One version of the policy: a rule for every class."""

    version: int
    classes: Mapping[str, ClassRule]


def bucket_of(policy: RetentionPolicy, class_: str, period: str | None, received: Instant) -> str:
    """Return the bucket of what arrives under a class that the policy has; of generation 1.

    `period` is as a header has it; one that does not exist, or is far away, does not count.
    """
    return _bucket_name(class_, policy.classes[class_].starts, period, received // DAY)


def rule_of(policy: RetentionPolicy, bucket: str) -> ClassRule | None:
    """Return the rule of a bucket's class; None where the name or the class is unknown."""
    name = read_bucket(bucket)
    return None if name is None else policy.classes.get(name.class_)


def ends_at(policy: RetentionPolicy, bucket: str) -> Instant | None:
    """Return when the term of a bucket ends, approved or not; None: never.

    It counts from the end of the month in the name, or from a later one that the start rule of
    today asks for: a bucket made under another rule is kept rather too long than too short.
    """
    name = read_bucket(bucket)
    rule = None if name is None else policy.classes.get(name.class_)
    if name is None or rule is None or rule.months is None:
        return None
    return first_moment(Month(_start_month(rule.starts, name.month) + 1 + rule.months))


def due_at(policy: RetentionPolicy, bucket: str) -> Instant | None:
    """Return from when on a bucket may be destroyed.

    None: never, because its class is permanent or unknown or its term is not approved.
    """
    rule = rule_of(policy, bucket)
    return ends_at(policy, bucket) if rule is not None and rule.is_approved else None


def buckets_ahead(policy: RetentionPolicy, now: Instant, months: int) -> list[str]:
    """Return the buckets that arrivals of this month and of `months` more need, in order.

    They are those of periods that end in these months. Others are made when they are needed.
    """
    this = month_of_day(now // DAY)
    names = {
        str(BucketName(rule.class_, _start_month(rule.starts, Month(month))))
        for rule in policy.classes.values()
        for month in range(this, this + months + 1)
    }
    return sorted(names)


# --- the policy as a file -----------------------------------------------------------------------


class _Entry(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={"class_": "class"},
):
    class_: str
    term: str
    starts: str
    basis: str = ""
    status: Literal["approved", "proposed"]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: Count
    classes: Annotated[list[_Entry], msgspec.Meta(max_length=100)]


def _default_rule(class_: str, term: str, starts: Starts) -> ClassRule:
    return ClassRule(
        class_=class_,
        months=_read_term(class_, term),
        starts=starts,
        basis=BASIS_TO_BE_APPROVED,
        is_approved=False,
    )


def encode_policy(policy: RetentionPolicy) -> bytes:
    """Return the policy as JSON in lines; `decode_policy` reads it."""
    entries = [
        _Entry(
            class_=rule.class_,
            term=term_text(rule.months),
            starts=rule.starts.value,
            basis=rule.basis,
            status="approved" if rule.is_approved else "proposed",
        )
        for rule in policy.classes.values()
    ]
    raw = msgspec.json.encode(_File(policy.version, entries))
    return msgspec.json.format(raw, indent=1) + b"\n"


def decode_policy(raw: bytes) -> RetentionPolicy:
    """Return the policy in JSON text: the one encoding, with any white space between its tokens.

    Raises FormatError, which names the first thing wrong: class and field, and what is allowed.
    """
    if len(raw) > POLICY_BYTES_MAX:
        raise _fault(f"{len(raw)} bytes, limit {POLICY_BYTES_MAX}")
    try:
        file = msgspec.json.decode(raw, type=_File)
        bare = msgspec.json.format(raw, indent=-1)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise _fault(describe(error)) from error
    rules = [_read_entry(entry) for entry in file.classes]
    _check_whole([rule.class_ for rule in rules])
    if msgspec.json.encode(file) != bare:
        raise _fault(
            "a key comes twice, or is in another order than version, classes;"
            " class, term, starts, basis, status; or a character is escaped without need"
        )
    return RetentionPolicy(file.version, {rule.class_: rule for rule in rules})


def term_text(months: int | None) -> str:
    """Return a term as the policy writes it: `P5Y`, `P18M` or `PERM`."""
    if months is None:
        return PERMANENT
    years, rest = divmod(months, 12)
    return f"P{months}M" if rest else f"P{years}Y"


def _read_entry(entry: _Entry) -> ClassRule:
    class_ = entry.class_
    if class_ not in CLASSES:
        raise _fault(
            f"class {show(class_)} is unknown; the classes are {', '.join(RetentionClass)}"
        )
    months = _read_term(class_, entry.term)
    if entry.starts not in _STARTS:
        raise _fault(f"{class_}: starts {show(entry.starts)}, expected {', '.join(Starts)}")
    _check_basis(entry)
    return ClassRule(
        class_=class_,
        months=months,
        starts=Starts(entry.starts),
        basis=entry.basis,
        is_approved=entry.status == "approved",
    )


def _read_term(class_: str, text: str) -> int | None:
    if text == PERMANENT:
        return None
    match = _TERM.fullmatch(text)
    if match is None:
        raise _fault(
            f"{class_}: term {show(text)}, expected years (P5Y), months (P18M) or {PERMANENT}"
        )
    months = 12 * int(match[1]) if match[1] else int(match[2])
    if months == 0:
        raise _fault(f"{class_}: term {text} keeps nothing; the shortest is P1M")
    if months > 12 * TERM_YEARS_MAX:
        raise _fault(f"{class_}: term {text} is over {TERM_YEARS_MAX} years; write {PERMANENT}")
    return months


def _check_basis(entry: _Entry) -> None:
    basis, class_ = entry.basis, entry.class_
    if not basis.strip():
        raise _fault(f"{class_}: no basis; cite the act that sets the term")
    if len(basis) > BASIS_CHARACTERS_MAX or not basis.isprintable():
        raise _fault(
            f"{class_}: basis of {len(basis)} characters; "
            f"at most {BASIS_CHARACTERS_MAX}, in one line of printable ones"
        )
    if entry.status == "approved" and basis == BASIS_TO_BE_APPROVED:
        raise _fault(f"{class_}: approved, but the basis says {basis!r}; cite the act")


def _check_whole(classes: list[str]) -> None:
    for class_ in RetentionClass:
        count = classes.count(class_)
        if count != 1:
            raise _fault(f"class {class_} is there {count} times; each has one entry")


def _fault(detail: str) -> FormatError:
    return FormatError(Reason.FORMAT_INVALID, f"{POLICY_NAME}: {detail}")


# --- months -------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _bucket_name(class_: str, starts: Starts, period: str | None, day: int) -> str:
    """Return a bucket's name; `day` counts from 1970. Cached: most arrivals share few names."""
    month = arrival = month_of_day(day)
    found = None if period is None or starts is Starts.RECEIPT else parse_period(period)
    if found is not None:
        last = 12 * found.last.year + found.last.month - 1
        if abs(last - arrival) <= PERIOD_DISTANCE_MONTHS:
            month = Month(last)
    return str(BucketName(class_, _start_month(starts, month)))


def _start_month(starts: Starts, month: Month) -> Month:
    """Return the month whose end a term counts from, of a period that ends in `month`.

    Doing it twice changes nothing.
    """
    match starts:
        case Starts.SCHOOL_YEAR_END:
            return next_with_number(_SCHOOL_YEAR_LAST_MONTH, month)
        case Starts.CALENDAR_YEAR_END:
            return next_with_number(12, month)
        case Starts.PERIOD_END | Starts.RECEIPT:
            return month


DEFAULT = RetentionPolicy(
    1,
    {
        rule.class_: rule
        for rule in (
            _default_rule("R1", "P1Y", Starts.PERIOD_END),
            _default_rule("R5", "P5Y", Starts.SCHOOL_YEAR_END),
            _default_rule("R10", "P10Y", Starts.PERIOD_END),
            _default_rule("R50", "P50Y", Starts.PERIOD_END),
            _default_rule("PERM", PERMANENT, Starts.PERIOD_END),
            _default_rule("QRN", "P1Y", Starts.RECEIPT),
        )
    },
)
"""What counts where a node's configuration names no policy: no term is approved, none ends."""
