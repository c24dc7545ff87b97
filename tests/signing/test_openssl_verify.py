"""`openssl verify` beside our own judgement, on every certificate of one generated set.

Both say the same of each, but for the differences listed here, each with its reason.
"""

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from harness.openssl import crl_pem, openssl, pem
from harness.pki import (
    INVITATION,
    NODE_PURPOSES,
    NOW,
    OBLAST,
    SCHOOL,
    Departures,
    Network,
    issue_bad,
    issue_bad_authority,
    make_network,
)
from schemas.addresses import dns_name
from schemas.cards import enrolment_address
from schemas.limits import Limits
from schemas.moments import DAY, MINUTE, SECOND, Instant, as_datetime
from signing.authority import Issuer, Revoked, issue_crl
from signing.chain import Trusted
from signing.keys import fingerprint
from signing.profiles import ARC, Purpose

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")

SIBLING = "kz.abai"
LIFE_END = NOW + 400 * DAY
SCHOOL_NAME = x509.DNSName(dns_name(SCHOOL))
CONSTRAINT = x509.NameConstraints([x509.DNSName(dns_name(OBLAST))], None)
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
PARTIAL = x509.IssuingDistributionPoint(None, None, True, False, None, False, False)


@dataclass(frozen=True)
class Made:
    """A certificate with its claim, the lists and the moment that it is judged by."""

    der: bytes
    crls: Sequence[bytes]
    at: Instant = NOW
    address: str = SCHOOL
    purpose: Purpose = Purpose.PACKET
    extra: Sequence[bytes] = ()


Make = Callable[[Network], Made]


def we_trust(network: Network, made: Made) -> bool:
    trust = network.trust(crls=False)
    trust.add_certificates([*made.extra, made.der])
    for crl in made.crls:
        trust.add_crl(crl)
    name, at = fingerprint(made.der), made.at
    return isinstance(trust.judge(name, made.address, made.purpose, at, at, Limits()), Trusted)


def openssl_trusts(network: Network, made: Made, folder: Path, *words: str) -> bool:
    authorities = [issuer.der for issuer in network.authorities.values()]
    texts = {
        "roots_and_crls.pem": [pem(network.root.der), *map(crl_pem, made.crls)],
        "untrusted.pem": [pem(der) for der in (*made.extra, *authorities)],
        "node.pem": [pem(made.der)],
    }
    for name, parts in texts.items():
        (folder / name).write_text("".join(parts))
    holds, _ = openssl(
        "verify", "-x509_strict", "-crl_check_all", "-attime", str(made.at // SECOND), *words,
        "-CAfile", "roots_and_crls.pem", "-untrusted", "untrusted.pem", "node.pem",
        cwd=folder,
    )  # fmt: skip
    return holds


# ------------------------------------------------------------------ how the set is made


def own(purpose: Purpose, address: str = SCHOOL) -> Make:
    """Make a node's own certificate for a purpose."""

    def make(network: Network) -> Made:
        ders = dict(zip(NODE_PURPOSES, network.nodes[address].certificates, strict=True))
        return Made(ders[purpose], network.crls(), address=address, purpose=purpose)

    return make


def invitation(at: Instant) -> Make:
    """Make the certificate of an invitation, at a moment."""

    def make(network: Network) -> Made:
        der = network.nodes[SCHOOL].enrolment.certificate
        name = enrolment_address(SCHOOL, INVITATION)
        return Made(der, network.crls(at), at, name, Purpose.ENROLMENT)

    return make


def at(moment: Instant) -> Make:
    """Make the school's packet certificate at a moment, with the lists of that moment."""
    return lambda network: Made(good(network), network.crls(moment), moment)


def departing(**departures: object) -> Make:
    """Make a certificate of the oblast's authority that departs from the profile."""

    def make(network: Network) -> Made:
        der, _ = issue_bad(network.authorities[OBLAST], SCHOOL, NOW, Departures(**departures))
        return Made(der, network.crls())

    return make


def under(issuer_of: Callable[[Network], Issuer], **departures: object) -> Make:
    """Make a certificate in the school's name by another issuer, which has its own list."""

    def make(network: Network) -> Made:
        issuer = issuer_of(network)
        der, _ = issue_bad(issuer, SCHOOL, NOW, Departures(**departures))
        crls = [*network.crls(), issue_crl(issuer, [], 901, NOW)]
        return Made(der, crls, extra=[issuer.der])

    return make


def unconfined(
    constraint: tuple[x509.NameConstraints, bool] | None = (CONSTRAINT, True), **departures: object
) -> Make:
    """Make a certificate by an authority that departs from the profile."""
    return under(lambda network: issue_bad_authority(network, constraint, **departures))


def with_lists(change: Callable[[Network, list[bytes]], list[bytes]]) -> Make:
    """Make the school's packet certificate, with lists that differ from the usual ones."""
    return lambda network: Made(good(network), change(network, network.crls()))


def with_oblast_list(
    *extensions: tuple[x509.ExtensionType, bool], key: object = None, since: Instant = NOW
) -> Make:
    """Make the school's packet certificate, and the oblast's list with more extensions."""

    def make(network: Network) -> Made:
        issuer = network.authorities[OBLAST]
        key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer.certificate.subject)
            .last_update(as_datetime(since))
            .next_update(as_datetime(since + DAY))
            .add_extension(key_id, critical=False)
        )
        for value, critical in extensions:
            builder = builder.add_extension(value, critical=critical)
        der = builder.sign(key or issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)
        return Made(good(network), [*without(network, issuer), der])

    return make


def good(network: Network) -> bytes:
    return network.nodes[SCHOOL].packet.certificate


def without(network: Network, issuer: Issuer) -> list[bytes]:
    """Return the network's lists but for one issuer's."""
    name = issuer.certificate.subject
    return [der for der in network.crls() if x509.load_der_x509_crl(der).issuer != name]


def revoking(network: Network, issuer: Issuer, serial: int) -> list[bytes]:
    """Return the network's lists, the issuer's one with an entry."""
    return [
        *without(network, issuer),
        issue_crl(issuer, [Revoked(serial, NOW, "keyCompromise")], 950, NOW),
    ]


def foreign(network: Network) -> Made:
    other = make_network([SCHOOL], NOW)
    crls = [*network.crls(), *other.crls()]
    extra = [other.root.der, *(issuer.der for issuer in other.authorities.values())]
    return Made(other.nodes[SCHOOL].packet.certificate, crls, extra=extra)


def revoked(network: Network) -> Made:
    serial = x509.load_der_x509_certificate(good(network)).serial_number
    return Made(good(network), revoking(network, network.authorities[OBLAST], serial))


def revoked_authority(network: Network) -> Made:
    serial = network.authorities[OBLAST].certificate.serial_number
    return Made(good(network), revoking(network, network.root, serial))


def damaged(network: Network) -> Made:
    der = good(network)
    return Made(der[:-1] + bytes([der[-1] ^ 1]), network.crls())


def authority_below_an_authority(network: Network) -> Issuer:
    der, key = issue_bad(
        network.authorities[OBLAST], OBLAST, NOW, Departures(is_ca=True, signs=False)
    )
    return Issuer(x509.load_der_x509_certificate(der), key)


def node_as_authority(network: Network) -> Issuer:
    node = network.nodes[OBLAST]
    return Issuer(x509.load_der_x509_certificate(node.packet.certificate), node.packet_key)


def forger(network: Network) -> Issuer:
    certificate = network.authorities[OBLAST].certificate
    return Issuer(certificate, ec.generate_private_key(ec.SECP256R1()))


# ------------------------------------------------------------------ the set

GOOD: dict[str, Make] = {
    **{f"{purpose} of a school": own(purpose) for purpose in NODE_PURPOSES},
    "packet of the oblast's own node": own(Purpose.PACKET, OBLAST),
    "packet of the republic's own node": own(Purpose.PACKET, "kz"),
    "enrolment": invitation(NOW),
    "no departure": departing(),
    "authority by the tests' own hand": unconfined(),
    "list by the tests' own hand": with_oblast_list((x509.CRLNumber(900), False)),
    "unknown extension of the list that is not critical": with_oblast_list(
        (x509.CRLNumber(900), False), (UNKNOWN, False)
    ),
    "first second of its life": at(NOW - 5 * MINUTE),
    "last second of its life but one": at(LIFE_END - SECOND),
}

BAD: dict[str, Make] = {
    "foreign root": foreign,
    "name outside the constraint": departing(names=[x509.DNSName(dns_name("kz.abai.semey"))]),
    "look-alike of the constraint": departing(
        names=[x509.DNSName("school-7.burabay.xakmola.kz.bbaj.internal")]
    ),
    "name above the constraint": departing(names=[x509.DNSName(dns_name("kz"))]),
    "a second name outside the constraint": departing(
        names=[SCHOOL_NAME, x509.DNSName(dns_name("kz.abai.semey"))]
    ),
    "the sibling oblast's authority": under(lambda network: network.authorities[SIBLING]),
    "an authority below an authority": under(authority_below_an_authority),
    "a node that issues": under(node_as_authority),
    "an authority's name and another key": under(forger),
    "not yet valid": at(NOW - DAY),
    "ended": at(LIFE_END + SECOND),
    "a life already over": departing(since=NOW - 9 * DAY, until=NOW - DAY),
    "enrolment after its day": invitation(NOW + DAY + MINUTE),
    "revoked": revoked,
    "authority revoked": revoked_authority,
    "damaged": damaged,
    "unknown critical extension": departing(critical=(UNKNOWN,)),
    "no lists": with_lists(lambda _network, _lists: []),
    "no list of the root": with_lists(lambda _network, lists: lists[1:]),
    "no list of its authority": with_lists(
        lambda network, _: without(network, network.authorities[OBLAST])
    ),
    "list by another key": with_oblast_list(
        (x509.CRLNumber(900), False), key=ec.generate_private_key(ec.SECP256R1())
    ),
    "unknown critical extension of the list": with_oblast_list(
        (x509.CRLNumber(900), False), (UNKNOWN, True)
    ),
}

WE_ALONE_REFUSE: dict[str, tuple[Make, str]] = {
    "no name": (departing(names=[]), "a DNS constraint says nothing of who has no DNS name"),
    "URI for a name": (
        departing(names=[x509.UniformResourceIdentifier("bbaj:school-7")]),
        "nor of another kind of name",
    ),
    "two names": (
        departing(names=[SCHOOL_NAME, x509.DNSName(dns_name(OBLAST))]),
        "one certificate speaks for one address",
    ),
    "name in capitals": (
        departing(names=[x509.DNSName(dns_name(SCHOOL).upper())]),
        "an address has one spelling",
    ),
    "wildcard": (
        departing(names=[x509.DNSName("*.burabay.akmola.kz.bbaj.internal")]),
        "a certificate speaks for an address, not for a pattern",
    ),
    "journal key as packet key": (
        lambda network: Made(network.nodes[SCHOOL].journal.certificate, network.crls()),
        "openssl knows no purposes of ours",
    ),
    "enrolment key as packet key": (
        lambda network: Made(
            network.nodes[SCHOOL].enrolment.certificate,
            network.crls(),
            address=enrolment_address(SCHOOL, INVITATION),
        ),
        "openssl knows no purposes of ours",
    ),
    "no purpose": (departing(usages=[]), "a purpose is never left open"),
    "two purposes": (
        departing(usages=[x509.ObjectIdentifier(f"{ARC}.{number}") for number in (1, 2)]),
        "one key serves one purpose",
    ),
    "an authority itself": (departing(is_ca=True), "what signs packets never issues"),
    "key that may not sign": (departing(signs=False), "openssl asks that of CMS alone"),
    "packet key on P-384": (
        departing(key=ec.generate_private_key(ec.SECP384R1())),
        "a purpose has one algorithm",
    ),
    "packet key on secp256k1": (
        departing(key=ec.generate_private_key(ec.SECP256K1())),
        "a purpose has one algorithm",
    ),
    "packet key of RSA": (
        departing(key=rsa.generate_private_key(65537, 2048)),
        "a purpose has one algorithm",
    ),
    "packet key of Ed25519": (
        departing(key=ed25519.Ed25519PrivateKey.generate()),
        "a purpose has one algorithm",
    ),
    "weak key of RSA": (
        departing(key=rsa.generate_private_key(65537, 1024)),  # noqa: S505 - what it is for
        "openssl verify asks no strength of keys by default",
    ),
    "weak key on P-192": (
        departing(key=ec.generate_private_key(ec.SECP192R1())),
        "openssl verify asks no strength of keys by default",
    ),
    "constraint of its own": (
        departing(critical=(x509.NameConstraints([SCHOOL_NAME], None),)),
        "it means nothing in a node's certificate, and says that it must be understood",
    ),
    "the root as issuer": (
        under(lambda network: network.root),
        "nodes have an authority between them and the root",
    ),
    "authority without constraint": (unconfined(None), "an authority is confined to a subtree"),
    "constraint that is not critical": (
        unconfined((CONSTRAINT, False)),
        "a reader that does not know constraints must refuse, not pass over",
    ),
    "constraint to two subtrees": (
        unconfined(
            (x509.NameConstraints([*CONSTRAINT.permitted_subtrees, SCHOOL_NAME], None), True)
        ),
        "an authority is confined to one subtree",
    ),
    "constraint of another kind": (
        unconfined((x509.NameConstraints([x509.RFC822Name("kz")], None), True)),
        "it confines nobody in what counts here",
    ),
    "authority that may make authorities": (
        unconfined(path_length=1),
        "authorities are the root's to make",
    ),
    "authority without path length": (
        unconfined(path_length=None),
        "authorities are the root's to make",
    ),
    "authority on P-384": (
        unconfined(key=ec.generate_private_key(ec.SECP384R1())),
        "an authority has one algorithm",
    ),
    "authority signed with SHA-256": (
        unconfined(digest=hashes.SHA256()),
        "the root signs with SHA-384",
    ),
    "list without a number": (
        with_oblast_list(),
        "without a number nobody can tell the newer list",
    ),
    "partial list": (
        with_oblast_list((x509.CRLNumber(900), False), (PARTIAL, True)),
        "a list is whole",
    ),
    "partial list that does not say it is critical": (
        with_oblast_list((x509.CRLNumber(900), False), (PARTIAL, False)),
        "a list is whole",
    ),
}

OPENSSL_ALONE_REFUSES: dict[str, tuple[Make, str]] = {
    "last second of its life": (
        at(LIFE_END),
        "a life ends with its notAfter, that second included (RFC 5280 section 4.1.2.5)",
    ),
    "stale lists": (
        lambda network: Made(good(network), network.crls(), NOW + 3 * DAY),
        "lists have a grace: a broken line must not stop the country",
    ),
    "list from the future": (
        with_oblast_list((x509.CRLNumber(900), False), since=NOW + MINUTE),
        "a list says who is revoked, and our clock may be the one that is behind",
    ),
}

AGREED = {**GOOD, **BAD}


@pytest.mark.parametrize("name", AGREED)
def test_openssl_agrees(network, tmp_path, name):
    """We and `openssl verify` say yes to each good certificate, and no to each bad one."""
    made = AGREED[name](network)
    assert (we_trust(network, made), openssl_trusts(network, made, tmp_path)) == (
        name in GOOD,
        name in GOOD,
    )


@pytest.mark.parametrize("name", WE_ALONE_REFUSE)
def test_we_alone_refuse(network, tmp_path, name):
    """What `openssl verify` lets pass and we refuse: so a stranger compares name and usage too."""
    make, why = WE_ALONE_REFUSE[name]
    made = make(network)
    assert (we_trust(network, made), openssl_trusts(network, made, tmp_path)) == (False, True), why


def test_a_delta_list_alone_is_no_list(network, tmp_path):
    """We refuse it, and so does `openssl verify` from 3.0.22 on; 3.0.20 took it for a full one."""
    delta = (x509.CRLNumber(900), False), (x509.DeltaCRLIndicator(1), True)
    made = with_oblast_list(*delta)(network)
    _, said = openssl("version", cwd=tmp_path)
    version = tuple(map(int, re.search(r"OpenSSL (\d+)\.(\d+)\.(\d+)", said).groups()))
    assert not we_trust(network, made)
    assert openssl_trusts(network, made, tmp_path) == (version < (3, 0, 22))


@pytest.mark.parametrize("name", OPENSSL_ALONE_REFUSES)
def test_openssl_alone_refuses(network, tmp_path, name):
    """What we let pass and `openssl verify` refuses."""
    make, why = OPENSSL_ALONE_REFUSES[name]
    made = make(network)
    assert (we_trust(network, made), openssl_trusts(network, made, tmp_path)) == (True, False), why


TLS = {Purpose.LINK: {"sslclient", "sslserver"}, Purpose.ENROLMENT: {"sslclient"}}


@pytest.mark.parametrize("stock_purpose", ["sslclient", "sslserver", "smimesign", "timestampsign"])
@pytest.mark.parametrize("purpose", Purpose)
def test_stock_purposes(network, tmp_path, purpose, stock_purpose):
    """TLS takes link keys both ways, an enrolment key as a client, and no other key of ours."""
    make = invitation(NOW) if purpose is Purpose.ENROLMENT else own(purpose)
    found = openssl_trusts(network, make(network), tmp_path, "-purpose", stock_purpose)
    assert found is (stock_purpose in TLS.get(purpose, set()))


def test_openssl_reads_our_usage(network, tmp_path):
    """A stranger sees name and purpose of a certificate, the 128-bit arc in full."""
    (tmp_path / "node.pem").write_text(pem(good(network)))
    _, text = openssl(
        "x509", "-in", "node.pem", "-noout", "-ext", "subjectAltName,extendedKeyUsage", cwd=tmp_path
    )
    assert f"{ARC}.1" in text
    assert "DNS:school-7.burabay.akmola.kz.bbaj.internal" in text
