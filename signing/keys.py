"""Private keys: loaded from PKCS#8 files, used behind the `Signer` protocol, never shown.

A PKCS#11 token can stand behind `Signer` as well. Two things here touch the disk: reading a key or
certificate file, and writing a new key.
"""

import hashlib
import os
import re
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from signing.errors import (
    MALFORMED,
    KeyFileDamagedError,
    KeyFileExistsError,
    KeyFileMissingError,
    KeyPassphraseError,
)
from signing.profiles import is_p256

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P256_HALF_ORDER = P256_ORDER // 2

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

_OTHER_FORM = re.compile(rb"-----BEGIN (?!(ENCRYPTED )?PRIVATE KEY)[A-Z0-9 ]*PRIVATE KEY-----")
"""A private key in another form than PKCS#8."""
_DETERMINISTIC = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)


class Signer(Protocol):
    """A private key and the certificate that vouches for it; safe to use from several threads."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate's DER, in hex."""
        ...

    @property
    def certificate(self) -> bytes:
        """The certificate's DER."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Return the signature over `data`."""
        ...


class PacketSigner:
    """Signs frames and link objects: ECDSA P-256 SHA-256, strict DER, low S.

    Deterministic, unless a token holds the key: those choose their nonce themselves.
    """

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: bytes) -> None:
        """Join key and certificate. Raises KeyFileDamagedError where they are no pair."""
        _check_pair(key, certificate)
        if not is_p256(key.public_key()):
            raise KeyFileDamagedError("packet key is not on P-256: have a packet key issued")
        self._key = key
        self.certificate = certificate
        self.fingerprint = fingerprint(certificate)

    def sign(self, data: bytes) -> bytes:
        """Return the one low-S signature over `data`, in DER."""
        return low_s(self._key.sign(data, _DETERMINISTIC))


class JournalSigner:
    """Signs checkpoints and cosignatures: Ed25519."""

    def __init__(self, key: ed25519.Ed25519PrivateKey, certificate: bytes) -> None:
        """Join key and certificate. Raises KeyFileDamagedError where they are no pair."""
        _check_pair(key, certificate)
        self._key = key
        self.certificate = certificate
        self.fingerprint = fingerprint(certificate)
        self.public_bytes = key.public_key().public_bytes_raw()

    def sign(self, data: bytes) -> bytes:
        """Return the signature over `data`, 64 bytes."""
        return self._key.sign(data)


def low_s(signature: bytes) -> bytes:
    """Return an ECDSA P-256 signature (DER) in its one encoding: of two values of S the lower."""
    r, s = decode_dss_signature(signature)
    return signature if s <= P256_HALF_ORDER else encode_dss_signature(r, P256_ORDER - s)


def key_digest(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) -> bytes:
    """Return what a public key is known by: the SHA-256 of its SubjectPublicKeyInfo, DER."""
    return hashlib.sha256(
        key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    ).digest()


def fingerprint(der: bytes) -> str:
    """Return what a certificate is known by: the SHA-256 of its DER, in hex."""
    return hashlib.sha256(der).hexdigest()


def load_private_key(path: Path, passphrase: bytes | None = None) -> PrivateKey:
    """Return the P-256, P-384 or Ed25519 key of a PKCS#8 PEM file.

    Raises KeyFileError, the wrong passphrase told apart from the missing file.
    """
    key = _load_pkcs8(path, passphrase)
    if not isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise KeyFileDamagedError(
            f"{path} holds a {type(key).__name__}: an EC or Ed25519 key is needed"
        )
    return key


def load_mldsa_key(path: Path, passphrase: bytes | None = None) -> mldsa.MLDSA44PrivateKey:
    """Return the ML-DSA-44 key of a PKCS#8 PEM file. Raises KeyFileError."""
    key = _load_pkcs8(path, passphrase)
    if not isinstance(key, mldsa.MLDSA44PrivateKey):
        raise KeyFileDamagedError(
            f"{path} holds a {type(key).__name__}: an ML-DSA-44 key is needed"
        )
    return key


def _load_pkcs8(path: Path, passphrase: bytes | None) -> object:
    """Return the key of a file, of whatever kind. Raises KeyFileError."""
    pem = _read(path, "key file")
    if _OTHER_FORM.search(pem):
        raise KeyFileDamagedError(
            f"{path} is not PKCS#8: rewrite it with `openssl pkcs8 -topk8`, and remove this one"
        )
    encrypted = b"ENCRYPTED" in pem
    if encrypted and passphrase is None:
        raise KeyPassphraseError(f"key file {path} has a passphrase: name the file that holds it")
    try:
        return serialization.load_pem_private_key(pem, passphrase if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if encrypted and _is_whole_pem(pem):
            raise KeyPassphraseError(
                f"passphrase does not open key file {path}: give the one it was written with",
            ) from error
        raise KeyFileDamagedError(
            f"{path} holds no private key: restore it from its backup"
        ) from error


def write_private_key(
    path: Path, key: PrivateKey | mldsa.MLDSA44PrivateKey, passphrase: bytes | None
) -> None:
    """Write a key as PKCS#8 PEM, mode 0600, durable on return; None leaves it unencrypted.

    Raises KeyFileExistsError: a key is never written over.
    """
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        encryption = serialization.BestAvailableEncryption(passphrase)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        encryption,
    )
    write_new_file(path, pem)


def write_new_file(path: Path, data: bytes) -> None:
    """Write a secret that was not there before, mode 0600; file and folder are durable on return.

    A crash leaves the whole file or none. Raises KeyFileExistsError.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.urandom(8).hex()}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError as error:
        raise KeyFileExistsError(
            f"{path} exists: move it away first, keys are not replaced"
        ) from error
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the folder's own entries durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def load_certificate(path: Path) -> bytes:
    """Return the DER of a certificate file, PEM (its first) or DER. Raises KeyFileError."""
    return load_certificates(path)[0]


def load_certificates(path: Path) -> list[bytes]:
    """Return the DER of every certificate of a file, PEM or DER. Raises KeyFileError."""
    data = _read(path, "certificate file")
    try:
        if data.lstrip().startswith(b"-----BEGIN"):
            found = x509.load_pem_x509_certificates(data)
        else:
            found = [x509.load_der_x509_certificate(data)]
    except MALFORMED as error:
        raise KeyFileDamagedError(f"{path} holds no certificate: fetch it again") from error
    return [each.public_bytes(serialization.Encoding.DER) for each in found]


def load_crl(path: Path) -> bytes:
    """Return the DER of a revocation list file, PEM or DER. Raises KeyFileError."""
    data = _read(path, "revocation list")
    try:
        if data.lstrip().startswith(b"-----BEGIN"):
            crl = x509.load_pem_x509_crl(data)
        else:
            crl = x509.load_der_x509_crl(data)
    except MALFORMED as error:
        raise KeyFileDamagedError(f"{path} holds no revocation list: fetch it again") from error
    return crl.public_bytes(serialization.Encoding.DER)


def load_packet_signer(key: Path, certificate: Path, passphrase: bytes | None) -> PacketSigner:
    """Return the signer of a packet key file. Raises KeyFileError."""
    loaded = load_private_key(key, passphrase)
    if not isinstance(loaded, ec.EllipticCurvePrivateKey):
        raise KeyFileDamagedError(f"{key} holds no P-256 key: name the packet key")
    return PacketSigner(loaded, load_certificate(certificate))


def load_journal_signer(key: Path, certificate: Path, passphrase: bytes | None) -> JournalSigner:
    """Return the signer of a journal or witness key file. Raises KeyFileError."""
    loaded = load_private_key(key, passphrase)
    if not isinstance(loaded, ed25519.Ed25519PrivateKey):
        raise KeyFileDamagedError(f"{key} holds no Ed25519 key: name the journal key")
    return JournalSigner(loaded, load_certificate(certificate))


def _check_pair(key: PrivateKey, certificate: bytes) -> None:
    try:
        certified = x509.load_der_x509_certificate(certificate).public_key()
    except MALFORMED as error:
        raise KeyFileDamagedError("certificate cannot be read: fetch it again") from error
    if certified != key.public_key():
        raise KeyFileDamagedError(
            f"certificate {fingerprint(certificate)} is for another key: name the matching pair",
        )


def _is_whole_pem(pem: bytes) -> bool:
    return pem.rstrip().endswith(b"-----END ENCRYPTED PRIVATE KEY-----")


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise KeyFileMissingError(
            f"{what} {path} is missing: restore it, or correct its path"
        ) from error
    except OSError as error:
        raise KeyFileMissingError(
            f"{what} {path} cannot be read ({error.strerror}): let this user read it",
        ) from error
