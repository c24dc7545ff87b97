"""Making certificates and CRLs in the one shape of `signing.profiles`; pure, keys are passed in.

Who may ask for what is not decided here; the caller holds the keys and writes the files.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from schemas.addresses import DNS_SUFFIX, dns_name, is_within, label_of
from schemas.moments import SECOND, Instant, as_datetime, from_datetime
from signing.certificates import address_of_dns_name
from signing.errors import MALFORMED, IssueError, KeyFileDamagedError
from signing.keys import PrivateKey, fingerprint, load_certificate, load_private_key
from signing.paths import PublicKey
from signing.profiles import (
    AUTHORITY_LIFE_US,
    CRL_LIFE_US,
    KEY_USAGES,
    NODE_LIFE_US,
    NOT_BEFORE_SLACK_US,
    ROOT_CRL_LIFE_US,
    ROOT_LIFE_US,
    Purpose,
    is_key_of,
    is_p256,
    purpose_of_usages,
)

REASONS = tuple(
    flag.value
    for flag in x509.ReasonFlags
    if flag not in {x509.ReasonFlags.remove_from_crl, x509.ReasonFlags.certificate_hold}
)
"""Reasons for revoking; entries are never dropped, so nothing is revoked for a while."""


class Issuer(msgspec.Struct, frozen=True, gc=False):
    """A certificate and the private key that issues under it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def der(self) -> bytes:
        """The certificate's DER."""
        return der_of(self.certificate)

    @property
    def subtree(self) -> str | None:
        """The address whose subtree an authority is confined to, or None for the root."""
        return authority_address(self.certificate)


class Revoked(msgspec.Struct, frozen=True, gc=False):
    """One entry of a CRL."""

    serial: int
    at: Instant
    reason: str = "unspecified"


def load_issuer(key: Path, certificate: Path, passphrase: bytes | None = None) -> Issuer:
    """Return an issuer from its files. Raises KeyFileError where they are no pair."""
    loaded = load_private_key(key, passphrase)
    parsed = x509.load_der_x509_certificate(load_certificate(certificate))
    if not isinstance(loaded, ec.EllipticCurvePrivateKey):
        raise KeyFileDamagedError(f"{key} holds no EC key: restore it from its backup")
    if loaded.public_key() != parsed.public_key():
        raise KeyFileDamagedError(f"{certificate} is not for the key in {key}: name the pair")
    return Issuer(parsed, loaded)


def make_root(
    key: ec.EllipticCurvePrivateKey,
    now: Instant,
    *,
    serial: int | None = None,
    life_us: int = ROOT_LIFE_US,
) -> Issuer:
    """Return the self-signed root of a P-384 key."""
    if not isinstance(key.curve, ec.SECP384R1):
        raise IssueError("root key is not on P-384: make a P-384 key")
    name = _name("bbaj root")
    builder = _begin(name, name, key.public_key(), now, life_us, serial)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
    builder = builder.add_extension(_key_usage(issues=True), critical=True)
    return Issuer(_sign(builder, key), key)


def issue_authority(
    root: Issuer,
    address: str,
    public_key: PublicKey,
    now: Instant,
    *,
    serial: int | None = None,
) -> x509.Certificate:
    """Return the certificate of the authority for the subtree of `address`. Raises IssueError."""
    if not is_p256(public_key):
        raise IssueError(f"authority key of {address} is not on P-256: make a P-256 key")
    builder = _begin(
        _authority_name(address),
        root.certificate.subject,
        public_key,
        now,
        _life_within(root, now, AUTHORITY_LIFE_US),
        serial,
    )
    constraints = x509.NameConstraints([x509.DNSName(dns_name(address))], None)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(issues=True), critical=True)
    builder = builder.add_extension(constraints, critical=True)
    return _sign(_name_issuer(builder, root), root.key)


def issue_node(  # noqa: PLR0913 - what a certificate says
    authority: Issuer,
    address: str,
    purpose: Purpose,
    public_key: PublicKey,
    now: Instant,
    *,
    serial: int | None = None,
    life_us: int | None = None,
) -> x509.Certificate:
    """Return a node's certificate for one purpose; its life is the profile's where none is given.

    Raises IssueError.
    """
    subtree = authority.subtree
    if subtree is None or not is_within(address, subtree):
        raise IssueError(f"{address} is outside the authority's subtree {subtree}")
    if not is_key_of(purpose, public_key):
        raise IssueError(f"key of {address} is not of the kind for the purpose {purpose}")
    builder = _begin(
        _name(f"{label_of(address)} {purpose}"),
        authority.certificate.subject,
        public_key,
        now,
        _life_within(authority, now, NODE_LIFE_US[purpose] if life_us is None else life_us),
        serial,
    )
    names = x509.SubjectAlternativeName([x509.DNSName(dns_name(address))])
    builder = builder.add_extension(
        x509.BasicConstraints(ca=False, path_length=None), critical=True
    )
    builder = builder.add_extension(_key_usage(issues=False), critical=True)
    builder = builder.add_extension(_usages(purpose), critical=False)
    builder = builder.add_extension(names, critical=False)
    return _sign(_name_issuer(builder, authority), authority.key)


def issue_crl(
    issuer: Issuer,
    revoked: Sequence[Revoked],
    number: int,
    now: Instant,
    *,
    before: bytes | None = None,
) -> bytes:
    """Return the DER of a full CRL. `number` must be higher than any before.

    `before` is the issuer's last one: its entries stand on the new one too, as they are.
    """
    life = ROOT_CRL_LIFE_US if issuer.subtree is None else CRL_LIFE_US
    entries = [] if before is None else list(x509.load_der_x509_crl(before))
    known = {entry.serial_number for entry in entries}
    entries += [_entry(entry) for entry in revoked if entry.serial not in known]
    builder = (
        x509.CertificateRevocationListBuilder(revoked_certificates=entries)
        .issuer_name(issuer.certificate.subject)
        .last_update(_moment(now - NOT_BEFORE_SLACK_US))
        .next_update(_moment(now + life))
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(_authority_key_id(issuer), critical=False)
    )
    signed = builder.sign(issuer.key, _hash(issuer.key), ecdsa_deterministic=True)
    return signed.public_bytes(Encoding.DER)


def public_key_of_request(request: bytes) -> PublicKey:
    """Return the key of a certificate request (PEM or DER), which its own signature must prove.

    The request's names and extensions are not read: the authority decides them. Raises IssueError.
    """
    try:
        loaded = _load_request(request)
        key, holds = loaded.public_key(), loaded.is_signature_valid
    except MALFORMED as error:
        raise IssueError("certificate request cannot be read: make it again") from error
    if not holds or not isinstance(key, PublicKey):
        raise IssueError("certificate request is not signed by its own P-256 or Ed25519 key")
    return key


def address_of_request(request: bytes) -> str | None:
    """Return the one address that a certificate request (PEM or DER) names, or None."""
    try:
        names = _load_request(request).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except (*MALFORMED, x509.ExtensionNotFound):
        return None
    found = list(names.value)
    if len(found) != 1 or not isinstance(found[0], x509.DNSName):
        return None
    return address_of_dns_name(found[0].value)


def purpose_of_request(request: bytes) -> Purpose | None:
    """Return the purpose whose extended key usages a certificate request asks for, or None."""
    try:
        usages = _load_request(request).extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except (*MALFORMED, x509.ExtensionNotFound):
        return None
    return purpose_of_usages(usages.value)


def _load_request(request: bytes) -> x509.CertificateSigningRequest:
    if request.lstrip().startswith(b"-----BEGIN"):
        return x509.load_pem_x509_csr(request)
    return x509.load_der_x509_csr(request)


def make_request(key: PrivateKey, address: str, purpose: Purpose) -> bytes:
    """Return the PEM of a certificate request for a node's own key; the same one each time."""
    names = x509.SubjectAlternativeName([x509.DNSName(dns_name(address))])
    builder = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(_name(f"{label_of(address)} {purpose}"))
        .add_extension(names, critical=False)
        .add_extension(_usages(purpose), critical=False)
    )
    deterministic = True if isinstance(key, ec.EllipticCurvePrivateKey) else None
    signed = builder.sign(key, _hash(key), ecdsa_deterministic=deterministic)
    return signed.public_bytes(Encoding.PEM)


def authority_address(certificate: x509.Certificate) -> str | None:
    """Return the address whose subtree an authority's certificate is confined to, or None."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.NameConstraints)
    except x509.ExtensionNotFound:
        return None
    permitted = found.value.permitted_subtrees or []
    return address_of_dns_name(permitted[0].value) if len(permitted) == 1 else None


def der_of(certificate: x509.Certificate) -> bytes:
    """Return a certificate's DER."""
    return certificate.public_bytes(Encoding.DER)


def fingerprint_of(certificate: x509.Certificate) -> str:
    """Return what a certificate is known by."""
    return fingerprint(der_of(certificate))


def _begin(  # noqa: PLR0917 - what every certificate has
    subject: x509.Name,
    issuer: x509.Name,
    key: PublicKey,
    now: Instant,
    life_us: int,
    serial: int | None,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number() if serial is None else serial)
        .not_valid_before(_moment(now - NOT_BEFORE_SLACK_US))
        .not_valid_after(_moment(now + life_us))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name_issuer(builder: x509.CertificateBuilder, issuer: Issuer) -> x509.CertificateBuilder:
    return builder.add_extension(_authority_key_id(issuer), critical=False)


def _sign(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    return builder.sign(key, _hash(key), ecdsa_deterministic=True)


def _hash(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384 | None:
    """Return the hash that fits an issuing key; Ed25519 has its own."""
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        return None
    return hashes.SHA384() if isinstance(key.curve, ec.SECP384R1) else hashes.SHA256()


def _life_within(issuer: Issuer, now: Instant, life_us: int) -> int:
    """Return the life that an issuer can still give: nothing outlives what vouches for it."""
    left = from_datetime(issuer.certificate.not_valid_after_utc) - now
    if left <= 0:
        raise IssueError("the issuing certificate has ended: have a new one issued first")
    return min(life_us, left)


def _key_usage(*, issues: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not issues,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=issues,
        crl_sign=issues,
        encipher_only=False,
        decipher_only=False,
    )


def _usages(purpose: Purpose) -> x509.ExtendedKeyUsage:
    return x509.ExtendedKeyUsage(sorted(KEY_USAGES[purpose], key=lambda usage: usage.dotted_string))


def _authority_key_id(issuer: Issuer) -> x509.AuthorityKeyIdentifier:
    found = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(found.value)


def _name(common_name: str) -> x509.Name:
    """Return a name for people; no host-like text, and no address is ever read from it."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _authority_name(address: str) -> x509.Name:
    """Return a name that no other authority bears: CRLs and CMS find an issuer by its name."""
    labels = [*reversed(DNS_SUFFIX.split(".")), *address.split(".")]
    parts = [x509.NameAttribute(NameOID.DOMAIN_COMPONENT, label) for label in labels]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, "bbaj authority")])


def _entry(entry: Revoked) -> x509.RevokedCertificate:
    if entry.reason not in REASONS:
        raise IssueError(f"revocation reason {entry.reason} is unknown: use one of {REASONS}")
    builder = (
        x509.RevokedCertificateBuilder()
        .serial_number(entry.serial)
        .revocation_date(_moment(entry.at))
    )
    if entry.reason != x509.ReasonFlags.unspecified.value:
        reason = x509.CRLReason(x509.ReasonFlags(entry.reason))
        builder = builder.add_extension(reason, critical=False)
    return builder.build()


def _moment(instant: Instant) -> datetime:
    return as_datetime(instant // SECOND * SECOND)
