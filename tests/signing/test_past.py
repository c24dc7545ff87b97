"""Certificates judged at a past moment: every question answered, by the lists of then and since."""

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from harness.pki import DISTRICT, NOW, OBLAST, SCHOOL, Departures, issue_bad, make_network
from schemas.limits import Limits
from schemas.moments import DAY, HOUR, MINUTE, SECOND, as_datetime
from signing.algorithms import DEFAULT, AlgorithmPolicy
from signing.authority import Revoked, issue_crl
from signing.past import Claim, Papers, judge_past
from signing.profiles import Purpose

T = NOW + HOUR


@pytest.fixture(scope="module")
def network():
    return make_network([OBLAST, DISTRICT, SCHOOL], NOW)


@pytest.fixture(scope="module")
def papers(network):
    return Papers(
        certificate=network.nodes[SCHOOL].packet.certificate,
        authority=network.authority_for(SCHOOL).der,
        root=network.root.der,
        crls=network.crls(NOW),
    )


def claim(moment=T, **other):
    facts = {"address": SCHOOL, "purpose": Purpose.PACKET, "signed": moment, "relied_at": moment}
    return Claim(moment=moment, **(facts | other))


def faults(papers, asked=None, policy=DEFAULT):
    """Return what does not hold, by question."""
    answers = judge_past(asked or claim(), papers, policy, Limits())
    return {each.question: each.detail for each in answers if not each.holds}


def replace(papers, **changes):
    return msgspec.structs.replace(papers, **changes)


def revoking(network, address, certificate, moment, reason="keyCompromise", **at):
    """Return a list of the certificate's authority, made later, that revokes it as of a moment."""
    serial = x509.load_der_x509_certificate(certificate).serial_number
    issuer = network.authority_for(address)
    return issue_crl(issuer, [Revoked(serial, moment, reason)], 99, at.get("made", T + DAY))


def test_a_good_certificate_answers_every_question(papers):
    """Nothing is at fault, and every question of the clause was asked."""
    answers = judge_past(claim(), papers, DEFAULT, Limits())
    assert all(each.holds for each in answers)
    assert {each.question for each in answers} == {
        *("issuers", "path", "shape", "life", "algorithm", "crl", "revocation")
    }


def test_every_fault_is_said_not_the_first_alone(network, papers):
    """Another name, a moment outside its life, a missing list: three faults at once."""
    asked = claim(NOW + 900 * DAY, address=DISTRICT)
    assert set(faults(replace(papers, crls=papers.crls[:1]), asked)) == {"shape", "life", "crl"}


@pytest.mark.parametrize("part", ["certificate", "authority", "root"])
@pytest.mark.parametrize("der", [b"", b"\x30\x00", b"\xff" * 100])
def test_what_is_no_certificate_is_named(papers, part, der):
    """A part that cannot be read ends the judgement, and is named."""
    assert faults(replace(papers, **{part: der})) == {
        "path": f"the {part} is not the DER of a certificate"
    }


def test_another_root_is_found(papers):
    """A chain to a root that nobody trusts holds neither as a chain nor by its issuers."""
    found = faults(replace(papers, root=make_network([OBLAST], NOW).root.der))
    assert {"issuers", "path"} <= set(found)


def test_another_purpose_is_found(papers):
    """A packet certificate does not sign checkpoints."""
    found = faults(papers, claim(purpose=Purpose.JOURNAL))
    assert found == {"shape": "certificate is not for the purpose journal"}


@pytest.mark.parametrize(
    ("moment", "signed", "words"),
    [
        (NOW - HOUR, NOW - HOUR, "signed before"),
        (NOW + 401 * DAY, NOW + 401 * DAY, "signed after"),
        (NOW + 601 * DAY, NOW + 399 * DAY, "over 200 days"),
        (NOW - 6 * MINUTE, NOW, "seen before"),
    ],
)
def test_outside_its_life_nothing_counts(network, papers, moment, signed, words):
    """Signed before or after its life, or proven too long after it."""
    lists = network.crls(moment)
    assert words in faults(replace(papers, crls=lists), claim(moment, signed=signed))["life"]


def test_what_is_proven_late_counts_within_the_late_limit(network, papers):
    """Signed within its life and seen up to 200 days after it: as on arrival (11.5)."""
    moment = NOW + 599 * DAY
    asked = claim(moment, signed=NOW + 399 * DAY)
    assert faults(replace(papers, crls=network.crls(moment)), asked) == {}


def test_an_algorithm_that_had_ended_is_found(papers):
    """The authority's signature counts only while its algorithm was allowed."""
    policy = AlgorithmPolicy(dict(DEFAULT.ends) | {"ecdsa-p256-sha256": T})
    assert "ecdsa-p256-sha256 was not allowed" in faults(papers, policy=policy)["algorithm"]
    assert faults(papers, claim(T - SECOND), policy) == {}


# ----------------------------------------------------------------------------- lists


@pytest.mark.parametrize(
    ("kept", "whose"), [(slice(1), "the authority"), (slice(1, 2), "the root")]
)
def test_a_missing_list_is_named(papers, kept, whose):
    """Without a list of the root or of the authority nobody knows what was revoked."""
    assert faults(replace(papers, crls=papers.crls[kept])) == {"crl": f"no CRL of {whose} is there"}


def test_a_list_from_the_future_does_not_count(network, papers):
    """A list issued over ten minutes after the moment says nothing of it."""
    later = network.crls(T + 16 * MINUTE)
    assert "is from" in faults(replace(papers, crls=later))["crl"]
    assert faults(replace(papers, crls=network.crls(T + 14 * MINUTE))) == {}


def test_a_stale_list_does_not_count(network, papers):
    """A list whose next was due over seven days before is as good as none."""
    moment = NOW + 9 * DAY
    assert "is stale" in faults(papers, claim(moment))["crl"]
    assert faults(papers, claim(NOW + 8 * DAY - SECOND)) == {}


def test_a_list_by_another_key_is_named(network, papers):
    """A list under the authority's name that its key has not signed is a fault."""
    stranger = make_network([OBLAST], NOW).crls(NOW)[1]
    found = faults(replace(papers, crls=[papers.crls[0], stranger]))
    assert "crl" in found


def test_damaged_lists_elsewhere_do_not_matter(papers):
    """What lies about elsewhere and cannot be read is no fault of this certificate."""
    assert faults(replace(papers, elsewhere=[b"\x30\x00"])) == {}
    assert "crl-after" in faults(replace(papers, after=[b"\x30\x00"]))


def test_a_list_of_somebody_else_is_named(network, papers):
    """A list that neither the root nor the authority issued has no place beside a certificate."""
    other = make_network(["kz.abai"], NOW).crls(NOW)[1]
    assert "neither the root nor" in faults(replace(papers, crls=[*papers.crls, other]))["crl"]
    assert "neither the root nor" in faults(replace(papers, after=[other]))["crl-after"]


# ----------------------------------------------------------------------------- revoked


@pytest.mark.parametrize("place", ["crls", "after", "elsewhere"])
def test_revoked_before_does_not_count(network, papers, place):
    """Revoked up to the moment, the key proves nothing, wherever the list was found."""
    listed = revoking(network, SCHOOL, papers.certificate, T, made=T)
    before = list(getattr(papers, place))
    found = faults(replace(papers, **{place: [*before, listed]}))
    assert "not after" in found["revocation"]
    assert "keyCompromise" in found["revocation"]


def test_revoked_since_counts_and_is_said(network, papers):
    """Revoked afterwards, the key proves what it signed before; date and reason are said."""
    listed = revoking(network, SCHOOL, papers.certificate, T + SECOND, "superseded")
    answers = judge_past(claim(), replace(papers, after=[listed]), DEFAULT, Limits())
    assert all(each.holds for each in answers)
    said = [each.detail for each in answers if each.question == "revocation" and each.detail]
    assert said == [
        (
            "revoked 2026-11-23T04:32:07.000000Z (superseded) by CRL 99 of the authority, "
            "after 2026-11-23T04:32:06.000000Z"
        )
    ]


@pytest.mark.parametrize(
    ("reason", "counts"),
    [(x509.ReasonFlags.key_compromise, False), (x509.ReasonFlags.superseded, True)],
)
def test_a_compromised_key_counts_until_it_came_into_other_hands(network, papers, reason, counts):
    """Of a key that was compromised the invalidity date decides, of others the revocation's."""
    issuer = network.authority_for(SCHOOL)
    serial = x509.load_der_x509_certificate(papers.certificate).serial_number
    entry = (
        x509.RevokedCertificateBuilder(serial, as_datetime(T + DAY))
        .add_extension(x509.CRLReason(reason), critical=False)
        .add_extension(x509.InvalidityDate(as_datetime(T - DAY)), critical=False)
        .build()
    )
    plain = x509.load_der_x509_crl(issue_crl(issuer, [], 100, T + DAY))
    builder = x509.CertificateRevocationListBuilder(
        plain.issuer, plain.last_update_utc, plain.next_update_utc, list(plain.extensions), [entry]
    )
    listed = builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)
    assert (faults(replace(papers, after=[listed])) == {}) is counts


def test_a_revoked_authority_takes_its_nodes_with_it(network, papers):
    """The root's list counts for the authority as the authority's does for the node."""
    serial = x509.load_der_x509_certificate(papers.authority).serial_number
    listed = issue_crl(network.root, [Revoked(serial, T - HOUR, "superseded")], 99, T)
    found = faults(replace(papers, after=[listed]))
    assert "by CRL 99 of the root, not after" in found["revocation"]


def test_a_certificate_in_a_wrong_shape_is_found(network, papers):
    """What the profile forbids counts at no moment."""
    bad, _ = issue_bad(network.authority_for(SCHOOL), SCHOOL, NOW, Departures(is_ca=True))
    assert "shape" in faults(replace(papers, certificate=bad))
