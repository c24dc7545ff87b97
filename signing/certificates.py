"""The rules of our own for one certificate: what `cryptography`'s chain check does not ask.

A DNS name constraint says nothing about a certificate without DNS names, and a verifier accepts
what it does not know; so the shape is fixed here, and everything else is refused.
"""

from typing import TypeVar

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from schemas.addresses import DNS_SUFFIX, is_address
from schemas.moments import Instant, from_datetime
from schemas.reasons import Reason
from signing.errors import MALFORMED, CertificateError
from signing.profiles import (
    CERTIFICATE_BYTES_MAX,
    KEY_USAGES,
    Purpose,
    is_key_of,
    is_p256,
    purpose_of_usages,
)

_KNOWN_CRITICAL = (
    x509.BasicConstraints,
    x509.KeyUsage,
    x509.ExtendedKeyUsage,
    x509.SubjectAlternativeName,
)

Kind = TypeVar("Kind", bound=x509.ExtensionType)


class Life(msgspec.Struct, frozen=True, gc=False):
    """From when until when something counts, ends included."""

    since: Instant
    until: Instant

    def overlap(self, other: "Life") -> "Life":
        """Return the life common to both; it may be empty, with `since` behind `until`."""
        return Life(max(self.since, other.since), min(self.until, other.until))


def parse_certificate(der: bytes) -> x509.Certificate | None:
    """Return the certificate, or None where the bytes are none of bounded size."""
    if len(der) > CERTIFICATE_BYTES_MAX:
        return None
    try:
        certificate = x509.load_der_x509_certificate(der)
        _ = certificate.extensions, certificate.issuer, certificate.subject
    except MALFORMED:
        return None
    return certificate


def life_of(certificate: x509.Certificate) -> Life:
    """Return a certificate's own validity."""
    return Life(
        from_datetime(certificate.not_valid_before_utc),
        from_datetime(certificate.not_valid_after_utc),
    )


def life_of_der(der: bytes) -> Life:
    """Return the validity of a certificate that has been loaded before, so that it can be read."""
    return life_of(x509.load_der_x509_certificate(der))


def subject_key_id(certificate: x509.Certificate) -> bytes | None:
    """Return the identifier of the certificate's own key, as it names it."""
    found = _find(certificate, x509.SubjectKeyIdentifier)
    return found.value.digest if found is not None else None


def issuer_key_id(certificate: x509.Certificate) -> bytes | None:
    """Return the identifier of the key that says it signed the certificate."""
    found = _find(certificate, x509.AuthorityKeyIdentifier)
    return found.value.key_identifier if found is not None else None


def is_authority(certificate: x509.Certificate) -> bool:
    """Say whether a certificate claims that it may issue others."""
    found = _find(certificate, x509.BasicConstraints)
    return found is not None and found.value.ca


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Say whether the names match and the issuer's key signed the certificate."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (*MALFORMED, InvalidSignature):
        return False
    return True


def check_root(root: x509.Certificate) -> None:
    """Raise CertificateError unless this is a root of ours."""
    key = public_key_of(root)
    if not (isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP384R1)):
        raise _untrusted("root key is not on P-384")
    if not is_authority(root) or not is_issued_by(root, root):
        raise _untrusted("root is not a self-signed authority")


def check_authority(certificate: x509.Certificate, root: x509.Certificate) -> None:
    """Raise CertificateError unless the root issued this authority in the one shape allowed."""
    if not is_issued_by(certificate, root):
        raise _untrusted("authority was not issued by the root")
    if not isinstance(certificate.signature_hash_algorithm, hashes.SHA384):
        raise _untrusted("authority is not signed with SHA-384")
    if not is_p256(public_key_of(certificate)):
        raise _untrusted("authority key is not on P-256")
    basic = _find(certificate, x509.BasicConstraints)
    if basic is None or not basic.critical or not basic.value.ca or basic.value.path_length != 0:
        raise _untrusted("authority has no critical path length of 0")
    check_issuing(certificate)
    if subject_key_id(certificate) is None:
        raise _untrusted("authority has no subject key identifier")
    _check_constraints(_find(certificate, x509.NameConstraints))
    _check_critical(certificate, (*_KNOWN_CRITICAL, x509.NameConstraints))


def check_issuing(certificate: x509.Certificate) -> None:
    """Raise CertificateError unless the key may sign certificates and revocation lists."""
    usage = _find(certificate, x509.KeyUsage)
    if usage is None or not (usage.value.key_cert_sign and usage.value.crl_sign):
        raise _untrusted("authority key may not sign certificates and CRLs")


def check_node(certificate: x509.Certificate, purpose: Purpose) -> str:
    """Return the address that a node's certificate names.

    Raises CertificateError unless name, purpose, key and shape are the ones allowed.
    """
    address = _check_name(certificate)
    usages = _find(certificate, x509.ExtendedKeyUsage)
    if usages is None or frozenset(usages.value) != KEY_USAGES[purpose]:
        raise _untrusted(f"certificate is not for the purpose {purpose}")
    if is_authority(certificate):
        raise _untrusted("certificate is an authority's")
    usage = _find(certificate, x509.KeyUsage)
    if usage is None or not usage.value.digital_signature or usage.value.key_cert_sign:
        raise _untrusted("certificate key may not sign")
    _check_critical(certificate, _KNOWN_CRITICAL)
    if not is_key_of(purpose, public_key_of(certificate)):
        raise CertificateError(
            Reason.ALGORITHM_NOT_ALLOWED,
            f"certificate key is not of the kind for the purpose {purpose}",
        )
    return address


def purpose_of(certificate: x509.Certificate) -> Purpose | None:
    """Return what a certificate says it is for, judged by nothing yet; None for none of ours."""
    usages = _find(certificate, x509.ExtendedKeyUsage)
    return None if usages is None else purpose_of_usages(usages.value)


def named_address(der: bytes) -> str | None:
    """Return the address that a certificate names, not judged yet; None where it has none."""
    certificate = parse_certificate(der)
    try:
        return None if certificate is None else _check_name(certificate)
    except CertificateError:
        return None


def address_of_dns_name(name: str) -> str | None:
    """Return the address whose one DNS name this is, or None."""
    labels, suffix = name[: -len(DNS_SUFFIX) - 1], name[-len(DNS_SUFFIX) - 1 :]
    address = ".".join(reversed(labels.split(".")))
    return address if suffix == f".{DNS_SUFFIX}" and is_address(address) else None


def _check_name(certificate: x509.Certificate) -> str:
    names = _find(certificate, x509.SubjectAlternativeName)
    if names is None:
        raise _untrusted("certificate has no alternative name")
    entries = list(names.value)
    if len(entries) != 1:
        raise _untrusted(f"certificate has {len(entries)} alternative names, exactly 1 is allowed")
    if not isinstance(entries[0], x509.DNSName):
        raise _untrusted(f"certificate is named by a {type(entries[0]).__name__}, not a DNS name")
    address = address_of_dns_name(entries[0].value)
    if address is None:
        raise _untrusted("certificate name is no address of this network")
    return address


def _check_constraints(found: x509.Extension[x509.NameConstraints] | None) -> None:
    if found is None or not found.critical:
        raise _untrusted("authority has no critical name constraint")
    permitted = found.value.permitted_subtrees or []
    if len(permitted) != 1 or not isinstance(permitted[0], x509.DNSName):
        raise _untrusted("authority is not confined to exactly one DNS subtree")
    if found.value.excluded_subtrees or address_of_dns_name(permitted[0].value) is None:
        raise _untrusted("authority's subtree is none of this network")


def _check_critical(
    certificate: x509.Certificate,
    known: tuple[type[x509.ExtensionType], ...],
) -> None:
    for extension in certificate.extensions:
        if extension.critical and not isinstance(extension.value, known):
            raise _untrusted(f"unknown critical extension {extension.oid.dotted_string}")


def public_key_of(certificate: x509.Certificate) -> object:
    """Return a certificate's public key, or None where it is of no kind known here."""
    try:
        return certificate.public_key()
    except MALFORMED:
        return None


def _find(
    certificate: x509.Certificate,
    kind: type[Kind],
) -> x509.Extension[Kind] | None:
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def _untrusted(detail: str) -> CertificateError:
    return CertificateError(Reason.CERTIFICATE_UNTRUSTED, detail)
