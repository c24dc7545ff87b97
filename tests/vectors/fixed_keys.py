"""Root, authorities and nodes of the vectors: keys from fixed texts, dates and serials fixed.

The private keys are made from their names by a digest and are known to everybody: they are for
tests, and no network may ever trust them.
"""

import hashlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from schemas.addresses import dns_name
from schemas.moments import DAY, HOUR, SECOND, Instant, as_datetime, parse_instant
from signing.authority import (
    Issuer,
    Revoked,
    der_of,
    issue_authority,
    issue_crl,
    issue_node,
    make_root,
)
from signing.keys import JournalSigner, PacketSigner, PrivateKey, fingerprint
from signing.profiles import KEY_USAGES, Purpose

ISSUED: Instant = parse_instant("2026-09-01T00:00:00.000000Z")
NOW: Instant = parse_instant("2026-11-23T03:32:06.000000Z")

SCHOOL = "kz.akmola.burabay.school-7"
SIBLING = "kz.akmola.burabay.school-8"
REVOKED = "kz.akmola.burabay.school-9"
DISTRICT = "kz.akmola.burabay"
OBLAST = "kz.akmola"
NODES = (OBLAST, DISTRICT, SCHOOL, SIBLING, REVOKED)


def _seed(name: str) -> bytes:
    return hashlib.sha512(f"bbaj test key: {name}".encode()).digest()


def ec_key(name: str, curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
    """Return the EC key that a name fixes."""
    return ec.derive_private_key(int.from_bytes(_seed(name)[: curve.key_size // 8 - 1]), curve)


def p256(name: str) -> ec.EllipticCurvePrivateKey:
    """Return the P-256 key that a name fixes."""
    return ec_key(name, ec.SECP256R1())


def ed25519_key(name: str) -> ed25519.Ed25519PrivateKey:
    """Return the Ed25519 key that a name fixes."""
    return ed25519.Ed25519PrivateKey.from_private_bytes(_seed(name)[:32])


@dataclass(frozen=True)
class FixedNode:
    """One node's keys and certificates."""

    address: str
    packet: PacketSigner
    packet_key: ec.EllipticCurvePrivateKey
    journal: JournalSigner
    journal_key: ed25519.Ed25519PrivateKey
    witness: JournalSigner
    witness_key: ed25519.Ed25519PrivateKey


class FixedNetwork:
    """Everything that the vectors are signed and judged with."""

    def __init__(self) -> None:
        self._serial = 1000
        self.root = make_root(ec_key("root", ec.SECP384R1()), ISSUED, serial=self._next_serial())
        self.authority = self._authority(OBLAST)
        self.nodes = {address: self._node(address) for address in NODES}
        self.crls = self.fresh_crls(NOW)

    def _next_serial(self) -> int:
        self._serial += 1
        return self._serial

    def _authority(self, address: str) -> Issuer:
        key = p256(f"{address} authority")
        certificate = issue_authority(
            self.root, address, key.public_key(), ISSUED, serial=self._next_serial()
        )
        return Issuer(certificate, key)

    def issue(
        self, address: str, purpose: Purpose, key: PrivateKey, now: Instant = ISSUED
    ) -> bytes:
        """Return the DER of a certificate by the one authority."""
        serial = self._next_serial()
        return der_of(
            issue_node(self.authority, address, purpose, key.public_key(), now, serial=serial)
        )

    def _node(self, address: str) -> FixedNode:
        packet = p256(f"{address} packet")
        journal = ed25519_key(f"{address} journal")
        witness = ed25519_key(f"{address} witness")
        return FixedNode(
            address=address,
            packet=PacketSigner(packet, self.issue(address, Purpose.PACKET, packet)),
            packet_key=packet,
            journal=JournalSigner(journal, self.issue(address, Purpose.JOURNAL, journal)),
            journal_key=journal,
            witness=JournalSigner(witness, self.issue(address, Purpose.WITNESS, witness)),
            witness_key=witness,
        )

    def _revoked(self) -> Revoked:
        der = self.nodes[REVOKED].packet.certificate
        serial = x509.load_der_x509_certificate(der).serial_number
        return Revoked(serial, NOW - 10 * DAY, "keyCompromise")

    def fresh_crls(self, now: Instant) -> list[bytes]:
        """Return the lists of root and authority that are in force at a time."""
        return [
            issue_crl(self.root, [], 1, ISSUED),
            issue_crl(self.authority, [self._revoked()], 84, now - 3 * HOUR),
        ]

    def certificate_on_p384(self) -> tuple[ec.EllipticCurvePrivateKey, bytes]:
        """Return a packet key of the wrong curve, and a certificate that vouches for it."""
        key = ec_key("school-7 on P-384", ec.SECP384R1())
        issuer = self.authority.certificate
        key_id = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(issuer.subject)
            .public_key(key.public_key())
            .serial_number(self._next_serial())
            .not_valid_before(as_datetime(ISSUED // SECOND * SECOND))
            .not_valid_after(as_datetime(ISSUED + 400 * DAY))
        )
        for extension, critical in (
            (x509.SubjectAlternativeName([x509.DNSName(dns_name(SCHOOL))]), True),
            (x509.ExtendedKeyUsage(sorted(KEY_USAGES[Purpose.PACKET], key=str)), False),
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (
                x509.KeyUsage(
                    digital_signature=True,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    key_cert_sign=False,
                    crl_sign=False,
                    encipher_only=False,
                    decipher_only=False,
                ),
                True,
            ),
            (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id.value), False),
        ):
            builder = builder.add_extension(extension, critical=critical)
        signed = builder.sign(self.authority.key, hashes.SHA256(), ecdsa_deterministic=True)
        return key, der_of(signed)

    @property
    def certificates(self) -> list[bytes]:
        """The DER of what a node begins with: the authority and every node's packet key."""
        return [self.authority.der, *(node.packet.certificate for node in self.nodes.values())]


def describe(network: FixedNetwork) -> dict[str, object]:
    """Return certificates, lists and private keys as `trust.json` holds them."""
    return {
        "about": "Test keys known to everybody. No network may ever trust them.",
        "root": _ec(network.root.key, network.root.der),
        "authorities": {OBLAST: _ec(network.authority.key, network.authority.der)},
        "nodes": {
            node.address: {
                "packet": _ec(node.packet_key, node.packet.certificate),
                "journal": _ed(node.journal_key, node.journal.certificate),
                "witness": _ed(node.witness_key, node.witness.certificate),
            }
            for node in network.nodes.values()
        },
        "crls": [crl.hex() for crl in network.crls],
    }


def _ec(key: ec.EllipticCurvePrivateKey, der: bytes) -> dict[str, str]:
    width = key.key_size // 8
    scalar = key.private_numbers().private_value.to_bytes(width)
    return _pair(scalar, der)


def _ed(key: ed25519.Ed25519PrivateKey, der: bytes) -> dict[str, str]:
    return _pair(key.private_bytes_raw(), der)


def _pair(private: bytes, der: bytes) -> dict[str, str]:
    return {"private_key": private.hex(), "certificate": der.hex(), "sha256": fingerprint(der)}
