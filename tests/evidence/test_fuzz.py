"""Whatever a folder holds, the answer is a verdict."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.forms import pem_form
from harness.forging import Case, Files, flipped, make_case, mend
from nodes.evidence.verdict import Verdict

pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number which")

KINDS = ("flip", "cut", "double", "empty", "noise", "gone", "moved", "text", "lines")


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return make_case(tmp_path_factory.mktemp("keys"))


@st.composite
def damages(draw: st.DrawFn) -> list[tuple[str, float, float, bytes]]:
    """Return a few changes: how, in which file and where (fractions), and with what."""
    fraction = st.floats(0, 1, exclude_max=True)
    change = st.tuples(st.sampled_from(KINDS), fraction, fraction, st.binary(max_size=40))
    return draw(st.lists(change, min_size=1, max_size=4))


def damage(files: Files, kind: str, which: float, at: float, what: bytes) -> Files:
    """Return the files with one of them changed."""
    names = sorted(files)
    name = names[int(which * len(names))]
    data, place = files[name], int(at * len(files[name]))
    changed = {
        "flip": flipped(data, place * 8) if data else what,
        "cut": data[:place],
        "double": data[:place] + data,
        "empty": b"",
        "noise": data[:place] + what + data[place:],
        "text": data.replace(b"1", b"99999999999999999999", 1),
        "lines": b"\n".join(reversed(data.split(b"\n"))),
        "moved": files[names[int(at * len(names))]],
    }
    if kind == "gone":
        return {each: kept for each, kept in files.items() if each != name}
    return files | {name: changed[kind]}


def check(case: Case, changes: list[tuple[str, float, float, bytes]]) -> None:
    files = case.files
    for change in changes:
        files = damage(files, *change)
    for each in (files, mend(files)):
        assert not case.judge(each).holds or each == case.files
    assert isinstance(case.sealed(files).judge(), Verdict)


@settings(max_examples=10)
@given(changes=damages())
def test_random_damage_gives_a_verdict(case, changes):
    """Changed, cut, doubled, moved and lost files, sealed or not, raise nothing."""
    check(case, changes)


@pytest.mark.slow
@pytest.mark.timeout(900)
@settings(max_examples=600)
@given(changes=damages())
def test_much_random_damage_gives_a_verdict(case, changes):
    """The same, for longer."""
    check(case, changes)


@pytest.mark.slow
def test_certificates_of_no_known_version_give_a_verdict(case):
    """A certificate of a version that there is not fails by name, wherever in the folder it is."""
    for name, data in case.files.items():
        if not name.endswith(".pem"):
            continue
        form = pem_form(data)
        assert form is not None
        old, new = bytes.fromhex("a003020102"), bytes.fromhex("a003020105")
        changed = form.join([der.replace(old, new, 1) for der in form.parts])
        assert changed == data or not case.judge(case.files | {name: changed}).holds
