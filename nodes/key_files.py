"""Files of a key folder: put in place in one step, written and read in their one form."""

import contextlib
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from signing.errors import KeyFileDamagedError
from signing.keys import PrivateKey
from signing.profiles import KEY_TYPES, Purpose


def new_key(purpose: Purpose) -> PrivateKey:
    """Return a new key of the kind that a purpose takes."""
    if KEY_TYPES[purpose] is ec.EllipticCurvePublicKey:
        return ec.generate_private_key(ec.SECP256R1())
    return ed25519.Ed25519PrivateKey.generate()


def put_in_place(source: Path, target: Path) -> None:
    """Let `target` be what `source` is, in one step, as readable as the file it replaces."""
    draft = target.with_name(f".{target.name}.new")
    draft.unlink(missing_ok=True)
    os.link(source, draft)
    if target.exists():
        before = target.stat()
        with contextlib.suppress(PermissionError):
            os.chown(draft, -1, before.st_gid)
        draft.chmod(before.st_mode & 0o7777)
    draft.replace(target)
    draft.unlink(missing_ok=True)  # a rename to another name of the same file does nothing


def are_same(one: Path, other: Path) -> bool:
    """Say whether two files are there and hold the same bytes."""
    return one.exists() and other.exists() and one.read_bytes() == other.read_bytes()


def pem_of(der: bytes) -> bytes:
    """Return a certificate's PEM."""
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


def pem_of_public(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return a public key's PEM."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def load_public(path: Path) -> ec.EllipticCurvePublicKey:
    """Return the public key of a file. Raises KeyFileDamagedError."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except ValueError as error:
        raise KeyFileDamagedError(f"{path} holds no public key: remove it") from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise KeyFileDamagedError(f"{path} holds no P-256 key: remove it")
    return key
