"""Names of buckets: one bucket is one partition of payloads and one key (protocol clause 22).

`R5-2027-08` has the payloads of class R5 whose term begins to count when August 2027 ends;
`R5-2027-08-h1` is the first hold partition beside it, and `R5-2027-08-2` takes what comes when
`R5-2027-08` was closed, because it was to be destroyed. Nobody else reads these names.
"""

import re
from typing import NewType

import msgspec

from schemas.moments import DAY, Instant, as_datetime, parse_instant

Month = NewType("Month", int)
"""Months since the year 0: 12 * year + month - 1."""

_BUCKET = re.compile(
    r"(?P<class>[A-Z][A-Z0-9]{0,7})-(?P<year>[12][0-9]{3})-(?P<month>0[1-9]|1[0-2])"
    r"(?:-(?P<generation>[2-9]|[1-9][0-9]{1,3}))?(?:-h(?P<hold>[1-9][0-9]{0,3}))?",
    re.ASCII,
)


class BucketName(msgspec.Struct, frozen=True):
    """What the name of a bucket says."""

    class_: str
    month: Month
    """The term counts from the end of this month."""
    generation: int = 1
    """2 and more where those before were closed, because they were to be destroyed."""
    hold: int | None = None
    """The number of a hold partition beside the bucket; None for the bucket itself."""

    def __str__(self) -> str:
        """Return the name."""
        year, month = divmod(self.month, 12)
        hold = "" if self.hold is None else f"-h{self.hold}"
        generation = "" if self.generation == 1 else f"-{self.generation}"
        return f"{self.class_}-{year:04}-{month + 1:02}{generation}{hold}"


def read_bucket(name: str) -> BucketName | None:
    """Return what a bucket's name says; None where it is no bucket's name."""
    match = _BUCKET.fullmatch(name)
    if match is None:
        return None
    hold, generation = match["hold"], match["generation"]
    month = Month(12 * int(match["year"]) + int(match["month"]) - 1)
    return BucketName(
        match["class"], month, int(generation or 1), None if hold is None else int(hold)
    )


def is_of_class(bucket: str, class_: str) -> bool:
    """Say whether a bucket is one of a class; a frame that was held lies in one of QRN as well."""
    return bucket.startswith(f"{class_}-")


def next_generation(bucket: str) -> str:
    """Return the bucket that takes what would have gone into `bucket`, which is closed."""
    name = _read_known(bucket)
    return str(msgspec.structs.replace(name, generation=name.generation + 1, hold=None))


def hold_bucket(bucket: str, number: int) -> str:
    """Return the name of the hold partition with that number (1 to 9999) beside a bucket."""
    return str(msgspec.structs.replace(_read_known(bucket), hold=number))


def next_with_number(month_of_year: int, month: Month) -> Month:
    """Return the first month from `month` on that has that number in its year."""
    return Month(month + (month_of_year - 1 - month) % 12)


def month_of_day(day: int) -> Month:
    """Return the month, in UTC, of a day that is counted from 1970."""
    moment = as_datetime(day * DAY)
    return Month(12 * moment.year + moment.month - 1)


def first_moment(month: Month) -> Instant:
    """Return the first microsecond of a month, in UTC."""
    year, rest = divmod(month, 12)
    return parse_instant(f"{year:04}-{rest + 1:02}-01T00:00:00.000000Z")


def _read_known(bucket: str) -> BucketName:
    name = read_bucket(bucket)
    assert name is not None, f"{bucket!r} is no bucket name"
    return name
