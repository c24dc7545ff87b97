"""Encryption keys: an ML-KEM-768 and an X25519 half, used together by HPKE (protocol clause 5.2).

A key is known by the SHA-256 of its public bytes, `ML-KEM-768 (1,184) || X25519 (32)`. A node has
one newest key and keeps all older ones: a lost key is a lost archive. In a node's key folder:

    encryption.key                      the newest: two PKCS#8 PEM blocks, ML-KEM-768 then X25519
    encryption-<16 hex of its id>.key   each older one
"""

import base64
import contextlib
import hashlib
import os
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from schemas import cards
from schemas.errors import FormatError
from schemas.reasons import Reason
from signing.errors import (
    KeyFileDamagedError,
    KeyFileMissingError,
    KeyPassphraseError,
)
from signing.keys import sync_folder, write_new_file

SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
MLKEM_PUBLIC_BYTES = 1184
PUBLIC_BYTES = MLKEM_PUBLIC_BYTES + 32
KEY_ID_BYTES = 32
NEWEST = "encryption.key"

_BLOCK = re.compile(rb"-----BEGIN [A-Z ]+-----[^-]+-----END [A-Z ]+-----\n?")
_HALVES = 2
_PARSED_KEYS = 1024
"""Public keys of so many recipients are kept ready."""


class HybridKey:
    """A private encryption key; its text forms show the id alone."""

    def __init__(self, mlkem: MLKEM768PrivateKey, x25519: X25519PrivateKey) -> None:
        """Join the halves."""
        self.mlkem = mlkem
        self.x25519 = x25519
        self.public = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()
        """1,216 bytes: ML-KEM-768, then X25519."""
        self.id = key_id(self.public)
        self._joined = MLKEM768X25519PrivateKey(mlkem, x25519)

    def __repr__(self) -> str:
        """Name the key without showing it."""
        return f"<encryption key {self.id.hex()}>"

    @classmethod
    def generate(cls) -> Self:
        """Return a new key."""
        return cls(MLKEM768PrivateKey.generate(), X25519PrivateKey.generate())

    @property
    def facts(self) -> cards.EncryptionKey:
        """The public half, as a card states it."""
        public = base64.b64encode(self.public).decode("ascii")
        return cards.EncryptionKey(id=self.id.hex(), kem="MLKEM768_X25519", public=public)

    def unwrap(self, wrapped: bytes, info: bytes) -> bytes:
        """Return what was wrapped for this key under `info`. Raises InvalidTag or ValueError."""
        return SUITE.decrypt(wrapped, self._joined, info)


class EncryptionKeyring:
    """A node's encryption keys: the newest is stated and written to, all of them open."""

    def __init__(self, newest: HybridKey, older: Iterable[HybridKey] = ()) -> None:
        """Hold keys; the same key twice counts once."""
        self.newest = newest
        self._keys = {key.id: key for key in (*older, newest)}

    @classmethod
    def load(cls, folder: Path, passphrase: bytes | None = None) -> Self:
        """Return the keys in a node's key folder. Raises KeyFileError, naming the file."""
        older = sorted(folder.glob("encryption-*.key"))
        newest = load_encryption_key(folder / NEWEST, passphrase)
        return cls(newest, [load_encryption_key(path, passphrase) for path in older])

    @property
    def facts(self) -> tuple[cards.EncryptionKey, ...]:
        """The public halves as a node states them, the newest first."""
        older = [key for key in self._keys.values() if key is not self.newest]
        return tuple(key.facts for key in (self.newest, *older))

    def find(self, id_: bytes) -> HybridKey | None:
        """Return the key of an id; None where it is not ours."""
        return self._keys.get(id_)


def key_id(public: bytes) -> bytes:
    """Return what a public key is known by: the SHA-256 of its bytes."""
    return hashlib.sha256(public).digest()


@lru_cache(_PARSED_KEYS)
def public_bytes(stated: cards.EncryptionKey) -> bytes:
    """Return the public key that a card states, once it is found fit to encrypt to.

    Raises FormatError(format-invalid): not 1,216 bytes of Base64, another id, no point or lattice.
    """
    try:
        public = base64.b64decode(stated.public, validate=True)
    except ValueError as error:
        raise _unfit("is no Base64") from error
    if len(public) != PUBLIC_BYTES or base64.b64encode(public).decode("ascii") != stated.public:
        raise _unfit(f"has {len(public)} bytes, not {PUBLIC_BYTES}, or spare bits")
    if key_id(public).hex() != stated.id:
        raise _unfit("has another id")
    try:
        wrap(b"", public, b"")
    except ValueError as error:
        raise _unfit("cannot be encrypted to") from error
    return public


def wrap(secret: bytes, public: bytes, info: bytes) -> bytes:
    """Return `secret` wrapped for a public key. Raises ValueError where that is no such key."""
    return SUITE.encrypt(secret, _parse_public(public), info)


def make_encryption_key(folder: Path, passphrase: bytes | None = None) -> HybridKey:
    """Make the newest key of a node's folder; the one before it is kept among the older ones.

    Mode 0600, durable on return; a crash leaves the folder with a newest key at every moment.
    Raises KeyFileError where the present one cannot be opened.
    """
    newest, key = folder / NEWEST, HybridKey.generate()
    if not newest.exists():
        write_new_file(newest, encode_private(key, passphrase))
        return key
    present = load_encryption_key(newest, passphrase)
    with contextlib.suppress(FileExistsError):  # a crash came between the two names
        os.link(newest, folder / older_name(present))
    draft = folder / f".{NEWEST}.next"
    draft.unlink(missing_ok=True)
    write_new_file(draft, encode_private(key, passphrase))
    draft.replace(newest)
    sync_folder(folder)
    return key


def older_name(key: HybridKey) -> str:
    """Return the file name of a key that is not the newest any more."""
    return f"encryption-{key.id.hex()[:16]}.key"


def write_encryption_key(path: Path, key: HybridKey, passphrase: bytes | None) -> None:
    """Write a key, mode 0600, durable on return. Raises KeyFileExistsError: never written over."""
    write_new_file(path, encode_private(key, passphrase))


def encode_private(key: HybridKey, passphrase: bytes | None) -> bytes:
    """Return both halves as PKCS#8 PEM blocks, encrypted where there is a passphrase."""
    return b"".join(_pem(half, passphrase) for half in (key.mlkem, key.x25519))


def load_encryption_key(path: Path, passphrase: bytes | None = None) -> HybridKey:
    """Return the key of a file. Raises KeyFileError, the wrong passphrase told apart."""
    try:
        pem = path.read_bytes()
    except FileNotFoundError as error:
        raise KeyFileMissingError(
            f"encryption key {path} is missing: restore it from its backup, what was encrypted "
            "to it cannot be read without it",
        ) from error
    except OSError as error:
        raise KeyFileMissingError(
            f"encryption key {path} cannot be read ({error.strerror}): let this user read it",
        ) from error
    blocks = _BLOCK.findall(pem)
    if len(blocks) != _HALVES:
        raise KeyFileDamagedError(f"{path} has {len(blocks)} PEM blocks, not two: restore it")
    mlkem, x25519 = (_load_half(path, block, passphrase) for block in blocks)
    if not isinstance(mlkem, MLKEM768PrivateKey) or not isinstance(x25519, X25519PrivateKey):
        raise KeyFileDamagedError(f"{path} holds no ML-KEM-768 and X25519 keys: restore it")
    return HybridKey(mlkem, x25519)


def _load_half(path: Path, block: bytes, passphrase: bytes | None) -> object:
    encrypted = block.startswith(b"-----BEGIN ENCRYPTED")
    if encrypted and passphrase is None:
        raise KeyPassphraseError(f"key file {path} has a passphrase: name the file that holds it")
    try:
        return serialization.load_pem_private_key(block, passphrase if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if encrypted:
            raise KeyPassphraseError(
                f"passphrase does not open key file {path}: give the one it was written with",
            ) from error
        raise KeyFileDamagedError(f"{path} is damaged: restore it from its backup") from error


def _pem(half: MLKEM768PrivateKey | X25519PrivateKey, passphrase: bytes | None) -> bytes:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        encryption = serialization.BestAvailableEncryption(passphrase)
    return half.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )


@lru_cache(_PARSED_KEYS)
def _parse_public(public: bytes) -> MLKEM768X25519PublicKey:
    return MLKEM768X25519PublicKey(
        MLKEM768PublicKey.from_public_bytes(public[:MLKEM_PUBLIC_BYTES]),
        X25519PublicKey.from_public_bytes(public[MLKEM_PUBLIC_BYTES:]),
    )


def _unfit(what: str) -> FormatError:
    return FormatError(Reason.FORMAT_INVALID, f"encryption key {what}")
