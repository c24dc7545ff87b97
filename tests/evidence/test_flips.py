"""One bit turned in any file of an evidence folder is found, and the file is named."""

import random

import pytest

from harness.forging import LATER, Case, Files, failing, flipped, make_case, mend, places
from nodes.evidence.case import Case as Judged
from nodes.evidence.case import Terms
from nodes.evidence.checks_files import check_files, check_manifest
from nodes.evidence.checks_frames import frame_folders
from nodes.evidence.manifest import MANIFEST, SEAL, SUMS
from nodes.evidence.reading import Folder
from nodes.evidence.verdict import Check
from schemas.limits import Limits
from signing.algorithms import DEFAULT

pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number which")
SMALL_BYTES = 2048
SEEDED_FLIPS = 2000
SEED = 20261123
UNREAD = ("VERIFY.md", "inflate.awk", "attime.txt", "authority.txt", "token.der")
"""What only people and stock tools read, and CMS, of which no signature covers every byte."""


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return make_case(tmp_path_factory.mktemp("keys"))


def every_flip(data: bytes, chance: random.Random) -> list[int]:
    """Return all bits of a small file, 2,000 seeded ones of a larger one."""
    bits = range(8 * len(data))
    return list(bits) if len(data) < SMALL_BYTES else chance.choices(bits, k=SEEDED_FLIPS)


def some_flips(files: Files, count: int, chance: random.Random) -> list[tuple[str, int]]:
    """Return files and bits of them; small files as often as large ones."""
    names = [chance.choice(sorted(files)) for _ in range(count)]
    return [(name, chance.randrange(8 * len(files[name]))) for name in names]


def named_by_sums(case: Case, name: str, data: bytes) -> bool:
    """Say whether its line of the sums finds a file changed, all others being as they were."""
    line = next(
        x
        for x in case.files[SUMS].splitlines(keepends=True)
        if x.endswith(b"  %b\n" % name.encode())
    )
    found = check_files(Folder({SUMS: line, name: data}, {}))
    return [(each.where, each.result) for each in found] == [(name, "fails")]


def named_by_seal(case: Case, name: str, data: bytes) -> bool:
    """Say whether the checks of the manifest find one of the three files that it joins changed."""
    folder = Folder(case.files | {name: data}, {})
    terms = Terms(root=case.exchange.network.root.der, policy=DEFAULT, now=LATER, limits=Limits())
    checkpoints = folder.numbered("checkpoints")
    found = check_manifest(Judged(folder, terms), frame_folders(folder), checkpoints)
    return name in {each.where for each in found if each.result == "fails"}


def test_some_bit_in_any_file_is_found(case):
    """Flips here and there are found by the sums or by the seal, and name the file."""
    chance = random.Random(SEED)
    flips = some_flips(case.files, 600, chance) + [
        (name, chance.randrange(8 * len(case.files[name])))
        for name in (SUMS, MANIFEST, SEAL)
        for _ in range(40)
    ]
    passed = [(name, bit) for name, bit in flips if not is_found(case, name, bit)]
    assert passed == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_bit_in_every_file_is_found(case):
    """Every bit of files under 2 KB, and 2,000 flips in each larger one."""
    chance = random.Random(SEED)
    passed = [
        (name, bit)
        for name, data in case.files.items()
        for bit in every_flip(data, chance)
        if not is_found(case, name, bit)
    ]
    assert passed == []


def is_found(case: Case, name: str, bit: int) -> bool:
    data = flipped(case.files[name], bit)
    is_joined = name in {SUMS, MANIFEST, SEAL}
    return named_by_seal(case, name, data) if is_joined else named_by_sums(case, name, data)


def test_the_whole_verdict_names_the_file(case):
    """The verdict as a whole does not hold, and lists the file."""
    for name, bit in some_flips(case.files, 12, random.Random(SEED)):
        verdict = case.judge(case.files | {name: flipped(case.files[name], bit)})
        assert not verdict.holds
        assert name in places(verdict), (name, bit)


@pytest.mark.parametrize(
    "count", [12, pytest.param(800, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
def test_a_forger_who_mends_sums_and_manifest_is_found_by_the_deeper_checks(case, count):
    """Without the exporter's key the seal breaks; and what was changed is found by itself, too."""
    deep = {
        name: data
        for name, data in case.files.items()
        if not name.endswith(UNREAD) and name not in {SUMS, MANIFEST, SEAL}
    }
    passed = []
    for name, bit in some_flips(deep, count, random.Random(SEED)):
        verdict = case.judge(mend(case.files | {name: flipped(case.files[name], bit)}))
        assert "manifest" in failing(verdict)
        others = [each for each in verdict.checks if each.result == "fails" or is_unread(each)]
        if not any(is_about(each, name) for each in others):
            passed.append((name, bit, others))
    assert passed == []


def test_a_line_whose_witness_is_made_unknown_is_said_not_to_be_checked(case):
    """Name and key id of a witness in a public log's head: no key is known, and that is said.

    The changed character stays one of base64: a line that does not parse fails another check.
    """
    data = case.files["receipt/issued.proof"]
    line = data.rindex("— ".encode())
    name = data.index(b"burabay", line)
    key_id = name + len("burabay.akmola.kz.bbaj.internal ")
    assert not any(map(is_unread, case.judge().checks))
    for place in (name, key_id):
        other = b"B" if data[place : place + 1] == b"A" else b"A"
        changed = data[:place] + other + data[place + 1 :]
        checks = case.judge(mend(case.files | {"receipt/issued.proof": changed})).checks
        assert [each.where for each in checks if is_unread(each)] == ["receipt"]


def is_unread(check: Check) -> bool:
    """Say whether a check names lines of witnesses that it could not look at."""
    return check.check == "issued" and "not checked" in check.detail


def is_about(check: Check, name: str) -> bool:
    """Say whether a check looked at a file, or at the folder that it belongs to."""
    folder, where = name.rpartition("/")[0], check.where
    is_place = (
        where in {name, folder or "."}
        or where.startswith(folder or name)
        or name.startswith(f"{where}/")
    )
    return is_place or name in check.detail
