"""The threat model: whole in form, and every test that it names is there."""

import re

import pytest

from harness.named_tests import NAME, ROOT, is_there

TEXT = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")

LABELS = ["By", "At", "Against", "Weighs", "By default", "Defence", "Shown by", "Left"]
NONE_YET = "no test yet"
PRIORITY = {
    ("H", "H"): "H", ("H", "M"): "H", ("H", "L"): "H",
    ("M", "H"): "H", ("M", "M"): "M", ("M", "L"): "M",
    ("L", "H"): "M", ("L", "M"): "L", ("L", "L"): "L",
}  # fmt: skip
"""By impact and likelihood, as the document's table has it."""


def read_threats():
    """Return each threat's number, with its lines by label."""
    parts = re.split(r"^### (T\d+) .+$", TEXT, flags=re.MULTILINE)[1:]
    return {
        number: re.findall(r"^- \*\*([^:*]+):\*\* (.+)$", body.partition("\n## ")[0], re.MULTILINE)
        for number, body in zip(parts[::2], parts[1::2], strict=True)
    }


THREATS = read_threats()
FACTS = {number: dict(lines) for number, lines in THREATS.items()}
NAMED = sorted({found[0] for found in re.finditer(rf"(?<=`){NAME.pattern}(?=`)", TEXT)})


def rows_of(letter):
    """Return the numbers that a register has, such as A1 and A2."""
    return re.findall(rf"^\| ({letter}\d+) \|", TEXT, re.MULTILINE)


@pytest.mark.parametrize("name", NAMED)
def test_named_tests_exist(name):
    """A defence is shown by a test that is there, and by the case that is named."""
    assert is_there(name)


def test_every_mention_of_a_test_is_checked():
    """Whatever looks like a test's name is one that the check above reads."""
    assert len(re.findall(r"tests/[\w/]+\.py", TEXT)) == len(
        re.findall(r"`tests/[\w/]+\.py::test_\w+(?:\[[^`]+\])?`", TEXT)
    )


def test_threats_are_numbered():
    """Threats count T1, T2, T3 … without a gap."""
    assert list(THREATS) == [f"T{number}" for number in range(1, len(THREATS) + 1)]


@pytest.mark.parametrize("number", THREATS)
def test_every_threat_is_told_whole(number):
    """Each threat has all of its lines, in their order."""
    assert [label for label, _ in THREATS[number]] == LABELS


@pytest.mark.parametrize("number", THREATS)
def test_every_threat_has_a_test_or_says_so(number):
    """Each threat names a test, or says plainly that there is none yet."""
    shown = FACTS[number]["Shown by"]
    assert "`tests/" in shown or NONE_YET in shown.lower()


@pytest.mark.parametrize("number", THREATS)
def test_weights_follow_the_table(number):
    """Priority follows from impact and likelihood."""
    found = re.fullmatch(
        r"impact ([HML]), likelihood ([HML]): priority ([HML])", FACTS[number]["Weighs"]
    )
    assert found is not None
    assert PRIORITY[found[1], found[2]] == found[3]


@pytest.mark.parametrize(("letter", "label"), [("P", "By"), ("B", "At"), ("A", "Against")])
def test_registers_and_threats_agree(letter, label):
    """Parties, boundaries and assets that threats name are in their register, each used once."""
    used = {each for facts in FACTS.values() for each in re.findall(rf"{letter}\d+", facts[label])}
    registered = rows_of(letter)
    assert (used, len(registered)) == (set(registered), len(set(registered)))


def test_what_has_no_test_is_listed():
    """The list of what no test shows is that of the threats which say so."""
    summary = TEXT.partition("## What no test shows yet")[2].partition("\n## ")[0]
    listed = set(re.findall(r"^- (T\d+)", summary, re.MULTILINE))
    assert listed == {
        number for number, facts in FACTS.items() if NONE_YET in facts["Shown by"].lower()
    }
