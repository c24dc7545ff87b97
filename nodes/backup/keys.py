"""The keys of a backup: one sealed file for payloads at rest, one for what others encrypt to us.

Both are written over at each backup, so that a bucket that was destroyed is gone from them as well.
Which ones are, the record says, and the list beside the keys; the escrow carries that list on.
"""

import os
from pathlib import Path

import msgspec

from nodes.backup.fault import explained
from nodes.config import Config
from nodes.errors import BackupDamaged
from nodes.whole_files import replace_file
from nodes.wiring import load_encryption
from schemas.moments import Instant, format_instant
from signing.at_rest import KEY_BYTES, AtRest, read_destroyed
from signing.bucket_escrow import BucketEscrow, BucketKeys, open_buckets, seal_buckets
from signing.errors import KeyFileExistsError, KeyFileMissingError
from signing.escrow import Escrow, open_escrow, seal_escrow
from signing.keys import sync_folder, write_new_file
from store.snapshot import Moment

BUCKETS, ENCRYPTION = "at-rest.escrow", "encryption.escrow"
AT_REST = "at-rest"
"""The folder of bucket keys in the data folder."""


class Keys(msgspec.Struct, frozen=True):
    """Both escrows, opened."""

    buckets: BucketEscrow
    encryption: Escrow

    def ring(self, folder: Path) -> AtRest:
        """Return the keys of payloads at rest, without writing them anywhere."""
        return AtRest.holding(self.buckets.keys.buckets, folder)


def write_keys(
    config: Config, folder: Path, moment: Moment, passphrase: bytes, at: Instant
) -> Keys:
    """Bring the escrows of a folder up to date; return what they hold now.

    Raises KeyFileError, BackupDamaged where a key is missing here that the escrow still has.
    """
    path = folder / BUCKETS
    before = None
    if path.exists():
        before = _of(config.address, folder, open_buckets(path.read_bytes(), passphrase))
    keys = _collect(config, before, moment, folder)
    sealed = seal_buckets(config.address, keys, passphrase, at)
    encryption = seal_escrow(config.address, load_encryption(config), passphrase, at)
    with explained():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_over(path, sealed)
        replace_file(folder / ENCRYPTION, encryption)
    return read_keys(config.address, folder, passphrase)


def read_keys(address: str, folder: Path, passphrase: bytes) -> Keys:
    """Return the escrows of a folder. Raises KeyFileError, BackupDamaged for another node's."""
    try:
        buckets, encryption = ((folder / name).read_bytes() for name in (BUCKETS, ENCRYPTION))
    except OSError as error:
        what = f"{error.filename} cannot be read ({error.strerror}): name the folder of the keys"
        raise KeyFileMissingError(what) from error
    opened = _of(address, folder, open_buckets(buckets, passphrase))
    return Keys(opened, open_escrow(encryption, passphrase))


def put_back(config: Config, keys: BucketKeys) -> list[str]:
    """Write the keys that are not there; return the buckets whose key was written.

    Buckets that were destroyed are listed as such here, too, so that no copy of their keys counts.
    Safe to repeat. Raises KeyFileExistsError where another key is in a bucket's place.
    """
    folder = config.data / AT_REST
    ring, written = AtRest(folder), []
    with explained():
        for bucket, (act, at) in sorted(keys.destroyed.items()):
            ring.destroy(bucket, act, at)
        here = read_destroyed(folder)
        for bucket, key in sorted(keys.buckets.items()):
            if bucket not in here and _write_missing(ring.key_file(bucket), key):
                written.append(bucket)
        for name, secret in sorted(keys.secrets.items()):
            _write_missing(config.data / name, secret)
    return written


def _of(address: str, folder: Path, escrow: BucketEscrow) -> BucketEscrow:
    if escrow.address != address:
        what = f"{folder} has the keys of {escrow.address}, this is {address}"
        raise BackupDamaged(f"{what}: name its own folder")
    return escrow


def _collect(
    config: Config, before: BucketEscrow | None, moment: Moment, folder: Path
) -> BucketKeys:
    """Return the keys of today, and the buckets that are gone."""
    place = config.data / AT_REST
    ring, kept = AtRest(place), {} if before is None else before.keys.buckets
    destroyed = {} if before is None else dict(before.keys.destroyed)
    for bucket, (act, at) in moment.destroyed.items():
        destroyed.setdefault(bucket, (act, format_instant(at)))
    for bucket, said in read_destroyed(place).items():
        act_there, _, at_there = said.partition(" ")
        destroyed.setdefault(bucket, (act_there, at_there))
    names = [bucket for bucket in ring.buckets() if bucket not in destroyed]
    today = {bucket: ring.key_file(bucket).read_bytes() for bucket in names}
    broken = [bucket for bucket, key in today.items() if len(key) != KEY_BYTES]
    lost = sorted((kept.keys() - today.keys() - destroyed.keys()) & set(moment.buckets)) + broken
    if lost:
        shown = ", ".join(lost[:5])
        raise BackupDamaged(
            f"keys of buckets are missing or damaged here, and their payloads are not destroyed: "
            f"{shown}: bring them back with `bbaj restore --keys-only --keys-from {folder}`"
        )
    secrets = {path.name: path.read_bytes() for path in sorted(config.data.glob("*.key"))}
    return BucketKeys(today, secrets, destroyed)


def _write_missing(path: Path, key: bytes) -> bool:
    if path.exists():
        if path.read_bytes() != key:
            raise KeyFileExistsError(f"{path} is another key than the backup's: move it away first")
        return False
    write_new_file(path, key)
    return True


def _write_over(path: Path, data: bytes) -> None:
    """Replace a file in one step, then blot out the bytes of before."""
    draft = path.with_name(f".{path.name}.new")
    with draft.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    if not path.exists():
        draft.rename(path)
        sync_folder(path.parent)
        return
    with path.open("r+b") as before:
        draft.rename(path)
        sync_folder(path.parent)
        before.write(bytes(os.fstat(before.fileno()).st_size))
        before.flush()
        os.fsync(before.fileno())
