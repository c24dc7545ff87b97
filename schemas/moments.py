"""Instants: whole microseconds since 1970 in code, `2026-11-23T03:32:06.000000Z` on the wire."""

from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Annotated

import msgspec

from schemas.patterns import whole

Instant = int

INSTANT_PATTERN = whole(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}\.[0-9]{6}Z"
)
InstantText = Annotated[str, msgspec.Meta(pattern=INSTANT_PATTERN)]

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

LOCAL = timezone(timedelta(hours=5))
"""The republic's one time zone."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@lru_cache(64)
def format_instant(instant: Instant) -> str:
    """Return the one wire form: six digits and Z. A group of packets has one moment, kept here."""
    moment = _EPOCH + timedelta(microseconds=instant)
    return moment.isoformat(timespec="microseconds")[:26] + "Z"


@lru_cache(4096)
def parse_instant(text: str) -> Instant:
    """Return the instant of a wire form. Raises ValueError where no such moment exists.

    A header's moment is asked for where it is judged and where it is kept.
    """
    return (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND


def as_datetime(instant: Instant) -> datetime:
    """Return an aware datetime in UTC, for libraries that want one."""
    return _EPOCH + timedelta(microseconds=instant)


def from_datetime(moment: datetime) -> Instant:
    """Return the instant of an aware datetime."""
    return (moment - _EPOCH) // _MICROSECOND
