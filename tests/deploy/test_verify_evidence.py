"""The second verifier: one file, the standard library and the `openssl` command, nothing of ours.

That both verifiers say the same of every folder is shown in tests/evidence/test_two_verifiers.py.
"""

import ast
import base64
import functools
import importlib.util
import json
import os
import random
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from harness.bad_evidence import BAD, renewed_in_time, revoked_since
from harness.evidence import make_evidence
from harness.forging import LATER, case_of, flipped, make_case, write
from harness.openssl import openssl, pem
from harness.pki import NOW, OBLAST, make_network
from schemas.moments import DAY, format_instant

PROGRAM = Path(__file__).resolve().parents[2] / "deploy/verify/verify_evidence.py"
NEWEST = "checkpoints/29"
RFC3161 = PROGRAM.parents[3] / "shared/vectors/rfc3161"
END = "-----END CERTIFICATE-----"
SIGNED_BY_THE_SCHOOL = {
    ("chain", "signer.pem"),
    ("chain", "closing/signer.pem"),
    ("manifest", "exporter/signer.pem"),
}
LIES = {
    "a_stamp_with_another_imprint": (
        {("stamp", "checkpoints/26/stamps/1/token.der")},
        "imprint is not of this note.txt",
    ),
    "a_crl_is_missing": ({("chain", "roots_and_crls.pem")}, "CRL of the authority is missing"),
    "a_crl_is_from_the_future": ({("chain", "roots_and_crls.pem")}, "is from the future"),
    "a_crl_is_stale": ({("chain", "roots_and_crls.pem")}, "CRL of the authority is stale"),
    "a_certificate_ended_before_it_signed": (
        SIGNED_BY_THE_SCHOOL,
        "after the certificate had ended",
    ),
    "a_key_was_revoked_before": (
        SIGNED_BY_THE_SCHOOL,
        "keyCompromise: not later than",
    ),
    "a_checkpoint_by_the_wrong_key": (
        {("checkpoint", f"{NEWEST}/signature.bin")},
        "with the key's id",
    ),
    "a_cosignature_for_another_log": (
        {("witness", f"{NEWEST}/witnesses/1/cosigned.txt")},
        "is not of this log's head",
    ),
    "a_stamp_whose_authority_has_ended": (
        {("stamp", "checkpoints/8/stamps/1")},
        "has ended, and no later one renews it",
    ),
    "a_custody_note_of_another_frame": (
        {("custody", "custody/1/chain.txt")},
        "no frame of the folder",
    ),
}  # fmt: skip


@functools.cache
def module():
    """Load the program as a module: what openssl has said is then remembered between folders."""
    spec = importlib.util.spec_from_file_location("verify_evidence", PROGRAM)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def run(*words):
    """Run the program as a stranger does: isolated, in an empty environment."""
    return subprocess.run(
        ["/usr/bin/env", "-i", "PATH=/usr/bin:/bin", "python3", "-I", str(PROGRAM), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def verdict(folder, *words, at=LATER):
    done = run(str(folder), "--json", "--at", format_instant(at), *words)
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert done.returncode == (0 if found["holds"] else 1)
    return found


def judge(folder, at=LATER):
    """Ask it within this process, which is quicker."""
    return module().verify(str(folder), at)


def failed(found):
    return {
        (e["check"], e["where"]): e["detail"] for e in found["checks"] if e["result"] == "fails"
    }


def entry(found, check, where):
    [only] = [e for e in found["checks"] if (e["check"], e["where"]) == (check, where)]
    return only["result"], only["detail"]


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return make_case(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def pristine(case, tmp_path_factory):
    return write(case.files, tmp_path_factory.mktemp("evidence") / "folder")


@pytest.fixture
def folder(case, tmp_path):
    """Write a folder to tamper with."""
    return write(case.files, tmp_path / "folder")


# --- independence ------------------------------------------------------------------------------


def test_it_imports_the_standard_library_alone():
    """One file that imports nothing but what comes with Python, and loads nothing at run time."""
    nodes = list(ast.walk(ast.parse(PROGRAM.read_text("utf-8"))))
    plain = [name.name for node in nodes if isinstance(node, ast.Import) for name in node.names]
    parts = [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    imported = {name.split(".")[0] for name in plain + parts}
    assert imported <= sys.stdlib_module_names
    assert not imported & {"importlib", "runpy", "ctypes", "ssl"}
    called = {node.id for node in nodes if isinstance(node, ast.Name)}
    assert not called & {"exec", "eval", "__import__", "compile"}


def test_it_is_written_for_python_3_9():
    """Its syntax is that of Python 3.9."""
    ast.parse(PROGRAM.read_text("utf-8"), feature_version=(3, 9))


# --- good folders ------------------------------------------------------------------------------


def test_a_whole_folder_holds(pristine):
    """All of a rich folder holds, but for ML-DSA-44, which it says it cannot check."""
    found = verdict(pristine)
    assert failed(found) == {}
    assert found["holds"]
    assert (found["existed"], found["existed_by"]) == ("2026-11-23T03:32:12.000000Z", "time-stamp")
    assert {each["check"] for each in found["checks"]} == set(module().CHECKS)
    unsupported = [each["where"] for each in found["checks"] if each["result"] == "unsupported"]
    assert unsupported == [f"checkpoints/{size}/witnesses/2" for size in (26, 28, 29)]


@pytest.mark.parametrize(
    ("how", "existed_by"),
    [({"stamped": False}, "witness"), ({"stamped": False, "cosigned": False}, "sender")],
)
def test_existence_is_by_who_proves_it(how, existed_by, tmp_path):
    """Without a time-stamp it is the witness who says since when; without one, the sender."""
    found = judge(make_evidence(tmp_path / "folder", **how))
    assert failed(found) == {}
    assert found["existed_by"] == existed_by


def test_what_is_not_there_is_absent(tmp_path):
    """A payload that was destroyed is absent, and hinders nothing else."""
    found = judge(make_evidence(tmp_path / "folder", destroyed=True))
    assert failed(found) == {}
    assert entry(found, "payload", ".")[0] == "absent"
    assert entry(found, "content", ".")[0] == "absent"
    assert entry(found, "answer", "receipt")[0] == "absent"


def test_revoked_later_holds_and_is_said(tmp_path):
    """A certificate revoked after it had signed goes on counting for what it had signed."""
    case = revoked_since(tmp_path / "keys")
    found = judge(write(case.files, tmp_path / "folder"), at=case.now)
    assert failed(found) == {}
    told = "the certificate was revoked 2026-11-23T07:32:06.000000Z, keyCompromise, later than"
    assert told in entry(found, "chain", ".")[1]


def test_a_stamp_is_held_up_by_a_later_one(tmp_path):
    """A time-stamp whose authority has ended holds where another had renewed it in time."""
    case = renewed_in_time(tmp_path / "keys")
    found = judge(write(case.files, tmp_path / "folder"), at=case.now)
    assert failed(found) == {}
    told = "renewed 2026-11-23T04:32:08.000000Z by checkpoints/9/stamps/1"
    assert told in entry(found, "stamp", "checkpoints/8/stamps/1")[1]


def test_the_words_are_for_people(pristine):
    """Without --json each check is a line, and the last line says it all."""
    done = run(str(pristine), "--at", format_instant(LATER))
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "evidence: holds"


# --- bad folders: the lie is under a good seal, so that it is found by its own check -----------


@pytest.mark.parametrize("name", LIES)
def test_each_lie_fails_its_own_check(name, case, tmp_path):
    """What is wrong is named by its check and file, in words, and nothing else is."""
    bad = BAD[name](case, tmp_path / "keys")
    places, words = LIES[name]
    found = failed(judge(write(bad.files, tmp_path / "folder"), at=bad.now))
    assert set(found) == places
    assert any(words in told for told in found.values()), found


def test_a_forked_journal_fails_its_proofs(tmp_path):
    """A checkpoint over another history, signed and cosigned, proves no leaf of this one."""
    exchange = make_case(tmp_path / "keys", stamped=False).exchange
    exchange.bind("operator", who="uid-1", what="looked")
    true = list(exchange.records)
    exchange.records[18] = true[18].replace(b"kind sent", b"kind lost")
    forked = exchange.checkpoint(cosigned=True)
    exchange.records[:] = true
    found = failed(judge(write(case_of(exchange).files, tmp_path / "folder")))
    assert {check for check, _ in found} == {"proof"}
    told = found["proof", f"checkpoints/{forked.size}/proofs/18.proof"]
    assert told == "it leads to another root"


def test_an_edited_manifest(folder):
    """The manifest is sealed, and lists what is there."""
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace("T06:32:06", "T06:32:07"))
    assert set(failed(verdict(folder))) == {("manifest", "manifest.p7s")}
    (folder / "manifest.json").write_text(text.replace('"receipt",', ""))
    assert set(failed(verdict(folder))) == {
        ("manifest", "manifest.p7s"),
        ("manifest", "manifest.json"),
    }


def test_what_does_not_belong_there(folder):
    """A file that is not listed, one that is missing, a link and an empty folder are named."""
    (folder / "more.txt").write_text("more\n")
    (folder / "leaves/empty").mkdir()
    (folder / "receipt/signed.bin").unlink()
    (folder / "content").unlink()
    (folder / "content").symlink_to("clear.bin")
    found = failed(verdict(folder))
    named = {where: told for (check, where), told in found.items() if check == "files"}
    assert set(named) == {"more.txt", "leaves/empty", "receipt/signed.bin", "content"}
    assert named["more.txt"] == "is not listed in SHA256SUMS"


# --- time-stamps that others made --------------------------------------------------------------


def stamp_of(folder, response, note):
    """Put a response of somebody's authority into the files of a stamp."""
    chain = (response.parent / "ts_chain.pem").read_text()
    certificates = [each + END for each in chain.split(END)[:-1]]
    files = {"note.txt": note, "authority.txt": b"theirs\n"}
    files |= {"root.pem": (certificates[-1].strip() + "\n").encode()}
    files |= {"chain.pem": "".join(each.strip() + "\n" for each in certificates[:-1]).encode()}
    write(files, folder / "stamp")
    token = str(folder / "stamp/token.der")
    assert openssl("ts", "-reply", "-in", str(response), "-token_out", "-out", token)[0]
    return module().Stamp(module().Folder(str(folder)), "stamp")


@pytest.mark.skipif(not RFC3161.exists(), reason="the vectors of others are not here")
@pytest.mark.parametrize(
    ("name", "note", "words"),
    [
        ("sigstage/response-no-embedded-cert.tsr", b"hello", ""),
        ("sigstage/response-sha256.tsr", b"hello", ""),
        ("sigstage/response-sha512.tsr", b"hello", ""),
        ("test_tsa/response.tsr", b"hello", ""),
        ("test_tsa/response.tsr", b"hullo", "imprint is not of this note.txt"),
        ("sigstage/response-invalid-signature.tsr", b"hello", "signature failure"),
    ],
)
def test_tokens_of_others(name, note, words, tmp_path):
    """Tokens that other software made are judged as its files say."""
    stamp = stamp_of(tmp_path, RFC3161 / name, note)
    fault = module().attempt(stamp.check)[1]
    assert (words in str(fault)) if words else fault is None
    assert stamp.chain_alive(stamp.moment)


# --- the reader's own terms --------------------------------------------------------------------


def test_the_root_that_the_reader_trusts(pristine, tmp_path):
    """With --root, the folder's root must be that one."""
    other = tmp_path / "other.pem"
    other.write_text(pem(make_network([OBLAST], NOW).root.der))
    assert verdict(pristine, "--root", str(pristine / "root.pem"))["holds"]
    found = failed(verdict(pristine, "--root", str(other)))
    assert ("chain", "roots_and_crls.pem") in found
    assert ("manifest", "exporter/roots_and_crls.pem") in found


def test_an_algorithm_that_had_ended(pristine, tmp_path):
    """A signature counts when its algorithm was allowed at the moment that is proven for it."""
    table = {name: {"until": None} for name in module().DEFAULT_POLICY}
    table["ed25519"] = {"until": "2026-11-23T03:32:16.500000Z"}
    (tmp_path / "policy.json").write_text(json.dumps({"algorithms": table}))
    found = failed(verdict(pristine, "--policy", str(tmp_path / "policy.json")))
    assert set(found) == {("checkpoint", NEWEST), ("witness", f"{NEWEST}/witnesses/1")}


@pytest.mark.parametrize(
    "words",
    [
        ["nowhere"],
        ["--at", "yesterday"],
        ["--policy", "none.json"],
        ["--root", "none.pem"],
        ["--stamp-root", "none.pem"],
        ["--stamp-root", os.devnull],
        [],
    ],
    ids=[
        "no folder",
        "no moment",
        "no policy",
        "no root",
        "no stamp root",
        "none in it",
        "nothing",
    ],
)
def test_usage(pristine, words):
    """What cannot be judged gets no verdict: 2, and a sentence."""
    done = run(*words, *([str(pristine)] if words and words[0].startswith("--") else []))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_it_says_which_time_stamp_roots_it_leaned_on_and_whose_they_are(pristine, tmp_path):
    """The last lines name the roots, and that the folder itself has brought them, or the reader."""
    roots = sorted(pristine.glob("checkpoints/*/stamps/*/root.pem"))
    own = run(str(pristine), "--at", format_instant(LATER)).stdout.splitlines()
    used = verdict(pristine)["stamp_root_sha256"]
    assert len(used) == 2
    assert own[-3].startswith(f"time-stamp roots {', '.join(used)}, brought by the folder itself")
    assert own[-1] == "evidence: holds"
    one = verdict(pristine, "--stamp-root", str(roots[0]))
    assert (one["stamp_roots"], one["existed_by"]) == ("given", "time-stamp")
    assert one["stamp_root_sha256"] == [sha256(dearmoured(roots[0])).hexdigest()]
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(b"".join(path.read_bytes() for path in roots))
    given = run(str(pristine), "--at", format_instant(LATER), "--stamp-root", str(bundle)).stdout
    assert f"time-stamp roots {', '.join(used)}, of those that --stamp-root names" in given


def dearmoured(path):
    return base64.b64decode("".join(path.read_text().splitlines()[1:-1]))


# --- damage ------------------------------------------------------------------------------------


def damages(data, draw):
    """Flip a bit, cut the end, leave nothing, put other bytes, and JSON that is nested deeply."""
    bit = draw.randrange(8 * len(data))
    return [flipped(data, bit), data[:-1], b"", draw.randbytes(len(data)), b"[" * 20_000]


def one_of_each_kind(files):
    """Return one file of each name, numbers aside."""
    kinds = {"".join(c for c in name if not c.isdigit()): name for name in sorted(files)}
    return sorted(kinds.values())


def judge_damaged(case, folder, names, choose):
    """Damage one file after the other; each verdict must name it, and none may crash."""
    draw = random.Random(7)
    for name in names:
        for damaged in choose(damages(case.files[name], draw), draw):
            (folder / name).write_bytes(damaged)
            found = judge(folder)
            places = {where for _, where in failed(found)}
            sealed = name == "manifest.json" and "manifest.p7s" in places
            assert name in places or sealed, name
            assert not found["holds"], name
        (folder / name).write_bytes(case.files[name])
    assert judge(folder)["holds"]


def test_a_flipped_bit_is_named(case, folder):
    """A flipped bit is found, and the file is named: twenty kinds of files, others each time."""
    kinds = one_of_each_kind(case.files)
    some = random.Random(len(kinds)).sample(kinds, 20)
    judge_damaged(case, folder, some, lambda all_, _: all_[:1])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_any_damage_to_any_file_is_named(case, folder):
    """A bit, the end, all of it: damage to each file is found and named, and nothing crashes."""
    judge_damaged(case, folder, one_of_each_kind(case.files), lambda all_, _: all_)
    judge_damaged(case, folder, sorted(case.files), lambda all_, draw: [draw.choice(all_)])


def test_it_judges_any_folder(tmp_path):
    """A folder of nothing, and one of names that nobody expects, get verdicts."""
    (tmp_path / "empty").mkdir()
    assert not verdict(tmp_path / "empty")["holds"]
    write({"checkpoints/x/²/note.txt": b"\xff", "leaves/1-\udcff.txt": b""}, tmp_path / "odd")
    assert not verdict(tmp_path / "odd")["holds"]
    assert run(str(tmp_path / "odd")).returncode == 1


def test_a_late_reader_is_told_what_has_ended(pristine):
    """Past the end of the authorities no time-stamp stands, where none has renewed it."""
    found = judge(pristine, at=NOW + 11 * 365 * DAY)
    assert {check for check, _ in failed(found)} == {"stamp"}
    assert found["existed_by"] == "witness"
