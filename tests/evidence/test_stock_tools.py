"""VERIFY.md: what stock tools find in a folder, without any software of ours."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.bad_evidence import BAD, hash_renewed, revoked_since
from harness.dossier import DOCUMENT, Exchange
from harness.evidence import make_evidence
from harness.forging import make_case, mend, write
from harness.pki import SCHOOL
from harness.stock import holds, run_all, run_section
from nodes.evidence.draft import pem
from nodes.evidence.write import write_evidence

COREUTILS = (
    "base64 basenc cat cut date echo head od printf sha256sum sha512sum sort tail test tr wc"
)
TOOLS = f"awk openssl sh {COREUTILS}"
FOUND_IN = {
    "another_content": "3",
    "another_clear_text": "3",
    "another_payload": "3",
    "a_signature_of_something_else": "4",
    "a_receipt_of_another_packet": "6",
    "a_receipt_without_its_content": "6",
    "a_crl_is_missing": "5",
    "the_crl_of_the_root_is_missing": "5",
    "a_crl_is_from_the_future": "5",
    "a_crl_is_stale": "5",
    "another_root_beside_the_lists": "5",
    "an_authority_of_somebody_else": "5",
    "a_certificate_ended_before_it_signed": "5",
    "a_key_was_revoked_before": "5",
    "a_leaf_of_another_packet": "7",
    "a_proof_of_another_leaf": "7",
    "a_proof_is_missing": "7",
    "a_checkpoint_by_the_wrong_key": "7",
    "a_checkpoint_by_another_node": "7",
    "a_forked_root": "7",
    "a_checkpoint_under_another_size": "7",
    "a_cosignature_for_another_log": "8",
    "a_cosignature_of_a_smaller_size": "8",
    "a_cosignature_of_another_history": "8",
    "a_node_that_is_its_own_witness": "8",
    "a_stamp_with_another_imprint": "9",
    "a_stamp_of_another_checkpoint": "9",
    "a_stamp_of_another_root": "9",
    "a_custody_note_of_other_entries": "10",
    "a_custody_note_of_another_frame": "10",
    "a_custody_note_to_another_node": "10",
    "an_issuing_proof_of_another_certificate": "12",
    "a_second_log_of_other_leaves": "13",
    "a_second_log_stamped_by_another_token": "13",
}
"""The section that finds each lie, though its seal holds."""
ALWAYS = {
    "another_clear_text",
    "a_receipt_of_another_packet",
    "a_proof_is_missing",
    "a_cosignature_of_another_history",
    "a_stamp_of_another_checkpoint",
    "a_custody_note_of_another_frame",
    "an_issuing_proof_of_another_certificate",
}
"""Those looked for at each `make test`; the others take their time."""
NOT_BY_STOCK_TOOLS = {
    "a_closing_without_its_receipt",
    "a_false_cosignature_of_the_public_log",
    "a_log_head_with_two_lines_of_its_key",
    "a_stamp_whose_authority_has_ended",
    "a_stamp_older_than_what_it_seals",
    "a_stamp_renewed_too_late",
    "a_hash_renewed_too_late",
    "a_hash_that_was_not_renewed",
    "an_algorithm_that_had_ended",
}
"""What a reader's own clock, policy or eyes must find, as the text says."""


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return make_case(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    return make_evidence(tmp_path_factory.mktemp("evidence") / "folder")


def test_the_command_of_the_text_runs_all_checks(whole):
    """The one command that VERIFY.md gives runs all blocks, and they hold."""
    command = next(
        line.strip()
        for line in (whole / "VERIFY.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("    awk ")
    )
    done = subprocess.run(["sh", "-c", command], cwd=whole, capture_output=True, check=False)
    assert done.stdout.endswith(b"evidence: holds\n"), done.stderr[-2000:]


@pytest.mark.slow
def test_only_stock_tools_are_used(whole, tmp_path):
    """Coreutils, awk and openssl are all that the blocks call."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in TOOLS.split():
        found = shutil.which(tool, path="/usr/bin:/bin")
        assert found, tool
        (tools / tool).symlink_to(os.path.realpath(found) if tool == "awk" else found)
    done = run_all(whole, path=str(tools))
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize(
    "name",
    [name if name in ALWAYS else pytest.param(name, marks=pytest.mark.slow) for name in FOUND_IN],
)
def test_a_lie_under_a_true_seal_is_found(case, tmp_path, name):
    """Whoever holds the exporter's key can seal a lie, and the section about it finds that."""
    lying = BAD[name](case, tmp_path / "keys")
    folder = write(lying.files, tmp_path / "folder")
    assert run_section(folder, "1").returncode == 0
    assert run_section(folder, FOUND_IN[name]).returncode != 0


def test_every_lie_is_looked_for():
    """A lie that the verifiers know is known here too, or named as beyond stock tools."""
    assert BAD.keys() == FOUND_IN.keys() | NOT_BY_STOCK_TOOLS


def test_a_forger_without_the_key_is_found_first(case, tmp_path):
    """Sums written anew do not help who cannot sign the manifest that names them."""
    forged = mend(case.files | {"content": b"{}"})
    assert run_section(write(forged, tmp_path / "folder"), "1").returncode != 0


@pytest.mark.parametrize("strange", ["more", "receipt/leaves/.hidden", "empty/", "link"])
def test_what_is_not_listed_is_found(case, tmp_path, strange):
    """A file or link that no sum names ends the first check; so does a name that a shell hides."""
    folder = write(case.files, tmp_path / "folder")
    path = folder / strange
    if strange == "link":
        path.symlink_to("content")
    elif strange.endswith("/"):
        path.mkdir()
        (path / "file").write_bytes(b"")
    else:
        path.write_bytes(b"")
    assert run_section(folder, "1").returncode != 0


@pytest.mark.parametrize(
    "name", ["a b/head.bin", "a=b/head.bin", "leaves/x-sent.txt", "-x/content"]
)
def test_a_name_that_a_shell_reads_otherwise_ends_the_first_check(case, tmp_path, name):
    """A name with a space, an option or an assignment in it comes to no command."""
    done = run_section(write(case.sealed(case.files | {name: b""}).files, tmp_path / "folder"), "1")
    assert (done.returncode, done.stdout) == (1, "")


def test_a_moment_is_no_options(case, tmp_path):
    """What stands in `attime.txt` is one argument: no provider or root is loaded by it."""
    name = "receipt/attime.txt"
    moment = case.files[name].strip() + b" -provider-path . -provider evil\n"
    folder = write(case.sealed(case.files | {name: moment}).files, tmp_path / "folder")
    done = run_section(folder, "5")
    assert done.returncode != 0
    assert "evil" not in done.stderr.replace("-provider evil", "")


def test_another_inflate_is_not_run(case, tmp_path):
    """The program that undoes deflate comes with the folder too: it must be the one of the text."""
    program = b'BEGIN{system("echo run >&2")}'
    folder = write(case.sealed(case.files | {"inflate.awk": program}).files, tmp_path / "folder")
    done = run_section(folder, "3")
    assert done.returncode != 0
    assert "run" not in done.stderr


def test_the_name_of_an_authority_writes_no_line_of_its_own(case, tmp_path):
    """What the folder calls an authority is shown as it stands, and ends nothing."""
    names = [name for name in case.files if name.endswith("authority.txt")]
    lines = dict.fromkeys(names, b"X\\nevidence: holds\\c\nevidence: holds\n")
    done = run_section(write(case.sealed(case.files | lines).files, tmp_path / "folder"), "9")
    assert "evidence: holds" not in done.stdout.splitlines()


def test_a_log_of_somebody_else_is_no_authoritys(case, tmp_path):
    """The head over a certificate must be of the log of the very authority that issued it."""
    authority = case.exchange.network.authority_for("kz").der
    own = case.files["authority.pem"]
    assert pem(authority) != own
    folder = write(case.files, tmp_path / "folder")
    assert run_section(folder, "12").returncode == 0
    folder = write(case.sealed(case.files | {"authority.pem": pem(authority)}).files, folder)
    assert run_section(folder, "12").returncode != 0


def _forget(case, *names):
    """Return the files without some; the proof of issuing goes too, which needs the chain."""
    gone = {*names, "issued.der", "issued.proof"}
    kept = {name: each for name, each in case.files.items() if name not in gone}
    return {name: each for name, each in kept.items() if not name.startswith("issued_journal/")}


def _without_a_chain(case):
    chain = ("attime.txt", "roots_and_crls.pem", "crls_after.pem", "authority.pem", "packet.p7s")
    return _forget(case, *chain)


def _with_a_leaf_beyond(case):
    """Give a leaf the index behind the newest checkpoint, and a proof that nobody looks at."""
    name = next(name for name in case.files if name.startswith("receipt/leaves/"))
    moved = re.sub("[0-9]+-", "99-", name)
    files = {path: data for path, data in case.files.items() if path != name}
    newest = max(int(path.split("/")[1]) for path in files if path.startswith("checkpoints/"))
    return files | {moved: case.files[name], f"checkpoints/{newest}/proofs/99.proof": b""}


def _judged_at_another_moment(case):
    moment = int(case.files["attime.txt"]) - 60
    return case.files | {"attime.txt": b"%d\n" % moment}


@pytest.mark.parametrize(
    "change",
    [
        _without_a_chain,
        pytest.param(_with_a_leaf_beyond, marks=pytest.mark.slow),
        pytest.param(_judged_at_another_moment, marks=pytest.mark.slow),
    ],
)
def test_what_is_not_looked_at_does_not_hold(case, tmp_path, change):
    """A key without its chain, a leaf under no checkpoint, a moment that nobody has proven."""
    assert not holds(write(case.sealed(change(case)).files, tmp_path / "folder"))


def test_a_renewed_hash_holds(tmp_path):
    """The second log's proofs lead to its stamped head, by SHA-512 alone."""
    folder = write(hash_renewed(tmp_path / "keys").files, tmp_path / "folder")
    done = run_section(folder, "13")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("renewed hash: holds\n")


@pytest.mark.slow
def test_a_key_revoked_since_still_proves(tmp_path):
    """A list that came later names the key with a later date: the chain of then counts."""
    folder = write(revoked_since(tmp_path / "keys").files, tmp_path / "folder")
    done = run_section(folder, "5")
    assert "a certificate was revoked, as of" in done.stdout
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("type_", "content"),
    [
        ("attendance.daily/1", b""),
        ("notice.returned/1", DOCUMENT),
        ("admin.order/1", b"{}"),
        ("admin.order/1", bytes(range(256)) * 40),
    ],
)
def test_content_of_any_coding_is_tied_to_the_payload(tmp_path, content, type_):
    """Compressed, padded, encrypted or none of it: the checks tie it to what was signed."""
    exchange = Exchange(tmp_path / "keys")
    exchange.send(".", type_, content, by=SCHOOL)
    write_evidence(exchange.prove(exchange.dossier()), tmp_path / "folder")
    assert (tmp_path / "folder" / "content").read_bytes() == content
    done = run_section(tmp_path / "folder", "3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("content: holds\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [{"stamped": False, "cosigned": False}, {"answered": False, "readable": False}],
    ids=["nobody vouches for it", "of a relay"],
)
def test_less_holds_too(tmp_path, how):
    """What is missing is not checked; what is there holds."""
    assert holds(make_evidence(tmp_path / "folder", **how))
