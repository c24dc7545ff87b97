"""Payloads at rest: AES-256-GCM under one key for each bucket, a file outside the database.

    sealed = u8 version = 1 || 12-byte nonce || AES-GCM output

A bucket is a retention class and a month, `R5-2026-11`. Destroying its key file destroys every copy
of what it sealed, in backups and replicas too. Loading a key has a twin here, making one: the file
is whole and durable before the key is first used, so nothing sealed can lose its key in a crash.

The file `destroyed` of the folder lists what was destroyed, a line each: bucket, act, moment. A key
that stands in it is neither used nor made again, wherever a copy of it comes from.
"""

import contextlib
import os
import re
import threading
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from signing.errors import (
    BucketDamagedError,
    BucketDestroyedError,
    BucketKeyMissingError,
    BucketKeyUnwritableError,
    KeyFileExistsError,
)
from signing.keys import sync_folder, write_new_file

KEY_BYTES = 32
NONCE_BYTES = 12
OVERHEAD_BYTES = 1 + NONCE_BYTES + 16

DESTROYED_FILE = "destroyed"

_VERSION = b"\x01"
_BUCKET = re.compile(r"[A-Z][A-Za-z0-9-]{0,63}")


class AtRest:
    """The keyring of one folder. Safe to use from several threads, and by two daemons at once."""

    def __init__(self, folder: Path) -> None:
        """Use the key files of `folder`, `<bucket>.key`; it is made when the first key is."""
        self._folder = folder
        self._keys: dict[str, AESGCM] = {}
        self._lock = threading.Lock()

    @classmethod
    def holding(cls, keys: Mapping[str, bytes], folder: Path) -> "AtRest":
        """Use keys at hand, as those of an escrow; any other is looked for in `folder`."""
        ring = cls(folder)
        ring._keys = {bucket: AESGCM(key) for bucket, key in keys.items()}
        return ring

    def seal(self, bucket: str, aad: bytes, data: bytes) -> bytes:
        """Return `data` sealed under the bucket's key, which is made if there is none yet.

        `aad` names what is sealed; only with the same will it open. Raises KeyFileError.
        """
        key = self._keys.get(bucket) or self._load(bucket, make=True)
        nonce = os.urandom(NONCE_BYTES)
        return _VERSION + nonce + key.encrypt(nonce, data, _bind(bucket, aad))

    def open(self, bucket: str, aad: bytes, sealed: bytes) -> bytes:
        """Return what was sealed.

        Raises BucketKeyMissingError, which names the key file, or BucketDamagedError.
        """
        key = self._keys.get(bucket) or self._load(bucket, make=False)
        if len(sealed) < OVERHEAD_BYTES or sealed[:1] != _VERSION:
            raise BucketDamagedError(f"bucket {bucket}: {len(sealed)} bytes were not sealed by us")
        nonce, body = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        try:
            return key.decrypt(nonce, body, _bind(bucket, aad))
        except InvalidTag as error:
            raise BucketDamagedError(
                f"bucket {bucket}: data does not open under {self.key_file(bucket)}: "
                "restore the row, or the key that it was sealed with",
            ) from error

    def derived_key(self, bucket: str, purpose: bytes) -> bytes:
        """Return a key that follows from the bucket's, so that it ends with it.

        Raises BucketKeyMissingError or BucketDamagedError.
        """
        with self._lock:
            key = self._read(bucket, make=False)
        info = _bind(bucket, purpose)
        return HKDF(hashes.SHA256(), length=KEY_BYTES, salt=None, info=info).derive(key)

    def ensure(self, bucket: str) -> None:
        """Make the bucket's key if there is none yet; it is durable on return."""
        if bucket not in self._keys:
            self._load(bucket, make=True)

    def buckets(self) -> list[str]:
        """Return the buckets whose keys are there, in order."""
        return sorted(path.stem for path in self._folder.glob("*.key"))

    def destroyed(self) -> dict[str, str]:
        """Return the buckets listed as destroyed, each with its act and moment."""
        try:
            return read_destroyed(self._folder)
        except (OSError, UnicodeDecodeError) as error:
            raise BucketKeyMissingError(
                f"the list {self._folder / DESTROYED_FILE} of destroyed keys cannot be read "
                f"({error}): restore it from the key backup"
            ) from error

    def destroy(self, bucket: str, act: str, at: str) -> bool:
        """Destroy a bucket's key: what it sealed can never be opened again, here or in a backup.

        The caller has journaled the act first; it is listed before the key goes, so that no copy of
        the key counts any more. False where all of it was done before. Raises OSError.
        """
        path = self.key_file(bucket)
        with self._lock:
            self._keys.pop(bucket, None)
            is_new = bucket not in read_destroyed(self._folder)
            if is_new:
                _append_line(self._folder / DESTROYED_FILE, f"{bucket} {act} {at}\n")
            if path.exists():
                _overwrite(path)
                path.unlink()
                sync_folder(self._folder)
                return True
        return is_new

    def key_file(self, bucket: str) -> Path:
        """Return where the bucket's key is kept."""
        assert _BUCKET.fullmatch(bucket), f"bucket {bucket!r} is no bucket name"
        return self._folder / f"{bucket}.key"

    def _load(self, bucket: str, *, make: bool) -> AESGCM:
        with self._lock:
            return self._keys.setdefault(bucket, AESGCM(self._read(bucket, make=make)))

    def _read(self, bucket: str, *, make: bool) -> bytes:
        """Return the bytes of a key. The caller holds the lock."""
        path = self.key_file(bucket)
        if (act := self.destroyed().get(bucket)) is not None:
            said = " on ".join(act.split())
            raise BucketDestroyedError(f"bucket {bucket} was destroyed under act {said}")
        if make and not path.exists():
            _make_key(path)
        try:
            key = path.read_bytes()
        except OSError as error:
            raise BucketKeyMissingError(
                f"key file {path} of bucket {bucket} is missing or unreadable: restore it "
                "from the key backup, unless the bucket was destroyed",
            ) from error
        if len(key) != KEY_BYTES:
            raise BucketDamagedError(
                f"key file {path} has {len(key)} bytes, not {KEY_BYTES}: restore it",
            )
        return key


def read_destroyed(folder: Path) -> dict[str, str]:
    """Return the buckets whose keys a folder lists as destroyed, each with its act and moment.

    A last line that a crash has cut off does not count: its key is there yet.
    """
    try:
        text = (folder / DESTROYED_FILE).read_text(encoding="ascii")
    except FileNotFoundError:
        return {}
    lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return {bucket: act for bucket, _, act in (line.strip().partition(" ") for line in lines)}


def _append_line(path: Path, line: str) -> None:
    """Append a line to a list that is read line by line; durable on return."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        whole = file.read().rpartition(b"\n")
        file.seek(len(whole[0]) + len(whole[1]))  # a line that a crash has cut off goes
        file.truncate()
        file.write(line.encode("ascii"))
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def _overwrite(path: Path) -> None:
    """Put zeros in the place of a key, where the disk lets go of the old bytes at all."""
    with path.open("r+b") as file:
        file.write(bytes(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())


def _make_key(path: Path) -> None:
    try:
        with contextlib.suppress(KeyFileExistsError):  # another daemon was first; its key counts
            write_new_file(path, AESGCM.generate_key(8 * KEY_BYTES))
    except OSError as error:
        raise BucketKeyUnwritableError(
            f"key file {path} cannot be written ({error.strerror}): make room for it",
        ) from error


def _bind(bucket: str, aad: bytes) -> bytes:
    """Bind the bucket's name as well: a row moved to another bucket does not open."""
    return b"bbaj-at-rest-1\n" + bucket.encode("ascii") + b"\n" + aad
