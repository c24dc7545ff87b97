"""Two renewals at once under one key, with other keys each: the authority grants one of them."""

import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from exchange.signing_desk import body_of
from harness.joining import der_of_request
from schemas.objects import pack_pieces
from schemas.statements import Grant, Request
from signing.authority import make_request
from signing.keys import key_digest
from signing.profiles import Purpose
from signing.seal import sign_object

pytestmark = pytest.mark.slow

NOTHING = body_of(pack_pieces([]))
REPUBLIC, DISTRICT = "kz", "kz.zhambyl.taraz"


@pytest.fixture
async def machine(joiner):
    """Let a machine join; it speaks by hand, with the keys that it got."""
    joined = await joiner.invited()
    assert (await joined.join()).code == 0
    rogue = joined.rogue()
    await rogue.start()
    yield rogue
    await rogue.stop()


def new_keys():
    return {
        Purpose.PACKET: ec.generate_private_key(ec.SECP256R1()),
        Purpose.JOURNAL: ed25519.Ed25519PrivateKey.generate(),
    }


def renewal(machine, keys):
    """Return a request for the next certificates, signed with the key in use."""
    pieces = [
        der_of_request(make_request(key, machine.address, purpose)) for purpose, key in keys.items()
    ]
    body = pack_pieces(pieces)
    ends = machine.stamp() | {"to": REPUBLIC}
    header = Request(**ends, subject=machine.address, what="renew", body=body_of(body))
    return sign_object(header, machine.signer, body)


async def grant_on(machine, raw):
    """Return the authority's answer to a request."""
    digest = hashlib.sha256(raw).hexdigest()
    return await machine.until(
        lambda: next(
            (
                each
                for each in machine.objects
                if isinstance(each, Grant) and each.request == digest
            ),
            None,
        )
    )


async def certified(republic, address):
    query = "SELECT purpose, asked_under, sha256 FROM certified WHERE address = $1"
    return {tuple(row) for row in await republic.rows(query, address)}


async def test_a_second_pending_renewal_with_other_keys_is_refused(machine, republic, district):
    """Whoever comes second gets nothing, the authority is told, and the first one's keys stand."""
    before = await certified(republic, machine.address)
    keys, others = new_keys(), new_keys()
    first, second = renewal(machine, keys), renewal(machine, others)
    for raw in (first, second):
        await machine.publish(raw)
    assert (await grant_on(machine, first)).outcome == "granted"
    refused = await grant_on(machine, second)
    under = machine.signer.fingerprint
    why = f"packet was renewed under {under} before"
    assert (refused.outcome, refused.detail, refused.body) == ("refused", why, NOTHING)

    [incident] = await republic.incidents("second_renewal", machine.address)
    assert incident.detail == f"renew {machine.address}: {why}"
    given = await certified(republic, machine.address) - before
    assert {(purpose, asked.hex()) for purpose, asked, _ in given} == {
        ("packet", under),
        ("journal", under),
    }
    query = "SELECT der FROM certificate WHERE sha256 = ANY($1)"
    rows = await republic.rows(query, [sha256 for _, _, sha256 in given])
    certificates = [x509.load_der_x509_certificate(row["der"]) for row in rows]
    held = {key_digest(each.public_key()) for each in certificates}
    assert held == {key_digest(key.public_key()) for key in keys.values()}

    frame = machine.packet(DISTRICT)
    await machine.send(frame)
    assert (await machine.answer_to(frame)).verdict == "accepted"
    assert await district.incidents("message_unreadable", machine.address) == []
