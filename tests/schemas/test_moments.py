"""Moments: one wire form, whole microseconds within."""

from datetime import UTC, datetime
from typing import get_args

import msgspec
import pytest
from hypothesis import given

from harness.drafts import instants
from schemas.errors import FormatError
from schemas.moments import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    InstantText,
    as_datetime,
    format_instant,
    from_datetime,
    parse_instant,
)
from schemas.wire import check_moment

_decode = msgspec.json.Decoder(InstantText).decode


@given(instants)
def test_formatting_and_parsing_are_inverse(instant):
    """Every instant of the years 1 to 9999 comes back from its wire form."""
    assert parse_instant(format_instant(instant)) == instant


@given(instants)
def test_the_wire_form_fits_its_pattern(instant):
    """What is written is 27 characters that a reader takes."""
    text = format_instant(instant)
    assert len(text) == 27
    assert _decode(msgspec.json.encode(text)) == text


@given(instants, instants)
def test_wire_forms_sort_like_instants(one, other):
    """Moments compare as texts as they do as numbers."""
    assert (one < other) == (format_instant(one) < format_instant(other))


@given(instants)
def test_datetimes_keep_every_microsecond(instant):
    """An instant goes to a datetime and back without loss."""
    assert from_datetime(as_datetime(instant)) == instant


def test_the_epoch_is_zero():
    """Instants count from 1970, in UTC."""
    assert format_instant(0) == "1970-01-01T00:00:00.000000Z"
    assert as_datetime(0) == datetime(1970, 1, 1, tzinfo=UTC)


def test_units():
    """A day is 24 hours of 60 minutes of 60 seconds of a million microseconds."""
    assert (SECOND, MINUTE, HOUR, DAY) == (10**6, 60 * 10**6, 3600 * 10**6, 86400 * 10**6)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T03:32:06Z",
        "2026-11-23T03:32:06.000Z",
        "2026-11-23T03:32:06.000000+00:00",
        "2026-11-23 03:32:06.000000Z",
        "2026-11-23T03:32:06.000000z",
        "2026-11-23T03:32:06,000000Z",
        "2026-11-23T24:00:00.000000Z",
        "2026-11-23T03:32:06.000000Z\n",
        "２026-11-23T03:32:06.000000Z",
    ],
)
def test_other_forms_are_refused(text):
    """There is one form: six digits, Z, ASCII, no 24:00."""
    with pytest.raises(msgspec.ValidationError):
        _decode(msgspec.json.encode(text))


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-29T00:00:00.000000Z",
        "2026-13-01T00:00:00.000000Z",
        "2026-06-30T23:59:60.000000Z",
        "0000-01-01T00:00:00.000000Z",
        "2026-00-10T00:00:00.000000Z",
    ],
)
def test_a_moment_must_exist(text):
    """The form alone is not enough: days, leap seconds and the year 0 are looked up."""
    assert _decode(msgspec.json.encode(text)) == text
    with pytest.raises(FormatError, match="sent: no such moment"):
        check_moment("sent", text)


def test_the_pattern_is_a_json_schema_too():
    """The pattern has neither of the ends that only Python knows."""
    (meta,) = get_args(InstantText)[1:]
    assert not {r"\A", r"\Z"} & {meta.pattern[:2], meta.pattern[-2:]}
