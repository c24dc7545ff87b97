r"""Secrets in one file under a passphrase, for backups.

    file = MAGIC || header || "\n" || AES-256-GCM output

The header is JSON in one line; the key comes from the passphrase by scrypt, with the salt and cost
that the header names. Additional data is everything before the output.
"""

import os
from typing import Annotated

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from schemas.moments import Instant, InstantText, format_instant
from signing.errors import KeyFileDamagedError, KeyPassphraseError

SALT_BYTES = 16
NONCE_BYTES = 12
COST = 2**15
"""With 8 blocks: 32 MiB and a tenth of a second for each guess."""
_COST_MAX = 2**18
_BLOCKS = 8
_KEY_BYTES = 32


class SealedHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What anybody may read of such a file; bytes are in hex."""

    address: str
    made: InstantText
    salt: str
    cost: Annotated[int, msgspec.Meta(ge=2, le=_COST_MAX)]
    nonce: str


class Opened(msgspec.Struct, frozen=True):
    """A file opened: whose it is, when it was made, and what was in it."""

    address: str
    made: str
    content: bytes


def seal_file(magic: bytes, address: str, content: bytes, passphrase: bytes, now: Instant) -> bytes:
    """Return a file that only the passphrase opens."""
    salt, nonce = os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
    header = SealedHeader(address, format_instant(now), salt.hex(), COST, nonce.hex())
    clear = magic + msgspec.json.encode(header) + b"\n"
    sealer = AESGCM(_derive(passphrase, salt, COST))
    return clear + sealer.encrypt(nonce, content, clear)


def open_file(magic: bytes, raw: bytes, passphrase: bytes, what: str) -> Opened:
    """Return what is in a file; `what` names its kind. Raises KeyPassphraseError, ~DamagedError."""
    line, _, sealed = raw.removeprefix(magic).partition(b"\n")
    try:
        header = msgspec.json.decode(line, type=SealedHeader)
        salt, nonce = bytes.fromhex(header.salt), bytes.fromhex(header.nonce)
    except ValueError as error:  # what msgspec raises is one
        raise damaged(what) from error
    if not raw.startswith(magic) or len(nonce) != NONCE_BYTES or header.cost & (header.cost - 1):
        raise damaged(what)
    clear = raw[: len(raw) - len(sealed)]
    try:
        content = AESGCM(_derive(passphrase, salt, header.cost)).decrypt(nonce, sealed, clear)
    except InvalidTag as error:
        raise KeyPassphraseError(
            f"passphrase does not open the {what}, or the {what} is damaged: give the one it was "
            "made with, or another copy",
        ) from error
    return Opened(header.address, header.made, content)


def damaged(what: str) -> KeyFileDamagedError:
    """Return that a file is not what it should be."""
    return KeyFileDamagedError(f"this is no {what}, or it is damaged: fetch another copy")


def _derive(passphrase: bytes, salt: bytes, cost: int) -> bytes:
    return Scrypt(salt=salt, length=_KEY_BYTES, n=cost, r=_BLOCKS, p=1).derive(passphrase)
