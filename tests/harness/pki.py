"""A whole network's certificates in memory: root, authorities, and every node's keys.

network = make_network(["kz", "kz.akmola", "kz.akmola.burabay"], now)
network.nodes["kz.akmola"].packet          # a PacketSigner
network.trust()                            # a fresh TrustStore that has learned everything
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from schemas.addresses import dns_name
from schemas.cards import enrolment_address
from schemas.moments import DAY, MINUTE, Instant, as_datetime, parse_instant
from signing.authority import (
    Issuer,
    Revoked,
    der_of,
    issue_authority,
    issue_crl,
    issue_node,
    make_root,
)
from signing.chain import CrlLearned, TrustStore
from signing.encryption import EncryptionKeyring, HybridKey
from signing.keys import JournalSigner, PacketSigner
from signing.paths import PublicKey
from signing.profiles import KEY_USAGES, Purpose

NOW = parse_instant("2026-11-23T03:32:06.000000Z")
OBLAST = "kz.akmola"
DISTRICT = "kz.akmola.burabay"
SCHOOL = "kz.akmola.burabay.school-7"
NODE_PURPOSES = (Purpose.PACKET, Purpose.JOURNAL, Purpose.WITNESS, Purpose.LINK)
"""What a node has certificates for, in the order of `Identity.certificates`."""
INVITATION = "one"


@dataclass(frozen=True)
class Identity:
    """One node's keys; every node gets a witness key, children or not."""

    address: str
    packet: PacketSigner
    journal: JournalSigner
    witness: JournalSigner
    link_key: ec.EllipticCurvePrivateKey
    link_certificate: bytes
    packet_key: ec.EllipticCurvePrivateKey
    journal_key: ed25519.Ed25519PrivateKey
    witness_key: ed25519.Ed25519PrivateKey
    encryption: EncryptionKeyring
    enrolment: PacketSigner
    """Of the invitation `INVITATION` that this node gave to somebody."""
    enrolment_key: ec.EllipticCurvePrivateKey

    @property
    def public_keys(self) -> list[PublicKey]:
        """The public halves of its own keys, the enrolment key's included."""
        private = (
            self.packet_key, self.journal_key, self.witness_key, self.link_key, self.enrolment_key
        )  # fmt: skip
        return [key.public_key() for key in private]

    @property
    def certificates(self) -> list[bytes]:
        """The DER of its own four certificates."""
        return [
            self.packet.certificate,
            self.journal.certificate,
            self.witness.certificate,
            self.link_certificate,
        ]


class KeyMaker:
    """Makes private keys that nobody can know beforehand."""

    def p256(self) -> ec.EllipticCurvePrivateKey:
        return ec.generate_private_key(ec.SECP256R1())

    def p384(self) -> ec.EllipticCurvePrivateKey:
        return ec.generate_private_key(ec.SECP384R1())

    def ed25519(self) -> ed25519.Ed25519PrivateKey:
        return ed25519.Ed25519PrivateKey.generate()

    def hybrid(self) -> HybridKey:
        return HybridKey.generate()


@dataclass
class Network:
    """Root, authorities by the address of their subtree, nodes by address."""

    now: Instant
    root: Issuer
    maker: KeyMaker = field(default_factory=KeyMaker)
    authorities: dict[str, Issuer] = field(default_factory=dict)
    nodes: dict[str, Identity] = field(default_factory=dict)
    revoked: dict[str, list[Revoked]] = field(default_factory=dict)
    crl_number: int = 0
    current: tuple[tuple[int, int], list[bytes]] | None = None

    def authority_for(self, address: str) -> Issuer:
        """Return the issuing authority of an address: its oblast's, or the republic's own."""
        subtree = ".".join(address.split(".")[:2])
        if subtree not in self.authorities:
            key = self.maker.p256()
            certificate = issue_authority(self.root, subtree, key.public_key(), self.now)
            self.authorities[subtree] = Issuer(certificate, key)
        return self.authorities[subtree]

    def add(self, address: str, now: Instant | None = None) -> Identity:
        """Make keys and certificates for an address; again for a known one: a renewal."""
        now = self.now if now is None else now
        authority = self.authority_for(address)
        packet, link, enrolment = (self.maker.p256() for _ in range(3))
        journal, witness = (self.maker.ed25519() for _ in range(2))

        def issue(purpose, key, name=address):
            return der_of(issue_node(authority, name, purpose, key.public_key(), now))

        self.nodes[address] = Identity(
            address=address,
            packet=PacketSigner(packet, issue(Purpose.PACKET, packet)),
            journal=JournalSigner(journal, issue(Purpose.JOURNAL, journal)),
            witness=JournalSigner(witness, issue(Purpose.WITNESS, witness)),
            link_key=link,
            link_certificate=issue(Purpose.LINK, link),
            packet_key=packet,
            journal_key=journal,
            witness_key=witness,
            encryption=EncryptionKeyring(self.maker.hybrid()),
            enrolment=PacketSigner(
                enrolment,
                issue(Purpose.ENROLMENT, enrolment, enrolment_address(address, INVITATION)),
            ),
            enrolment_key=enrolment,
        )
        return self.nodes[address]

    def revoke(self, issuer: Issuer, serial: int, reason: str = "keyCompromise") -> None:
        """Put a serial number on the issuer's next CRLs; `crls` makes them."""
        name = issuer.subtree or ""
        self.revoked.setdefault(name, []).append(Revoked(serial, self.now, reason))

    def crls(self, now: Instant | None = None) -> list[bytes]:
        """Make the next CRL of the root and of every authority."""
        now = self.now if now is None else now
        self.crl_number += 1
        return [
            issue_crl(issuer, self.revoked.get(issuer.subtree or "", []), self.crl_number, now)
            for issuer in (self.root, *self.authorities.values())
        ]

    @property
    def certificates(self) -> list[bytes]:
        """The DER of every certificate below the root, authorities first."""
        authorities = [issuer.der for issuer in self.authorities.values()]
        return authorities + [der for node in self.nodes.values() for der in node.certificates]

    def trust(self, *, crls: bool = True, certificates: bool = True) -> TrustStore:
        """Make a trust store that has learned the certificates and fresh CRLs."""
        store = TrustStore(self.root.der)
        if certificates:
            store.add_certificates(self.certificates)
        else:
            store.add_certificates([issuer.der for issuer in self.authorities.values()])
        if crls:
            for crl in self.current_crls():
                assert isinstance(store.add_crl(crl), CrlLearned)
        return store

    def current_crls(self) -> list[bytes]:
        """Return the CRLs that count: the same ones until an authority or a revocation is new."""
        known = (len(self.authorities), sum(map(len, self.revoked.values())))
        if self.current is None or self.current[0] != known:
            self.current = (known, self.crls())
        return self.current[1]

    @property
    def current_number(self) -> int:
        """The number of the CRLs that count."""
        parsed = x509.load_der_x509_crl(self.current_crls()[0])
        return parsed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def make_network(addresses: Iterable[str], now: Instant, maker: KeyMaker | None = None) -> Network:
    """Make root, authorities and every address's keys and certificates, valid from `now`."""
    maker = maker or KeyMaker()
    network = Network(now, make_root(maker.p384(), now), maker)
    for address in addresses:
        network.add(address)
    return network


@dataclass(frozen=True)
class Departures:
    """What a bad certificate does otherwise than the profile; None leaves the profile's way."""

    names: list[x509.GeneralName] | None = None
    usages: list[x509.ObjectIdentifier] | None = None
    since: Instant | None = None
    until: Instant | None = None
    key: object | None = None
    is_ca: bool = False
    signs: bool = True
    critical: tuple[x509.ExtensionType, ...] = ()


def issue_bad(
    issuer: Issuer,
    address: str,
    now: Instant,
    departures: Departures,
    purpose: Purpose = Purpose.PACKET,
) -> tuple[bytes, ec.EllipticCurvePrivateKey]:
    """Issue a node's certificate that departs from the profile; return DER and key."""
    key = departures.key or ec.generate_private_key(ec.SECP256R1())
    names = departures.names
    names = [x509.DNSName(dns_name(address))] if names is None else names
    usages = KEY_USAGES[purpose] if departures.usages is None else departures.usages
    since = now - 5 * MINUTE if departures.since is None else departures.since
    until = now + 400 * DAY if departures.until is None else departures.until
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bad packet")]))
        .issuer_name(issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(as_datetime(since))
        .not_valid_after(as_datetime(until))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()),
            critical=False,
        )
        .add_extension(
            x509.BasicConstraints(ca=departures.is_ca, path_length=None),
            critical=True,
        )
        .add_extension(key_usage(departures), critical=True)
    )
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(list(usages)), critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    for extension in departures.critical:
        builder = builder.add_extension(extension, critical=True)
    digest = hashes.SHA384() if issuer.subtree is None else hashes.SHA256()
    return der_of(builder.sign(issuer.key, digest)), key


def key_usage(departures: Departures) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=departures.signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=not departures.signs and not departures.is_ca,
        key_cert_sign=departures.is_ca,
        crl_sign=departures.is_ca,
        encipher_only=False,
        decipher_only=False,
    )


def issue_bad_authority(
    network: Network,
    constraint: tuple[x509.NameConstraints, bool] | None,
    *,
    path_length: int | None = 0,
    key: object | None = None,
    digest: hashes.HashAlgorithm | None = None,
) -> Issuer:
    """Issue an oblast's authority that departs from the profile; `constraint` says if critical."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    root = network.root
    usage = root.certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    builder = (
        x509.CertificateBuilder()
        .subject_name(network.authorities[OBLAST].certificate.subject)
        .issuer_name(root.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(root.certificate.not_valid_before_utc)
        .not_valid_after(root.certificate.not_valid_after_utc)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root.key.public_key()),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(usage, critical=True)
    )
    if constraint is not None:
        builder = builder.add_extension(constraint[0], critical=constraint[1])
    return Issuer(builder.sign(root.key, digest or hashes.SHA384()), key)
