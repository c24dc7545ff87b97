"""A node's key folder: the keys in use, those asked for, and those of before.

    KEYS/
      packet.key  packet.pem         in use; journal, link and witness alike
      next/packet.key                made, its certificate asked for (packet.pub: it is in a token)
      next/packet.pem                granted, to be taken into use
      old/packet-<16 hex>.key .pem   used before, named by the certificate's SHA-256
      witness-mldsa.key              beside the witness key, at oblast and republic
      authority.key  authority.pem   of the authority that is on line here
      given/*.pem                    certificates that it gave before it was
      encryption.key  encryption-<16 hex>.key        see signing/encryption.py

How a key is switched without a gap is in nodes.key_switch.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, mldsa
from cryptography.hazmat.primitives.serialization import Encoding

from nodes.key_files import load_public, new_key, pem_of, pem_of_public, put_in_place
from nodes.key_switch import NODE_PURPOSES, KeySwitch
from schemas.moments import Instant, from_datetime
from signing.authority import make_request
from signing.cosigner import Cosigner
from signing.encryption import EncryptionKeyring, make_encryption_key
from signing.errors import KeyFileMissingError
from signing.keys import (
    JournalSigner,
    PacketSigner,
    PrivateKey,
    fingerprint,
    load_certificate,
    load_journal_signer,
    load_mldsa_key,
    load_packet_signer,
    load_private_key,
    sync_folder,
    write_new_file,
    write_private_key,
)
from signing.paths import PublicKey
from signing.profiles import Purpose

MLDSA_KEY = "witness-mldsa.key"
GIVEN = "given"
"""Folder beside an authority's key on line: certificates that it gave while it was off line."""


class KeyToken(Protocol):
    """Where packet keys can be that are in no file: signing.pkcs11.Token."""

    def find(self, public_key: ec.EllipticCurvePublicKey) -> ec.EllipticCurvePrivateKey | None:
        """Return the private key to a public one, or None. Raises TokenLost."""

    def make(self) -> ec.EllipticCurvePrivateKey:
        """Make a key that stays in the token. Raises TokenLost."""


class KeyState(msgspec.Struct, frozen=True):
    """A key of the folder, as people are shown it; never anything secret."""

    purpose: str
    state: str
    """`in use`, `asked`, `granted` or `old`."""
    fingerprint: str
    """Of its certificate, hex; empty while that is asked for."""
    not_before: Instant
    not_after: Instant
    where: str
    """`file` or `token`."""


class KeyFolder(KeySwitch):
    """The keys of one node."""

    def __init__(
        self,
        folder: Path,
        address: str,
        passphrase: bytes | None = None,
        token: KeyToken | None = None,
    ) -> None:
        """Work on `folder`; new keys get `passphrase`, and packet keys are made in `token`."""
        super().__init__(folder)
        self._address = address
        self._passphrase = passphrase
        self._token = token

    # ------------------------------------------------------------------ in use

    def certificates(self) -> dict[Purpose, bytes]:
        """Return the DER of the certificates in use. Raises KeyFileError."""
        return {
            purpose: load_certificate(self._path(purpose, "pem"))
            for purpose in NODE_PURPOSES
            if self._path(purpose, "pem").exists()
        }

    def packet_signer(self) -> PacketSigner:
        """Return the packet key with its certificate. Raises KeyFileError."""
        key, pem = self._path(Purpose.PACKET, "key"), self._path(Purpose.PACKET, "pem")
        if self._token is not None:
            certificate = load_certificate(pem)
            public_key = x509.load_der_x509_certificate(certificate).public_key()
            assert isinstance(public_key, ec.EllipticCurvePublicKey), "packet keys are on P-256"
            found = self._token.find(public_key)
            if found is not None:
                return PacketSigner(found, certificate)
            if not key.exists():
                raise KeyFileMissingError(
                    f"neither {self._token!r} nor {key} has the key of {pem}: plug in the right "
                    "token, or correct keys.pkcs11",
                )
        return load_packet_signer(key, pem, self._passphrase)

    def journal_signer(self) -> JournalSigner:
        """Return the journal key with its certificate. Raises KeyFileError."""
        paths = self._path(Purpose.JOURNAL, "key"), self._path(Purpose.JOURNAL, "pem")
        return load_journal_signer(*paths, self._passphrase)

    def witness_signer(self) -> JournalSigner:
        """Return the witness key with its certificate. Raises KeyFileError."""
        paths = self._path(Purpose.WITNESS, "key"), self._path(Purpose.WITNESS, "pem")
        return load_journal_signer(*paths, self._passphrase)

    def cosigner(self) -> Cosigner | None:
        """Return what we cosign others' checkpoints with; None without a witness key.

        Raises KeyFileError.
        """
        if not self._path(Purpose.WITNESS, "pem").exists():
            return None
        path = self._folder / MLDSA_KEY
        beside = load_mldsa_key(path, self._passphrase) if path.exists() else None
        return Cosigner(self._address, self.witness_signer(), beside)

    def make_mldsa_key(self) -> None:
        """Make the ML-DSA-44 key beside the witness key, where there is none yet.

        It has no certificate: each object that brings its cosignatures vouches for it (clause
        18.1). Raises KeyFolderUnwritable.
        """
        path = self._folder / MLDSA_KEY
        with self._changing():
            if self._path(Purpose.WITNESS, "pem").exists() and not path.exists():
                write_private_key(path, mldsa.MLDSA44PrivateKey.generate(), self._passphrase)

    def encryption(self) -> EncryptionKeyring:
        """Return the encryption keys, old ones too. Raises KeyFileError."""
        return EncryptionKeyring.load(self._folder, self._passphrase)

    # ------------------------------------------------------------------ what follows

    def prepare(self, purposes: Iterable[Purpose]) -> dict[Purpose, bytes]:
        """Make the next keys, or take those that are made; return their requests in DER.

        Durable on return. Raises KeyFolderUnwritable, and KeyFileError.
        """
        with self._changing():
            keys = {purpose: self._next_key(purpose) for purpose in purposes}
        return {
            purpose: x509.load_pem_x509_csr(make_request(key, self._address, purpose)).public_bytes(
                Encoding.DER
            )
            for purpose, key in keys.items()
        }

    def asked(self) -> list[Purpose]:
        """Return the purposes whose next key is made and has no certificate yet."""
        return [
            purpose
            for purpose in NODE_PURPOSES
            if self._has_next(purpose) and not self._next(purpose, "pem").exists()
        ]

    def granted(self) -> dict[Purpose, bytes]:
        """Return the certificates (DER) that wait to be taken into use."""
        return {
            purpose: load_certificate(self._next(purpose, "pem"))
            for purpose in NODE_PURPOSES
            if self._next(purpose, "pem").exists()
        }

    def owner_of(self, certificate: bytes) -> Purpose | None:
        """Return which of the keys asked for a certificate is for; None: none of them."""
        certified = x509.load_der_x509_certificate(certificate).public_key()
        asked = self.asked()
        return next((each for each in asked if self._next_public(each) == certified), None)

    def grant(self, purpose: Purpose, chain: list[bytes]) -> None:
        """Keep a certificate (DER, its authority's behind it) for the next key.

        Harmless when repeated; durable on return. Raises KeyFolderUnwritable.
        """
        ders = chain if purpose is Purpose.LINK else chain[:1]
        path = self._next(purpose, "pem")
        with self._changing():
            if not path.exists():
                write_new_file(path, b"".join(map(pem_of, ders)))

    def recertify(self, purpose: Purpose, chain: list[bytes]) -> bool:
        """Put a newer certificate of the key in use in the place of that in use; say whether.

        Certificates count whole seconds: of two of the same second the one that comes later is it.
        `chain` is DER, the authority's behind it. The one of before is kept; durable on return.
        Raises KeyFolderUnwritable.
        """
        path = self._path(purpose, "pem")
        if not path.exists():
            return False
        new = x509.load_der_x509_certificate(chain[0])
        old = x509.load_der_x509_certificate(load_certificate(path))
        is_older = new.not_valid_before_utc < old.not_valid_before_utc
        if new == old or new.public_key() != old.public_key() or is_older:
            return False
        ders = chain if purpose is Purpose.LINK else chain[:1]
        draft = path.with_name(f".{path.name}.anew")
        with self._changing():
            self._keep_old(purpose)
            draft.unlink(missing_ok=True)
            write_new_file(draft, b"".join(map(pem_of, ders)))
            put_in_place(draft, path)
            draft.unlink()
            sync_folder(self._folder)
        return True

    def public_keys(self) -> list[tuple[Purpose, PublicKey]]:
        """Return the public half of every key of the folder: in use, asked for, and of before."""
        found = [
            (Purpose(pem.name.partition("-")[0].removesuffix(".pem")), load_certificate(pem))
            for pem in (
                *(self._path(purpose, "pem") for purpose in NODE_PURPOSES),
                *sorted((self._folder / "old").glob("*.pem")),
            )
            if pem.exists()
        ]
        keys = [
            (purpose, x509.load_der_x509_certificate(der).public_key()) for purpose, der in found
        ]
        keys += [
            (purpose, self._next_public(purpose))
            for purpose in NODE_PURPOSES
            if self._has_next(purpose)
        ]
        return [(purpose, key) for purpose, key in keys if isinstance(key, PublicKey)]

    def renew_encryption(self) -> None:
        """Make the next encryption key; those of before stay. Raises KeyFolderUnwritable."""
        with self._changing():
            make_encryption_key(self._folder, self._passphrase)

    def states(self) -> list[KeyState]:
        """Return every key of the folder but the encryption keys, those in use first."""
        found = [
            self._state(purpose, "in use", self._path(purpose, "pem"), self._path(purpose, "key"))
            for purpose in self.certificates()
        ]
        for purpose in NODE_PURPOSES:
            pem, key = self._next(purpose, "pem"), self._next(purpose, "key")
            if pem.exists():
                found.append(self._state(purpose, "granted", pem, key))
            elif self._has_next(purpose):
                where = "file" if key.exists() else "token"
                found.append(KeyState(purpose.value, "asked", "", 0, 0, where))
        for pem in sorted((self._folder / "old").glob("*.pem")):
            purpose = Purpose(pem.name.partition("-")[0])
            found.append(self._state(purpose, "old", pem, pem.with_suffix(".key")))
        return found

    # ------------------------------------------------------------------ files

    def _state(self, purpose: Purpose, state: str, pem: Path, key: Path) -> KeyState:
        der = load_certificate(pem)
        parsed = x509.load_der_x509_certificate(der)
        since = from_datetime(parsed.not_valid_before_utc)
        until = from_datetime(parsed.not_valid_after_utc)
        where = "file" if key.exists() else "token"
        return KeyState(purpose.value, state, fingerprint(der), since, until, where)

    def _next_key(self, purpose: Purpose) -> PrivateKey:
        """Return the next key of a purpose, made now where there is none."""
        path, public = self._next(purpose, "key"), self._next(purpose, "pub")
        if path.exists():
            return load_private_key(path, self._passphrase)
        if self._token is None or purpose is not Purpose.PACKET:
            key = new_key(purpose)
            write_private_key(path, key, self._passphrase)
            return key
        if public.exists():
            found = self._token.find(load_public(public))
            if found is not None:
                return found
            public.unlink()  # made in another token: nothing was certified for it
        made = self._token.make()
        write_new_file(public, pem_of_public(made.public_key()))
        return made

    def _next_public(self, purpose: Purpose) -> PublicKey:
        """Return the public half of the next key, which there is."""
        key = self._next(purpose, "key")
        if key.exists():
            return load_private_key(key, self._passphrase).public_key()
        return load_public(self._next(purpose, "pub"))
