"""The node's keys by command: shown, renewed by the daemon, put into escrow and brought back."""

from pathlib import Path

import msgspec

from exchange.renewal import RENEW, RenewNow, when_due
from nodes.cli import instructing
from nodes.cli.errors import UsageFault
from nodes.cli.key_shapes import EscrowWritten, KeyLine, KeysRestored, RenewalAsked
from nodes.clock import now
from nodes.config import Config
from nodes.keyring import KeyState
from nodes.passphrases import passphrase_of, read_passphrase_file
from nodes.wiring import load_encryption, open_keys
from schemas.moments import format_instant
from signing.encryption import (
    NEWEST,
    HybridKey,
    load_encryption_key,
    older_name,
    write_encryption_key,
)
from signing.errors import KeyFileMissingError
from signing.escrow import Escrow, open_escrow, seal_escrow
from signing.keys import load_certificate, write_new_file
from signing.profiles import Purpose

RENEWABLE = (Purpose.PACKET, Purpose.JOURNAL, Purpose.LINK, Purpose.WITNESS)


def list_keys(config: Config) -> list[KeyLine]:
    """Return every key of the node, those in use first. Raises KeyFileError."""
    lines = [_line(config, state) for state in open_keys(config).states()]
    for number, stated in enumerate(load_encryption(config).facts):
        lines.append(
            KeyLine(
                purpose="encryption",
                state="old" if number else "in use",
                id=stated.id,
                since=None,
                until=None,
                renewed_at=None,
                where="file",
            )
        )
    return lines


def renew(config: Config, purposes: list[str], wait_s: float) -> RenewalAsked:
    """Tell the daemon to ask for the next certificates; none named: for all."""
    wrong = [each for each in purposes if each not in RENEWABLE]
    if wrong:
        raise UsageFault(f"{wrong[0]} is no key that is renewed: name {', '.join(RENEWABLE)}")
    wanted = RenewNow(tuple(Purpose(each) for each in purposes))
    done = instructing.tell(config, RENEW, wanted, wait_s=wait_s)
    return msgspec.convert(done.content, RenewalAsked)


def escrow(config: Config, target: Path, passphrase_file: Path) -> EscrowWritten:
    """Write all encryption keys, encrypted for the backup. Raises KeyFileError."""
    keyring = load_encryption(config)
    sealed = seal_escrow(config.address, keyring, read_passphrase_file(passphrase_file), now())
    write_new_file(target, sealed)
    return EscrowWritten(file=str(target), keys=[stated.id for stated in keyring.facts])


def restore(config: Config, source: Path, passphrase_file: Path) -> KeysRestored:
    """Bring the encryption keys of an escrow back, under the node's own passphrase.

    Keys that are there stay as they are. Raises KeyFileError, and UsageFault for another node's.
    """
    try:
        raw = source.read_bytes()
    except OSError as error:
        raise KeyFileMissingError(f"{source} cannot be read ({error.strerror}): name it") from error
    opened = open_escrow(raw, read_passphrase_file(passphrase_file))
    if opened.address != config.address:
        raise UsageFault(f"{source} has the keys of {opened.address}, this is {config.address}")
    return bring_back(config, opened)


def bring_back(config: Config, opened: Escrow) -> KeysRestored:
    """Write the encryption keys of an escrow that are not there. Raises KeyFileError."""
    folder, passphrase = config.keys.folder, passphrase_of(config.keys)
    known = _known(folder, passphrase)
    missing = [key for key in opened.keys if key.id not in known]
    for key in missing:
        is_newest = key is opened.keys[0] and not (folder / NEWEST).exists()
        write_encryption_key(folder / (NEWEST if is_newest else older_name(key)), key, passphrase)
    return KeysRestored(
        address=opened.address,
        made=opened.made,
        restored=[key.id.hex() for key in missing],
        known=sorted(key.id.hex() for key in opened.keys if key.id in known),
    )


def _known(folder: Path, passphrase: bytes | None) -> dict[bytes, HybridKey]:
    """Return the keys that are there, the newest or not."""
    paths = [*folder.glob(NEWEST), *folder.glob("encryption-*.key")]
    keys = [load_encryption_key(path, passphrase) for path in paths]
    return {key.id: key for key in keys}


def _line(config: Config, state: KeyState) -> KeyLine:
    renewed_at = None
    if state.state == "in use":
        der = load_certificate(config.keys.folder / f"{state.purpose}.pem")
        renewed_at = format_instant(when_due(config.address, Purpose(state.purpose), der))
    has_life = bool(state.fingerprint)
    return KeyLine(
        purpose=state.purpose,
        state=state.state,
        id=state.fingerprint or None,
        since=format_instant(state.not_before) if has_life else None,
        until=format_instant(state.not_after) if has_life else None,
        renewed_at=renewed_at,
        where=state.where,
    )
