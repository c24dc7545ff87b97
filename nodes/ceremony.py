"""What is done with the root's key at hand, beside issuing: a network's great changes.

Handing an authority over to its node, which is on line from then on; replacing an authority whose
key is lost or stolen; and the genesis file, which says what the network began with.
"""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from nodes.authority_files import AuthorityFiles, check_address, pem_of
from nodes.issuer_folder import Index
from nodes.keyring import GIVEN
from nodes.whole_files import replace_file, whole_folder
from schemas.moments import Instant
from signing.authority import Issuer, fingerprint_of, issue_authority
from signing.certificates import is_issued_by
from signing.errors import IssueError, KeyFileExistsError
from signing.genesis import make_genesis, sign_genesis
from signing.keys import fingerprint, load_certificate, write_private_key

COMPROMISED = "keyCompromise"


class Ceremony(AuthorityFiles):
    """An authorities' folder, and the person who may change everything in it."""

    def hand_over(self, address: str, passphrase: bytes | None = None) -> Path:
        """Put an authority's key into the folder of its node, opened by the node's `passphrase`.

        With it go the certificates that the authority has given so far: its log begins with them.
        From then on the node revokes and signs its lists; those written here are older.
        """
        check_address(address)
        with self._locked():
            issuer, folder = self._issuer(address), self._folder / "nodes" / address
            if not folder.exists():
                raise IssueError(f"{folder} is missing: run `bbaj ca node` for {address} first")
            path = folder / "authority.key"
            replace_file(folder / "authority.pem", pem_of(issuer.certificate))
            write_private_key(path, issuer.key, passphrase)
            for given in self._given_by(issuer):
                name = f"{fingerprint(given)[:32]}.pem"
                pem = pem_of(x509.load_der_x509_certificate(given))
                replace_file(folder / GIVEN / name, pem)
            return path

    def _given_by(self, issuer: Issuer) -> list[bytes]:
        found = [load_certificate(path) for path in self._folder.glob("nodes/*/*.pem")]
        return [
            der
            for der in dict.fromkeys(found)
            if is_issued_by(x509.load_der_x509_certificate(der), issuer.certificate)
        ]

    def replace_authority(self, address: str, now: Instant) -> Path:
        """Revoke an authority and make the next one of its subtree; return the new one's folder.

        What the old one gave ends with it. Its files stay, under another name.
        """
        check_address(address)
        with self._locked():
            folder = self._folder / "authorities" / address
            root, old = self._issuer("root"), self._issuer(address)
            kept = folder.with_name(f".{address}.{fingerprint_of(old.certificate)[:16]}")
            if kept.exists():
                raise KeyFileExistsError(f"{kept} exists: move it away first")
            number = self._index(address).crl_number
            self._revoke_at("root", fingerprint_of(old.certificate), COMPROMISED, now)
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = issue_authority(root, address, key.public_key(), now)
            self._record("root", address, {"authority": certificate})
            folder.rename(kept)
            with whole_folder(folder) as draft:
                write_private_key(draft / "key.pem", key, self._passphrase)
                replace_file(draft / "index.json", self._encode(Index(crl_number=number)))
                replace_file(draft / "cert.pem", pem_of(certificate))
            self._write_crl("root", root, now)
            self._write_crl(address, Issuer(certificate, key), now)
            return folder

    def write_genesis(self) -> Path:
        """Write which certificates count as the first ones, signed by the root; return the file."""
        with self._locked():
            root = self._issuer("root")
            republic = min(self.authorities(), key=len, default=None)
            if republic is None:
                raise IssueError("no authority yet: run `bbaj ca authority` first")
            revoked = {entry.fingerprint for entry in self.issued() if entry.revoked}
            authorities = [
                (name, load_certificate(self._path(name, "cert.pem")))
                for name in self.authorities()
            ]
            node = self._folder / "nodes" / republic.partition(".")[0]
            own = [
                (node.name, purpose, load_certificate(node / f"{purpose}.pem"))
                for purpose in ("packet", "journal", "link", "witness")
                if (node / f"{purpose}.pem").exists()
            ]
            text = make_genesis(
                root.der,
                authorities,
                [entry for entry in own if fingerprint(entry[2]) not in revoked],
                self._index("root").crl_number,
            )
            path = self._folder / "genesis.txt"
            replace_file(path.with_suffix(".sig"), sign_genesis(text, root.key))
            replace_file(path, text)
            return path
