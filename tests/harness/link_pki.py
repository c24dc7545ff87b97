"""Throw-away certificates for links: root P-384, confined authorities P-256, nodes' link keys.

A stand-in for tests until the real issuer is asked; every departure that a test wants is an
argument of `issue`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

LINK_USAGES = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
PACKET_USAGES = (ObjectIdentifier("1.3.6.1.4.1.99999.1.1"),)


@dataclass(frozen=True)
class Issuer:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...]


@dataclass(frozen=True)
class Files:
    certificate: Path
    key: Path


def make_root(name: str = "root") -> Issuer:
    key = ec.generate_private_key(ec.SECP384R1())
    certificate = _signed(_subject(name), key, None, [(_ca(), True)])
    return Issuer(certificate, key, ())


def make_authority(root: Issuer, subtree: str, name: str = "authority") -> Issuer:
    """Return an issuing authority that may name nothing outside the DNS subtree."""
    key = ec.generate_private_key(ec.SECP256R1())
    confined = x509.NameConstraints([x509.DNSName(subtree)], None)
    certificate = _signed(_subject(name), key, root, [(_ca(0), True), (confined, True)])
    return Issuer(certificate, key, (certificate,))


def issue(
    folder: Path,
    issuer: Issuer,
    *,
    dns: tuple[str, ...] = (),
    uri: str | None = None,
    common_name: str = "node",
    usages: tuple[ObjectIdentifier, ...] = LINK_USAGES,
    password: bytes | None = None,
) -> Files:
    """Write a certificate with its authority's behind it, and its key; return where."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in dns]
    if uri is not None:
        names.append(x509.UniformResourceIdentifier(uri))
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.ExtendedKeyUsage(usages), True),
    ]
    if names:
        extensions.append((x509.SubjectAlternativeName(names), False))
    certificate = _signed(_subject(common_name), key, issuer, extensions)
    files = Files(folder / "link.crt", folder / "link.key")
    files.certificate.write_bytes(b"".join(map(pem, (certificate, *issuer.chain))))
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(password)
            if password
            else serialization.NoEncryption(),
        )
    )
    return files


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _ca(path_length: int = 1) -> x509.BasicConstraints:
    return x509.BasicConstraints(ca=True, path_length=path_length)


def _signed(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: Issuer | None,
    extensions: list[tuple[x509.ExtensionType, bool]],
) -> x509.Certificate:
    now = datetime.now(UTC)
    signer = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=30))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    digest = hashes.SHA384() if isinstance(signer.curve, ec.SECP384R1) else hashes.SHA256()
    return builder.sign(signer, digest)
