r"""Encryption keys in escrow: all of a node's, in one file for its backup, under a passphrase.

A sealed file (signing.sealed_file) that begins with "BBAJ-ESCROW/1\n". Inside is JSON: each key's
id and, in Base64, its ML-KEM-768 seed (64 bytes) and X25519 key (32 bytes); the newest key first.
"""

import msgspec
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from schemas.moments import Instant
from signing.encryption import EncryptionKeyring, HybridKey
from signing.sealed_file import damaged, open_file, seal_file

MAGIC = b"BBAJ-ESCROW/1\n"
_WHAT = "escrow"
_SEED_BYTES = 64


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
    kept = []
    for stated in keyring.facts:
        key = keyring.find(bytes.fromhex(stated.id))
        assert key is not None, "a keyring has what it states"
        private = key.mlkem.private_bytes_raw() + key.x25519.private_bytes_raw()
        kept.append(_Kept(stated.id, private))
    return seal_file(MAGIC, address, msgspec.json.encode(kept), passphrase, now)


def open_escrow(raw: bytes, passphrase: bytes) -> Escrow:
    """Return what is in an escrow. Raises KeyPassphraseError and KeyFileDamagedError."""
    opened = open_file(MAGIC, raw, passphrase, _WHAT)
    keys = []
    for kept in msgspec.json.decode(opened.content, type=list[_Kept]):
        mlkem = MLKEM768PrivateKey.from_seed_bytes(kept.private[:_SEED_BYTES])
        x25519 = X25519PrivateKey.from_private_bytes(kept.private[_SEED_BYTES:])
        key = HybridKey(mlkem, x25519)
        if key.id.hex() != kept.id:
            raise damaged("escrow of encryption keys")
        keys.append(key)
    return Escrow(opened.address, opened.made, keys)
