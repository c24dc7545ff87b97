"""One certificate's path to the root, judged once for all the packets that use it.

A path is node, authority, root: `cryptography`'s verifier says whether it holds, the rules of
`signing.certificates` say the rest. Nothing here depends on a packet, so the answer can be kept.
"""

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.verification import (
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from schemas.moments import Instant, as_datetime
from schemas.reasons import Reason
from signing import certificates
from signing.certificates import Life
from signing.crl import Crl
from signing.errors import CertificateError
from signing.keys import fingerprint
from signing.profiles import Purpose

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


class IssuingKey:
    """A key that issues, and its current CRL; certificates of one key share it.

    The CRL is replaced whole, so a reader needs no lock.
    """

    __slots__ = ("crl", "fingerprint")

    def __init__(self, fingerprint_: str) -> None:
        """Begin without a CRL; the fingerprint is that of the key's first certificate."""
        self.fingerprint = fingerprint_
        self.crl: Crl | None = None


class Authority(msgspec.Struct, frozen=True):
    """The root, or an authority that the root issued."""

    certificate: x509.Certificate
    fingerprint: str
    key_id: bytes | None
    life: Life
    issuing_key: IssuingKey

    @property
    def der(self) -> bytes:
        """The certificate's DER."""
        return self.certificate.public_bytes(Encoding.DER)

    def may_have_issued(self, issuer: x509.Name, key_id: bytes | None) -> bool:
        """Say whether name and key identifier are this authority's."""
        return self.key_id == key_id and self.certificate.subject == issuer


class Path(msgspec.Struct, frozen=True):
    """A path that holds, and what is left to compare for each packet."""

    address: str
    public_key: PublicKey
    serial: int
    own: Life
    whole: Life
    """When certificate, authority and root are all alive."""
    issuing_key: IssuingKey
    authority_serial: int


def authority_of(certificate: x509.Certificate, known: IssuingKey | None = None) -> Authority:
    """Return an authority that has been checked; `known` where its key is known already."""
    name = fingerprint(certificate.public_bytes(Encoding.DER))
    return Authority(
        certificate=certificate,
        fingerprint=name,
        key_id=certificates.subject_key_id(certificate),
        life=certificates.life_of(certificate),
        issuing_key=known or IssuingKey(name),
    )


def public_bytes(certificate: x509.Certificate) -> bytes:
    """Return the public key's DER: what certificates of one key have in common."""
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def common_life_us(certificate: x509.Certificate, authority: Authority) -> int:
    """Return how long certificate and authority are both alive; not above 0: never."""
    common = certificates.life_of(certificate).overlap(authority.life)
    return common.until - common.since


def follow(
    certificate: x509.Certificate,
    authority: Authority,
    root: Authority,
    purpose: Purpose,
) -> Path:
    """Return the path from a node's certificate to the root. Raises CertificateError."""
    own = certificates.life_of(certificate)
    whole = own.overlap(authority.life).overlap(root.life)
    if whole.since > whole.until:
        raise _untrusted("certificate, authority and root are never valid together")
    # All checks but those of time give one answer at every moment of the common life, so one
    # moment stands for all; the rest is compared for each packet.
    verify_chain(certificate, authority.certificate, root.certificate, whole.until)
    address = certificates.check_node(certificate, purpose)
    key = certificate.public_key()
    assert isinstance(key, PublicKey), "check_node asks for it"
    return Path(
        address=address,
        public_key=key,
        serial=certificate.serial_number,
        own=own,
        whole=whole,
        issuing_key=authority.issuing_key,
        authority_serial=authority.certificate.serial_number,
    )


def verify_chain(
    node: x509.Certificate, authority: x509.Certificate, root: x509.Certificate, at: Instant
) -> None:
    """Raise CertificateError unless `cryptography` finds the chain good at a moment.

    The node's own extensions are left to `signing.certificates.check_node`, which is stricter.
    """
    verifier = (
        PolicyBuilder()
        .store(Store([root]))
        .time(as_datetime(at))
        .max_chain_depth(1)
        .extension_policies(
            ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=ExtensionPolicy.permit_all()
        )
        .build_client_verifier()
    )
    try:
        chain = verifier.verify(node, [authority]).chain
    except VerificationError as error:
        raise _untrusted(f"chain: {_first_line(error)}") from error
    if chain[1:] != [authority, root]:
        raise _untrusted("certificate does not chain to the root through one authority")


def _first_line(error: VerificationError) -> str:
    """Return the verifier's complaint without what it quotes of the certificate."""
    text = str(error).partition(" (encountered processing")[0]
    return "".join(c for c in text if c not in '"\\' and " " <= c <= "~")[:200]


def _untrusted(detail: str) -> CertificateError:
    return CertificateError(Reason.CERTIFICATE_UNTRUSTED, detail)
