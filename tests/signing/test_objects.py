import hashlib

import pytest
from cryptography.x509 import load_der_x509_certificate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.pki import DISTRICT, NOW, OBLAST, SCHOOL, make_network
from schemas.errors import FormatError
from schemas.limits import Limits
from schemas.moments import DAY
from schemas.objects import (
    NO_CHAIN,
    Ask,
    Body,
    Bundle,
    Certificate,
    Crl,
    cut_object,
    pack_bundle_body,
    pack_pieces,
    unpack_bundle_body,
)
from schemas.reasons import Reason
from signing.authenticate import check_object
from signing.authority import Revoked, issue_crl
from signing.seal import sign_object


def check(raw, trust, here=DISTRICT, neighbour=SCHOOL, now=NOW):
    return check_object(raw, trust=trust, here=here, neighbour=neighbour, now=now, limits=Limits())


def reason_of(raw, trust, **changes):
    with pytest.raises(FormatError) as raised:
        check(raw, trust, **changes)
    return raised.value.reason


def stamp(signer, from_=SCHOOL, to=DISTRICT):
    return {
        "from_": from_,
        "to": to,
        "epoch": 1,
        "number": 1,
        "certificate": signer.fingerprint,
    }


def ask(signer, **ends):
    return Ask(**stamp(signer, **ends), what="crls")


def body_of(body):
    return Body(hashlib.sha256(body).hexdigest(), len(body))


def bundle(signer, entries, certificates=()):
    body = pack_bundle_body(list(certificates), entries)
    header = Bundle(
        **stamp(signer),
        lane="fast",
        first=1,
        last=len(entries),
        chain=NO_CHAIN,
        body=body_of(body),
    )
    return sign_object(header, signer, body)


def test_neighbours_object_is_taken(trust, signer):
    """An object that the neighbour signed for us is taken."""
    assert check(sign_object(ask(signer), signer), trust).header == ask(signer)


def test_neighbours_bundle_is_taken(trust, signer, frame):
    """A bundle gives its entries, once signature and body have held."""
    found = check(bundle(signer, [frame, frame]), trust)
    assert unpack_bundle_body(found.body) == ([], [frame, frame])


@pytest.mark.parametrize(
    "ends",
    [{"from_": f"{SCHOOL}.annex"}, {"to": OBLAST}, {"from_": DISTRICT, "to": SCHOOL}],
    ids=["from another", "for another", "reflected"],
)
def test_object_of_other_ends_is_refused(trust, signer, ends):
    """A link brings objects from its neighbour to us, and no others."""
    raw = sign_object(ask(signer, **ends), signer)
    assert reason_of(raw, trust) is Reason.ROUTE_FORBIDDEN


def test_object_under_anothers_certificate_is_refused(network, trust):
    """The neighbour's object must be signed under the neighbour's certificate."""
    other = network.nodes[OBLAST].packet
    raw = sign_object(ask(other), other)
    assert reason_of(raw, trust) is Reason.CERTIFICATE_UNTRUSTED


def test_journal_certificate_signs_no_objects(network, trust, signer):
    """Only the packet certificate counts for objects."""
    journal = network.nodes[SCHOOL].journal
    header = Ask(**{**stamp(signer), "certificate": journal.fingerprint}, what="crls")
    raw = sign_object(header, journal)
    assert reason_of(raw, trust) is Reason.CERTIFICATE_UNTRUSTED


def test_unknown_neighbour_is_sender_unknown(network, signer):
    """Without the neighbour's certificate nothing can be taken: it must be asked for."""
    raw = sign_object(ask(signer), signer)
    assert reason_of(raw, network.trust(certificates=False)) is Reason.SENDER_UNKNOWN


def test_objects_are_taken_while_crls_are_missing(network, signer):
    """The neighbour brings the missing CRL, so its objects are taken without."""
    raw = sign_object(ask(signer), signer)
    assert check(raw, network.trust(crls=False)).header == ask(signer)


def test_revoked_neighbour_is_refused(network, trust, signer):
    """A revoked neighbour is heard no more."""
    serial = load_der_x509_certificate(signer.certificate).serial_number
    trust.add_crl(issue_crl(network.authorities[OBLAST], [Revoked(serial, NOW)], 900, NOW))
    assert reason_of(sign_object(ask(signer), signer), trust) is Reason.KEY_REVOKED


def test_ended_key_serves_while_a_link_could(trust, signer):
    """A neighbour whose key has ended can still ask, for the 3 years of a link certificate."""
    raw = sign_object(ask(signer), signer)
    assert check(raw, trust, now=NOW + (400 + 1095) * DAY).header == ask(signer)
    assert reason_of(raw, trust, now=NOW + (400 + 1096) * DAY) is Reason.KEY_EXPIRED


def test_foreign_network_is_refused(trust):
    """An object of another network's node of the same address is refused."""
    foreign = make_network([SCHOOL], NOW)
    trust.add_certificates(foreign.certificates)
    signer = foreign.nodes[SCHOOL].packet
    assert reason_of(sign_object(ask(signer), signer), trust) is Reason.CERTIFICATE_UNTRUSTED


@pytest.mark.parametrize("damage", ["flipped", "short", "long", "empty"])
def test_damaged_body_is_digest_mismatch(trust, signer, frame, damage):
    """Another body than the header names is refused."""
    raw = bundle(signer, [frame])
    body = cut_object(raw).body
    head = raw[: -len(body)]
    bad = {
        "flipped": body[:-1] + bytes([body[-1] ^ 1]),
        "short": body[:-1],
        "long": body + b"\0",
        "empty": b"",
    }[damage]
    assert reason_of(head + bad, trust) is Reason.DIGEST_MISMATCH


def test_body_without_a_name_is_refused(trust, signer):
    """Nothing may stand behind an object whose kind has no body."""
    raw = sign_object(ask(signer), signer, b"more")
    assert reason_of(raw, trust) is Reason.FORMAT_INVALID


def test_bodies_of_the_other_kinds(trust, signer, network):
    """Certificates and CRLs come in bodies that the header names."""
    certificates = pack_pieces(network.nodes[SCHOOL].certificates)
    one = Certificate(**stamp(signer), body=body_of(certificates))
    two = Crl(**stamp(signer), body=body_of(b"crl"))
    assert check(sign_object(one, signer, certificates), trust).body == certificates
    assert check(sign_object(two, signer, b"crl"), trust).body == b"crl"


def test_no_frame_passes_as_an_object(trust, frame):
    """A frame is no object."""
    assert reason_of(frame, trust) is Reason.FORMAT_INVALID


def test_no_kind_passes_as_another(trust, signer):
    """The kind stands in what is signed."""
    raw = sign_object(ask(signer), signer)
    others = {raw[:5] + bytes([kind]) + raw[6:] for kind in range(256)} - {raw}
    assert {reason_of(other, trust) for other in others} <= {
        Reason.FORMAT_INVALID,
        Reason.SIG_INVALID,
    }


def test_every_flipped_bit_of_an_object_is_refused(trust, signer):
    """No single bit of an object can change unseen."""
    raw = sign_object(ask(signer), signer)
    for bit in range(8 * len(raw)):
        damaged = bytearray(raw)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FormatError):
            check(bytes(damaged), trust)


@given(noise=st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_noise_is_refused(trust, noise):
    """Random bytes are refused with a reason, never another exception."""
    with pytest.raises(FormatError):
        check(b"BBAL\1\1\1" + noise, trust)
