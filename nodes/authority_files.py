"""The certificate authorities of a network as a folder of files, behind `bbaj ca`.

    FOLDER/
      root.pem  root.key  root.json        certificate, key and index of the root
      authorities/<address>/
        cert.pem  key.pem  index.json      the issuing authority of the address's subtree
      crls/root.pem  crls/<address>.pem    the current CRL of each
      nodes/<address>/
        packet.pem  journal.pem  link.pem  witness.pem   certificates; link.pem with its authority's
        packet.key  journal.key  link.key  witness.key   keys; witness only with children
        authority.pem  root.pem            what vouches for them

`root.key` belongs off line: only new authorities and the root's own CRL need it.
An index is written before what it lists is handed out, so nothing issued can be missing from it.
Times come in as a parameter; one process at a time works on a folder.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from schemas.addresses import is_address, is_within
from schemas.moments import Instant, InstantText, format_instant, from_datetime, parse_instant
from signing.authority import (
    REASONS,
    Issuer,
    Revoked,
    fingerprint_of,
    issue_authority,
    issue_crl,
    issue_node,
    make_root,
)
from signing.errors import IssueError, KeyFileDamagedError, KeyFileExistsError, KeyFileMissingError
from signing.keys import (
    PrivateKey,
    load_certificate,
    load_private_key,
    sync_folder,
    write_private_key,
)
from signing.profiles import KEY_TYPES, Purpose

_NODE_PURPOSES = (Purpose.PACKET, Purpose.JOURNAL, Purpose.LINK)


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


class AuthorityFiles:
    """Issues, revokes and lists certificates in one folder."""

    def __init__(self, folder: Path, passphrase: bytes | None = None) -> None:
        """Work on `folder`; `passphrase` opens the issuers' keys, None where they have none."""
        self._folder = folder
        self._passphrase = passphrase

    def init_root(self, now: Instant) -> Path:
        """Make the root: certificate, key and an empty CRL. Raises KeyFileExistsError."""
        with self._locked():
            path = self._folder / "root.pem"
            if path.exists():
                raise KeyFileExistsError(f"{path} exists: name another folder for a new network")
            root = make_root(ec.generate_private_key(ec.SECP384R1()), now)
            write_private_key(self._folder / "root.key", root.key, self._passphrase)
            _replace(self._folder / "root.json", msgspec.json.encode(Index()))
            _replace(path, _pem(root.certificate))
            self._write_crl("root", root, now)
            return path

    def issue_authority(self, address: str, now: Instant) -> Path:
        """Make the authority that issues for the subtree of `address`; return its folder."""
        _check_address(address)
        with self._locked():
            folder = self._folder / "authorities" / address
            if folder.exists():
                raise KeyFileExistsError(f"{folder} exists: the subtree has its authority already")
            root = self._issuer("root")
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = issue_authority(root, address, key.public_key(), now)
            self._record("root", address, {"authority": certificate})
            with _whole_folder(folder) as draft:
                write_private_key(draft / "key.pem", key, self._passphrase)
                _replace(draft / "index.json", msgspec.json.encode(Index()))
                _replace(draft / "cert.pem", _pem(certificate))
            self._write_crl(address, Issuer(certificate, key), now)
            return folder

    def issue_node(
        self,
        address: str,
        now: Instant,
        with_children: bool = False,  # noqa: FBT001, FBT002 - the command's one switch
        passphrase: bytes | None = None,
    ) -> Path:
        """Make a node's keys and certificates under the nearest authority; return their folder.

        `passphrase` is the node's own, None to leave its keys unencrypted.
        """
        _check_address(address)
        with self._locked():
            folder = self._folder / "nodes" / address
            if folder.exists():
                raise KeyFileExistsError(f"{folder} exists: revoke {address}, then move it away")
            name = self._authority_for(address)
            authority = self._issuer(name)
            purposes = (*_NODE_PURPOSES, Purpose.WITNESS) if with_children else _NODE_PURPOSES
            keys = {purpose: _new_key(purpose) for purpose in purposes}
            certificates = {
                purpose: issue_node(authority, address, purpose, key.public_key(), now)
                for purpose, key in keys.items()
            }
            self._record(
                name, address, {str(purpose): each for purpose, each in certificates.items()}
            )
            with _whole_folder(folder) as draft:
                for purpose, key in keys.items():
                    write_private_key(draft / f"{purpose}.key", key, passphrase)
                    pem = _pem(certificates[purpose])
                    chain = _pem(authority.certificate) if purpose is Purpose.LINK else b""
                    _replace(draft / f"{purpose}.pem", pem + chain)
                _replace(draft / "authority.pem", _pem(authority.certificate))
                _replace(draft / "root.pem", (self._folder / "root.pem").read_bytes())
            return folder

    def revoke(self, what: str, reason: str, now: Instant) -> list[Issued]:
        """Revoke a node's certificates by its address, or any certificate by its SHA-256.

        Counts with the next `write_crls`. Raises IssueError where nothing is left to revoke.
        """
        if reason not in REASONS:
            raise IssueError(f"reason {reason} is unknown: use one of {', '.join(REASONS)}")
        with self._locked():
            revoked = []
            for issuer in ("root", *self.authorities()):
                revoked += self._revoke_at(issuer, what, reason, now)
            if not revoked:
                raise IssueError(f"no certificate in force has the address or SHA-256 {what}")
            return revoked

    def write_crls(self, now: Instant) -> list[Path]:
        """Write the next CRL of every authority, and the root's where its key is at hand."""
        with self._locked():
            written = []
            if (self._folder / "root.key").exists():
                written.append(self._write_crl("root", self._issuer("root"), now))
            written += [
                self._write_crl(name, self._issuer(name), now) for name in self.authorities()
            ]
            return written

    def authorities(self) -> list[str]:
        """Return the addresses whose subtrees have an authority."""
        return sorted(path.name for path in (self._folder / "authorities").glob("[!.]*"))

    def issued(self) -> list[Issued]:
        """Return every certificate ever issued here, the root's first."""
        names = ("root", *self.authorities())
        return [entry for name in names for entry in self._index(name).issued]

    def certificates(self) -> list[bytes]:
        """Return the DER of the authorities' certificates, as a trust store takes them."""
        return [load_certificate(self._path(name, "cert.pem")) for name in self.authorities()]

    # ------------------------------------------------------------------ issuers

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

    # ------------------------------------------------------------------ indexes and CRLs

    def _index(self, issuer: str) -> Index:
        path = self._path(issuer, "index.json")
        try:
            return msgspec.json.decode(path.read_bytes(), type=Index)
        except FileNotFoundError as error:
            raise KeyFileMissingError(f"{path} is missing: run `bbaj ca init` first") from error
        except msgspec.MsgspecError as error:
            raise KeyFileDamagedError(f"{path} is damaged ({error}): restore it") from error

    def _save(self, issuer: str, index: Index) -> None:
        encoded = msgspec.json.format(msgspec.json.encode(index), indent=1)
        _replace(self._path(issuer, "index.json"), encoded + b"\n")

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
        _replace(path, x509.load_der_x509_crl(der).public_bytes(Encoding.PEM))
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


def _check_address(address: str) -> None:
    if not is_address(address):
        raise IssueError(f"{address} is no address: write it like kz.akmola.burabay")


def _new_key(purpose: Purpose) -> PrivateKey:
    if KEY_TYPES[purpose] is ec.EllipticCurvePublicKey:
        return ec.generate_private_key(ec.SECP256R1())
    return ed25519.Ed25519PrivateKey.generate()


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


@contextmanager
def _whole_folder(folder: Path) -> Iterator[Path]:
    """Give a draft folder that takes its name only once everything in it is durable."""
    draft = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700, parents=True)
    yield draft
    sync_folder(draft)
    draft.rename(folder)
    sync_folder(folder.parent)


def _replace(path: Path, data: bytes) -> None:
    """Write a file in one step, durable on return."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    sync_folder(path.parent)
