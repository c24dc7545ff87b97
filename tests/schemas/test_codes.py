import itertools

import pytest

from schemas.codes import (
    ARCHIVE_SECTIONS,
    ATTENDANCE_MARKS,
    CODE_LISTS,
    FLOW_NAMES,
    RETENTION_NAMES,
    SECTION_NAMES,
    TIER_NAMES,
    VERSIONS,
    AttendanceMark,
    Code,
    CodeList,
    Flow,
    Language,
    Names,
    RetentionClass,
    Section,
    Tier,
    show,
)

KAZAKH_ONLY = set("әғқңөұүһі")
ANY = Names(kk="бір", ru="один", en="one")
GROWN = CodeList("grown", 3, {"old": Code(ANY, 1, 3), "new": Code(ANY, 2), "always": Code(ANY)})

ALL_NAMES = [
    *TIER_NAMES.values(),
    *SECTION_NAMES.values(),
    *FLOW_NAMES.values(),
    *RETENTION_NAMES.values(),
    *(code.names for one in CODE_LISTS.values() for code in one.codes.values()),
]


@pytest.mark.parametrize(("above", "below"), list(itertools.combinations(Tier, 2)))
def test_tiers_stand_in_strict_order(above, below):
    """A tier named earlier is above a later one and never the other way round."""
    assert (above.is_above(below), below.is_above(above)) == (True, False)


@pytest.mark.parametrize("tier", Tier)
def test_no_tier_is_above_itself(tier):
    """A node's parent is of a strictly higher tier."""
    assert not tier.is_above(tier)


def test_there_are_15_archive_sections():
    """The archive has S01 to S15; the network's own packets stand outside."""
    assert [str(one) for one in ARCHIVE_SECTIONS] == [f"S{n:02}" for n in range(1, 16)]


@pytest.mark.parametrize(
    ("table", "members"),
    [
        (TIER_NAMES, Tier),
        (SECTION_NAMES, Section),
        (FLOW_NAMES, Flow),
        (RETENTION_NAMES, RetentionClass),
        (ATTENDANCE_MARKS.codes, AttendanceMark),
    ],
)
def test_every_code_has_an_entry(table, members):
    """Tables name every member of their list, in its order."""
    assert list(table) == list(members)


@pytest.mark.parametrize("names", ALL_NAMES, ids=lambda names: names.en)
def test_every_name_is_told_in_three_languages(names):
    """No name is empty, and Russian ones hold no Kazakh letter."""
    assert all(map(names.in_language, Language))
    assert not KAZAKH_ONLY & set(names.ru.lower())


@pytest.mark.parametrize("names", ALL_NAMES, ids=lambda names: names.en)
def test_names_do_not_mix_scripts(names):
    """Cyrillic names hold no Latin letter and English ones no Cyrillic."""
    assert not any(c.isascii() and c.isalpha() for c in names.kk + names.ru)
    assert names.en.isascii()


def test_misprint_of_section_2_is_not_copied():
    """Section 2 is written right, unlike in the printed Rules."""
    assert SECTION_NAMES[Section.S02].kk == "инклюзивті білім беру"


def test_a_bare_absence_does_not_exist():
    """An absence is excused or unexcused, never just that."""
    assert "absent" not in ATTENDANCE_MARKS.codes


def test_every_document_list_shows_its_version():
    """The version table holds every list that documents use."""
    assert {name: one.version for name, one in CODE_LISTS.items()}.items() <= VERSIONS.items()


def test_unknown_code_names_list_version_and_codes():
    """An unknown code is told with list, version and what the list has."""
    assert ATTENDANCE_MARKS.find_fault("absent", 1) == (
        "code 'absent' is not in list attendance-mark version 1; it has present, partial, tardy,"
        " early-departure, absent-excused, absent-unexcused"
    )


def test_code_of_a_later_version_is_told():
    """A code that joined later than the version named is told with both versions."""
    assert GROWN.find_fault("new", 1) == (
        "code 'new' joins list grown with version 2; the document names version 1"
    )


def test_withdrawn_code_is_told():
    """A code that the version named no longer has is told with the version that dropped it."""
    assert GROWN.find_fault("old", 3) == "code 'old' was withdrawn from list grown in version 3"


def test_old_documents_keep_their_codes():
    """A code withdrawn later is right in a document of an earlier version."""
    assert GROWN.find_fault("old", 2) is None


def test_codes_of_a_version():
    """Each version has the codes that held in it."""
    assert [GROWN.codes_of(version) for version in (1, 2, 3)] == [
        ("old", "always"),
        ("old", "new", "always"),
        ("new", "always"),
    ]


def test_version_not_known_yet_is_told():
    """A version that came out after the list at hand is told with the latest known one."""
    assert GROWN.find_version_fault(4) == (
        "list grown version 4 is not known here; the latest known one is 3"
    )


def test_long_numbers_are_not_shown():
    """What may be an IIN in a wrong field is not repeated in a message."""
    assert show("iin 009900000008") == "(a number)"


def test_shown_values_are_short_and_printable():
    """A message repeats no control characters and no more than 64 characters."""
    assert show("a\x1b\n" + "b" * 100) == "'a??" + "b" * 61 + "'"
