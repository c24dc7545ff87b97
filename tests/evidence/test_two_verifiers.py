"""Two verifiers that share no code agree on every folder, good or bad: deploy/verify and ours."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from harness.bad_evidence import (
    BAD,
    hash_renewed,
    renewed_in_time,
    revoked_since,
    revoked_since_and_unproven,
)
from harness.forging import Case, details, failing, flipped, make_case, mend, write
from harness.pki import OBLAST
from nodes.evidence.draft import pem
from nodes.evidence.reading import Folder
from schemas.moments import format_instant
from signing.algorithms import encode_policy
from signing.keys import fingerprint

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
    "a_false_cosignature_of_the_public_log",
    "a_crl_is_from_the_future",
    "a_proof_of_another_leaf",
    "a_stamp_older_than_what_it_seals",
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


WHERE = {("manifest", "manifest.p7s"): ("manifest", "exporter")}
"""Where the other verifier says what ours says elsewhere."""
ML_DSA = frozenset({("witness", f"checkpoints/{size}/witnesses/2") for size in range(99)})
"""What the other verifier cannot look at."""


def slowly(name: object) -> object:
    """Return a parameter for `make acceptance`."""
    return pytest.param(name, marks=pytest.mark.slow)


JUDGED = {"holds", "warns", "fails"}
UNKNOWN = [
    "content.docx",
    "receipt-2/content",
    "custody/x/note.bin",
    "checkpoints/007/note.txt",
    "custody/1/more.txt",
    "other/leaves/3-sent.txt",
    "other/head.bin",
    "lists.pem",
]
"""Files that the format does not know, each in a place where some check might look for one."""


class Said(msgspec.Struct):
    """What the other verifier says, as far as the two are compared."""

    holds: bool
    existed: str | None
    existed_by: str | None
    stamp_roots: str
    stamp_root_sha256: list[str]
    checks: list[dict[str, str]]

    @property
    def failing(self) -> set[str]:
        return {each["check"] for each in self.checks if each["result"] == "fails"}

    @property
    def supported(self) -> set[str]:
        return {each["check"] for each in self.checks if each["result"] in JUDGED}

    @property
    def warnings(self) -> set[tuple[str, str]]:
        return {(each["check"], each["where"]) for each in self.checks if each["result"] == "warns"}


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return make_case(tmp_path_factory.mktemp("keys"))


def ask_the_other(case: Case, folder: Path) -> Said:
    """Run the other verifier on a folder, on the same terms."""
    write(case.files, folder / "evidence")
    (folder / "root.pem").write_bytes(pem(case.exchange.network.root.der))
    (folder / "policy.json").write_bytes(encode_policy(case.policy))
    (folder / "stamps.pem").write_bytes(b"".join(map(pem, case.stamp_roots)))
    bundle = ["--stamp-root", str(folder / "stamps.pem")] if case.stamp_roots else []
    done = subprocess.run(
        [
            *(sys.executable, "-I", str(OTHER), "--json", "--at", format_instant(case.now)),
            *("--root", str(folder / "root.pem"), "--policy", str(folder / "policy.json")),
            *(*bundle, str(folder / "evidence")),
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
        assert ours.stamp_roots == other.stamp_roots
        assert ours.stamp_root_sha256 == other.stamp_root_sha256
        warnings = {(each.check, each.where) for each in ours.checks if each.result == "warns"}
        assert warnings - ML_DSA == {WHERE.get(each, each) for each in other.warnings}
    ours_supported = {each.check for each in ours.checks if each.result in JUDGED}
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


def test_a_key_revoked_since_warns_both_where_nobody_proves_when(tmp_path):
    """Where a moment is the sender's word alone, a revocation since then is a warning to both."""
    compare(revoked_since_and_unproven(tmp_path / "keys"), tmp_path)


@pytest.mark.parametrize("count", [1, 2])
def test_both_take_the_readers_time_stamp_roots_alone(count, case, tmp_path):
    """With roots that the reader names, only those count, in a bundle as well."""
    roots = stamp_roots_of(case)[:count]
    given = msgspec.structs.replace(case, stamp_roots=roots)
    assert given.judge().existed_by == "time-stamp"
    assert given.judge().stamp_root_sha256 == sorted(map(fingerprint, roots))
    compare(given, tmp_path)


def test_no_time_stamp_counts_for_either_under_a_strange_root(case, tmp_path):
    """Under a root that stamped nothing here, the witness is the first whose word counts."""
    given = msgspec.structs.replace(case, stamp_roots=(case.exchange.network.root.der,))
    verdict = given.judge()
    assert (verdict.holds, verdict.existed_by) == (True, "witness")
    compare(given, tmp_path)


def test_a_renewal_under_a_strange_root_renews_nothing_for_either(tmp_path):
    """Once the hash has ended, a renewal by an authority that the reader does not know is none."""
    made = hash_renewed(tmp_path / "keys")
    given = msgspec.structs.replace(made, stamp_roots=(made.exchange.network.root.der,))
    assert not given.judge().holds
    compare(given, tmp_path)


def test_both_warn_of_the_same_unknown_files(case, tmp_path):
    """What the format does not know is named by both, and counts for nothing."""
    lists = case.files["exporter/roots_and_crls.pem"]
    made = case.sealed(case.files | dict.fromkeys(UNKNOWN, lists))
    verdict = made.judge()
    assert verdict.holds, details(verdict)
    warned = {each.where for each in verdict.checks if each.result == "warns"}
    assert warned == set(UNKNOWN)
    compare(made, tmp_path)


def stamp_roots_of(case: Case) -> tuple[bytes, ...]:
    """Return the roots of the time-stamps in a folder, each once, that of the first stamp first."""
    folder = Folder(case.files, {})
    names = sorted(n for n in case.files if "/stamps/" in n and n.endswith("/root.pem"))
    return tuple(dict.fromkeys(map(folder.certificate, names)))


@pytest.mark.parametrize("name", [*sorted(QUICK), *map(slowly, sorted(BAD.keys() - QUICK))])
def test_both_find_the_same_lie(name, case, tmp_path):
    """Evidence that lies under a good seal fails for both, by the same checks."""
    compare(BAD[name](case, tmp_path / "keys"), tmp_path)


def test_both_say_who_has_cosigned_the_public_log(case, tmp_path):
    """A line is checked where its key is in the folder; of the others both say that it is not."""
    proof = case.files["issued.proof"] + case.exchange.log_line(OBLAST).encode()
    strange = {
        "other/cosigned.txt": b"its key is judged by nobody",
        "other/signer.pem": pem(case.exchange.network.nodes[OBLAST].witness.certificate),
    }
    case = case.sealed(case.files | {"issued.proof": proof} | strange)
    (ours,) = (each.detail for each in case.judge().checks if _is_of_log(each.check, each.where))
    other = ask_the_other(case, tmp_path).checks
    (its,) = (each["detail"] for each in other if _is_of_log(each["check"], each["where"]))
    for detail in (ours, its):
        assert (
            "cosigned by burabay.akmola.kz.bbaj.internal at 2026-11-23T03:32:06.000000Z" in detail
        )
        assert "lines not checked, as their keys are not here: 1" in detail


def _is_of_log(check, where):
    return (check, where) == ("issued", ".")


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
