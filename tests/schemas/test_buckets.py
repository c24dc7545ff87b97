"""Names of buckets: read back as written, and nothing else is one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.buckets import BucketName, Month, hold_bucket, next_generation, read_bucket
from schemas.codes import RetentionClass

NAMES = st.builds(
    BucketName,
    st.sampled_from([each.value for each in RetentionClass]),
    st.integers(12 * 1970, 12 * 2999 + 11).map(Month),
    st.integers(1, 9999),
    st.none() | st.integers(1, 9999),
)


@given(NAMES)
def test_a_name_is_read_back_as_written(name):
    """Class, month, generation and hold."""
    assert read_bucket(str(name)) == name


def test_names_look_like_this():
    """A bucket, its next generation, and the hold partition beside each."""
    assert next_generation("R5-2027-08") == "R5-2027-08-2"
    assert next_generation("R5-2027-08-9") == "R5-2027-08-10"
    assert hold_bucket("R5-2027-08", 1) == "R5-2027-08-h1"
    assert hold_bucket("R5-2027-08-2", 3) == "R5-2027-08-2-h3"
    assert next_generation("R5-2027-08-h1") == "R5-2027-08-2"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "R5",
        "R5-2027",
        "R5-2027-13",
        "R5-2027-00",
        "r5-2027-08",
        "R5-2027-08-",
        "R5-2027-08-1",
        "R5-2027-08-01",
        "R5-2027-08-h",
        "R5-2027-08-h1-2",
        "R5-٢٠٢٧-08",
        "R5-2027-08\n",
    ],
)
def test_anything_else_is_no_name(name):
    """Two names never mean the same bucket."""
    assert read_bucket(name) is None
