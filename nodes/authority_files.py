"""The certificate authorities of a network as a folder of files, behind `bbaj ca`.

    FOLDER/
      root.pem  root.key  root.json        certificate, key and index of the root
      authorities/<address>/
        cert.pem  key.pem  index.json      the issuing authority of the address's subtree
      crls/root.pem  crls/<address>.pem    the current CRL of each
      nodes/<address>/
        packet.pem  journal.pem  link.pem  witness.pem   certificates; link.pem with its authority's
        packet.key  journal.key  link.key  witness.key   keys; witness only with children
        encryption.key                     what payloads to the node are encrypted to
        keys.statement                     the node's signed word on its own keys, for its card
        authority.pem  root.pem            what vouches for them
      cards/<address>.card  cards/<address>.pem          see nodes.card_files

`root.key` belongs off line: only new authorities and the root's own CRL need it.
An index is written before what it lists is handed out, so nothing issued can be missing from it.
Times come in as a parameter; one process at a time works on a folder.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from nodes.card_files import CardFolder, make_keys
from nodes.issuer_folder import Index, Issued, IssuerFolder
from nodes.whole_files import replace_file, whole_folder
from schemas.addresses import is_address, label_of
from schemas.cards import ENROLMENT_LABEL
from schemas.codes import Tier
from schemas.moments import Instant
from signing.authority import (
    REASONS,
    Issuer,
    der_of,
    fingerprint_of,
    issue_authority,
    issue_node,
    make_root,
)
from signing.encryption import NEWEST, HybridKey, write_encryption_key
from signing.errors import (
    IssueError,
    KeyFileExistsError,
)
from signing.keys import (
    PacketSigner,
    PrivateKey,
    load_certificate,
    write_private_key,
)
from signing.profiles import KEY_TYPES, Purpose

_NODE_PURPOSES = (Purpose.PACKET, Purpose.JOURNAL, Purpose.LINK)


class AuthorityFiles(IssuerFolder):
    """Issues, revokes and lists certificates in one folder."""

    def __init__(
        self,
        folder: Path,
        passphrase: bytes | None = None,
        lives: Mapping[Purpose, int] | None = None,
    ) -> None:
        """Work on `folder`; `passphrase` opens the issuers' keys, None where they have none.

        `lives` are those of nodes' certificates (microseconds) that are not the profile's.
        """
        super().__init__(folder, passphrase)
        self._lives = dict(lives or {})
        self.cards = CardFolder(folder / "cards", folder / "nodes")

    def init_root(self, now: Instant) -> Path:
        """Make the root: certificate, key and an empty CRL. Raises KeyFileExistsError."""
        with self._locked():
            path = self._folder / "root.pem"
            if path.exists():
                raise KeyFileExistsError(f"{path} exists: name another folder for a new network")
            root = make_root(ec.generate_private_key(ec.SECP384R1()), now)
            write_private_key(self._folder / "root.key", root.key, self._passphrase)
            replace_file(self._folder / "root.json", msgspec.json.encode(Index()))
            replace_file(path, pem_of(root.certificate))
            self._write_crl("root", root, now)
            return path

    def issue_authority(self, address: str, now: Instant) -> Path:
        """Make the authority that issues for the subtree of `address`; return its folder."""
        check_address(address)
        with self._locked():
            folder = self._folder / "authorities" / address
            if folder.exists():
                raise KeyFileExistsError(f"{folder} exists: the subtree has its authority already")
            root = self._issuer("root")
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = issue_authority(root, address, key.public_key(), now)
            self._record("root", address, {"authority": certificate})
            with whole_folder(folder) as draft:
                write_private_key(draft / "key.pem", key, self._passphrase)
                replace_file(draft / "index.json", msgspec.json.encode(Index()))
                replace_file(draft / "cert.pem", pem_of(certificate))
            self._write_crl(address, Issuer(certificate, key), now)
            return folder

    def issue_node(
        self,
        address: str,
        now: Instant,
        with_children: bool = False,  # noqa: FBT001, FBT002 - the command's one switch
        passphrase: bytes | None = None,
        tier: Tier | None = None,
    ) -> Path:
        """Make a node's keys, certificates and card under the nearest authority; return its folder.

        `passphrase` is the node's own, None to leave its keys unencrypted. Its card is made where
        its parent's packet key lies here and opens by that passphrase; without `tier` the depth of
        the address tells it. Raises IssueError where `tier` is not below the parent's.
        """
        check_address(address)
        with self._locked():
            folder = self._folder / "nodes" / address
            if folder.exists():
                raise KeyFileExistsError(f"{folder} exists: revoke {address}, then move it away")
            self.cards.check_tier(address, tier)
            name = self._authority_for(address)
            authority = self._issuer(name)
            purposes = (*_NODE_PURPOSES, Purpose.WITNESS) if with_children else _NODE_PURPOSES
            keys = {purpose: _new_key(purpose) for purpose in purposes}
            certificates = {
                purpose: issue_node(
                    authority,
                    address,
                    purpose,
                    key.public_key(),
                    now,
                    life_us=self._lives.get(purpose),
                )
                for purpose, key in keys.items()
            }
            self._record(
                name, address, {str(purpose): each for purpose, each in certificates.items()}
            )
            with whole_folder(folder) as draft:
                for purpose, key in keys.items():
                    write_private_key(draft / f"{purpose}.key", key, passphrase)
                    pem = pem_of(certificates[purpose])
                    chain = pem_of(authority.certificate) if purpose is Purpose.LINK else b""
                    replace_file(draft / f"{purpose}.pem", pem + chain)
                replace_file(draft / "authority.pem", pem_of(authority.certificate))
                replace_file(draft / "root.pem", (self._folder / "root.pem").read_bytes())
                signer = _signer(keys[Purpose.PACKET], certificates[Purpose.PACKET])
                encryption = HybridKey.generate()
                write_encryption_key(draft / NEWEST, encryption, passphrase)
                journal = fingerprint_of(certificates[Purpose.JOURNAL])
                stated = make_keys(address, signer, journal, (encryption.facts,), now)
                replace_file(draft / "keys.statement", stated)
            replace_file(self.cards.folder / f"{address}.pem", pem_of(certificates[Purpose.PACKET]))
            self.cards.vouch_for(address, tier, now, passphrase)
            return folder

    def issue_card(
        self,
        address: str,
        now: Instant,
        changes: Mapping[str, object],
        passphrase: bytes | None = None,
    ) -> Path:
        """Sign a newer card of an address with its parent's packet key; return its file.

        `changes` are fields of `CardFacts`; the others stay as they are. Raises KeyFileError where
        the parent's key is not here or does not open, IssueError for a tier that does not fit.
        """
        check_address(address)
        with self._locked():
            return self.cards.write(address, now, changes, passphrase)

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

    def issued(self) -> list[Issued]:
        """Return every certificate ever issued here, the root's first."""
        names = ("root", *self.authorities())
        return [entry for name in names for entry in self._index(name).issued]

    def certificates(self) -> list[bytes]:
        """Return the DER of the authorities' certificates, as a trust store takes them."""
        return [load_certificate(self._path(name, "cert.pem")) for name in self.authorities()]


def check_address(address: str) -> None:
    """Raise IssueError where a node may not have this address."""
    if not is_address(address):
        raise IssueError(f"{address} is no address: write it like kz.akmola.burabay")
    if label_of(address) == ENROLMENT_LABEL:
        raise IssueError(f"{address} is no node's address: {ENROLMENT_LABEL} is for invitations")


def _signer(key: PrivateKey, certificate: x509.Certificate) -> PacketSigner:
    assert isinstance(key, ec.EllipticCurvePrivateKey), "packet keys are P-256"
    return PacketSigner(key, der_of(certificate))


def _new_key(purpose: Purpose) -> PrivateKey:
    if KEY_TYPES[purpose] is ec.EllipticCurvePublicKey:
        return ec.generate_private_key(ec.SECP256R1())
    return ed25519.Ed25519PrivateKey.generate()


def pem_of(certificate: x509.Certificate) -> bytes:
    """Return a certificate's PEM."""
    return certificate.public_bytes(Encoding.PEM)
