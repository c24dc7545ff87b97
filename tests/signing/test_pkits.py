"""PKITS, the public key interoperability suite of NIST, as far as its rules are ours.

Each of its end certificates says by its file name whether its path is valid. We judge it by the
parts that our trust store judges by (chain, revocation lists), but for our own profile, which no
certificate of PKITS has: name, curve, purpose. Where we say otherwise than NIST, it is listed here
with the reason.
"""

import warnings
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning

from schemas.errors import FormatError
from schemas.limits import Limits
from schemas.moments import parse_instant
from signing import certificates, paths
from signing.crl import parse_crl, read_crl
from signing.errors import CertificateError

PKITS = Path(cryptography_vectors.__file__).parent / "x509/PKITS_data"
NOW = parse_instant("2026-11-23T03:32:06.000000Z")


def read_certificates() -> Iterator[tuple[str, x509.Certificate]]:
    for path in sorted((PKITS / "certs").glob("*.crt")):
        with warnings.catch_warnings(action="ignore", category=CryptographyDeprecationWarning):
            found = certificates.parse_certificate(path.read_bytes())
        if found is not None:
            yield path.stem, found


CERTIFICATES = dict(read_certificates())
ROOT = CERTIFICATES["TrustAnchorRootCertificate"]
LISTS = {path.stem: path.read_bytes() for path in sorted((PKITS / "crls").glob("*.crl"))}
CASES = [name for name in CERTIFICATES if name.startswith(("Valid", "Invalid"))]


# ------------------------------------------------------------------ paths

LAXER = {
    "revoked on a delta list alone": {"InvaliddeltaCRLTest4EE"},
}
"""What we take and NIST does not. Our authorities make full lists only, so a delta is not read."""

STRICTER = {
    # A name is compared as it is encoded; ours are made by one program.
    "no authority of that name and key": {
        "ValidNameChainingCapitalizationTest5EE",
        "ValidNameChainingWhitespaceTest3EE",
        "ValidNameChainingWhitespaceTest4EE",
        "ValidUTF8StringCaseInsensitiveMatchTest11EE",
    },
    "all candidates exhausted": {"ValidRolloverfromPrintableStringtoUTF8StringTest10EE"},
    # Ours have one kind of constraint: one DNS subtree.
    "unsupported directoryName constraint": {
        *(f"ValidDNnameConstraintsTest{number}EE" for number in (1, 4, 5, 6, 11)),
    },
    "unsupported name constraint": {
        "ValidURInameConstraintsTest34EE",
        "ValidURInameConstraintsTest36EE",
    },
    # Certificate policies are not ours; where one is critical, it is unknown to us.
    "unaccounted-for critical extensions": {
        *(f"ValidPolicyMappingTest{number}EE" for number in (1, 9, 12, 13, 14)),
        "ValidinhibitAnyPolicyTest2EE",
    },
    "incorrect criticality": {"ValidbasicConstraintsNotCriticalTest4EE"},
    "must be UtcTime": {"ValidGeneralizedTimenotBeforeDateTest4EE"},
    "Forbidden public key algorithm": {"ValidDSASignaturesTest4EE"},
    # Nodes have an authority between them and the root.
    "through one authority": {"ValidUnknownNotCriticalCertificateExtensionTest1EE"},
    # Full lists only, each signed by the very key that signs the certificates.
    "partial list": {
        *(f"ValiddistributionPointTest{number}EE" for number in (1, 4, 5, 7)),
        "ValidIDPwithindirectCRLTest22EE",
        "ValidcRLIssuerTest28EE",
        "ValidcRLIssuerTest29EE",
        "ValidonlyContainsCACertsTest13EE",
        "ValidonlySomeReasonsTest18EE",
        "ValidonlySomeReasonsTest19EE",
        "ValidBasicSelfIssuedCRLSigningKeyTest6EE",
        "ValidBasicSelfIssuedNewWithOldTest4EE",
    },
    "no list": {"ValidcRLIssuerTest33EE"},
    "may not sign certificates and CRLs": {
        "ValidSeparateCertificateandCRLKeysTest19EE",
        "ValidIDPwithindirectCRLTest24EE",
        "ValidIDPwithindirectCRLTest25EE",
        "ValidcRLIssuerTest30EE",
    },
    # The delta takes the entry back; ours are never taken back.
    "revoked": {"ValiddeltaCRLTest5EE"},
}
"""What NIST takes and we do not, by what we say of it."""

WHY_STRICTER = {name: why for why, names in STRICTER.items() for name in names}


def authority_of(certificate: x509.Certificate) -> x509.Certificate | None:
    """Return the authority whose name and key identifier a certificate names."""
    key_id = certificates.issuer_key_id(certificate)
    return next(
        (
            each
            for each in CERTIFICATES.values()
            if each.subject == certificate.issuer and certificates.subject_key_id(each) == key_id
        ),
        None,
    )


def is_short(name: str) -> bool:
    """Say whether the path has at most one authority below the root, as all of ours."""
    authority = authority_of(CERTIFICATES[name])
    return authority is None or authority.issuer == ROOT.subject


def fault_of(certificate: x509.Certificate) -> str | None:
    """Return what we have against a certificate, or None."""
    authority = authority_of(certificate)
    if authority is None:
        return "no authority of that name and key"
    try:
        paths.verify_chain(certificate, authority, ROOT, NOW)
        certificates.check_issuing(authority)
        for serial, issuer in (
            (certificate.serial_number, authority),
            (authority.serial_number, ROOT),
        ):
            if serial in revoked_by(issuer):
                return "revoked"
    except (CertificateError, FormatError) as fault:
        return fault.detail
    return None


def revoked_by(issuer: x509.Certificate) -> frozenset[int]:
    """Return what the issuer's list revokes. Raises FormatError where none of them counts."""
    fault = FormatError("format-invalid", "no list")
    for raw in LISTS.values():
        parsed = parse_crl(raw)
        if parsed.issuer != issuer.subject:
            continue
        try:
            found = read_crl(parsed, issuer)
        except FormatError as error:
            fault = error
            continue
        if found.next_update >= NOW - Limits().crl_grace_us:
            return found.revoked
        fault = FormatError("format-invalid", "stale list")
    raise fault


SHORT = [name for name in CASES if is_short(name)]
LONG = [name for name in CASES if not is_short(name)]


@pytest.mark.parametrize("name", SHORT)
def test_path(name):
    """We say what NIST says of each path of three certificates, but for those that are listed."""
    fault = fault_of(CERTIFICATES[name])
    is_laxer = any(name in names for names in LAXER.values())
    expected_good = (name.startswith("Valid") or is_laxer) and name not in WHY_STRICTER
    assert (fault is None) is expected_good, fault
    assert WHY_STRICTER.get(name, "") in (fault or "")


@pytest.mark.parametrize("name", LONG)
def test_longer_path(name):
    """A path with more than one authority below the root is none of ours, whatever NIST says."""
    assert fault_of(CERTIFICATES[name]) is not None


def test_nothing_is_listed_in_vain():
    """Each certificate that is listed as an exception is one of PKITS's short paths."""
    listed = {name for names in (*LAXER.values(), *STRICTER.values()) for name in names}
    assert listed <= set(SHORT)


def test_the_suite_is_whole():
    """As many paths are judged as PKITS has, but for the one whose DSA key cannot be read."""
    assert (len(SHORT), len(LONG)) == (143, 59)


# ------------------------------------------------------------------ revocation lists

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
