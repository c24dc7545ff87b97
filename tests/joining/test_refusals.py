"""Invitations that let nobody join: each has its own reason, and changes nothing."""

import asyncio

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from harness.cli_run import bbaj
from harness.joining import (
    ByHand,
    der_of_request,
    hears_strangers,
    is_stranger_told,
    is_unreadable,
    refused_joins,
    replaced,
    uses_of,
)
from nodes.cli import inviting
from nodes.cli.invitation_shapes import Withdrawn
from nodes.cli.inviting import Wish
from nodes.clock import now
from nodes.config import load_config
from nodes.invitations import read_invitation
from schemas.addresses import dns_name
from schemas.cards import enrolment_address
from schemas.invitations import JoinReason, read_text, write_text
from schemas.objects import pack_pieces, unpack_pieces
from signing.authority import make_request
from signing.keys import fingerprint, load_certificate
from signing.profiles import Purpose

DISTRICT = "kz.zhambyl.taraz"
NOT_ADMITTED = 82


async def test_a_used_invitation_is_refused_and_seen(joiner, district):
    """A copy of the invitation on a second machine is refused; the parent's operator sees it."""
    first = await joiner.invited()
    assert (await first.join()).code == 0
    second = await joiner.machine(first.address, first.text)
    done = await second.join()
    assert (done.code, "invitation-used" in done.err) == (NOT_ADMITTED, True)
    assert not second.path.exists()
    assert [each.partition(":")[0] for each in await refused_joins(district, first.address)] == [
        "invitation-used"
    ]
    listed = await joiner.listed(read_invitation(first.text, now()).header.invitation)
    assert (listed.state, listed.refused) == ("used", 1)


async def test_an_expired_invitation_is_refused(joiner, district, tmp_path):
    """An invitation whose time is over at the parent's clock is refused there, too."""
    address = joiner.address()
    wish = Wish(addresses=(address,), tier="school", hours=4 / 3600)
    [made] = await inviting.invite(load_config(joiner.config_path), wish, 30)
    machine = ByHand.of(made.text, tmp_path / "expired")
    await asyncio.sleep(4.5)
    welcome = await machine.ask(machine.join_object())
    assert (welcome.state, welcome.reason) == ("refused", JoinReason.EXPIRED)
    done = await (await joiner.machine(address, made.text)).join()
    assert (done.code, "invitation-expired" in done.err) == (NOT_ADMITTED, True)
    assert await uses_of(district, made.invitation) == [("refused", JoinReason.EXPIRED)]


async def test_a_withdrawn_invitation_is_refused(joiner, district, tmp_path):
    """What the operator has withdrawn lets nobody join, with or without its login."""
    made = await joiner.invitation()
    machine = ByHand.of(made.text, tmp_path / "withdrawn")
    await inviting.instruct(
        load_config(joiner.config_path), "uninvite", {"invitation": made.invitation}
    )
    welcome = await machine.ask(machine.join_object())
    assert (welcome.state, welcome.reason) == ("refused", JoinReason.WITHDRAWN)


async def test_withdrawing_takes_the_login(joiner, district):
    """After `invitation withdraw` the broker knows its login no more; who comes is seen."""
    await district.until(lambda: hears_strangers(district))
    machine = await joiner.invited()
    invitation = read_invitation(machine.text, now()).header.invitation
    words = ("invitation", "withdraw", invitation, "--json")
    done = (await bbaj(*words, config=joiner.config_path)).shape(Withdrawn)
    assert (done.invitation, done.address) == (invitation, machine.address)
    refused = await machine.join("--wait", "3")
    assert (refused.code, "no login" in refused.err) == (69, True)
    login = dns_name(enrolment_address(DISTRICT, invitation))
    said = f"login-refused: from 127.0.0.1 as {login}"
    await district.until(lambda: is_stranger_told(district, said))
    assert (await joiner.listed(invitation)).state == "withdrawn"


async def test_another_address_is_refused(joiner, district, tmp_path):
    """An invitation serves its own address alone, over whichever login it comes."""
    first, second = await joiner.invitation(), await joiner.invitation()
    machine = ByHand.of(first.text, tmp_path / "one")
    foreign = read_invitation(second.text, now())

    def of_the_other(header):
        return replaced(header, invitation=foreign.header.invitation)

    raw = machine.join_object(signer=foreign.signer, change=of_the_other)
    welcome = await machine.ask(raw)
    assert (welcome.state, welcome.reason) == ("refused", JoinReason.ADDRESS)
    assert [each.partition(":")[0] for each in await refused_joins(district, first.address)] == [
        "invitation-address"
    ]


async def test_a_request_in_anothers_name_proves_nothing(joiner, district, tmp_path):
    """A request that names another sender than its login is kept as an incident, unanswered."""
    made = await joiner.invitation()
    machine = ByHand.of(made.text, tmp_path / "name")
    other = joiner.address()
    raw = machine.join_object(change=lambda header: replaced(header, from_=other))
    await machine.tell(raw)
    await district.until(lambda: is_unreadable(district, made.address, "route-forbidden"))
    assert await uses_of(district, made.invitation) == []


async def test_a_forged_request_proves_nothing(joiner, district, tmp_path):
    """A request whose signature is not the one-time key's is kept as an incident, unanswered."""
    made = await joiner.invitation()
    machine = ByHand.of(made.text, tmp_path / "forged")
    raw = bytearray(machine.join_object())
    raw[raw.index(b'"number":') + 12] ^= 1
    await machine.tell(bytes(raw))
    await district.until(lambda: is_unreadable(district, made.address, "sig-invalid"))
    assert await uses_of(district, made.invitation) == []


async def test_a_forged_invitation_is_refused_by_the_machine_itself(joiner, district):
    """One whose url was changed on the way is not used: the parent hears nothing of it."""
    made = await joiner.invitation()
    raw, key = read_text(made.text)
    forged = raw.replace(b"amqps://127", b"amqps://128")
    assert forged != raw
    machine = await joiner.machine(made.address, write_text(forged, key))
    done = await machine.join()
    assert (done.code, "invitation-forged" in done.err) == (NOT_ADMITTED, True)
    assert not machine.path.exists()
    assert await uses_of(district, made.invitation) == []
    assert (await (await joiner.machine(made.address, made.text)).join()).code == 0


async def test_a_changed_invitation_is_told_to_the_parent(joiner, district):
    """Where the root is known another way, the machine can tell whom it calls, and tells."""
    made = await joiner.invitation()
    raw, key = read_text(made.text)
    changed = raw.replace(b'"school"', b'"oblast"')
    assert changed != raw
    root = fingerprint(load_certificate(joiner.network.keys_of(DISTRICT) / "root.pem"))
    machine = await joiner.machine(made.address, write_text(changed, key))
    done = await machine.join("--root-sha256", root)
    assert (done.code, f"{DISTRICT} has been told" in done.err) == (NOT_ADMITTED, True)
    await district.until(lambda: refused_joins(district, made.address))
    assert await uses_of(district, made.invitation) == [("refused", JoinReason.FORGED)]
    assert await refused_joins(district, made.address) == [
        "invitation-forged: the machine was given a text that was changed"
    ]


async def test_an_unknown_invitation_is_refused(joiner, district, tmp_path):
    """A one-time certificate without a record of ours, however it came to be, lets nobody join."""
    made = await joiner.invitation()
    machine = ByHand.of(made.text, tmp_path / "unknown")
    connection = await district.superuser()
    try:
        await connection.execute("ALTER TABLE invitation DISABLE TRIGGER USER")
        await connection.execute("DELETE FROM invitation WHERE id = $1", made.invitation)
        await connection.execute("ALTER TABLE invitation ENABLE TRIGGER USER")
    finally:
        await connection.close()
    welcome = await machine.ask(machine.join_object())
    assert (welcome.state, welcome.reason) == ("refused", JoinReason.UNKNOWN)


def bad_requests(machine):
    """Return bodies that are no good requests, each with what is said of it."""
    requests = unpack_pieces(machine.requests)[0]
    p256, ed = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
    other = der_of_request(make_request(p256, f"{DISTRICT}.another", Purpose.PACKET))
    edward = der_of_request(make_request(ed, machine.invitation.address, Purpose.PACKET))
    tampered = bytearray(requests[0])
    tampered[-1] ^= 1
    return {
        "expected 3 or 4": pack_pieces(requests[:2]),
        "are not all for": pack_pieces([other, *requests[1:]]),
        "packet key is of another kind": pack_pieces([edward, *requests[1:]]),
        "two purposes share a key": pack_pieces([requests[0], requests[1], requests[0]]),
        "not signed by its own": pack_pieces([bytes(tampered), *requests[1:]]),
        "does not fit": pack_pieces(requests)[:-5],
    }


async def test_bad_requests_are_refused(joiner, district, tmp_path):
    """What is wrong with a request is named to the operator, and does not use up the invitation."""
    made = await joiner.invitation()
    machine = ByHand.of(made.text, tmp_path / "bad")
    for body in bad_requests(machine).values():
        welcome = await machine.ask(machine.join_object(body))
        assert (welcome.state, welcome.reason) == ("refused", JoinReason.REQUEST)
    told = await refused_joins(district, made.address)
    for said in bad_requests(machine):
        assert any(said in each for each in told), said
    assert (await machine.ask(machine.join_object(), state="ready")).state == "ready"


def proving_another_purpose(address):
    """Return requests for fitting keys, the first of which says that it is for the link."""
    first, last = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    keys = {
        first: Purpose.LINK, ed25519.Ed25519PrivateKey.generate(): Purpose.JOURNAL,
        last: Purpose.LINK,
    }  # fmt: skip
    return pack_pieces(
        [der_of_request(make_request(key, address, purpose)) for key, purpose in keys.items()]
    )


async def test_what_the_authority_refuses_is_told_at_both(joiner, district, republic, tmp_path):
    """The parent passes it on; the authority finds the fault, and the machine hears of it."""
    made = await joiner.invitation()
    machine = ByHand.of(made.text, tmp_path / "authority")
    raw = machine.join_object(proving_another_purpose(made.address))
    welcome = await machine.ask(raw, state="refused")
    assert welcome.reason == JoinReason.AUTHORITY
    again = await machine.ask(raw, state="refused")
    assert again.reason == JoinReason.AUTHORITY
    why = "two requests are for one purpose"
    assert await refused_joins(district, made.address) == [f"authority-refused: {why}"]
    seen = [each.detail for each in await republic.incidents("request_refused", DISTRICT)]
    assert seen == [f"join {made.address}: {why}"]
    given = "SELECT * FROM certified WHERE address = $1"
    assert await republic.rows(given, made.address) == []
    assert (await (await joiner.invited()).join()).code == 0


async def test_a_replayed_request_has_the_same_answer(joiner, district, tmp_path):
    """The same request again changes nothing, and is answered with the same certificates."""
    made = await joiner.invitation()
    machine = ByHand.of(made.text, tmp_path / "replay")
    raw = machine.join_object()
    first = await machine.ask(raw, state="ready")
    asked = "SELECT count(*) FROM request WHERE subject = $1"
    [before] = await district.rows(asked, made.address)
    again = await machine.ask(raw, state="ready")
    [after] = await district.rows(asked, made.address)
    assert (first.body, before) == (again.body, after)
    assert [state for state, _ in await uses_of(district, made.invitation)] == ["taken"]
