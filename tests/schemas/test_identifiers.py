import csv
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.identifiers import (
    ARTIFICIAL_BINS,
    ARTIFICIAL_IINS,
    KatoLevel,
    KatoList,
    artificial_bin,
    artificial_iin,
    bin_warning,
    check_bin,
    check_digit,
    check_iin,
    check_kato,
    iin_warning,
    kato_level,
    kato_parent_candidates,
)

KATO_FILE = Path(__file__).parents[2] / "../shared/data/kato.csv"

eleven_digits = st.text("0123456789", min_size=11, max_size=11)


@pytest.mark.parametrize("number", ["940140000385", "950341000052", "070941024691", "961141000023"])
def test_published_bins_are_valid(number):
    """The published BINs pass, the last one by the second pass."""
    assert check_bin(number) is None


def test_wrong_check_digit_names_the_right_one():
    """A wrong check digit is told together with the one it should be."""
    assert check_bin("940140000380") == "check digit is 0, should be 5"


@pytest.mark.parametrize("number", ["009900000008", "009900030008"])
def test_artificial_iins_are_valid(number):
    """Artificial IINs pass, the first by the first pass and the other by the second."""
    assert check_iin(number) is None


@pytest.mark.parametrize("number", ["009900000008", "009900030008"])
def test_month_99_is_a_warning_only(number):
    """A month 99 is worth a warning and nothing more."""
    assert iin_warning(number) is not None


@pytest.mark.parametrize("last", "0123456789")
def test_number_never_issued_is_invalid(last):
    """Where both passes give 10, no twelfth digit makes an IIN."""
    assert check_iin("00990000096" + last) == "a number with these first 11 digits is never issued"


def test_second_pass_decides_after_10():
    """The second weights are used where the first give 10."""
    assert (check_digit("00990000000"), check_digit("00990003000")) == (8, 8)


@pytest.mark.parametrize(
    "text",
    ["", "00990000000", "0099000000080", "00990000000x", "009900000008\n", "٠٠٩٩٠٠٠٠٠٠٠٨"],
)
def test_only_twelve_ascii_digits_are_a_number(text):
    """Other lengths, letters, line ends and digits of other scripts are no IIN."""
    assert check_iin(text) == "must be 12 digits"


@given(eleven_digits)
def test_exactly_one_check_digit_fits(eleven):
    """Eleven digits have one check digit, or none where the number is never issued."""
    fitting = [last for last in "0123456789" if check_iin(eleven + last) is None]
    expected = check_digit(eleven)
    assert fitting == ([] if expected is None else [str(expected)])


@given(eleven_digits.filter(lambda eleven: check_digit(eleven) is not None))
def test_complaints_do_not_repeat_the_number(eleven):
    """What is said about a wrong IIN holds no part of it that would name a person."""
    wrong = eleven + str((check_digit(eleven) + 1) % 10)
    assert eleven not in check_iin(wrong)


@given(st.integers(0, ARTIFICIAL_IINS - 1))
def test_every_seed_makes_a_valid_iin_of_month_99(seed):
    """Each seed gives an IIN that passes and has month 99."""
    made = artificial_iin(seed)
    assert (check_iin(made), made[2:4]) == (None, "99")


@given(st.integers(0, ARTIFICIAL_BINS - 1))
def test_every_seed_makes_a_valid_bin_of_month_99(seed):
    """Each seed gives a BIN that passes and has month 99."""
    made = artificial_bin(seed)
    assert (check_bin(made), made[2:4]) == (None, "99")


def test_seeds_do_not_repeat():
    """Different seeds give different IINs, also around the numbers never issued."""
    assert len({artificial_iin(seed) for seed in range(100_000)}) == 100_000


def test_first_artificial_iin_is_the_known_one():
    """Seed 0 gives the vector, so tests and demos agree."""
    assert artificial_iin(0) == "009900000008"


@given(st.dates(date(1800, 1, 1), date(2099, 12, 31)), st.sampled_from("12"))
def test_a_date_with_its_century_gives_no_warning(day, sex):
    """An IIN that begins with a real date and the digit of its century is usual."""
    century = str((day.year - 1800) // 100 * 2 + int(sex))
    assert iin_warning(f"{day:%y%m%d}{century}00000") is None


def test_month_99_with_a_century_digit_is_no_date():
    """A usual century digit does not make a date of month 99."""
    assert iin_warning(artificial_iin(10_000)) == "digits 1 to 6 are not a date (YYMMDD)"


@pytest.mark.parametrize(
    ("number", "warning"),
    [
        ("940140000385", None),
        ("009940000000", "digits 3 and 4 are not a month"),
        ("940190000385", "digit 5, kind of body, is not 4, 5 or 6"),
        ("940149000385", "digit 6, head or branch, is not 0 to 4"),
    ],
)
def test_bin_with_odd_structure_is_a_warning_only(number, warning):
    """Months and kinds of bodies that the rules do not know are pointed out."""
    assert bin_warning(number) == warning


@pytest.mark.parametrize(
    ("code", "level"),
    [
        ("100000000", KatoLevel.OBLAST),
        ("101000000", KatoLevel.DISTRICT),
        ("711110000", KatoLevel.SUB_DISTRICT),
        ("113833000", KatoLevel.SUB_DISTRICT),
        ("113833202", KatoLevel.SETTLEMENT),
    ],
)
def test_level_follows_from_trailing_zeros(code, level):
    """Seven, five and three trailing zeros tell the level."""
    assert kato_level(code) == level


def test_parents_are_sought_by_groups():
    """Above a settlement stand a sub-district, a district and an oblast, no neighbour."""
    assert kato_parent_candidates("113833202") == ("113833000", "113800000", "110000000")


def test_city_district_has_its_city_as_nearest_existing_parent():
    """Where the code of a group does not exist, the walk goes on."""
    kato = KatoList("made up", frozenset({"710000000", "711110000"}))
    assert kato.parent_of("711110000") == "710000000"


@pytest.mark.parametrize("code", ["", "11383320", "000000000", "11383320x"])
def test_what_is_no_kato_code_is_told(code):
    """Other lengths, letters and oblast 00 are no KATO code."""
    assert check_kato(code) is not None


def test_unknown_kato_code_names_list_and_version():
    """A code outside the edition is told with list and version."""
    kato = KatoList("NK RK 11-2025", frozenset({"110000000"}))
    assert kato.find_fault("990000000", "NK RK 11-2025") == (
        "kato",
        "code 990000000 is not in list kato version 'NK RK 11-2025'",
    )


def test_other_kato_edition_names_both_versions():
    """A code of another edition is told with the version given and the one known."""
    kato = KatoList("NK RK 11-2025", frozenset({"110000000"}))
    assert kato.find_fault("110000000", "NK RK 11-2021") == (
        "kato_version",
        "list kato version 'NK RK 11-2021' is not known here; the known one is 'NK RK 11-2025'",
    )


@pytest.fixture(scope="module")
def kato_rows():
    if not KATO_FILE.exists():
        pytest.skip("the KATO data file is not beside this checkout")
    with KATO_FILE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def kato(kato_rows):
    return KatoList(kato_rows[0]["kato_version"], frozenset(row["kato"] for row in kato_rows))


def test_levels_hold_for_the_whole_edition(kato_rows):
    """Trailing zeros give the published level of every row."""
    wrong = [row["kato"] for row in kato_rows if kato_level(row["kato"]) != row["level"]]
    assert wrong == []


def test_every_code_below_an_oblast_has_a_parent(kato, kato_rows):
    """The walk by groups ends at an existing code for all but the oblasts."""
    orphans = [row["kato"] for row in kato_rows if kato.parent_of(row["kato"]) is None]
    assert orphans == [row["kato"] for row in kato_rows if row["level"] == "oblast"]


def test_39_codes_lack_their_nearest_candidate(kato):
    """The city districts and twenty settlements have no direct parent in the edition."""
    lacking = [
        code
        for code in kato.codes
        if (candidates := kato_parent_candidates(code)) and candidates[0] not in kato.codes
    ]
    assert len(lacking) == 39


def test_every_code_of_the_edition_is_well_formed(kato):
    """The form check takes every code there is."""
    assert [code for code in kato.codes if check_kato(code)] == []
