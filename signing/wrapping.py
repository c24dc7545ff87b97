"""What travels when a payload is encrypted (protocol clause 5.3).

    payload = u8 n || n x (32-byte key id || u16 length || wrapped key) || 12-byte nonce || sealed

`sealed` is AES-256-GCM output under a fresh key, which HPKE wraps for each reader. Both are bound
to the SHA-256 of the header without `payload`: moved under another header, nothing opens.
"""

import hashlib
import os
import struct
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.errors import FormatError
from schemas.header import Header, encode_binding
from schemas.reasons import Reason
from signing.encryption import KEY_ID_BYTES, EncryptionKeyring, key_id, wrap

WRAPPED_BYTES = 1120 + 32 + 16
"""HPKE's encapsulated key, the payload's key, the tag."""
WRAPS_MAX = 8
NONCE_BYTES = 12
TAG_BYTES = 16

_INFO = b"bbaj-wrap-1"
_KEY_BYTES = 32
_WRAP = struct.Struct(f">{KEY_ID_BYTES}sH{WRAPPED_BYTES}s")


def overhead_bytes(readers: int) -> int:
    """Return by how many bytes encrypting for so many readers makes a payload longer."""
    return 1 + readers * _WRAP.size + NONCE_BYTES + TAG_BYTES


def binding_of(header: Header) -> bytes:
    """Return the digest (32 bytes) that ties a payload to its header."""
    return hashlib.sha256(encode_binding(header)).digest()


def encrypt(plain: bytes, binding: bytes, readers: Sequence[bytes]) -> bytes:
    """Return `plain` encrypted for 1 to 8 public keys.

    Raises ValueError where one is no key; `public_bytes` has found out before.
    """
    assert 0 < len(readers) <= WRAPS_MAX, f"{len(readers)} readers"
    key, nonce = os.urandom(_KEY_BYTES), os.urandom(NONCE_BYTES)
    wraps = [
        _WRAP.pack(key_id(reader), WRAPPED_BYTES, wrap(key, reader, _INFO + binding))
        for reader in readers
    ]
    sealed = AESGCM(key).encrypt(nonce, plain, binding)
    return b"".join((bytes((len(wraps),)), *wraps, nonce, sealed))


def decrypt(payload: bytes, binding: bytes, keys: EncryptionKeyring) -> bytes:
    """Return what was encrypted. Raises FormatError(decrypt-failed), never naming a key."""
    wraps, rest = _cut(payload)
    ours = [(own, wrapped) for id_, wrapped in wraps if (own := keys.find(id_)) is not None]
    if not ours:
        raise _failed("payload is encrypted to no key of ours")
    own, wrapped = ours[0]
    try:
        key = own.unwrap(wrapped, _INFO + binding)
        return AESGCM(key).decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], binding)
    except (InvalidTag, ValueError) as error:
        raise _failed("payload does not open under its key and header") from error


def readers_of(payload: bytes) -> list[bytes]:
    """Return the ids of the keys that a payload is encrypted to. Raises FormatError."""
    return [id_ for id_, _ in _cut(payload)[0]]


def _cut(payload: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return wraps, and what follows them."""
    count = payload[0] if payload else 0
    if not 0 < count <= WRAPS_MAX:
        raise _failed(f"payload has {count} wrapped keys, not 1 to {WRAPS_MAX}")
    if len(payload) < overhead_bytes(count):
        raise _failed(f"payload of {len(payload)} bytes ends within its wrapped keys")
    wraps = []
    for place in range(count):
        id_, length, wrapped = _WRAP.unpack_from(payload, 1 + place * _WRAP.size)
        if length != WRAPPED_BYTES:
            raise _failed(f"wrapped key has {length} bytes, not {WRAPPED_BYTES}")
        wraps.append((id_, wrapped))
    return wraps, payload[1 + count * _WRAP.size :]


def _failed(what: str) -> FormatError:
    return FormatError(Reason.DECRYPT_FAILED, what)
