"""A node that was away for long: what it may still sign with a key that has ended, and what not."""

import hashlib

import pytest
from cryptography.x509 import load_der_x509_certificate

from harness.pki import DISTRICT, NOW, OBLAST, SCHOOL
from schemas.errors import FormatError
from schemas.limits import Limits
from schemas.moments import DAY, format_instant
from schemas.object_header import Body
from schemas.objects import Ask, Hello
from schemas.reasons import Reason
from schemas.statements import Keys, Request
from signing.authenticate import check_object
from signing.authority import Revoked, issue_crl
from signing.seal import sign_object

END = NOW + 400 * DAY
AWAY = END + 225 * DAY
"""It left with 200 days left, before its renewal was due, and was away for 14 months."""
LINK_ENDS = END + 3 * 366 * DAY
BODY = b"x"


def stamp(signer, to=DISTRICT):
    return {
        "from_": SCHOOL,
        "to": to,
        "epoch": 1,
        "number": 1,
        "certificate": signer.fingerprint,
    }


def body():
    return Body(hashlib.sha256(BODY).hexdigest(), len(BODY))


def ask(signer):
    return sign_object(Ask(**stamp(signer), what="crls"), signer)


def hello(signer):
    fields = {"nonce": "0" * 32, "clock": format_instant(AWAY), "versions": [1]}
    return sign_object(Hello(**stamp(signer), **fields, positions=[], placed=[]), signer)


def request(signer, what="renew"):
    header = Request(**stamp(signer, OBLAST), subject=SCHOOL, what=what, body=body())
    return sign_object(header, signer, BODY)


def revocation(signer):
    return request(signer, "revoke")


def keys(signer):
    return sign_object(Keys(**stamp(signer, SCHOOL), body=body()), signer, BODY)


def check(raw, trust, now):
    return check_object(raw, trust=trust, here=DISTRICT, neighbour=SCHOOL, now=now, limits=Limits())


def reason_of(raw, trust, now):
    with pytest.raises(FormatError) as raised:
        check(raw, trust, now)
    return raised.value.reason


@pytest.mark.parametrize("make", [hello, ask, request])
def test_it_greets_asks_and_renews(trust, signer, make):
    """What it needs to come back counts although the late limit has passed."""
    assert check(make(signer), trust, AWAY).header.from_ == SCHOOL


@pytest.mark.parametrize("make", [keys, revocation])
def test_it_states_nothing_with_an_ended_key(trust, signer, make):
    """Nothing that others would go by: within the late limit yes, past it no more."""
    assert check(make(signer), trust, END + 200 * DAY).header.from_ == SCHOOL
    assert reason_of(make(signer), trust, AWAY) is Reason.KEY_EXPIRED


@pytest.mark.parametrize("make", [hello, request])
def test_a_key_does_not_return_for_ever(trust, signer, make):
    """Past the life of its link certificate it could not even connect."""
    assert reason_of(make(signer), trust, LINK_ENDS) is Reason.KEY_EXPIRED


@pytest.mark.parametrize("make", [hello, request])
def test_a_revoked_key_does_not_return(network, trust, signer, make):
    """A key on a list renews nothing, however long it was away."""
    issuer = network.authority_for(SCHOOL)
    serial = load_der_x509_certificate(signer.certificate).serial_number
    trust.add_crl(issue_crl(issuer, [Revoked(serial, NOW)], 10_000, NOW))
    assert reason_of(make(signer), trust, AWAY) is Reason.KEY_REVOKED
