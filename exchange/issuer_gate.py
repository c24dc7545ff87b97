"""The gate's issuing side: an authority's key, and the journal key that signs its log's heads.

Beside the gate the one place of the protocol that touches keys. Only the republic's and the
oblasts' nodes have one. Nothing here decides who may ask for what.
"""

from collections.abc import Sequence

from cryptography import x509

from schemas.issued import log_origin
from schemas.moments import Instant
from signing.authority import Issuer, Revoked, der_of, issue_crl, issue_node
from signing.certificates import is_issued_by, parse_certificate
from signing.errors import IssueError
from signing.keys import JournalSigner, key_digest
from signing.notes import sign_checkpoint
from signing.paths import PublicKey
from signing.profiles import Purpose


class IssuerGate:
    """The issuing authority of one subtree, on line."""

    def __init__(self, issuer: Issuer, journal: JournalSigner) -> None:
        """Join the authority with its node's journal key. Raises IssueError for a root's key."""
        if issuer.subtree is None:
            raise IssueError("a root's key never stands on line: name an authority's")
        self.subtree: str = issuer.subtree
        self.journal = journal
        self._issuer = issuer

    @property
    def certificate(self) -> x509.Certificate:
        """The authority's own certificate."""
        return self._issuer.certificate

    @property
    def key_sha256(self) -> bytes:
        """SHA-256 of the authority's public key."""
        return key_digest(self._issuer.key.public_key())

    def has_issued(self, der: bytes) -> bool:
        """Say whether a certificate was signed with this authority's key."""
        certificate = parse_certificate(der)
        return certificate is not None and is_issued_by(certificate, self._issuer.certificate)

    def certify(self, address: str, purpose: Purpose, key: PublicKey, now: Instant) -> bytes:
        """Return a node's certificate (DER). Raises IssueError."""
        return der_of(issue_node(self._issuer, address, purpose, key, now))

    def sign_crl(
        self, revoked: Sequence[Revoked], number: int, now: Instant, before: bytes | None
    ) -> bytes:
        """Return the next CRL (DER): what stands on the one before, and what is new."""
        return issue_crl(self._issuer, revoked, number, now, before=before)

    def sign_head(self, size: int, root: bytes) -> str:
        """Return the signed head of the authority's log."""
        return sign_checkpoint(log_origin(self.subtree), size, root, self.journal)
