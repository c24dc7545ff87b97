"""What may be the network's lag is held, asked for, and judged when the missing piece comes."""

import random

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from harness.rogue import signer_of
from nodes import samples
from nodes.clock import now
from schemas.frame import cut
from schemas.moments import DAY, format_instant, parse_instant
from schemas.objects import Ask
from signing.authority import Issuer, Revoked, der_of, issue_authority, issue_crl, issue_node
from signing.keys import PacketSigner
from signing.profiles import Purpose

ROOT, RELAY, SENDER = "kz", "kz.zhambyl", "kz.zhambyl.taraz"


class Lagging:
    """A node under an authority of its own, whose certificates and CRLs the network lacks."""

    def __init__(self, country, address: str, *, age_us: int = 0) -> None:
        born = now() - age_us
        root = country.network.authority._issuer("root")
        authority_key = ec.generate_private_key(ec.SECP256R1())
        key = ec.generate_private_key(ec.SECP256R1())
        authority = issue_authority(root, address, authority_key.public_key(), born)
        self.address = address
        self.issuer = Issuer(authority, authority_key)
        certificate = issue_node(self.issuer, address, Purpose.PACKET, key.public_key(), born)
        self.serial = certificate.serial_number
        self.signer = PacketSigner(key, der_of(certificate))
        self.certificates = [der_of(certificate), der_of(authority)]

    def crl(self, number: int, *, revokes: bool = False, age_us: int = 0) -> bytes:
        """Return a CRL of its authority, made some time ago."""
        revoked = [Revoked(self.serial, now())] if revokes else []
        return issue_crl(self.issuer, revoked, number, now() - age_us)


async def until_held(country, raw, address=RELAY):
    """Return the quarantine's row once these bytes are held."""
    eyes = country.at[address]

    async def look():
        return [row for row in await eyes.quarantine_of(raw) if row.state == "held"]

    return (await eyes.until(look))[0]


async def test_a_frame_without_certificate_is_held_and_noted(country):
    """The number is taken and the note goes out; the frame itself waits for its certificate."""
    rogue = await country.rogue()
    signer = signer_of(country.network, f"{rogue.address}.a")
    frame = rogue.packet(ROOT, from_=f"{rogue.address}.a", signer=signer)
    await rogue.send(frame)
    await rogue.until_noted(1)
    assert (await until_held(country, frame)).reason == "certificate"


async def test_the_missing_certificate_is_asked_for(country):
    """The neighbour that brought the frame is asked for the certificate by its digest."""
    rogue = await country.rogue()
    signer = signer_of(country.network, f"{rogue.address}.a")
    await rogue.send(rogue.packet(ROOT, from_=f"{rogue.address}.a", signer=signer))
    ask = await rogue.asked()
    assert (ask.what, ask.sha256) == ("certificate", signer.fingerprint)


async def test_it_is_accepted_once_the_certificate_comes(country):
    """Brought in time, the certificate lets the held frame go on to its recipient."""
    rogue = await country.rogue()
    signer = signer_of(country.network, f"{rogue.address}.a")
    frame = rogue.packet(ROOT, from_=f"{rogue.address}.a", signer=signer)
    await rogue.send(frame)
    await until_held(country, frame)
    await rogue.bring([signer.certificate], answers=signer.fingerprint)
    _, receipt = await rogue.receipt_on(frame)
    assert receipt.verdict == "accepted"


async def test_a_held_frame_is_known_by_none_of_its_facts(country):
    """While it is held, what its header claims stands in no list: nothing of it is proven."""
    rogue = await country.rogue()
    signer = signer_of(country.network, f"{rogue.address}.a")
    frame = rogue.packet(ROOT, from_=f"{rogue.address}.a", signer=signer)
    await rogue.send(frame)
    row = await until_held(country, frame)
    assert (row.id, row.sender, row.recipient) == (None, None, None)


async def test_a_certificate_that_was_not_asked_for_helps_nobody(country):
    """Another certificate than the missing one leaves the frame held, then refused."""
    rogue = await country.rogue()
    signer = signer_of(country.network, f"{rogue.address}.a")
    frame = rogue.packet(ROOT, from_=f"{rogue.address}.a", signer=signer)
    await rogue.send(frame)
    await rogue.bring([signer_of(country.network, f"{rogue.address}.b").certificate])
    assert (await rogue.refusal_of(frame)).reason == "sender-unknown"


async def test_none_such_leaves_it_held_until_the_limit(country):
    """The answer that there is no such certificate ends nothing early; the limit does."""
    rogue = await country.rogue()
    signer = signer_of(country.network, f"{rogue.address}.a")
    frame = rogue.packet(ROOT, from_=f"{rogue.address}.a", signer=signer)
    await rogue.send(frame)
    await rogue.bring([], answers=(await rogue.asked()).sha256)
    assert (await rogue.refusal_of(frame)).reason == "sender-unknown"


async def test_the_refusal_past_the_limit_names_the_entrys_number(country):
    """Refused after all, the frame is named by lane and number as any other."""
    rogue = await country.rogue()
    signer = signer_of(country.network, f"{rogue.address}.a")
    frame = rogue.packet(ROOT, from_=f"{rogue.address}.a", signer=signer)
    number = await rogue.send(rogue.packet(ROOT), frame)
    refusal = await rogue.refusal_of(frame)
    assert (refusal.lane, refusal.of_epoch, refusal.entry) == ("bulk", 1, number)


@pytest.mark.parametrize("stale", [False, True], ids=["missing", "past its grace"])
async def test_without_a_current_list_it_is_held_and_lists_are_asked_for(country, stale):
    """A CRL that never came, or is past its grace, holds the frame, and CRLs are asked for."""
    rogue = await country.rogue()
    lagging = Lagging(country, f"{rogue.address}.a")
    await rogue.bring(lagging.certificates)
    if stale:
        await rogue.bring_crl(lagging.crl(1, age_us=9 * DAY))
    frame = rogue.packet(ROOT, from_=lagging.address, signer=lagging.signer)
    await rogue.send(frame)
    row = await until_held(country, frame)
    assert ((await rogue.asked()).what, row.reason) == ("crls", "crl")


@pytest.mark.parametrize("stale", [False, True], ids=["missing", "past its grace"])
async def test_it_is_accepted_once_the_list_comes(country, stale):
    """The current CRL, brought in time, lets the held frame go on."""
    rogue = await country.rogue()
    lagging = Lagging(country, f"{rogue.address}.a")
    await rogue.bring(lagging.certificates)
    if stale:
        await rogue.bring_crl(lagging.crl(1, age_us=9 * DAY))
    frame = rogue.packet(ROOT, from_=lagging.address, signer=lagging.signer)
    await rogue.send(frame)
    await until_held(country, frame)
    await rogue.bring_crl(lagging.crl(2))
    _, receipt = await rogue.receipt_on(frame)
    assert receipt.verdict == "accepted"


async def test_it_is_refused_when_the_list_that_comes_revokes(country):
    """The CRL that was waited for may say no: then the reason is `key-revoked`."""
    rogue = await country.rogue()
    lagging = Lagging(country, f"{rogue.address}.a")
    frame = rogue.packet(ROOT, from_=lagging.address, signer=lagging.signer)
    await rogue.send(frame, certificates=lagging.certificates)
    await until_held(country, frame)
    await rogue.bring_crl(lagging.crl(1, revokes=True))
    assert (await rogue.refusal_of(frame)).reason == "key-revoked"


async def test_a_list_goes_on_to_the_next_node(country):
    """A CRL that came to the relay alone lets the root judge too: it was passed on."""
    rogue = await country.rogue()
    lagging = Lagging(country, f"{rogue.address}.a")
    await rogue.bring(lagging.certificates)
    await rogue.bring_crl(lagging.crl(1))
    frame = rogue.packet(ROOT, from_=lagging.address, signer=lagging.signer)
    await rogue.send(frame)
    _, receipt = await rogue.receipt_on(frame)
    assert receipt.verdict == "accepted"


async def test_a_number_used_twice_is_found_when_held_frames_are_judged(country):
    """Held frames are judged by all rules: a number that is taken by then is a replay."""
    rogue = await country.rogue()
    signer = signer_of(country.network, f"{rogue.address}.a")
    first = rogue.packet(ROOT, from_=f"{rogue.address}.a", signer=signer)
    lagging = Lagging(country, f"{rogue.address}.a")
    second = rogue.packet(
        ROOT, from_=lagging.address, signer=lagging.signer, seq=cut(first).header.seq
    )
    await rogue.send(second, certificates=lagging.certificates)
    await until_held(country, second)
    await rogue.send(first, certificates=[signer.certificate])
    await rogue.receipt_on(first, "accepted")
    await rogue.bring_crl(lagging.crl(1))
    _, receipt = await rogue.receipt_on(second)
    assert (receipt.verdict, receipt.reason) == ("refused", "replay")


async def test_a_held_receipt_delivers_once_it_can_be_judged(country):
    """A receipt that had to wait for its signer's CRL still moves its packet to delivered."""
    rogue = await country.rogue()
    lagging = Lagging(country, f"{rogue.address}.a")
    # An order is not encrypted: what the network lacks of its addressee is only its certificate.
    words = {"type": "admin.order/1", "to": lagging.address, "section": "S01"}
    drop_id = f"order-to-{lagging.address}"
    await country.sender.drop(drop_id, samples.order(1, 1), **words)
    packet = (await country.sender.until_status(drop_id, "sent"))["packet"]
    frame = await rogue.until(
        lambda: next((one for one in rogue.packets if one.header.id == packet), None)
    )
    receipt = rogue.receipt(frame, from_=lagging.address, signer=lagging.signer)
    await rogue.send(receipt, certificates=lagging.certificates, lane="fast")
    await until_held(country, receipt)
    await rogue.bring_crl(lagging.crl(1))
    status = await country.sender.until_status(drop_id, "delivered")
    assert status["packet"] == packet


async def test_the_same_frame_held_twice_is_delivered_once(country):
    """Sent again while it is held, a frame becomes one packet."""
    rogue = await country.rogue()
    signer = signer_of(country.network, f"{rogue.address}.a")
    frame = rogue.packet(ROOT, from_=f"{rogue.address}.a", signer=signer)
    await rogue.send(frame)
    await rogue.send(frame)
    await rogue.until_noted(2)
    await rogue.bring([signer.certificate])
    await rogue.receipt_on(frame, "accepted")
    leaves = await country.at[ROOT].leaves_of(cut(frame).header.id)
    assert [leaf["kind"] for leaf in leaves].count("received") == 1


async def test_a_type_on_no_list_is_held_and_then_refused(country):
    """A type that the recipient does not know yet waits for a newer list, up to the limit."""
    rogue = await country.rogue()
    frame = rogue.packet(ROOT, type="something.new/1")
    await rogue.send(frame)
    await until_held(country, frame, ROOT)
    _, receipt = await rogue.receipt_on(frame)
    assert (receipt.verdict, receipt.reason) == ("refused", "type-not-allowed")


async def test_a_relay_passes_on_a_type_it_does_not_know(country):
    """Only the recipient must know a type: the relay has kept and passed it on."""
    rogue = await country.rogue()
    frame = rogue.packet(ROOT, type="something.new/1")
    await rogue.send(frame)
    await until_held(country, frame, ROOT)
    assert await country.at[RELAY].state_of(cut(frame).header.id) == "relayed"


async def test_an_authority_that_comes_last_lets_the_frame_go_on_at_once(country):
    """A certificate at hand, its authority's not: the frame goes on as soon as that comes."""
    rogue = await country.rogue()
    lagging = Lagging(country, f"{rogue.address}.a")
    own, authority = lagging.certificates
    frame = rogue.packet(ROOT, from_=lagging.address, signer=lagging.signer)
    await rogue.send(frame, certificates=[own])
    held = await until_held(country, frame)
    await rogue.bring([authority])
    await rogue.bring_crl(lagging.crl(1))
    await rogue.receipt_on(frame, "accepted")
    relayed = await country.at[RELAY].packet(cut(frame).header.id)
    limit = country.network.nodes[RELAY].config().limits.hold_limit_us
    assert relayed.packet.received - held.received < limit


async def test_a_frame_that_lacks_two_pieces_waits_for_both(country):
    """Once its certificate has come, the list that is still missing is asked for, and enough."""
    rogue = await country.rogue()
    lagging = Lagging(country, f"{rogue.address}.a")
    frame = rogue.packet(ROOT, from_=lagging.address, signer=lagging.signer)
    await rogue.send(frame)
    await until_held(country, frame)
    await rogue.bring(lagging.certificates)
    await rogue.until(lambda: "crls" in {one.what for one in rogue.objects if isinstance(one, Ask)})
    await rogue.bring_crl(lagging.crl(1))
    assert (await rogue.answer_to(frame)).verdict == "accepted"


async def test_an_ask_without_answer_is_repeated(country):
    """What is not answered is asked for again, while the frame is held."""
    rogue = await country.rogue()
    signer = signer_of(country.network, f"{rogue.address}.a")
    await rogue.send(rogue.packet(ROOT, from_=f"{rogue.address}.a", signer=signer))
    asks = await rogue.until(lambda: [one for one in rogue.objects if isinstance(one, Ask)][1:])
    assert asks[0].sha256 == signer.fingerprint


async def test_a_packet_sealed_three_weeks_ago_is_accepted(country):
    """Nothing is too old to be taken: weeks off the net are normal."""
    rogue = await country.rogue()
    old = Lagging(country, f"{rogue.address}.a", age_us=40 * DAY)
    sent = format_instant(now() - 21 * DAY)
    frame = rogue.packet(ROOT, from_=old.address, signer=old.signer, sent=sent)
    await rogue.bring_crl(old.crl(1))
    await rogue.send(frame, certificates=old.certificates)
    await rogue.bring_crl(old.crl(2))
    assert (await rogue.answer_to(frame)).verdict == "accepted"


async def test_past_the_quota_of_held_bytes_the_answer_is_busy(country):
    """No room for more held frames of a link is no verdict: it says when to come again."""
    rogue = await country.rogue()
    signer = signer_of(country.network, f"{rogue.address}.a")
    quota = country.network.nodes[RELAY].config().limits.held_bytes_per_link
    payload = random.Random(1).randbytes(1_000_000)
    frames = [
        rogue.packet(ROOT, payload, from_=f"{rogue.address}.a", signer=signer)
        for _ in range(quota // len(payload) + 1)
    ]
    for frame in frames:
        await rogue.send(frame)
    refusal = await rogue.refusal_of(frames[-1])
    assert (refusal.reason, parse_instant(refusal.again_at) > now()) == ("busy", True)


async def test_what_was_busy_is_taken_when_it_comes_again(country):
    """Brought again once there is room, the frame is accepted: `busy` is not final."""
    rogue = await country.rogue()
    signer = signer_of(country.network, f"{rogue.address}.a")
    quota = country.network.nodes[RELAY].config().limits.held_bytes_per_link
    payload = random.Random(2).randbytes(1_000_000)
    frames = [
        rogue.packet(ROOT, payload, from_=f"{rogue.address}.a", signer=signer)
        for _ in range(quota // len(payload) + 1)
    ]
    for frame in frames:
        await rogue.send(frame)
    await rogue.refusal_of(frames[-1])
    await rogue.bring([signer.certificate])
    await rogue.receipt_on(frames[0], "accepted")
    await rogue.send(frames[-1])
    assert (await rogue.receipt_on(frames[-1]))[1].verdict == "accepted"
