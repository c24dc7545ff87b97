import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from harness.pki import DISTRICT, NODE_PURPOSES, NOW, OBLAST, SCHOOL
from schemas.addresses import dns_name
from schemas.moments import DAY, MINUTE, from_datetime
from signing.authority import (
    REASONS,
    Issuer,
    Revoked,
    address_of_request,
    authority_address,
    fingerprint_of,
    issue_authority,
    issue_crl,
    issue_node,
    make_request,
    make_root,
    public_key_of_request,
    purpose_of_request,
)
from signing.errors import IssueError
from signing.keys import fingerprint
from signing.profiles import ARC, NOT_BEFORE_SLACK_US, Purpose, renews_at


def life_of(certificate):
    return (
        from_datetime(certificate.not_valid_before_utc),
        from_datetime(certificate.not_valid_after_utc),
    )


def parsed(der):
    return x509.load_der_x509_certificate(der)


@pytest.mark.parametrize(
    ("purpose", "days"),
    [("packet", 400), ("journal", 400), ("witness", 400), ("link", 1095), ("enrolment", 1)],
)
def test_life_of_each_purpose(network, purpose, days):
    """Packet, journal and witness certificates live 400 days, links' 3 years, enrolment's one."""
    node = network.nodes[SCHOOL]
    certificates = dict(zip(NODE_PURPOSES, node.certificates, strict=True))
    certificates[Purpose.ENROLMENT] = node.enrolment.certificate
    since, until = life_of(parsed(certificates[Purpose(purpose)]))
    assert (since, (until - NOW) // DAY) == (NOW - 5 * MINUTE, days)


def test_link_certificates_serve_tls_both_ways(network):
    """A link certificate is good for TLS clients and servers; a packet certificate for neither."""
    tls = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH}
    node = network.nodes[SCHOOL]
    usages = [
        set(parsed(der).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
        for der in (node.link_certificate, node.packet.certificate)
    ]
    assert (usages[0] >= tls, usages[1] & tls) == (True, set())


def test_own_key_usage_is_below_our_arc(network):
    """The packet key's usage reads back as it was written, arc of 128 bits and all."""
    der = network.nodes[SCHOOL].packet.certificate
    usages = parsed(der).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [usage.dotted_string for usage in usages] == [f"{ARC}.1"]


def test_certificates_name_the_address_reversed(network):
    """The one name of a certificate is its DNS name."""
    der = network.nodes[SCHOOL].packet.certificate
    names = parsed(der).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.DNSName("school-7.burabay.akmola.kz.bbaj.internal")]


def test_authority_knows_its_subtree(network):
    """An authority's certificate says which subtree it is confined to; the root's says none."""
    found = [authority_address(each.certificate) for each in network.authorities.values()]
    assert (found, network.root.subtree) == (["kz", OBLAST, "kz.abai"], None)


def test_longest_address_fits():
    """A node may bear an address of eight labels and 200 bytes."""
    address = ".".join(["kz", *("a" * 27 for _ in range(7))])
    root = make_root(ec.generate_private_key(ec.SECP384R1()), NOW)
    key = ec.generate_private_key(ec.SECP256R1())
    authority = Issuer(issue_authority(root, "kz", key.public_key(), NOW), key)
    certificate = issue_node(authority, address, Purpose.PACKET, key.public_key(), NOW)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.DNSName(dns_name(address))]


def test_same_input_same_certificate(network):
    """With its serial number passed in, a certificate's bytes can be made again."""
    authority, key = network.authorities[OBLAST], network.nodes[SCHOOL].packet_key.public_key()
    made = {
        fingerprint_of(issue_node(authority, SCHOOL, Purpose.PACKET, key, NOW, serial=7))
        for _ in range(2)
    }
    assert len(made) == 1


def test_serial_numbers_are_random(network):
    """Serial numbers have some 159 random bits."""
    serials = [parsed(der).serial_number for der in network.certificates]
    assert (len(set(serials)), max(serials).bit_length() > 150) == (len(serials), True)


@pytest.mark.parametrize("address", ["kz", "kz.abai", "kz.akmola2", "kz.abai.semey"])
def test_nothing_is_issued_outside_the_subtree(network, address):
    """An authority issues within its subtree only."""
    key = network.nodes[SCHOOL].packet_key.public_key()
    with pytest.raises(IssueError, match="outside"):
        issue_node(network.authorities[OBLAST], address, Purpose.PACKET, key, NOW)


def test_root_issues_no_nodes(network):
    """The root issues authorities only."""
    key = network.nodes[SCHOOL].packet_key.public_key()
    with pytest.raises(IssueError, match="outside"):
        issue_node(network.root, SCHOOL, Purpose.PACKET, key, NOW)


def test_each_purpose_wants_its_kind_of_key(network):
    """Packet and link keys are P-256, journal and witness keys Ed25519."""
    keys = {
        Purpose.PACKET: ed25519.Ed25519PrivateKey.generate(),
        Purpose.LINK: ec.generate_private_key(ec.SECP384R1()),
        Purpose.JOURNAL: ec.generate_private_key(ec.SECP256R1()),
        Purpose.WITNESS: ec.generate_private_key(ec.SECP256R1()),
    }
    for purpose, key in keys.items():
        with pytest.raises(IssueError, match="not of the kind"):
            issue_node(network.authorities[OBLAST], SCHOOL, purpose, key.public_key(), NOW)


def test_root_and_authority_want_their_curves(network):
    """A root is on P-384, an authority on P-256."""
    keys = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())
    with pytest.raises(IssueError, match="P-384"):
        make_root(keys[0], NOW)
    with pytest.raises(IssueError, match="P-256"):
        issue_authority(network.root, OBLAST, keys[1].public_key(), NOW)


def test_nothing_outlives_its_issuer(network):
    """Late in an authority's life, certificates end with it; after that, none are issued."""
    authority = network.authorities[OBLAST]
    key, end = network.nodes[SCHOOL].packet_key.public_key(), life_of(authority.certificate)[1]
    late = issue_node(authority, SCHOOL, Purpose.PACKET, key, end - DAY)
    assert life_of(late)[1] == end
    with pytest.raises(IssueError, match="has ended"):
        issue_node(authority, SCHOOL, Purpose.PACKET, key, end)


def test_reasons_are_written(network):
    """Each entry of a list bears serial number, date and reason; unspecified is left out."""
    entries = [Revoked(7, NOW, "keyCompromise"), Revoked(8, NOW)]
    der = issue_crl(network.authorities[OBLAST], entries, 1, NOW)
    crl = x509.load_der_x509_crl(der)
    read = [
        (each.serial_number, from_datetime(each.revocation_date_utc), len(list(each.extensions)))
        for each in crl
    ]
    assert read == [(7, NOW, 1), (8, NOW, 0)]


@pytest.mark.parametrize("reason", REASONS)
def test_each_reason_can_be_given(network, reason):
    """Every reason that stays for good can be written."""
    der = issue_crl(network.authorities[OBLAST], [Revoked(7, NOW, reason)], 1, NOW)
    assert len(x509.load_der_x509_crl(der)) == 1


@pytest.mark.parametrize("reason", ["certificateHold", "removeFromCRL", "because"])
def test_no_other_reason_can_be_given(network, reason):
    """Nothing is revoked for a while: entries are never dropped."""
    with pytest.raises(IssueError, match="unknown"):
        issue_crl(network.authorities[OBLAST], [Revoked(7, NOW, reason)], 1, NOW)


def test_roots_list_lives_longer(network):
    """An authority's list lives a day, the off-line root's 400."""
    lives = [
        (from_datetime(x509.load_der_x509_crl(der).next_update_utc) - NOW) // DAY
        for der in network.crls()[:2]
    ]
    assert lives == [400, 1]


@pytest.mark.parametrize("purpose", Purpose)
def test_request_proves_its_key(network, purpose):
    """A request gives the public key that its own signature proves."""
    node = network.nodes[SCHOOL]
    keys = {
        Purpose.PACKET: node.packet_key,
        Purpose.JOURNAL: node.journal_key,
        Purpose.WITNESS: node.witness_key,
        Purpose.LINK: node.link_key,
        Purpose.ENROLMENT: node.enrolment_key,
    }
    request = make_request(keys[purpose], SCHOOL, purpose)
    assert public_key_of_request(request) == keys[purpose].public_key()


def test_damaged_request_is_refused(network):
    """A request whose signature does not hold is refused."""
    pem = make_request(network.nodes[SCHOOL].packet_key, SCHOOL, Purpose.PACKET)
    der = x509.load_pem_x509_csr(pem).public_bytes(Encoding.DER)
    bad = x509.load_der_x509_csr(der[:-1] + bytes([der[-1] ^ 1])).public_bytes(Encoding.PEM)
    with pytest.raises(IssueError, match="not signed by its own"):
        public_key_of_request(bad)


def test_request_of_another_key_is_refused():
    """A request for an RSA key is refused."""
    key = rsa.generate_private_key(65537, 2048)
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    pem = builder.sign(key, SHA256()).public_bytes(Encoding.PEM)
    with pytest.raises(IssueError, match="Ed25519"):
        public_key_of_request(pem)


def test_request_that_is_none_is_refused():
    """Bytes that are no request are refused, and what to do."""
    with pytest.raises(IssueError, match="make it again"):
        public_key_of_request(b"junk")


@pytest.mark.parametrize(
    ("purpose", "life_us", "left_us"),
    [
        (Purpose.PACKET, 400 * DAY, 200 * DAY),
        (Purpose.JOURNAL, 500 * DAY, 200 * DAY),
        (Purpose.WITNESS, 10 * DAY, 5 * DAY),
        (Purpose.LINK, 1000 * DAY, 500 * DAY),
    ],
)
def test_renewal_is_due_long_before_the_end(purpose, life_us, left_us):
    """With 200 days left, or half of a life: a node away for 14 months finds its link alive."""
    ends = NOW - NOT_BEFORE_SLACK_US, NOW + life_us
    found = [renews_at(purpose, *ends, spread) for spread in (0.0, 0.5)]
    assert found == [ends[1] - left_us, ends[1] - left_us + left_us // 20]


def test_fingerprint_is_of_the_der(network):
    """A certificate is known by the SHA-256 of its DER."""
    issuer = network.authorities[OBLAST]
    assert fingerprint_of(issuer.certificate) == fingerprint(issuer.der)


def test_renewal_is_another_certificate(network):
    """Issuing again for an address gives new keys and certificates, and both count."""
    node = network.nodes[DISTRICT]
    key = ec.generate_private_key(ec.SECP256R1())
    again = issue_node(
        network.authorities[OBLAST], DISTRICT, Purpose.PACKET, key.public_key(), NOW + DAY
    )
    assert fingerprint_of(again) != node.packet.fingerprint


def test_request_of_a_version_that_there_is_not_is_refused(network):
    """PKCS#10 has one version; the parser has an error of its own for others."""
    key = network.nodes[SCHOOL].packet_key
    request = x509.load_pem_x509_csr(make_request(key, SCHOOL, Purpose.PACKET))
    der = request.public_bytes(Encoding.DER)
    assert der.count(bytes.fromhex("02010030")) == 1
    with pytest.raises(IssueError, match="make it again"):
        public_key_of_request(der.replace(bytes.fromhex("02010030"), bytes.fromhex("02010830")))


@pytest.mark.parametrize("names", [b"\x30\x02\xa3\x00", b"\x30\x03\x82\x01\xff", b"\x05\x00"])
def test_request_with_names_that_cannot_be_read_names_nobody(network, names):
    """Names of kinds unknown to the parser (X.400), and such as are none, are no address."""
    oid = x509.SubjectAlternativeName.oid
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.UnrecognizedExtension(oid, names), critical=False)
    key = network.nodes[SCHOOL].packet_key
    der = builder.sign(key, SHA256()).public_bytes(Encoding.DER)
    assert public_key_of_request(der) == key.public_key()
    assert (address_of_request(der), purpose_of_request(der)) == (None, None)
