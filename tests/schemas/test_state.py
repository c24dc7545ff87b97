"""The state of a node: what it may say, and what it has no room for."""

import json

import pytest

from nodes import samples
from schemas.answers import ARCHIVE_STATE
from schemas.documents.registry import find_faults


def changed(**changes) -> bytes:
    document = json.loads(samples.state("2026-11-23", 1)) | changes
    return json.dumps(
        {name: value for name, value in document.items() if value is not None}
    ).encode()


def test_what_is_not_known_is_left_out():
    """A node that knows neither its disk nor its parent's clock says nothing of them."""
    unknown = ("growth_bytes_a_day", "free_bytes", "days_left", "clock_offset_ms", "backup_age_h")
    assert find_faults(ARCHIVE_STATE, changed(**dict.fromkeys(unknown))) == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("period", "2026-11"),
        ("period", "2026-02-30"),
        ("leaves", -1),
        ("version", "0.1\u0007"),
        ("certificate_days", {"\n": 3}),
        ("certificate_days", {f"p{number}": 1 for number in range(17)}),
        ("hostname", "school-7.lan"),
        ("epoch", None),
    ],
)
def test_what_it_may_not_say_is_refused(field, value):
    """Wrong days, impossible counts, unknown fields: each is named."""
    [fault] = find_faults(ARCHIVE_STATE, changed(**{field: value}))
    assert field in f"{fault.field} {fault.problem}"
