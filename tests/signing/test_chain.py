import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID

from harness.pki import (
    DISTRICT,
    INVITATION,
    NOW,
    OBLAST,
    SCHOOL,
    Departures,
    issue_bad,
    issue_bad_authority,
    make_network,
)
from schemas.addresses import dns_name
from schemas.cards import enrolment_address
from schemas.limits import Limits
from schemas.moments import DAY, SECOND
from schemas.reasons import Reason
from signing.authority import Issuer, Revoked, der_of, issue_authority, issue_crl, make_root
from signing.chain import (
    STRANGERS_MAX,
    CrlKnown,
    CrlLearned,
    CrlRefused,
    Missing,
    Trusted,
    TrustStore,
    Untrusted,
)
from signing.errors import KeyFileDamagedError
from signing.keys import fingerprint
from signing.profiles import KEY_USAGES, Purpose

LIMITS = Limits()
OTHER = "kz.abai.semey"


def judge(trust, der, address=SCHOOL, purpose=Purpose.PACKET, sent=NOW, now=NOW):
    return trust.judge(fingerprint(der), address, purpose, sent, now, LIMITS)


def reason_of(standing):
    assert isinstance(standing, Untrusted)
    return standing.reason


@pytest.fixture
def der(network):
    return network.nodes[SCHOOL].packet.certificate


# ------------------------------------------------------------------ what holds


def by_purpose(network, trust):
    """Return name, certificate and key for each purpose; an invitation of the school's too."""
    node = network.nodes[SCHOOL]
    trust.add_certificates([node.enrolment.certificate])
    invited = enrolment_address(SCHOOL, INVITATION)
    return {
        Purpose.PACKET: (SCHOOL, node.packet.certificate, node.packet_key),
        Purpose.JOURNAL: (SCHOOL, node.journal.certificate, node.journal_key),
        Purpose.WITNESS: (SCHOOL, node.witness.certificate, node.witness_key),
        Purpose.LINK: (SCHOOL, node.link_certificate, node.link_key),
        Purpose.ENROLMENT: (invited, node.enrolment.certificate, node.enrolment_key),
    }


@pytest.mark.parametrize("purpose", Purpose)
def test_each_purpose_is_trusted(network, trust, purpose):
    """Each certificate counts for its own purpose, with its own key."""
    name, der, key = by_purpose(network, trust)[purpose]
    standing = judge(trust, der, name, purpose)
    assert standing == Trusted(key.public_key(), network.current_number)


@pytest.mark.parametrize("purpose", Purpose)
def test_no_certificate_serves_two_purposes(network, trust, purpose):
    """A certificate for one purpose is untrusted for each of the others."""
    others = [each for own, each in by_purpose(network, trust).items() if own is not purpose]
    reasons = {reason_of(judge(trust, der, name, purpose)) for name, der, _ in others}
    assert reasons == {Reason.CERTIFICATE_UNTRUSTED}


def test_invitation_does_not_speak_for_its_parent(network, trust):
    """Who holds an invitation signs nothing in the inviting node's name."""
    der = network.nodes[SCHOOL].enrolment.certificate
    trust.add_certificates([der])
    assert reason_of(judge(trust, der, SCHOOL, Purpose.ENROLMENT)) is Reason.CERTIFICATE_UNTRUSTED


def test_republic_and_oblast_nodes_are_trusted(network, trust):
    """The node at the top of a subtree is within its own authority's constraint."""
    standings = [
        judge(trust, network.nodes[address].packet.certificate, address)
        for address in ("kz", OBLAST, DISTRICT)
    ]
    assert all(isinstance(standing, Trusted) for standing in standings)


def test_second_judgement_is_the_same(trust, der):
    """A judgement from memory equals the first one."""
    assert judge(trust, der) == judge(trust, der)


def test_weeks_off_the_net_are_normal(trust, der, network):
    """A packet sealed in the certificate's life counts until the late limit after its end."""
    late = NOW + 400 * DAY + LIMITS.late_limit_us
    trust.add_crl(network.crls(late)[0])
    for crl in network.crls(late):
        trust.add_crl(crl)
    assert isinstance(judge(trust, der, now=late), Trusted)


def test_judging_from_many_threads(network, der):
    """Threads that judge and learn at once all see the certificate trusted."""
    trust, seen = network.trust(), []

    def work():
        for _ in range(200):
            trust.add_certificates(network.certificates)
            seen.append(type(judge(trust, der)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [Trusted] * 800


# ------------------------------------------------------------------ name, purpose, shape

UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
SCHOOL_NAME = x509.DNSName(dns_name(SCHOOL))

TWO_PURPOSES = sorted(KEY_USAGES[Purpose.PACKET] | KEY_USAGES[Purpose.JOURNAL], key=repr)

BAD_CERTIFICATES = {
    "no name": (Departures(names=[]), "no alternative name"),
    "two names": (
        Departures(names=[SCHOOL_NAME, x509.DNSName(dns_name(DISTRICT))]),
        "2 alternative names",
    ),
    "one name twice": (Departures(names=[SCHOOL_NAME, SCHOOL_NAME]), "2 alternative names"),
    "DNS name and URI": (
        Departures(names=[SCHOOL_NAME, x509.UniformResourceIdentifier("bbaj:school-7")]),
        "2 alternative names",
    ),
    "URI only": (
        Departures(names=[x509.UniformResourceIdentifier("bbaj:school-7")]),
        "UniformResourceIdentifier",
    ),
    "e-mail only": (Departures(names=[x509.RFC822Name("a@kz.bbaj.internal")]), "RFC822Name"),
    "name of another node": (
        Departures(names=[x509.DNSName(dns_name(DISTRICT))]),
        f"names {DISTRICT}",
    ),
    "wildcard": (
        Departures(names=[x509.DNSName("*.burabay.akmola.kz.bbaj.internal")]),
        "no address",
    ),
    "capitals": (Departures(names=[x509.DNSName(dns_name(SCHOOL).upper())]), "no address"),
    "trailing dot": (Departures(names=[x509.DNSName(dns_name(SCHOOL) + ".")]), ""),
    "other suffix": (
        Departures(names=[x509.DNSName("school-7.burabay.akmola.kz.example.org")]),
        "constraints",
    ),
    "name outside the constraint": (
        Departures(names=[x509.DNSName(dns_name(OTHER))]),
        "constraints",
    ),
    "look-alike of the constraint": (
        Departures(names=[x509.DNSName("school-7.burabay.xakmola.kz.bbaj.internal")]),
        "constraints",
    ),
    "no key usage of ours": (Departures(usages=[]), "not for the purpose"),
    "clientAuth": (Departures(usages=[ExtendedKeyUsageOID.CLIENT_AUTH]), "not for the purpose"),
    "any purpose": (
        Departures(usages=[ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]),
        "not for the purpose",
    ),
    "two purposes": (Departures(usages=TWO_PURPOSES), "not for the purpose"),
    "an authority itself": (Departures(is_ca=True, signs=True), ""),
    "key that may not sign": (Departures(signs=False), "may not sign"),
    "unknown critical extension": (Departures(critical=(UNKNOWN,)), "critical"),
    "critical extension that says more": (
        Departures(critical=(x509.NameConstraints([SCHOOL_NAME], None),)),
        "unknown critical extension 2.5.29.30",
    ),
}


@pytest.mark.parametrize("defect", sorted(BAD_CERTIFICATES))
def test_departure_is_untrusted(network, trust, defect):
    """A certificate of a good authority that departs from the profile is untrusted, and why."""
    departures, why = BAD_CERTIFICATES[defect]
    der, _ = issue_bad(network.authorities[OBLAST], SCHOOL, NOW, departures)
    trust.add_certificates([der])
    standing = judge(trust, der)
    assert (reason_of(standing), why in standing.detail) == (Reason.CERTIFICATE_UNTRUSTED, True)


def test_without_departure_is_trusted(network, trust):
    """The helper of the tests above makes a certificate that counts when nothing departs."""
    der, _ = issue_bad(network.authorities[OBLAST], SCHOOL, NOW, Departures())
    trust.add_certificates([der])
    assert isinstance(judge(trust, der), Trusted)


@pytest.mark.parametrize(
    "key",
    [ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP384R1())],
    ids=["Ed25519", "P-384"],
)
def test_other_key_is_not_allowed(network, trust, key):
    """A packet certificate for another kind of key does not fit the algorithm."""
    der, _ = issue_bad(network.authorities[OBLAST], SCHOOL, NOW, Departures(key=key))
    trust.add_certificates([der])
    assert reason_of(judge(trust, der)) is Reason.ALGORITHM_NOT_ALLOWED


def test_other_address_is_untrusted(trust, der):
    """A certificate counts for the address it names, and no other."""
    assert reason_of(judge(trust, der, address=DISTRICT)) is Reason.CERTIFICATE_UNTRUSTED


# ------------------------------------------------------------------ chains


def test_foreign_root_is_untrusted(trust):
    """Another network's certificates do not count, its root and authority at hand or not."""
    foreign = make_network([SCHOOL], NOW)
    trust.add_certificates([foreign.root.der, *foreign.certificates])
    der = foreign.nodes[SCHOOL].packet.certificate
    assert reason_of(judge(trust, der)) is Reason.CERTIFICATE_UNTRUSTED


def test_copied_issuer_name_ends_no_wait(network, der):
    """A foreign issuer of a good authority's name and key identifier refuses nothing of it."""
    good = network.authorities[OBLAST].certificate
    forged, key = issue_bad_authority(network, GOOD_CONSTRAINT).certificate, network.root.key
    copied = (
        x509.CertificateBuilder()
        .subject_name(good.subject)
        .issuer_name(good.subject)
        .public_key(forged.public_key())
        .serial_number(1)
        .not_valid_before(good.not_valid_before_utc)
        .not_valid_after(good.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            good.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value,
            critical=False,
        )
        .sign(key, hashes.SHA384())
    )
    trust = TrustStore(network.root.der)
    trust.add_certificates([der_of(copied), der])
    assert isinstance(judge(trust, der), Missing)


def test_judged_again_from_memory(trust):
    """A refusal is remembered, and the same."""
    foreign = make_network([SCHOOL], NOW)
    trust.add_certificates([foreign.root.der, *foreign.certificates])
    der = foreign.nodes[SCHOOL].packet.certificate
    assert judge(trust, der) is judge(trust, der)


def test_foreign_authority_is_never_learned(trust):
    """What another root issued is not learned."""
    foreign = make_network([SCHOOL], NOW)
    assert trust.add_certificates([foreign.root.der, *foreign.certificates]) == []


def test_node_under_the_root_itself_is_untrusted(network, trust):
    """The root issues authorities only: a node's certificate of its own does not count."""
    der, _ = issue_bad(network.root, SCHOOL, NOW, Departures())
    trust.add_certificates([der])
    assert reason_of(judge(trust, der)) is Reason.CERTIFICATE_UNTRUSTED


def test_self_signed_certificate_is_untrusted(network, trust):
    """A certificate that vouches for itself does not count."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(network.root.certificate.not_valid_before_utc)
        .not_valid_after(network.root.certificate.not_valid_after_utc)
        .add_extension(x509.SubjectAlternativeName([SCHOOL_NAME]), critical=True)
        .sign(key, hashes.SHA256())
    )
    trust.add_certificates([der_of(certificate)])
    assert reason_of(judge(trust, der_of(certificate))) is Reason.CERTIFICATE_UNTRUSTED


def test_authority_below_an_authority_is_not_learned(network, trust):
    """An authority cannot make another one: its path length is 0."""
    der, _ = issue_bad(network.authorities[OBLAST], DISTRICT, NOW, Departures(is_ca=True))
    assert trust.add_certificates([der]) == []


def test_forged_issuer_never_counts(network, trust):
    """A certificate that names a good authority, but was signed by another key, never counts."""
    good = network.authorities[OBLAST]
    forger = Issuer(good.certificate, ec.generate_private_key(ec.SECP256R1()))
    der, _ = issue_bad(forger, SCHOOL, NOW, Departures())
    assert x509.load_der_x509_certificate(der).issuer == good.certificate.subject
    assert (trust.add_certificates([der]), isinstance(judge(trust, der), Missing)) == ([], True)


def test_damaged_certificate_is_untrusted(trust, der):
    """Damage in a certificate's signature makes it untrusted, whatever else it says."""
    bad = der[:-1] + bytes([der[-1] ^ 1])
    trust.add_certificates([bad])
    assert reason_of(judge(trust, bad)) is Reason.CERTIFICATE_UNTRUSTED


BAD_AUTHORITIES = {
    "no constraint": None,
    "not critical": (x509.NameConstraints([x509.DNSName(dns_name(OBLAST))], None), False),
    "two subtrees": (
        x509.NameConstraints(
            [x509.DNSName(dns_name(OBLAST)), x509.DNSName(dns_name("kz.abai"))], None
        ),
        True,
    ),
    "everything": (x509.NameConstraints([x509.DNSName("")], None), True),
    "excluded as well": (
        x509.NameConstraints([x509.DNSName(dns_name(OBLAST))], [x509.DNSName("x.org")]),
        True,
    ),
    "no DNS subtree": (x509.NameConstraints([x509.RFC822Name("kz")], None), True),
}


@pytest.mark.parametrize("defect", sorted(BAD_AUTHORITIES))
def test_unconfined_authority_is_untrusted(network, trust, defect):
    """An authority that is not confined to one DNS subtree does not count, nor what it issues."""
    authority = issue_bad_authority(network, BAD_AUTHORITIES[defect])
    der, _ = issue_bad(authority, SCHOOL, NOW, Departures())
    learned = trust.add_certificates([authority.der, der])
    assert (learned, reason_of(judge(trust, der))) == ([], Reason.CERTIFICATE_UNTRUSTED)


GOOD_CONSTRAINT = (x509.NameConstraints([x509.DNSName(dns_name(OBLAST))], None), True)


@pytest.mark.parametrize(
    "departure",
    [
        {"path_length": 1},
        {"path_length": None},
        {"key": ec.generate_private_key(ec.SECP384R1())},
        {"digest": hashes.SHA256()},
    ],
    ids=["path length 1", "no path length", "P-384", "SHA-256"],
)
def test_other_authority_is_untrusted(network, trust, departure):
    """An authority of another shape does not count, nor what it issues."""
    authority = issue_bad_authority(network, GOOD_CONSTRAINT, **departure)
    der, _ = issue_bad(authority, SCHOOL, NOW, Departures())
    learned = trust.add_certificates([authority.der, der])
    assert (learned, reason_of(judge(trust, der))) == ([], Reason.CERTIFICATE_UNTRUSTED)


def test_the_helper_makes_good_authorities_too(network, trust):
    """The helper of the tests above makes an authority that counts when nothing departs."""
    authority = issue_bad_authority(network, GOOD_CONSTRAINT)
    der, _ = issue_bad(authority, SCHOOL, NOW, Departures())
    assert len(trust.add_certificates([authority.der, der])) == 2


def test_authority_that_comes_later(network, der):
    """A certificate waits for its authority, and counts once that has come."""
    trust = TrustStore(network.root.der)
    first = trust.add_certificates([der])
    before = judge(trust, der)
    second = trust.add_certificates([network.authorities[OBLAST].der])
    assert (first, isinstance(before, Missing), fingerprint(der) in second) == ([], True, True)
    for crl in network.crls():
        trust.add_crl(crl)
    assert isinstance(judge(trust, der), Trusted)


def test_renewed_authority_under_the_same_key(network, trust, der):
    """With two certificates of one authority key, the one of the longer common life is used."""
    old = network.authorities[OBLAST]
    renewed = issue_authority(network.root, OBLAST, old.key.public_key(), NOW + 300 * DAY)
    trust.add_certificates([der_of(renewed)])
    assert isinstance(judge(trust, der, sent=NOW), Trusted)


def test_unknown_certificate_is_missing(trust):
    """A certificate that is not at hand is missing."""
    standing = judge(trust, b"no such certificate")
    assert isinstance(standing, Missing)
    assert standing.what == "certificate"


def test_strangers_are_bounded(trust, der):
    """Junk certificates push each other out, and nothing that counts."""
    foreign = make_network([SCHOOL], NOW)
    authority = foreign.authority_for(SCHOOL)
    junk = [
        issue_bad(authority, SCHOOL, NOW, Departures(key=foreign.nodes[SCHOOL].packet_key))[0]
        for _ in range(STRANGERS_MAX + 10)
    ]
    for one in junk:
        trust.add_certificates([one])
        judge(trust, one)
    assert len(trust._strangers) == STRANGERS_MAX
    assert len(trust._failed) <= STRANGERS_MAX
    assert isinstance(judge(trust, der), Trusted)


@pytest.mark.parametrize("junk", [b"", b"\x30\x80", b"x" * 5000], ids=["empty", "DER", "large"])
def test_junk_is_not_learned(trust, junk):
    """Bytes that are no certificate of bounded size are passed over."""
    assert trust.add_certificates([junk]) == []


def test_learned_once(network):
    """A certificate is learned the first time only."""
    trust = network.trust()
    assert trust.add_certificates(network.certificates * 2) == []


@pytest.mark.parametrize("which", ["junk", "authority", "P-256 root"])
def test_other_root_is_refused(network, which):
    """A trust store begins with a root of the profile only, and says what to do."""
    roots = {
        "junk": b"junk",
        "authority": network.authorities[OBLAST].der,
        "P-256 root": issue_bad_authority(network, None).der,
    }
    with pytest.raises(KeyFileDamagedError, match="fetch"):
        TrustStore(roots[which])


# ------------------------------------------------------------------ time


@pytest.mark.parametrize(
    ("sent", "now"),
    [
        (NOW - 5 * 60 * SECOND - SECOND, NOW),
        (NOW + 400 * DAY + SECOND, NOW + 400 * DAY + SECOND),
        (NOW, NOW + 600 * DAY + SECOND),
    ],
    ids=["not yet valid", "expired", "past the late limit"],
)
def test_outside_its_life_is_expired(trust, der, sent, now):
    """A claim outside the certificate's life, or after the late limit, is key-expired."""
    assert reason_of(judge(trust, der, sent=sent, now=now)) is Reason.KEY_EXPIRED


@pytest.mark.parametrize("sent", [NOW - 5 * 60 * SECOND, NOW + 400 * DAY], ids=["first", "last"])
def test_both_ends_of_its_life_count(trust, der, sent):
    """The first and the last moment of a certificate's life belong to it."""
    assert isinstance(judge(trust, der, sent=sent), Trusted)


def test_life_beyond_the_authoritys_is_untrusted(network, trust):
    """When the authority had ended, a certificate that goes on does not count."""
    authority = network.authorities[OBLAST]
    departures = Departures(until=NOW + 11 * 366 * DAY)
    der, _ = issue_bad(authority, SCHOOL, NOW, departures)
    trust.add_certificates([der])
    sent = NOW + 10 * 366 * DAY
    assert reason_of(judge(trust, der, sent=sent, now=sent)) is Reason.CERTIFICATE_UNTRUSTED


def test_life_apart_from_the_authoritys_is_untrusted(network, trust):
    """A certificate that begins after its authority has ended never counts."""
    departures = Departures(since=NOW + 11 * 366 * DAY, until=NOW + 12 * 366 * DAY)
    der, _ = issue_bad(network.authorities[OBLAST], SCHOOL, NOW, departures)
    trust.add_certificates([der])
    sent = NOW + 11 * 366 * DAY
    assert reason_of(judge(trust, der, sent=sent, now=sent)) is Reason.CERTIFICATE_UNTRUSTED


# ------------------------------------------------------------------ revocation


def serial_of(der):
    return x509.load_der_x509_certificate(der).serial_number


def revoke(trust, issuer, serials, number, now=NOW):
    entries = [Revoked(serial, now, "keyCompromise") for serial in serials]
    return trust.add_crl(issue_crl(issuer, entries, number, now))


@pytest.fixture
def oblast(network):
    return network.authorities[OBLAST]


def test_revoked_is_refused_whatever_sent_says(trust, der, oblast):
    """A certificate on a CRL now is key-revoked for packets of any time."""
    assert isinstance(judge(trust, der), Trusted)
    revoke(trust, oblast, [serial_of(der)], 900, NOW + DAY)
    assert reason_of(judge(trust, der, sent=NOW)) is Reason.KEY_REVOKED


def test_revoked_by_a_stale_crl(trust, der, oblast):
    """A revocation stays known, however old its list is."""
    revoke(trust, oblast, [serial_of(der)], 900)
    assert reason_of(judge(trust, der, now=NOW + 100 * DAY)) is Reason.KEY_REVOKED


def test_revoked_authority_takes_all_with_it(network, trust, der, oblast):
    """What a revoked authority has issued is key-revoked."""
    revoke(trust, network.root, [oblast.certificate.serial_number], 900)
    assert reason_of(judge(trust, der)) is Reason.KEY_REVOKED


def test_revocation_elsewhere_does_not_matter(network, trust, der):
    """The same serial number on another authority's list says nothing."""
    revoke(trust, network.authorities["kz.abai"], [serial_of(der)], 900)
    assert isinstance(judge(trust, der), Trusted)


def test_dropped_entry_stays_revoked(trust, der, oblast):
    """A later list that drops an entry does not bring the certificate back, and is noticed."""
    revoke(trust, oblast, [serial_of(der)], 900)
    later = revoke(trust, oblast, [], 901)
    assert isinstance(later, CrlLearned)
    assert (later.dropped, reason_of(judge(trust, der))) == (1, Reason.KEY_REVOKED)


def test_crl_within_its_grace_counts(trust, der):
    """A list a week late still counts."""
    assert isinstance(judge(trust, der, now=NOW + DAY + LIMITS.crl_grace_us), Trusted)


def test_crl_past_its_grace_is_missing(trust, der):
    """A list more than its grace late makes the frame wait for the next one."""
    standing = judge(trust, der, now=NOW + DAY + LIMITS.crl_grace_us + SECOND)
    assert isinstance(standing, Missing)
    assert standing.what == "crl"


def test_stale_root_crl_is_missing(trust, der, oblast):
    """The root's list has its own grace."""
    now = NOW + 400 * DAY + LIMITS.crl_grace_us + SECOND
    revoke(trust, oblast, [], 900, now)
    standing = judge(trust, der, now=now)
    assert isinstance(standing, Missing)
    assert standing.what == "crl"


@pytest.mark.parametrize("which", ["root", "authority"])
def test_without_a_crl_is_missing(network, der, oblast, which):
    """Both the root's and the authority's list must have come once."""
    trust = network.trust(crls=False)
    revoke(trust, oblast if which == "root" else network.root, [], 1)
    standing = judge(trust, der)
    assert isinstance(standing, Missing)
    assert standing.what == "crl"


def test_lower_number_is_ignored(trust, oblast):
    """A list whose number is not higher does not count."""
    revoke(trust, oblast, [], 900)
    outcomes = [type(revoke(trust, oblast, [1], number)) for number in (899, 900)]
    assert outcomes == [CrlKnown, CrlKnown]


def test_crl_of_an_unknown_issuer_is_missing(trust):
    """A list whose issuer has not come may still count later."""
    foreign = make_network([SCHOOL], NOW)
    assert isinstance(trust.add_crl(foreign.crls()[1]), Missing)


def test_forged_crl_is_refused(trust, oblast):
    """A list with a damaged signature is refused."""
    good = issue_crl(oblast, [], 900, NOW)
    assert isinstance(trust.add_crl(good[:-1] + bytes([good[-1] ^ 1])), CrlRefused)


@pytest.mark.parametrize("junk", [b"", b"junk", b"0" * 5_000_000], ids=["empty", "junk", "large"])
def test_junk_crl_is_refused(trust, junk):
    """Bytes that are no list of bounded size are refused."""
    assert isinstance(trust.add_crl(junk), CrlRefused)


# ------------------------------------------------------------------ neighbours, and what is held


def judge_neighbour(trust, der, now=NOW):
    return trust.judge_neighbour(fingerprint(der), SCHOOL, Purpose.PACKET, now, LIMITS)


def test_neighbour_brings_the_crl_that_is_missing(network, der):
    """A neighbour's own objects are taken while CRLs are missing."""
    standing = judge_neighbour(network.trust(crls=False), der)
    assert isinstance(standing, Trusted)
    assert standing.crl_number == 0


def test_neighbour_that_is_revoked(trust, der, oblast):
    """A neighbour on a CRL is refused."""
    revoke(trust, oblast, [serial_of(der)], 900)
    assert reason_of(judge_neighbour(trust, der)) is Reason.KEY_REVOKED


def test_neighbour_whose_key_has_ended(trust, der):
    """A neighbour's key that has ended serves on until the late limit, so that it can renew."""
    late = NOW + 400 * DAY + LIMITS.late_limit_us
    assert isinstance(judge_neighbour(trust, der, late), Trusted)
    assert reason_of(judge_neighbour(trust, der, late + SECOND)) is Reason.KEY_EXPIRED


def test_unknown_neighbour_is_missing(trust):
    """A neighbour whose certificate is not at hand is missing."""
    assert isinstance(judge_neighbour(trust, b"unknown"), Missing)


def test_bundle_brings_certificate_and_authority(trust, der, oblast):
    """A neighbour needs the certificate and its authority's."""
    assert trust.ders_for(fingerprint(der)) == [der, oblast.der]


def test_authority_is_brought_alone(trust, oblast):
    """The root is everybody's: an authority comes alone."""
    assert trust.ders_for(fingerprint(oblast.der)) == [oblast.der]


def test_nothing_is_brought_for_the_unknown(trust):
    """Of an unknown certificate there is nothing to bring."""
    assert trust.ders_for("0" * 64) == []


def test_current_crls_are_kept(network):
    """The current list of each issuer can be passed on, the root's first."""
    trust = network.trust(crls=False)
    crls = network.crls()
    for crl in crls:
        trust.add_crl(crl)
    assert (trust.crls()[0], set(trust.crls())) == (crls[0], set(crls))


def test_fingerprints_of_all_that_counts(network, trust):
    """Every learned certificate is listed, authorities first."""
    names = [fingerprint(der) for der in network.certificates]
    assert trust.fingerprints() == names


def test_life_of_a_certificate(trust, der):
    """A node asks how long its own certificate lives."""
    life = trust.life_of(fingerprint(der))
    assert life is not None
    assert (life.since, life.until) == (NOW - 300 * SECOND, NOW + 400 * DAY)
    assert trust.life_of("0" * 64) is None


def test_root_helper_refuses_other_curves():
    """The tests' root is the profile's: P-384."""
    root = make_root(ec.generate_private_key(ec.SECP384R1()), NOW)
    assert TrustStore(root.der).root == root.der
