import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from harness.pki import OBLAST, SCHOOL
from nodes.cli.ca import app
from signing.keys import load_private_key


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "ca"


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def ready(folder):
    """Make a folder with root and authority."""
    assert run("init", folder).exit_code == 0
    assert run("authority", folder, OBLAST).exit_code == 0
    return folder


def test_whole_life_of_a_node(ready):
    """A node is issued, revoked, and listed, by command alone."""
    codes = [
        run("node", ready, SCHOOL, "--with-children").exit_code,
        run("revoke", ready, SCHOOL, "--reason", "keyCompromise").exit_code,
        run("crl", ready).exit_code,
    ]
    assert (codes, (ready / f"nodes/{SCHOOL}/witness.key").exists()) == ([0, 0, 0], True)


def test_json_names_what_was_written(ready):
    """With --json each command says what it wrote."""
    shown = json.loads(run("node", ready, SCHOOL, "--json").stdout)
    assert shown["written"] == [str(ready / f"nodes/{SCHOOL}")]


def test_unencrypted_keys_are_told(folder):
    """Without a passphrase the command says that keys are unencrypted."""
    assert "no passphrase: root.key unencrypted" in run("init", folder).stderr


def test_passphrase_comes_from_a_file(folder, tmp_path):
    """The passphrase is a file's text without its line end."""
    (tmp_path / "word").write_text("horse\n")
    done = run("init", folder, "--passphrase-file", tmp_path / "word")
    assert (done.exit_code, done.stderr) == (0, "")
    assert load_private_key(folder / "root.key", b"horse") is not None


def test_node_passphrase_comes_from_a_file(ready, tmp_path):
    """A node's keys have a passphrase of their own."""
    (tmp_path / "word").write_text("school")
    assert run("node", ready, SCHOOL, "--node-passphrase-file", tmp_path / "word").exit_code == 0
    assert load_private_key(ready / f"nodes/{SCHOOL}/link.key", b"school") is not None


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        (["init", "{}"], 71, "name another folder"),
        (["node", "{}", "kz.abai.semey"], 64, "bbaj ca authority"),
        (["node", "{}", "Kz"], 64, "no address"),
        (["revoke", "{}", SCHOOL], 64, "no certificate in force"),
        (["crl", "{}", "--passphrase-file", "{}/none"], 66, "cannot be read"),
        (["crl", "{}", "--passphrase-file", "{}/empty"], 77, "is empty"),
    ],
)
def test_errors_say_what_to_do(ready, words, code, what):
    """Each failure has its exit code and says what to do."""
    (ready / "empty").write_text("\n")
    done = run(*(word.format(ready) for word in words))
    assert (done.exit_code, what in done.stderr) == (code, True)


def test_errors_as_json(ready):
    """With --json a failure is JSON too."""
    done = run("init", ready, "--json")
    assert (done.exit_code, "error" in json.loads(done.stderr)) == (71, True)


def test_missing_root_key_is_told(ready):
    """With the root's key off line, the command says that the root's list stays."""
    (ready / "root.key").unlink()
    assert "the root's list is as it was" in run("crl", ready).stderr


def test_import_is_light():
    """Importing the command loads neither cryptography nor the daemon."""
    script = "import sys, nodes.cli.ca; print({'cryptography', 'asyncpg'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
