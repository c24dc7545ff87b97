"""The issuers of a folder of authorities: their keys, their indexes, and their CRLs.

See `nodes.authority_files` for the files. An index is written before what it lists is handed out.
"""

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from nodes.whole_files import replace_file
from schemas.addresses import is_within
from schemas.moments import Instant, InstantText, format_instant, from_datetime, parse_instant
from signing.authority import Issuer, Revoked, fingerprint_of, issue_crl
from signing.errors import IssueError, KeyFileDamagedError, KeyFileMissingError
from signing.keys import load_certificate, load_private_key


class Issued(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One certificate that an issuer has given; `serial` in hex."""

    fingerprint: str
    serial: str
    address: str
    purpose: str
    not_before: InstantText
    not_after: InstantText
    revoked: InstantText | None = None
    reason: str | None = None


class Index(msgspec.Struct, frozen=True):
    """All that an issuer has given, and the number of its last CRL."""

    crl_number: int = 0
    issued: list[Issued] = []


class IssuerFolder:
    """The root and the authorities in one folder."""

    def __init__(self, folder: Path, passphrase: bytes | None) -> None:
        """Work on `folder`; `passphrase` opens the issuers' keys, None where they have none."""
        self._folder = folder
        self._passphrase = passphrase

    def authorities(self) -> list[str]:
        """Return the addresses whose subtrees have an authority."""
        return sorted(path.name for path in (self._folder / "authorities").glob("[!.]*"))

    def _path(self, issuer: str, file: str) -> Path:
        """Return where an issuer's file is: `cert.pem`, `key.pem` or `index.json`."""
        if issuer == "root":
            names = {"cert.pem": "root.pem", "key.pem": "root.key", "index.json": "root.json"}
            return self._folder / names[file]
        return self._folder / "authorities" / issuer / file

    def _issuer(self, name: str) -> Issuer:
        certificate = load_certificate(self._path(name, "cert.pem"))
        path = self._path(name, "key.pem")
        key = load_private_key(path, self._passphrase)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise KeyFileDamagedError(f"{path} holds no EC key: restore it from its backup")
        return Issuer(x509.load_der_x509_certificate(certificate), key)

    def _authority_for(self, address: str) -> str:
        above = [name for name in self.authorities() if is_within(address, name)]
        if not above:
            raise IssueError(f"no authority covers {address}: run `bbaj ca authority` first")
        return max(above, key=len)

    def _index(self, issuer: str) -> Index:
        path = self._path(issuer, "index.json")
        try:
            return msgspec.json.decode(path.read_bytes(), type=Index)
        except FileNotFoundError as error:
            raise KeyFileMissingError(f"{path} is missing: run `bbaj ca init` first") from error
        except msgspec.MsgspecError as error:
            raise KeyFileDamagedError(f"{path} is damaged ({error}): restore it") from error

    def _save(self, issuer: str, index: Index) -> None:
        replace_file(self._path(issuer, "index.json"), self._encode(index))

    @staticmethod
    def _encode(index: Index) -> bytes:
        return msgspec.json.format(msgspec.json.encode(index), indent=1) + b"\n"

    def _record(
        self,
        issuer: str,
        address: str,
        certificates: Mapping[str, x509.Certificate],
    ) -> None:
        """List certificates by purpose; durable on return."""
        index = self._index(issuer)
        entries = [
            _entry_of(address, purpose, certificate)
            for purpose, certificate in certificates.items()
        ]
        self._save(issuer, msgspec.structs.replace(index, issued=[*index.issued, *entries]))

    def _revoke_at(self, issuer: str, what: str, reason: str, now: Instant) -> list[Issued]:
        index = self._index(issuer)
        fingerprint = what.replace(":", "").lower()
        by_address = issuer != "root"  # an authority is named by its fingerprint only
        revoked = [
            msgspec.structs.replace(entry, revoked=format_instant(now), reason=reason)
            for entry in index.issued
            if entry.revoked is None
            and (entry.fingerprint == fingerprint or (by_address and entry.address == what))
        ]
        if revoked:
            changed = {entry.fingerprint: entry for entry in revoked}
            issued = [changed.get(entry.fingerprint, entry) for entry in index.issued]
            self._save(issuer, msgspec.structs.replace(index, issued=issued))
        return revoked

    def _write_crl(self, name: str, issuer: Issuer, now: Instant) -> Path:
        index = self._index(name)
        number = index.crl_number + 1
        self._save(name, msgspec.structs.replace(index, crl_number=number))
        revoked = [
            Revoked(int(entry.serial, 16), parse_instant(entry.revoked), entry.reason or "")
            for entry in index.issued
            if entry.revoked is not None
        ]
        der = issue_crl(issuer, revoked, number, now)
        path = self._folder / "crls" / f"{name}.pem"
        replace_file(path, x509.load_der_x509_crl(der).public_bytes(Encoding.PEM))
        return path

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes off the folder meanwhile."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _entry_of(address: str, purpose: str, certificate: x509.Certificate) -> Issued:
    return Issued(
        fingerprint=fingerprint_of(certificate),
        serial=f"{certificate.serial_number:x}",
        address=address,
        purpose=purpose,
        not_before=format_instant(from_datetime(certificate.not_valid_before_utc)),
        not_after=format_instant(from_datetime(certificate.not_valid_after_utc)),
    )
