"""Passphrases and PINs: read from systemd credentials, or from files that nobody else can read."""

import stat
from pathlib import Path

from nodes.config import CREDENTIALS_NAME, Keys, credentials_folder
from signing.errors import KeyFileMissingError, KeyPassphraseError

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def passphrase_of(keys: Keys) -> bytes | None:
    """Return the passphrase of a node's key files; None where they have none.

    Raises KeyPassphraseError and KeyFileMissingError, each with what to do.
    """
    if keys.passphrase_credential is not None:
        return read_credential(keys.passphrase_credential)
    if keys.passphrase_file is not None:
        return read_passphrase_file(keys.passphrase_file)
    return None


def read_credential(name: str) -> bytes:
    """Return a credential that systemd handed to this process."""
    folder = credentials_folder()
    if folder is None:
        raise KeyFileMissingError(
            f"no credential {name}: {CREDENTIALS_NAME} is not set; start by systemd with "
            f"LoadCredentialEncrypted={name}, a command by `systemd-run -p LoadCredential=`",
        )
    return _read(folder / name, f"credential {name}")


def read_passphrase_file(path: Path) -> bytes:
    """Return the passphrase in a file of mode 0600 or stricter, its last line end left out."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise _unreadable(f"passphrase file {path}", error) from error
    if mode & _OTHERS:
        raise KeyPassphraseError(
            f"passphrase file {path} has mode {mode:04o}, others may read it: run "
            f"`chmod 600 {path}`, and change the passphrase if somebody else has",
        )
    return _read(path, f"passphrase file {path}")


def _read(path: Path, what: str) -> bytes:
    try:
        passphrase = path.read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise _unreadable(what, error) from error
    if not passphrase:
        raise KeyPassphraseError(f"{what} is empty: write one into it")
    return passphrase


def _unreadable(what: str, error: OSError) -> KeyFileMissingError:
    return KeyFileMissingError(f"{what} cannot be read ({error.strerror}): name another")
