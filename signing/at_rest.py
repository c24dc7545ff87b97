"""Payloads at rest: AES-256-GCM under one key for each bucket, a file outside the database.

    sealed = u8 version = 1 || 12-byte nonce || AES-GCM output

A bucket is a retention class and a month, `R5-2026-11`. Destroying its key file destroys every copy
of what it sealed, in backups and replicas too. Loading a key has a twin here, making one: the file
is whole and durable before the key is first used, so nothing sealed can lose its key in a crash.
"""

import contextlib
import os
import re
import threading
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from signing.errors import (
    BucketDamagedError,
    BucketKeyMissingError,
    BucketKeyUnwritableError,
    KeyFileExistsError,
)
from signing.keys import sync_folder, write_new_file

KEY_BYTES = 32
NONCE_BYTES = 12
OVERHEAD_BYTES = 1 + NONCE_BYTES + 16

_VERSION = b"\x01"
_BUCKET = re.compile(r"[A-Z][A-Za-z0-9-]{0,63}")


class AtRest:
    """The keyring of one folder. Safe to use from several threads, and by two daemons at once."""

    def __init__(self, folder: Path) -> None:
        """Use the key files of `folder`, `<bucket>.key`; it is made when the first key is."""
        self._folder = folder
        self._keys: dict[str, AESGCM] = {}
        self._lock = threading.Lock()

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

    def ensure(self, bucket: str) -> None:
        """Make the bucket's key if there is none yet; it is durable on return."""
        if bucket not in self._keys:
            self._load(bucket, make=True)

    def buckets(self) -> list[str]:
        """Return the buckets whose keys are there, in order."""
        return sorted(path.stem for path in self._folder.glob("*.key"))

    def destroy(self, bucket: str) -> None:
        """Destroy a bucket's key: what it sealed can never be opened again, here or in a backup.

        The caller has journaled the act first. A key already gone is no error.
        """
        with self._lock:
            self._keys.pop(bucket, None)
            path = self.key_file(bucket)
            if not path.exists():
                return
            path.write_bytes(bytes(KEY_BYTES))
            path.unlink()
            sync_folder(self._folder)

    def key_file(self, bucket: str) -> Path:
        """Return where the bucket's key is kept."""
        assert _BUCKET.fullmatch(bucket), f"bucket {bucket!r} is no bucket name"
        return self._folder / f"{bucket}.key"

    def _load(self, bucket: str, *, make: bool) -> AESGCM:
        path = self.key_file(bucket)
        with self._lock:
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
            return self._keys.setdefault(bucket, AESGCM(key))


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
