from contextlib import nullcontext
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from harness.pki import NOW, OBLAST
from schemas.errors import FormatError
from schemas.moments import DAY, MINUTE, as_datetime
from signing.authority import Revoked, issue_crl
from signing.chain import CrlLearned, CrlRefused, Missing
from signing.cms import _tlv
from signing.crl import parse_crl, read_crl

PKITS = Path(cryptography_vectors.__file__).parent / "x509/PKITS_data"

REFUSED = {
    "BadCRLIssuerNameCA": "another name",
    "BadCRLSignatureCA": "signature does not hold",
    "BasicSelfIssuedCRLSigningKeyCA": "signature does not hold",
    "BasicSelfIssuedCRLSigningKeyCRLCert": "partial list",
    "BasicSelfIssuedOldKeyCA": "signature does not hold",
    "DSACA": "hash that is not allowed",
    "UnknownCRLEntryExtensionCA": "an entry has extension",
    "UnknownCRLExtensionCA": "unknown critical extension",
    "WrongCRLCA": "another name",
    "deltaCRLIndicatorNoBaseCA": "partial list",
    "distributionPoint1CA": "partial list",
    "distributionPoint2CA": "partial list",
    "indirectCRLCA1": "partial list",
    "indirectCRLCA3": "partial list",
    "indirectCRLCA3cRLIssuer": "partial list",
    "indirectCRLCA4cRLIssuer": "partial list",
    "indirectCRLCA5": "partial list",
    "onlyContainsAttributeCertsCA": "partial list",
    "onlyContainsCACertsCA": "partial list",
    "onlyContainsUserCertsCA": "partial list",
}
"""What we do not take of PKITS's lists, and why; delta, indirect and partial lists on purpose."""


def pkits():
    """Give each list of PKITS whose issuer's certificate has its name and can be read."""
    for path in sorted((PKITS / "crls").glob("*CRL.crl")):
        name = path.stem.removesuffix("CRL")
        found = [PKITS / "certs" / f"{name}{end}.crt" for end in ("Cert", "")]
        certificate = next((each for each in found if each.exists()), None)
        if certificate is not None and name != "DSAParametersInheritedCA":
            yield pytest.param(name, path, certificate, id=name)


@pytest.mark.parametrize(("name", "path", "certificate"), list(pkits()))
def test_pkits(name, path, certificate):
    """Each list of PKITS is read, or refused for the reason it was made for."""
    issuer = x509.load_der_x509_certificate(certificate.read_bytes())
    why = REFUSED.get(name)
    expectation = nullcontext() if why is None else pytest.raises(FormatError, match=why)
    with expectation:
        read_crl(parse_crl(path.read_bytes()), issuer)


def test_pkits_entries():
    """The serial numbers of a good list are those that PKITS says."""
    path, certificate = PKITS / "crls/GoodCACRL.crl", PKITS / "certs/GoodCACert.crt"
    issuer = x509.load_der_x509_certificate(certificate.read_bytes())
    assert read_crl(parse_crl(path.read_bytes()), issuer).revoked == {14, 15}


# ------------------------------------------------------------------ lists of our own shape


def make(network, *, extensions=None, entries=(), since=NOW, until=NOW + DAY, key=None):
    """Make a list of the oblast's authority with these extensions: (value, critical)."""
    issuer = network.authorities[OBLAST]
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(as_datetime(since))
        .next_update(as_datetime(until))
    )
    for value, critical in extensions if extensions is not None else usual(network):
        builder = builder.add_extension(value, critical=critical)
    for entry in entries:
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(key or issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)


def usual(network, number=900):
    key = network.authorities[OBLAST].key.public_key()
    return [
        (x509.CRLNumber(number), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(key), False),
    ]


def entry(*extensions):
    builder = x509.RevokedCertificateBuilder().serial_number(7).revocation_date(as_datetime(NOW))
    for value, critical in extensions:
        builder = builder.add_extension(value, critical=critical)
    return builder.build()


ECDSA_WITH_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
PARTIAL = x509.IssuingDistributionPoint(None, None, True, False, None, False, False)


def test_usual_list_is_learned(network, trust):
    """The helper of these tests makes a list that counts when nothing departs."""
    assert isinstance(trust.add_crl(make(network)), CrlLearned)


@pytest.mark.parametrize(
    ("extra", "why"),
    [
        ((UNKNOWN, True), "unknown critical extension 1.2.3.4"),
        ((PARTIAL, True), "partial list"),
        ((PARTIAL, False), "partial list"),
        ((x509.DeltaCRLIndicator(1), True), "partial list"),
        ((x509.DeltaCRLIndicator(1), False), "partial list"),
    ],
)
def test_extension_that_changes_the_meaning_is_refused(network, trust, extra, why):
    """Unknown critical extensions, distribution points and deltas refuse the whole list."""
    outcome = trust.add_crl(make(network, extensions=[*usual(network), extra]))
    assert isinstance(outcome, CrlRefused)
    assert why in outcome.detail


def test_unknown_extension_that_is_not_critical_is_passed_over(network, trust):
    """An extension that says it may be ignored is ignored."""
    crl = make(network, extensions=[*usual(network), (UNKNOWN, False)])
    assert isinstance(trust.add_crl(crl), CrlLearned)


def test_list_without_number_is_refused(network, trust):
    """A list must have a number."""
    crl = make(network, extensions=usual(network)[1:])
    outcome = trust.add_crl(crl)
    assert isinstance(outcome, CrlRefused)
    assert "no number" in outcome.detail


@pytest.mark.parametrize(
    "extension",
    [(UNKNOWN, True), (x509.CertificateIssuer([x509.DNSName("x.org")]), False)],
    ids=["unknown critical", "certificate issuer"],
)
def test_entry_that_means_something_else_is_refused(network, trust, extension):
    """An entry with an unknown critical extension, or for another issuer, refuses the list."""
    outcome = trust.add_crl(make(network, entries=[entry(extension)]))
    assert isinstance(outcome, CrlRefused)
    assert "an entry" in outcome.detail


def test_entry_with_a_reason_counts(network, trust):
    """Reason and date of compromise are read over; the entry counts."""
    crl = make(network, entries=[entry((x509.CRLReason(x509.ReasonFlags.superseded), False))])
    outcome = trust.add_crl(crl)
    assert isinstance(outcome, CrlLearned)
    assert outcome.newly_revoked == 1


def test_list_that_names_no_key_has_no_issuer(network, trust):
    """A list says which key signed it; without that, no issuer is at hand."""
    assert isinstance(trust.add_crl(make(network, extensions=usual(network)[:1])), Missing)


def without_next_update(network):
    """Make a list that does not say when the next one comes; no builder does."""
    tbs = x509.load_der_x509_crl(make(network)).tbs_certlist_bytes
    moment = b"\x17\x0d" + as_datetime(NOW + DAY).strftime("%y%m%d%H%M%SZ").encode()
    assert tbs[:2] == b"\x30\x81"
    assert moment in tbs
    signed = _tlv(0x30, tbs[3:].replace(moment, b""))
    signature = network.authorities[OBLAST].key.sign(signed, ec.ECDSA(hashes.SHA256()))
    return _tlv(0x30, signed, ECDSA_WITH_SHA256, _tlv(0x03, b"\0", signature))


def test_list_without_a_next_one_is_refused(network, trust):
    """A list must say when the next one comes."""
    outcome = trust.add_crl(without_next_update(network))
    assert isinstance(outcome, CrlRefused)
    assert "when the next one comes" in outcome.detail


def test_list_signed_by_another_authority_is_refused(network, trust):
    """A list under one authority's name and another one's key is refused."""
    crl = make(network, key=network.authorities["kz.abai"].key)
    outcome = trust.add_crl(crl)
    assert isinstance(outcome, CrlRefused)
    assert "signature" in outcome.detail


def test_large_list_is_quick_enough(network, trust):
    """8,000 entries are learned, and are looked up by set."""
    authority = network.authorities[OBLAST]
    entries = [Revoked(serial, NOW, "superseded") for serial in range(1, 8001)]
    outcome = trust.add_crl(issue_crl(authority, entries, 900, NOW))
    assert isinstance(outcome, CrlLearned)
    assert outcome.newly_revoked == 8000


def test_list_says_when_the_next_one_comes(network):
    """Number and dates are those it was issued with."""
    authority = network.authorities[OBLAST]
    crl = read_crl(parse_crl(issue_crl(authority, [], 5, NOW)), authority.certificate)
    assert (crl.number, crl.this_update, crl.next_update) == (5, NOW - 5 * MINUTE, NOW + DAY)
