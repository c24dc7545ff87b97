import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from harness.pki import OBLAST, SCHOOL
from nodes.card_files import load_card
from nodes.cli.ca import app
from nodes.said import Said
from nodes.texts import text
from schemas.codes import Language
from signing.keys import load_private_key


@pytest.fixture(autouse=True)
def _private_files():
    """Write passphrases as files that nobody else may read: others are refused."""
    before = os.umask(0o077)
    yield
    os.umask(before)


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


@pytest.fixture
def closed(folder, tmp_path):
    """Make a root under a passphrase; return the folder and the passphrase's file."""
    word = tmp_path / "word"
    word.write_text("horse\n")
    assert run("init", folder, "--passphrase-file", word).exit_code == 0
    return folder, word


def test_root_key_lies_encrypted(closed):
    """The root's key is PKCS#8 under its passphrase; nothing else in the folder opens it."""
    folder, _ = closed
    assert (folder / "root.key").read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")


@pytest.mark.parametrize("words", [[], ["--passphrase-file", "{}/wrong"]], ids=["none", "wrong"])
def test_root_issues_nothing_without_its_passphrase(closed, words):
    """Without the passphrase, or with another one, no authority is made, and nothing is left."""
    folder, _ = closed
    (folder / "wrong").write_text("hoarse\n")
    done = run("authority", folder, OBLAST, *(word.format(folder) for word in words))
    listed = json.loads((folder / "root.json").read_bytes())["issued"]
    left = (folder / f"authorities/{OBLAST}").exists(), listed
    assert (done.exit_code, "passphrase" in done.stderr, left) == (77, True, (False, []))


def test_network_runs_with_the_root_away(closed):
    """With the root's key in the safe, nodes are issued, revoked and listed all the same."""
    folder, word = closed
    opened = "--passphrase-file", word
    assert run("authority", folder, OBLAST, *opened).exit_code == 0
    (folder / "root.key").unlink()
    codes = [
        run(*words, *opened).exit_code
        for words in (("node", folder, SCHOOL), ("revoke", folder, SCHOOL), ("crl", folder))
    ]
    assert codes == [0, 0, 0]


def test_passphrase_is_in_no_output(closed):
    """What a failing command says never repeats a passphrase."""
    folder, word = closed
    word.write_text("hoarse-secret\n")
    done = run("authority", folder, OBLAST, "--passphrase-file", word)
    assert (done.exit_code, "hoarse-secret" in done.output) == (77, False)


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


def test_a_tier_that_is_said_stands_on_the_card(ready):
    """--tier says what the depth of an address does not."""
    assert run("node", ready, "kz.akmola", "--with-children").exit_code == 0
    assert run("node", ready, "kz.akmola.burabay", "--tier", "city").exit_code == 0
    card = load_card(ready / "cards", "kz.akmola.burabay")
    assert card.facts.tier == "city"


def test_a_tier_of_no_list_is_named(ready):
    """A tier that there is not is refused with those that there are, and makes nothing."""
    done = run("node", ready, SCHOOL, "--tier", "village")
    assert done.exit_code != 0
    assert "republic, oblast, city, district, school" in done.stderr
    assert not (ready / "nodes" / SCHOOL).exists()


def test_a_node_without_a_card_is_told(ready):
    """Where the parent's key is not here, the operator hears that nobody vouches yet."""
    done = run("node", ready, SCHOOL, "--json")
    assert any("no card" in note for note in json.loads(done.stdout)["notes"])


@pytest.mark.parametrize("language", Language)
def test_notes_and_errors_are_spoken(folder, monkeypatch, language):
    """Notes are in the language spoken, an error has what it means below it; JSON is English."""
    monkeypatch.setenv("BBAJ_LANG", language)
    note = Said("ca.unencrypted", {"what": Said("ca.authority-key")})
    assert run("init", folder).exit_code == 0
    assert note.in_language(language) in run("authority", folder, OBLAST).stderr
    again = run("authority", folder, OBLAST)
    explained = text("exits.meaning.file", language) in again.stderr
    assert explained == (language is not Language.EN)
    shown = run("hand-over", folder, OBLAST, "--json")
    assert json.loads(shown.stderr).keys() == {"error"}


def test_great_changes_by_command(ready):
    """An authority goes on line, the genesis file is written, and a stolen key is replaced."""
    assert run("node", ready, OBLAST).exit_code == 0
    shown = [
        json.loads(run(*words, "--json").stdout)["written"]
        for words in (
            ("hand-over", ready, OBLAST),
            ("genesis", ready),
            ("authority", ready, OBLAST, "--replace"),
        )
    ]
    assert shown == [
        [str(ready / f"nodes/{OBLAST}/authority.key")],
        [str(ready / "genesis.txt"), str(ready / "genesis.sig")],
        [str(ready / f"authorities/{OBLAST}")],
    ]
    again = run("hand-over", ready, OBLAST)
    assert (again.exit_code, "move it away first" in again.stderr) == (71, True)
