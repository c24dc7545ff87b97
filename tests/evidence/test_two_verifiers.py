"""Two verifiers that share no code agree on every folder, good or bad: deploy/verify and ours."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from harness.bad_evidence import BAD, hash_renewed, renewed_in_time, revoked_since
from harness.forging import Case, details, failing, flipped, make_case, mend, write
from nodes.evidence.draft import pem
from schemas.moments import format_instant
from signing.algorithms import encode_policy

OTHER = Path(__file__).resolve().parents[2] / "deploy/verify/verify_evidence.py"
GOOD = {
    "whole": {},
    "without time-stamps": {"stamped": False},
    "without cosignatures": {"cosigned": False},
    "with neither": {"stamped": False, "cosigned": False},
    "without an answer": {"answered": False},
}
QUICK = {
    "a_checkpoint_by_the_wrong_key",
    "a_cosignature_for_another_log",
    "a_crl_is_from_the_future",
    "a_proof_of_another_leaf",
    "a_stamp_with_another_imprint",
}
"""Lies that both are told each time; the others when there is time."""
UNLISTED = {"manifest.json", "manifest.p7s"}
DAMAGED = {
    "frame.bin": "pieces",
    "header.json": "pieces",
    "signature.der": "pieces",
    "signer.pem": "signature",
    "packet.p7s": "pieces",
    "roots_and_crls.pem": "chain",
    "manifest.json": "manifest",
    "manifest.p7s": "manifest",
    "exporter/signer.pem": "manifest",
    "receipt/content": "content",
    "receipt/payload.bin": "payload",
    "custody/1/note.bin": "custody",
    "tracked/1/object.bin": "tracked",
    "issued.proof": "issued",
}
"""Files, each with the check that finds a flipped bit in it."""


def slowly(name: object) -> object:
    """Return a parameter for `make acceptance`."""
    return pytest.param(name, marks=pytest.mark.slow)


class Said(msgspec.Struct):
    """What the other verifier says, as far as the two are compared."""

    holds: bool
    existed: str | None
    existed_by: str | None
    checks: list[dict[str, str]]

    @property
    def failing(self) -> set[str]:
        return {each["check"] for each in self.checks if each["result"] == "fails"}

    @property
    def supported(self) -> set[str]:
        return {each["check"] for each in self.checks if each["result"] in {"holds", "fails"}}


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return make_case(tmp_path_factory.mktemp("keys"))


def ask_the_other(case: Case, folder: Path) -> Said:
    """Run the other verifier on a folder, on the same terms."""
    write(case.files, folder / "evidence")
    (folder / "root.pem").write_bytes(pem(case.exchange.network.root.der))
    (folder / "policy.json").write_bytes(encode_policy(case.policy))
    done = subprocess.run(
        [
            *(sys.executable, "-I", str(OTHER), "--json", "--at", format_instant(case.now)),
            *("--root", str(folder / "root.pem"), "--policy", str(folder / "policy.json")),
            str(folder / "evidence"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode in {0, 1}, done.stderr
    said = msgspec.convert(json.loads(done.stdout), Said)
    assert said.holds == (done.returncode == 0)
    return said


def compare(case: Case, folder: Path) -> None:
    """Let both judge; where both can look, the same checks fail."""
    ours, other = case.judge(), ask_the_other(case, folder)
    assert ours.holds == other.holds, details(ours)
    if ours.holds:
        assert (ours.existed, ours.existed_by) == (other.existed, other.existed_by)
    ours_supported = {each.check for each in ours.checks if each.result in {"holds", "fails"}}
    both = ours_supported & other.supported - {"timeline"}
    assert failing(ours) & both == other.failing & both, (other.checks, details(ours))


@pytest.mark.parametrize(
    "how", [GOOD["whole"], *map(slowly, [how for name, how in GOOD.items() if name != "whole"])]
)
def test_good_evidence_holds_for_both(how, tmp_path):
    """What an export writes holds for both, at the same moment, by the same word."""
    made = make_case(tmp_path / "keys", **how)
    assert made.judge().holds
    compare(made, tmp_path)


@pytest.mark.parametrize("make", [renewed_in_time, revoked_since, hash_renewed])
def test_evidence_that_has_aged_holds_for_both(make, tmp_path):
    """An authority that has ended, and a key that was revoked since, harm it for neither."""
    made = make(tmp_path / "keys")
    assert made.judge().holds
    compare(made, tmp_path)


@pytest.mark.parametrize("name", [*sorted(QUICK), *map(slowly, sorted(BAD.keys() - QUICK))])
def test_both_find_the_same_lie(name, case, tmp_path):
    """Evidence that lies under a good seal fails for both, by the same checks."""
    compare(BAD[name](case, tmp_path / "keys"), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("is_mended", [False, True], ids=["damaged", "forged"])
@pytest.mark.parametrize(("name", "check"), DAMAGED.items())
def test_both_find_the_same_damage(name, check, is_mended, case, tmp_path):
    """A flipped bit fails the same check for both; what leans on that file may fail with it."""
    data = flipped(case.files[name], len(case.files[name]) * 4)
    files = case.files | {name: data}
    forged = msgspec.structs.replace(case, files=mend(files) if is_mended else files)
    expected = {check, "manifest" if is_mended or name in UNLISTED else "files"}
    assert failing(forged.judge()) >= expected
    assert ask_the_other(forged, tmp_path).failing >= expected
