"""How long a time-stamp holds up by itself, and what its operator is told in time."""

import hashlib

import pytest

from nodes.clock import now
from nodes.sandbox.timestamp_authority import TimestampAuthority
from nodes.stamp_terms import term_of, what_is_due
from schemas.moments import DAY
from schemas.records import TimestampRow
from signing.algorithms import DEFAULT, AlgorithmPolicy
from signing.timestamps import build_request, read_response

LIFE = 300 * DAY


@pytest.fixture(scope="module")
def began():
    return now() // DAY * DAY


@pytest.fixture(scope="module")
def row(tmp_path_factory, began):
    authority = TimestampAuthority(
        tmp_path_factory.mktemp("tsa"), "national", since=began, life_us=LIFE
    )
    token = read_response(authority.answer(build_request(b"note").der))
    return TimestampRow(hashlib.sha256(token).digest(), "national", 7, "note", began, began, token)


def test_it_holds_until_its_certificate_ends(row, began):
    """Two thirds of that life are time enough to find a successor."""
    term = term_of(row, DEFAULT)
    assert (term.ends, term.why) == (began + LIFE, "certificate")
    assert term.renew_from == began + 200 * DAY
    assert what_is_due(term, began + 199 * DAY) is None
    assert "two thirds" in what_is_due(term, began + 200 * DAY).said
    assert "has ended" in what_is_due(term, began + LIFE).said


def test_an_algorithm_that_ends_earlier_is_named(row, began):
    """Its authority must be another one by then, whatever its certificate says."""
    ends = {**DEFAULT.ends, "ecdsa-p256-sha256": began + 100 * DAY}
    term = term_of(row, AlgorithmPolicy(ends))
    assert (term.ends, term.why) == (began + 100 * DAY, "ecdsa-p256-sha256")
    assert "the policy ends ecdsa-p256-sha256" in what_is_due(term, began).said
    assert "ecdsa-p256-sha256 has ended" in what_is_due(term, began + 100 * DAY).said


def test_what_cannot_be_read_has_no_term(row):
    """A token that is damaged in the record is for `store verify` to find."""
    damaged = TimestampRow(row.sha256, row.authority, 7, "note", 0, 0, b"\x30\x00")
    assert term_of(damaged, DEFAULT).why == "unreadable"
