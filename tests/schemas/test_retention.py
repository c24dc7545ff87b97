"""The retention policy: where a payload lies, when its term ends, and which files are refused."""

import json
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.buckets import hold_bucket, next_generation, read_bucket
from schemas.codes import RetentionClass
from schemas.errors import FormatError
from schemas.moments import format_instant, parse_instant
from schemas.retention import (
    DEFAULT,
    POLICY_BYTES_MAX,
    RetentionPolicy,
    Starts,
    bucket_of,
    buckets_ahead,
    decode_policy,
    due_at,
    encode_policy,
    ends_at,
    rule_of,
    term_text,
)

PROTOCOL = Path(__file__).parents[2] / "docs" / "protocol.md"
NOVEMBER = parse_instant("2026-11-23T03:32:06.000000Z")
CLASSES = [each.value for each in RetentionClass]


def policy_with(class_: str, **changes: object) -> RetentionPolicy:
    """Return the built-in policy, with other words for one class."""
    rule = msgspec.structs.replace(DEFAULT.classes[class_], **changes)
    return RetentionPolicy(2, {**DEFAULT.classes, class_: rule})


def entries(**changes: object) -> bytes:
    """Return the file of the built-in policy, with other fields in the entry of R5."""
    file = json.loads(encode_policy(DEFAULT))
    entry = file["classes"][1]
    assert entry["class"] == "R5"
    entry.update(changes)
    for key in [key for key, value in entry.items() if value is None]:
        del entry[key]
    return json.dumps(file, ensure_ascii=False).encode()


APPROVED = {
    each: policy_with(each, is_approved=True, basis="order 1 of 2027").classes[each]
    for each in CLASSES
}
ALL_APPROVED = RetentionPolicy(2, APPROVED)


# --- buckets --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("class_", "period", "bucket"),
    [
        ("R5", "2026-11-23", "R5-2027-08"),
        ("R5", "2026-08-31", "R5-2026-08"),
        ("R5", "2026-09-01", "R5-2027-08"),
        ("R5", "2026-Q4", "R5-2027-08"),
        ("R5", "2025", "R5-2026-08"),
        ("R5", "2027-08-31", "R5-2027-08"),
        ("R5", "2027-Q3", "R5-2028-08"),
        ("R5", None, "R5-2027-08"),
        ("R10", "2026-11-23", "R10-2026-11"),
        ("R10", "2026", "R10-2026-12"),
        ("R50", "2025-Q4", "R50-2025-12"),
        ("R50", None, "R50-2026-11"),
        ("QRN", "2020", "QRN-2026-11"),
        ("PERM", "2026", "PERM-2026-12"),
    ],
)
def test_a_payload_lies_where_its_term_begins(class_, period, bucket):
    """At the end of its period, of that period's school year, or of the month it came in."""
    assert bucket_of(DEFAULT, class_, period, NOVEMBER) == bucket


def test_a_late_report_lies_with_its_punctual_neighbours():
    """The term counts from the period's end, not from the arrival (R-C8.7)."""
    late = parse_instant("2029-03-01T00:00:00.000000Z")
    for class_ in ("R1", "R5", "R10", "R50"):
        punctual = bucket_of(DEFAULT, class_, "2026-11", NOVEMBER)
        assert bucket_of(DEFAULT, class_, "2026-11", late) == punctual


@pytest.mark.parametrize("period", ["2026-02-30", "9999", "0001-01-01", "2037-01", "2016-10"])
def test_a_period_that_is_no_such_or_far_away_does_not_count(period):
    """Nobody makes a node keep partitions for all months of all times."""
    assert bucket_of(DEFAULT, "R10", period, NOVEMBER) == "R10-2026-11"


def test_a_term_may_count_from_the_end_of_the_calendar_year():
    """Whatever the period's month is."""
    policy = policy_with("R10", starts=Starts.CALENDAR_YEAR_END)
    assert bucket_of(policy, "R10", "2026-03-02", NOVEMBER) == "R10-2026-12"
    assert bucket_of(policy, "R10", "2026", NOVEMBER) == "R10-2026-12"


def test_partitions_ahead_are_those_of_the_periods_to_come():
    """Every class, the school year once."""
    names = buckets_ahead(DEFAULT, NOVEMBER, 2)
    assert [name for name in names if name.startswith("R5-")] == ["R5-2027-08"]
    assert [name for name in names if name.startswith("R1-")] == [
        "R1-2026-11",
        "R1-2026-12",
        "R1-2027-01",
    ]
    assert {read_bucket(name).class_ for name in names} == set(CLASSES)


@given(
    st.sampled_from(CLASSES),
    st.none() | st.dates().map(str),
    st.integers(0, 4_000_000_000_000_000),
    st.sampled_from(Starts),
)
def test_no_payload_is_due_before_its_term_is_over(class_, period, received, starts):
    """The end is never before the arrival's month of a document without period plus the term."""
    policy = policy_with(class_, starts=starts, is_approved=True, basis="order 1")
    bucket = bucket_of(policy, class_, period, received)
    name = read_bucket(bucket)
    assert name is not None
    assert str(name) == bucket
    end = due_at(policy, bucket)
    assert (end is None) == (class_ == "PERM")
    if end is not None and period is None:
        assert end > received + 364 * 86_400_000_000


# --- ends -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bucket", "end"),
    [
        ("R1-2026-11", "2027-12-01"),
        ("R5-2027-08", "2032-09-01"),
        ("R5-2027-08-2", "2032-09-01"),
        ("R5-2027-08-h1", "2032-09-01"),
        ("R5-2026-11", "2032-09-01"),
        ("R10-2026-12", "2037-01-01"),
        ("R50-2026-11", "2076-12-01"),
        ("QRN-2026-02", "2027-03-01"),
    ],
)
def test_a_term_ends_so_many_years_after_its_start(bucket, end):
    """In the first moment of the month behind, by UTC; other start rules only lengthen it."""
    moment = ends_at(ALL_APPROVED, bucket)
    assert moment is not None
    assert format_instant(moment) == f"{end}T00:00:00.000000Z"
    assert due_at(ALL_APPROVED, bucket) == moment


def test_a_term_may_be_of_months():
    """18 months are a year and a half."""
    policy = policy_with("R1", months=18)
    moment = ends_at(policy, "R1-2026-11")
    assert moment == parse_instant("2028-06-01T00:00:00.000000Z")


def test_what_is_not_approved_is_never_due():
    """The built-in terms have an end to show, and are nobody's leave to destroy."""
    assert ends_at(DEFAULT, "R5-2027-08") is not None
    assert all(due_at(DEFAULT, f"{each}-2026-11") is None for each in CLASSES)


def test_what_is_permanent_never_ends():
    """Approved or not; nor does a bucket whose name says nothing known."""
    for bucket in ("PERM-2026-12", "PERM-2026-12-h2", "R7-2026-12", "elsewhere"):
        assert ends_at(ALL_APPROVED, bucket) is None
        assert due_at(ALL_APPROVED, bucket) is None


def test_the_term_follows_the_policy_in_force():
    """A longer term holds for what is kept already."""
    longer = policy_with("R5", months=180, is_approved=True, basis="order 2")
    bucket = bucket_of(ALL_APPROVED, "R5", "2026-11", NOVEMBER)
    assert due_at(longer, bucket) == parse_instant("2042-09-01T00:00:00.000000Z")


def test_generations_and_holds_share_the_term_of_their_bucket():
    """Their rule is that of the class."""
    for bucket in (next_generation("R5-2027-08"), hold_bucket("R5-2027-08", 4)):
        assert rule_of(DEFAULT, bucket) == DEFAULT.classes["R5"]
        assert ends_at(DEFAULT, bucket) == ends_at(DEFAULT, "R5-2027-08")


# --- the file -------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [DEFAULT, ALL_APPROVED, policy_with("R1", months=18)])
def test_a_policy_is_read_back_as_written(policy):
    """In lines, as people edit it."""
    assert decode_policy(encode_policy(policy)) == policy


def test_a_basis_is_in_any_language():
    """Acts have Kazakh and Russian names."""
    basis = "Бұйрық № 1, 2027 жылғы 1 ақпан"
    policy = decode_policy(entries(basis=basis, status="approved"))
    assert policy.classes["R5"].basis == basis
    assert policy.classes["R5"].is_approved


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"class": "R7"}, "class 'R7' is unknown; the classes are R1, R5, R10, R50, PERM, QRN"),
        ({"class": "R1"}, "class R1 is there 2 times; each has one entry"),
        ({"basis": None}, "R5: no basis; cite the act that sets the term"),
        ({"basis": " "}, "R5: no basis; cite the act that sets the term"),
        ({"basis": "x" * 1001}, "R5: basis of 1001 characters; at most 1000"),
        ({"basis": "an\nact"}, "in one line of printable ones"),
        ({"status": "approved"}, "R5: approved, but the basis says"),
        ({"term": "P0Y"}, "R5: term P0Y keeps nothing; the shortest is P1M"),
        ({"term": "P0M"}, "R5: term P0M keeps nothing"),
        ({"term": "5"}, "R5: term '5', expected years (P5Y), months (P18M) or PERM"),
        ({"term": "P501Y"}, "R5: term P501Y is over 500 years; write PERM"),
        (
            {"starts": "some-day"},
            "'some-day', expected period-end, school-year-end, calendar-year-end, receipt",
        ),
        ({"status": "perhaps"}, "Invalid enum value 'perhaps'"),
        ({"more": 1}, "unknown field `more`"),
        ({"term": 5}, "Expected `str`, got `int`"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(changes, said):
    """The refusal names class and field, and what is allowed."""
    with pytest.raises(FormatError) as refused:
        decode_policy(entries(**changes))
    assert refused.value.detail.startswith("retention.json: ")
    assert said in refused.value.detail


def test_the_protocol_has_the_built_in_terms():
    """Clause 22.1 has a row for each class of the built-in policy."""
    clause = PROTOCOL.read_text(encoding="utf-8").partition("**22.1")[2].partition("**22.2")[0]
    rows = re.findall(r"^\| ([A-Z0-9]+) \| `(P\w+)` \| `([a-z-]+)` \|", clause, re.MULTILINE)
    assert rows == [
        (rule.class_, term_text(rule.months), rule.starts.value)
        for rule in DEFAULT.classes.values()
    ]


def test_each_class_has_an_entry():
    """Nothing of a class that is used may be without a term."""
    file = json.loads(encode_policy(DEFAULT))
    del file["classes"][3]
    with pytest.raises(FormatError, match="class R50 is there 0 times"):
        decode_policy(json.dumps(file).encode())


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "truncated"),
        (b"[]", "Expected `object`"),
        (b'{"version":0,"classes":[]}', "Expected `int` >= 1"),
        (encode_policy(DEFAULT).replace(b'"version": 1', b'"version":2,"version": 1'), "twice"),
        (encode_policy(DEFAULT).replace(b'"default', b'"\\u0064efault'), "escaped without need"),
        (b" " * (POLICY_BYTES_MAX + 1), "limit 65536"),
        (b'{"version":1,"classes":' + b"[" * 10_000, ""),
    ],
)
def test_a_text_that_is_no_policy_is_refused(raw, said):
    """Two readers never see different policies in one text."""
    with pytest.raises(FormatError) as refused:
        decode_policy(raw)
    assert said in refused.value.detail
