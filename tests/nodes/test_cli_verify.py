"""`bbaj evidence verify`: a stranger's command, which needs nothing but the folder."""

from functools import partial

import pytest

from harness.cli_run import Done
from harness.forging import LATER, make_case, write
from harness.pki import NOW, OBLAST, make_network
from nodes.cli.main import run
from nodes.evidence.draft import pem
from nodes.evidence.verdict import Verdict
from schemas.moments import format_instant
from signing.algorithms import DEFAULT, AlgorithmPolicy, encode_policy

AT = format_instant(LATER)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return make_case(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def folder(case, tmp_path):
    return write(case.files, tmp_path / "evidence")


@pytest.fixture
def root(case, tmp_path):
    path = tmp_path / "root.pem"
    path.write_bytes(pem(case.exchange.network.root.der))
    return path


@pytest.fixture
def bbaj(capsysbinary):
    """Return a function that runs one command in this process."""

    def call(*words):
        capsysbinary.readouterr()
        code = run(words)
        out, err = capsysbinary.readouterr()
        return Done(code, out, err.decode())

    return call


@pytest.fixture
def verify(bbaj, folder):
    """Return a function that verifies the folder as of a day after all of it happened."""
    return partial(bbaj, "evidence", "verify", str(folder), "--at", AT)


def test_good_evidence_ends_with_0_and_says_whose_root_it_took(verify, folder):
    """Every check is listed, the last line says that it holds, and the root is not passed over."""
    done = verify()
    lines = done.out.decode().splitlines()
    assert (done.code, lines[-1]) == (0, "evidence: holds"), done.err
    assert "proven by a time-stamp, if you know its root" in lines[-2]
    roots = ", ".join(verify("--json").read(Verdict).stamp_root_sha256)
    assert lines[-3].startswith(f"time-stamp roots {roots}, taken from the folder itself")
    assert "taken from the folder itself" in lines[-4]
    assert sum(line.startswith("holds") for line in lines) > 100


def test_the_verdict_as_json_is_that_of_the_protocol(verify, folder, root, case):
    """The JSON has the verdict's fields; the roots of time-stamps are still the folder's own."""
    done = verify("--root", str(root), "--json")
    assert done.shape(Verdict) == case.judge()
    assert done.read(Verdict).stamp_roots == "folder"
    roots = ", ".join(case.judge().stamp_root_sha256)
    assert done.err.startswith(f"bbaj: time-stamp roots {roots}, taken from the folder itself")


def test_json_from_a_folders_own_root_is_said_to_be(verify, folder):
    """Where the JSON goes to a program, the warning goes to the person."""
    done = verify("--json")
    assert done.shape(Verdict).holds
    assert "taken from the folder itself" in done.err


def test_bad_evidence_ends_with_1_and_names_what_fails(verify, folder):
    """What does not hold is an exit code, a last line, and a name."""
    (folder / "content").write_bytes(b"{}")
    done = verify()
    assert done.code == 1
    assert done.out.decode().splitlines()[-1] == "evidence: does not hold"
    assert "fails: files, content" in done.err


def test_another_root_than_the_readers_does_not_count(verify, folder, tmp_path):
    """The reader's root decides, not the folder's."""
    (tmp_path / "other.pem").write_bytes(pem(make_network([OBLAST], NOW).root.der))
    done = verify("--root", str(tmp_path / "other.pem"), "--json")
    assert done.code == 1
    chains = [each.result for each in done.read(Verdict).checks if each.check == "chain"]
    assert set(chains) == {"fails"}


def test_a_policy_decides_which_algorithms_count(verify, folder, tmp_path):
    """Under a table that allows nothing, nothing counts."""
    (tmp_path / "policy.json").write_bytes(encode_policy(AlgorithmPolicy({"sha-256": None})))
    done = verify("--policy", str(tmp_path / "policy.json"), "--json")
    assert done.code == 1
    assert "was not allowed" in done.out.decode()
    (tmp_path / "policy.json").write_bytes(encode_policy(DEFAULT))
    assert (verify("--policy", str(tmp_path / "policy.json"))).code == 0


def test_roots_of_time_stamp_authorities_may_be_named(verify, folder, root, case, tmp_path):
    """With roots that the reader trusts, tokens of other authorities do not count."""
    names = sorted(n for n in case.files if n.endswith("root.pem") and "/stamps/" in n)
    paths = [word for name in names for word in ("--stamp-root", str(folder / name))]
    known = verify("--root", str(root), *paths, "--json")
    assert (known.code, known.read(Verdict).stamp_roots, known.err) == (0, "given", "")
    assert "proven by a time-stamp\n" in verify(*paths).out.decode()
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(b"".join(case.files[name] for name in names))
    assert verify("--root", str(root), "--stamp-root", str(bundle), "--json").out == known.out
    done = verify("--stamp-root", str(root), "--json")
    found = done.read(Verdict)
    assert (found.holds, found.existed_by, found.stamp_root_sha256) == (True, "witness", [])
    assert {each.result for each in found.checks if each.check == "stamp"} == {"unsupported"}
    assert "no time-stamp here leads to one of those that were given" in done.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nowhere"], 66, "is no folder"),
        (["{folder}", "--at", "yesterday"], 64, "is no moment"),
        (["{folder}", "--policy", "{folder}/nothing"], 71, "name a policy"),
        (["{folder}", "--policy", "{folder}/content"], 65, "algorithms.json"),
        (["{folder}", "--root", "{folder}/content"], 65, "holds no certificate"),
        ([], 64, "FOLDER"),
    ],
)
def test_wrong_words_get_a_precise_answer(bbaj, folder, words, code, said):
    """What the command cannot use is named, with an exit code of its own and no verdict."""
    done = bbaj("evidence", "verify", *(word.format(folder=folder) for word in words))
    assert (done.code, done.out) == (code, b"")
    assert said in done.err
