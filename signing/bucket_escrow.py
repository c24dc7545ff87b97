r"""Keys of payloads at rest in escrow: those of all buckets, in one file, under a passphrase.

A sealed file (signing.sealed_file) that begins with "BBAJ-BUCKETS/1\n". Inside is JSON: the key of
each bucket, the other secrets of the data folder, and the buckets that are destroyed. There is one
such file, and it is written over: a copy of before would bring back what was destroyed since.
"""

import msgspec

from schemas.moments import Instant
from signing.at_rest import KEY_BYTES
from signing.sealed_file import damaged, open_file, seal_file

MAGIC = b"BBAJ-BUCKETS/1\n"
_WHAT = "escrow of at-rest keys"


class BucketKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Secrets: never shown, never logged."""

    buckets: dict[str, bytes]
    """Keys by bucket; JSON has them in Base64."""
    secrets: dict[str, bytes]
    """Other key files of the data folder, by name."""
    destroyed: dict[str, tuple[str, str]]
    """Buckets whose keys are gone for good, each with its act and moment."""


class BucketEscrow(msgspec.Struct, frozen=True):
    """An escrow opened: whose keys they are, when it was made, and the keys."""

    address: str
    made: str
    keys: BucketKeys


def seal_buckets(address: str, keys: BucketKeys, passphrase: bytes, now: Instant) -> bytes:
    """Return the keys, encrypted under a passphrase."""
    return seal_file(MAGIC, address, msgspec.json.encode(keys), passphrase, now)


def open_buckets(raw: bytes, passphrase: bytes) -> BucketEscrow:
    """Return what is in an escrow. Raises KeyPassphraseError and KeyFileDamagedError."""
    opened = open_file(MAGIC, raw, passphrase, _WHAT)
    try:
        keys = msgspec.json.decode(opened.content, type=BucketKeys)
    except msgspec.DecodeError as error:
        raise damaged(_WHAT) from error
    if any(len(key) != KEY_BYTES for key in keys.buckets.values()):
        raise damaged(_WHAT)
    return BucketEscrow(opened.address, opened.made, keys)
