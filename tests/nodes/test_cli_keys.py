"""`bbaj keys`: what is shown, and what an escrow brings back."""

import json
import os

import msgspec
import pytest

from exchange.sealing import read_payload
from harness.drafts import NOW, draft
from harness.key_node import ADDRESS, PASSPHRASE, config_of, make_key_node
from harness.pki import SCHOOL, make_network
from nodes.cli.main import run
from nodes.wiring import load_encryption, open_keys
from schemas.frame import cut
from signing.encryption import NEWEST
from signing.errors import KeyFileMissingError
from signing.payload import encrypt_content
from signing.seal import seal

CONTENT = b'{"absent":3}'


@pytest.fixture
def node(tmp_path):
    """Make a node's files; return its configuration file."""
    return make_key_node(tmp_path)


@pytest.fixture
def escrow_word(tmp_path):
    """Write the passphrase of an escrow."""
    path = tmp_path / "escrow.word"
    path.touch(mode=0o600)
    path.write_text("another horse\n")
    return path


def bbaj(*words) -> int:
    return run([str(word) for word in words])


def shown(capfd, *words) -> object:
    assert bbaj(*words, "--json") == 0, capfd.readouterr().err
    return json.loads(capfd.readouterr().out)


def packet_for(keyring):
    """Seal a packet to the newest key of a keyring, as its sender does."""
    sender = make_network([SCHOOL], NOW).nodes[SCHOOL]
    header = draft(from_=SCHOOL, to=ADDRESS, type="attendance.daily/1")
    header = msgspec.structs.replace(header, certificate=sender.packet.fingerprint)
    readers = [keyring.newest.public]
    payload, facts = encrypt_content(header, CONTENT, os.urandom(16), readers, padded=False)
    whole = msgspec.structs.replace(header, payload=facts)
    return cut(seal(whole, payload, sender.packet))


def test_the_list_has_every_key_and_when_it_is_renewed(node, capfd):
    """Each certificate has its life and the day that its successor is asked for."""
    rows = shown(capfd, "keys", "list", "--config", node)
    assert [row["purpose"] for row in rows] == ["packet", "journal", "link", "encryption"]
    assert {row["state"] for row in rows} == {"in use"}
    for row in rows[:3]:
        assert row["since"] < row["renewed_at"] < row["until"]


def test_people_see_the_same_list(node, capfd):
    """The table names each key; nothing secret is in it."""
    assert bbaj("keys", "list", "--config", node) == 0
    text = capfd.readouterr().out
    for word in ("packet", "journal", "link", "encryption", "in use", "file"):
        assert word in text
    assert "PRIVATE" not in text


def test_an_old_packet_opens_after_the_loss(node, escrow_word, tmp_path, capfd):
    """Keys of two renewals ago come back from the escrow, and open what was sent to them then."""
    config = config_of(node)
    packets = [packet_for(load_encryption(config))]
    for _ in range(2):
        open_keys(config).renew_encryption()
        packets.append(packet_for(load_encryption(config)))
    words = ("--passphrase-file", escrow_word, "--config", node)
    written = shown(capfd, "keys", "escrow", "--to", tmp_path / "escrow", *words)
    assert len(written["keys"]) == 3

    for path in config.keys.folder.glob("encryption*.key"):
        path.unlink()
    with pytest.raises(KeyFileMissingError, match="restore it"):
        load_encryption(config)

    done = shown(capfd, "keys", "restore", "--from", tmp_path / "escrow", *words)
    assert (done["restored"], done["known"]) == (written["keys"], [])
    keyring = load_encryption(config)
    assert [read_payload(frame, keyring) for frame in packets] == [CONTENT] * 3
    assert keyring.newest.id.hex() == written["keys"][0]
    text = (config.keys.folder / NEWEST).read_text()
    assert text.startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")


def test_what_is_there_stays(node, escrow_word, tmp_path, capfd):
    """A newer key than the escrow's stays the newest; what is there is not written again."""
    config = config_of(node)
    words = ("--passphrase-file", escrow_word, "--config", node)
    written = shown(capfd, "keys", "escrow", "--to", tmp_path / "escrow", *words)
    open_keys(config).renew_encryption()
    newest = load_encryption(config).newest.id
    done = shown(capfd, "keys", "restore", "--from", tmp_path / "escrow", *words)
    assert (done["restored"], done["known"]) == ([], written["keys"])
    assert load_encryption(config).newest.id == newest


def test_an_escrow_is_never_written_over(node, escrow_word, tmp_path, capfd):
    """A file that is there may be the only copy of another key."""
    (tmp_path / "escrow").write_bytes(b"mine")
    words = ("--to", tmp_path / "escrow", "--passphrase-file", escrow_word, "--config", node)
    assert bbaj("keys", "escrow", *words) != 0
    assert (tmp_path / "escrow").read_bytes() == b"mine"


def test_an_open_passphrase_file_is_refused(node, escrow_word, tmp_path, capfd):
    """A passphrase that others may read protects nothing."""
    escrow_word.chmod(0o644)
    words = ("--to", tmp_path / "escrow", "--passphrase-file", escrow_word, "--config", node)
    assert bbaj("keys", "escrow", *words) == 77
    assert "chmod 600" in capfd.readouterr().err
    assert not (tmp_path / "escrow").exists()


def test_another_nodes_keys_are_refused(node, escrow_word, tmp_path, capfd):
    """An escrow of another node would open nothing here."""
    words = ("--passphrase-file", escrow_word)
    shown(capfd, "keys", "escrow", "--to", tmp_path / "escrow", *words, "--config", node)
    (tmp_path / "other").mkdir()
    other = make_key_node(tmp_path / "other", "kz.almaty")
    assert bbaj("keys", "restore", "--from", tmp_path / "escrow", *words, "--config", other) == 64
    assert "kz.akmola" in capfd.readouterr().err


def test_the_nodes_passphrase_is_in_no_output(node, escrow_word, tmp_path, capfd):
    """Whatever the commands print, it is not the passphrase."""
    words = ("--passphrase-file", escrow_word, "--config", node)
    bbaj("keys", "list", "--config", node)
    bbaj("keys", "escrow", "--to", tmp_path / "escrow", *words)
    bbaj("keys", "restore", "--from", tmp_path / "escrow", *words)
    said = capfd.readouterr()
    assert PASSPHRASE not in said.out + said.err
