"""Passphrases: from a systemd credential or a private file, and refused from anywhere else."""

import pytest

from nodes.config import Keys
from nodes.passphrases import passphrase_of, read_passphrase_file
from signing.errors import KeyFileError, KeyFileMissingError, KeyPassphraseError


def keys_with(tmp_path, **more) -> Keys:
    return Keys(folder=tmp_path, root=tmp_path, authorities=tmp_path, crls=tmp_path, **more)


def secret(path, text="horse\n", mode=0o600):
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400], ids=oct)
def test_a_private_file_holds_the_passphrase(tmp_path, mode):
    """The file's text counts, without its line end."""
    path = secret(tmp_path / "word", mode=mode)
    assert passphrase_of(keys_with(tmp_path, passphrase_file=path)) == b"horse"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o601], ids=oct)
def test_a_file_that_others_may_use_is_refused(tmp_path, mode):
    """What is wrong, and the command that mends it, are told; the passphrase is not."""
    path = secret(tmp_path / "word", mode=mode)
    with pytest.raises(KeyPassphraseError, match=f"chmod 600 {path}") as caught:
        read_passphrase_file(path)
    assert f"{mode:04o}" in str(caught.value)
    assert "horse" not in str(caught.value)


def test_a_credential_holds_the_passphrase(tmp_path, monkeypatch):
    """A credential is found by its name where systemd has put it, whatever its mode."""
    secret(tmp_path / "keys", mode=0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert passphrase_of(keys_with(tmp_path, passphrase_credential="keys")) == b"horse"


def test_without_systemd_there_is_no_credential(tmp_path, monkeypatch):
    """The environment that is missing is named, and how to come by it."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(KeyFileMissingError, match="LoadCredential"):
        passphrase_of(keys_with(tmp_path, passphrase_credential="keys"))


@pytest.mark.parametrize("text", ["", "\n"], ids=["nothing", "a line end"])
def test_an_empty_passphrase_is_none(tmp_path, text):
    """An empty file would leave the keys open to whoever guesses that."""
    with pytest.raises(KeyFileError, match="is empty"):
        read_passphrase_file(secret(tmp_path / "word", text))


def test_no_passphrase_is_asked_for_where_none_is_named(tmp_path):
    """Keys without a passphrase need none."""
    assert passphrase_of(keys_with(tmp_path)) is None
