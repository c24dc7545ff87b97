r"""Encryption keys in escrow: all of a node's, in one file for its backup, under a passphrase.

    escrow = "BBAJ-ESCROW/1\n" || header || "\n" || AES-256-GCM output

The header is JSON in one line; the key comes from the passphrase by scrypt, with the salt and cost
that the header names. Additional data is everything before the output. Inside is JSON: each key's
id and, in Base64, its ML-KEM-768 seed (64 bytes) and X25519 key (32 bytes); the newest key first.
"""

import os
from typing import Annotated

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from schemas.moments import Instant, InstantText, format_instant
from signing.encryption import EncryptionKeyring, HybridKey
from signing.errors import KeyFileDamagedError, KeyPassphraseError

MAGIC = b"BBAJ-ESCROW/1\n"
SALT_BYTES = 16
NONCE_BYTES = 12
COST = 2**15
"""With 8 blocks: 32 MiB and a tenth of a second for each guess."""
_COST_MAX = 2**18
_BLOCKS = 8
_KEY_BYTES = 32
_SEED_BYTES = 64


class EscrowHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What anybody may read of an escrow; bytes are in hex."""

    address: str
    made: InstantText
    salt: str
    cost: Annotated[int, msgspec.Meta(ge=2, le=_COST_MAX)]
    nonce: str


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key; it never leaves this module, so that nobody shows it."""

    id: str
    private: bytes
    """JSON has it in Base64."""


class Escrow(msgspec.Struct, frozen=True):
    """An escrow opened: whose keys they are, and the keys, the newest first."""

    address: str
    made: str
    keys: list[HybridKey]


def seal_escrow(address: str, keyring: EncryptionKeyring, passphrase: bytes, now: Instant) -> bytes:
    """Return all keys of a node, encrypted under a passphrase."""
    salt, nonce = os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
    header = EscrowHeader(address, format_instant(now), salt.hex(), COST, nonce.hex())
    kept = []
    for stated in keyring.facts:
        key = keyring.find(bytes.fromhex(stated.id))
        assert key is not None, "a keyring has what it states"
        private = key.mlkem.private_bytes_raw() + key.x25519.private_bytes_raw()
        kept.append(_Kept(stated.id, private))
    clear = MAGIC + msgspec.json.encode(header) + b"\n"
    sealer = AESGCM(_derive(passphrase, salt, COST))
    return clear + sealer.encrypt(nonce, msgspec.json.encode(kept), clear)


def open_escrow(raw: bytes, passphrase: bytes) -> Escrow:
    """Return what is in an escrow. Raises KeyPassphraseError and KeyFileDamagedError."""
    line, _, sealed = raw.removeprefix(MAGIC).partition(b"\n")
    try:
        header = msgspec.json.decode(line, type=EscrowHeader)
        salt, nonce = bytes.fromhex(header.salt), bytes.fromhex(header.nonce)
    except ValueError as error:  # what msgspec raises is one
        raise _damaged() from error
    if not raw.startswith(MAGIC) or len(nonce) != NONCE_BYTES or header.cost & (header.cost - 1):
        raise _damaged()
    clear = raw[: len(raw) - len(sealed)]
    try:
        opened = AESGCM(_derive(passphrase, salt, header.cost)).decrypt(nonce, sealed, clear)
    except InvalidTag as error:
        raise KeyPassphraseError(
            "passphrase does not open the escrow, or the escrow is damaged: give the one it was "
            "made with, or another copy",
        ) from error
    keys = []
    for kept in msgspec.json.decode(opened, type=list[_Kept]):
        mlkem = MLKEM768PrivateKey.from_seed_bytes(kept.private[:_SEED_BYTES])
        x25519 = X25519PrivateKey.from_private_bytes(kept.private[_SEED_BYTES:])
        key = HybridKey(mlkem, x25519)
        if key.id.hex() != kept.id:
            raise _damaged()
        keys.append(key)
    return Escrow(header.address, header.made, keys)


def _derive(passphrase: bytes, salt: bytes, cost: int) -> bytes:
    return Scrypt(salt=salt, length=_KEY_BYTES, n=cost, r=_BLOCKS, p=1).derive(passphrase)


def _damaged() -> KeyFileDamagedError:
    return KeyFileDamagedError(
        "this is no escrow of encryption keys, or it is damaged: fetch another copy"
    )
