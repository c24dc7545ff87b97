import csv
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes import samples
from schemas.answers import ARCHIVE_ACT, ARCHIVE_COMPLETENESS, ARCHIVE_STATE
from schemas.documents.registry import (
    ADMIN_ORDER,
    ATTENDANCE_DAILY,
    DOCUMENT_FILE,
    PERFORMANCE_PERIOD,
    decode_document,
    find_faults,
)

KATO_FILE = Path(__file__).parents[2] / "../shared/data/kato.csv"
SCHOOL = "kz.akmola.burabay.school-7"

MAKERS = [
    pytest.param(ATTENDANCE_DAILY, lambda seed: samples.attendance(SCHOOL, "2026-11-23", seed)),
    pytest.param(PERFORMANCE_PERIOD, lambda seed: samples.performance(SCHOOL, "2026-Q4", seed)),
    pytest.param(PERFORMANCE_PERIOD, lambda seed: samples.performance(SCHOOL, "2026", seed)),
    pytest.param(ADMIN_ORDER, lambda seed: samples.order(17, seed)),
    pytest.param(DOCUMENT_FILE, samples.file),
    pytest.param(ARCHIVE_ACT, samples.act),
    pytest.param(
        ARCHIVE_COMPLETENESS, lambda seed: samples.completeness("kz.akmola", "2026-11-23", seed)
    ),
    pytest.param(ATTENDANCE_DAILY, samples.tiny),
    pytest.param(ARCHIVE_STATE, lambda seed: samples.state("2026-11-23", seed)),
]
WITHOUT_NUMBERS = {ARCHIVE_ACT, ARCHIVE_COMPLETENESS, ARCHIVE_STATE}


@pytest.mark.parametrize(("type_name", "make"), MAKERS)
def test_samples_have_no_faults(type_name, make):
    """Every sample is a document that its type allows."""
    assert find_faults(type_name, make(1)) == ()


@pytest.mark.parametrize(("type_name", "make"), MAKERS)
def test_one_seed_makes_the_same_bytes(type_name, make):
    """The same seed gives the same bytes every time."""
    assert make(5) == make(5), type_name


@pytest.mark.parametrize(("type_name", "make"), MAKERS)
def test_other_seeds_make_other_bytes(type_name, make):
    """Another seed gives another document."""
    assert make(5) != make(6), type_name


@pytest.mark.parametrize(("type_name", "make"), MAKERS)
def test_every_number_has_month_99(type_name, make):
    """No IIN or BIN in a sample can be anybody's."""
    numbers = re.findall(rb"(?<![0-9a-f])[0-9]{12}(?![0-9a-f])", make(3))
    expected = set() if type_name in WITHOUT_NUMBERS else {b"99"}
    assert {number[2:4] for number in numbers} == expected, type_name


def test_attendance_is_as_large_as_that_of_an_average_school():
    """A day's attendance has the size that the load model counts with, references added."""
    assert 45_000 < len(samples.attendance(SCHOOL, "2026-11-23", 1)) < 60_000


def test_performance_is_as_large_as_that_of_an_average_school():
    """A quarter's marks have the size that the load model counts with, references added."""
    assert 80_000 < len(samples.performance(SCHOOL, "2026-Q4", 1)) < 110_000


def test_pupils_are_the_same_in_every_document():
    """A school's pupils follow from its address, not from seed, day or type."""
    attendance = decode_document(ATTENDANCE_DAILY, samples.attendance(SCHOOL, "2026-11-23", 1))
    performance = decode_document(PERFORMANCE_PERIOD, samples.performance(SCHOOL, "2026-Q4", 2))
    assert [one.iin for one in attendance.pupils] == [one.iin for one in performance.pupils]


def test_most_pupils_are_present():
    """An ordinary day has about nine of ten pupils at school."""
    document = decode_document(ATTENDANCE_DAILY, samples.attendance(SCHOOL, "2026-11-23", 1))
    present = sum(one.mark == "present" for one in document.pupils)
    assert 0.85 < present / len(document.pupils) < 0.95


@given(st.integers(0, 10**9))
def test_tiny_documents_stay_valid_below_1_kb(number):
    """Any number gives a valid document below 1,000 bytes."""
    made = samples.tiny(number)
    assert (len(made) < 1000, find_faults(ATTENDANCE_DAILY, made)) == (True, ())


def test_tiny_documents_do_not_repeat():
    """A load test gets as many different documents as it asks for."""
    assert len({samples.tiny(number) for number in range(10_000)}) == 10_000


def test_file_sample_is_a_pdf_with_right_offsets():
    """The file's cross-reference table points at its objects."""
    pdf = decode_document(DOCUMENT_FILE, samples.file(1)).data
    places = [int(found) for found in re.findall(rb"([0-9]{10}) 00000 n", pdf)]
    assert all(
        pdf[place:].startswith(b"%d 0 obj" % number) for number, place in enumerate(places, 1)
    )


def test_names_say_that_nobody_is_meant():
    """A made-up person's name reads "pupil 17, an example"."""
    assert samples.person_name(17) == "Оқушы 17 Үлгі"


def test_seats_exist_in_the_classifier():
    """The KATO codes of sample schools stand in the edition that they name."""
    if not KATO_FILE.exists():
        pytest.skip("the KATO data file is not beside this checkout")
    with KATO_FILE.open(encoding="utf-8", newline="") as file:
        rows = {(row["kato"], row["kato_version"]) for row in csv.DictReader(file)}
    assert {(seat, samples._KATO_VERSION) for seat in samples._SEATS} <= rows
