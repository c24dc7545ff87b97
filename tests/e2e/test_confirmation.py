"""Delivered means that the recipient's receipt is at hand, and nothing less means it."""

import asyncio

import pytest

from harness.rogue import sha256
from nodes.clock import now
from schemas.answers import RECEIPT, PacketName
from schemas.frame import cut
from schemas.moments import SECOND, format_instant, parse_instant
from schemas.objects import cut_object, unpack_bundle_body
from signing.encryption import EncryptionKeyring

ROOT, RELAY, SENDER, RECIPIENT = "kz", "kz.zhambyl", "kz.zhambyl.taraz", "kz.zhambyl.shu"


async def arrived(rogue, packet):
    """Return the frame of a packet that came to a rogue."""
    return await rogue.until(
        lambda: next((one for one in rogue.packets if one.header.id == packet), None)
    )


async def until_refused_at_sender(country, raw):
    """Return the quarantine's row at the sender once it has refused these bytes."""
    eyes = country.at[SENDER]
    return (await eyes.until(lambda: eyes.quarantine_of(raw)))[0]


# --- withheld -------------------------------------------------------------------------------------


@pytest.fixture
async def withheld(country):
    """Send to a node that is down, and that comes back after the test in any case."""
    await country.network.stop(RECIPIENT)
    try:
        yield await country.drop()
    finally:
        if country.network.nodes[RECIPIENT].process is None:
            await country.network.start(RECIPIENT)


async def test_without_a_receipt_it_is_overdue_and_never_delivered(country, withheld):
    """With the recipient down, the packet is in custody, then overdue, and not delivered."""
    drop_id, packet, _ = withheld
    await country.sender.until_status(drop_id, "overdue")
    standing = (await country.at[SENDER].until_state(packet, "in custody")).standing
    states = country.sender.states_of(drop_id)
    assert (standing.overdue, states) == (True, ["sent", "overdue"])


async def test_the_overdue_list_names_packet_recipient_and_holder(country, withheld):
    """The list of what is overdue says what, to whom, and who had it last."""
    drop_id, packet, _ = withheld
    status = await country.sender.until_status(drop_id, "overdue")
    overdue = await (await country.at[SENDER].reading()).overdue(parse_instant(status["at"]))
    found = {(one.packet.id, one.packet.recipient, one.holder) for one in overdue}
    assert (packet, RECIPIENT, RELAY) in found


async def test_it_is_delivered_when_the_recipient_comes_back(country, withheld):
    """Once the recipient is up again, the receipt comes and the packet is delivered."""
    drop_id, packet, document = withheld
    await country.sender.until_status(drop_id, "overdue")
    await country.network.start(RECIPIENT)
    await country.sender.until_status(drop_id, "delivered")
    assert await country.recipient.until_received(packet) == document


async def test_the_recipient_holds_the_closing(country, withheld):
    """Sender and recipient end with packet, receipt and closing of the one exchange."""
    drop_id, packet, _ = withheld
    await country.network.start(RECIPIENT)
    await country.sender.until_status(drop_id, "delivered")
    await country.at[RECIPIENT].until_state(packet, "closed")
    exchanges = []
    for address in (SENDER, RECIPIENT):
        timeline = await (await country.at[address].reading()).timeline(packet)
        (receipt,) = [one for one in timeline.answers if one.type == RECEIPT]
        closings = await (await country.at[address].reading()).answers_to([receipt.id])
        exchanges.append([timeline.packets[0].packet.id, receipt.id, *(one.id for one in closings)])
    assert len(exchanges[0]) == 3
    assert exchanges[0] == exchanges[1]


async def test_a_custody_note_is_no_delivery(country):
    """While the recipient's keeper has noted everything, the sender's packet is not delivered."""
    rogue = await country.rogue()
    drop_id, packet, _ = await country.drop(to=rogue.address)
    await arrived(rogue, packet)
    await asyncio.sleep(0.5)
    state = (await country.at[SENDER].packet(packet)).standing.state
    assert (state, country.sender.states_of(drop_id)) == ("in custody", ["sent"])


# --- forged ---------------------------------------------------------------------------------------


async def forged_by_another_node(country, forger, frame):
    """Accept by a third node, in its own name."""
    return forger.receipt(frame)


async def forged_refusal_from_off_the_way(country, forger, frame):
    """Refuse by a third node that is not on the way, in its own name."""
    return forger.receipt(frame, verdict="refused", reason="sender-suspended")


async def with_the_head_of_another(country, forger, frame):
    """Accept, by the recipient itself, a head that was never sent."""
    return (await country.lasting_rogue("addressee")).receipt(frame, head_sha256="1" * 64)


async def with_the_digest_of_another_frame(country, forger, frame):
    """Accept, by the recipient itself, other bytes than those sent."""
    return (await country.lasting_rogue("addressee")).receipt(frame, frame_sha256="1" * 64)


async def on_an_unknown_packet(country, forger, frame):
    """Accept a packet that nobody sent."""
    name = frame.header.id[:-4] + "0000"
    addressee = await country.lasting_rogue("addressee")
    packet = PacketName(frame.header.from_, 1, name)
    return addressee.receipt(frame, packet=packet, re=name)


async def that_names_two_packets(country, forger, frame):
    """Header and content of the receipt speak of two packets."""
    addressee = await country.lasting_rogue("addressee")
    return addressee.receipt(frame, re=frame.header.id[:-4] + "0000")


FORGERIES = [
    forged_by_another_node,
    forged_refusal_from_off_the_way,
    with_the_head_of_another,
    with_the_digest_of_another_frame,
    on_an_unknown_packet,
    that_names_two_packets,
]


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__)
async def test_a_forged_receipt_is_quarantined_and_changes_nothing(country, forge):
    """It lands in quarantine with an alert, and the packet it speaks of keeps its state."""
    addressee = await country.lasting_rogue("addressee")
    forger = await country.lasting_rogue("forger")
    _, packet, _ = await country.drop(to=addressee.address)
    receipt = await forge(country, forger, await arrived(addressee, packet))
    author = forger if cut(receipt).header.from_ == forger.address else addressee
    await author.send(receipt, lane="fast")
    row = await until_refused_at_sender(country, receipt)
    standing = (await country.at[SENDER].packet(packet)).standing
    assert (row.state, row.sender, standing.state) == ("refused", author.address, "in custody")


async def test_a_forged_receipt_is_answered_by_nobody(country):
    """No receipt and no refusal goes back for a receipt that fails."""
    addressee = await country.lasting_rogue("addressee")
    forger = await country.lasting_rogue("forger")
    _, packet, _ = await country.drop(to=addressee.address)
    receipt = forger.receipt(await arrived(addressee, packet))
    await forger.send(receipt, lane="fast")
    await until_refused_at_sender(country, receipt)
    await asyncio.sleep(0.5)
    digest = sha256(receipt).hex()
    entries = [one for one in forger.refusals if one.frame_sha256 == digest]
    assert (forger.receipts_on(receipt), entries) == ([], [])


async def test_the_true_receipt_still_delivers_after_a_forged_one(country):
    """A forgery does not stand in the way of the recipient's own receipt."""
    addressee = await country.lasting_rogue("addressee")
    forger = await country.lasting_rogue("forger")
    drop_id, packet, _ = await country.drop(to=addressee.address)
    frame = await arrived(addressee, packet)
    await forger.send(forger.receipt(frame), lane="fast")
    await addressee.send(addressee.receipt(frame), lane="fast")
    assert await country.sender.until_status(drop_id, "delivered")


async def test_a_refused_receipt_on_a_damaged_copy_does_not_bind(country):
    """A refusal whose frame digest is not that of the frame sent is an incident, not an end."""
    addressee = await country.lasting_rogue("addressee")
    drop_id, packet, _ = await country.drop(to=addressee.address)
    frame = await arrived(addressee, packet)
    damaged = addressee.receipt(
        frame, verdict="refused", reason="digest-mismatch", frame_sha256="2" * 64
    )
    await addressee.send(damaged, lane="fast")
    eyes = country.at[SENDER]
    await eyes.until(lambda: eyes.incidents("damaged_on_the_way", RELAY))
    await addressee.send(addressee.receipt(frame), lane="fast")
    await country.sender.until_status(drop_id, "delivered")
    assert "refused" not in country.sender.states_of(drop_id)


# --- both verdicts --------------------------------------------------------------------------------


async def test_a_refused_receipt_ends_the_exchange(country):
    """The recipient's refusal is final: the sender's local system learns reason and next step."""
    addressee = await country.lasting_rogue("addressee")
    drop_id, packet, _ = await country.drop(to=addressee.address)
    frame = await arrived(addressee, packet)
    await addressee.send(addressee.receipt(frame, verdict="refused", reason="expired"), lane="fast")
    status = await country.sender.until_status(drop_id, "refused")
    assert (status["reason"], bool(status["next_step"])) == ("expired", True)


async def test_recipients_have_a_verdict_each(country):
    """A document for two, of whom one refuses it: each is a packet of its own, with its own end."""
    addressee = await country.lasting_rogue("addressee")
    accepted, *_ = await country.drop()
    refused, packet, _ = await country.drop(to=addressee.address)
    frame = await arrived(addressee, packet)
    refusal = addressee.receipt(frame, verdict="refused", reason="type-not-allowed")
    await addressee.send(refusal, lane="fast")
    await country.sender.until_status(refused, "refused")
    await country.sender.until_status(accepted, "delivered")
    assert "delivered" not in country.sender.states_of(refused)
    assert "refused" not in country.sender.states_of(accepted)


async def test_accepted_after_refused_is_delivered_and_an_incident(country):
    """The recipient's acceptance overrides an earlier refusal, and somebody must look."""
    addressee = await country.lasting_rogue("addressee")
    drop_id, packet, _ = await country.drop(to=addressee.address)
    frame = await arrived(addressee, packet)
    await addressee.send(addressee.receipt(frame, verdict="refused", reason="expired"), lane="fast")
    await country.sender.until_status(drop_id, "refused")
    await addressee.send(addressee.receipt(frame), lane="fast")
    await country.sender.until_status(drop_id, "delivered")
    incidents = await country.at[SENDER].incidents("accepted_after_refusal", RELAY)
    assert packet in {one.detail for one in incidents}


async def test_refused_after_accepted_stays_delivered(country):
    """Nothing undoes delivered: a later refusal by the same recipient changes no state."""
    addressee = await country.lasting_rogue("addressee")
    drop_id, packet, _ = await country.drop(to=addressee.address)
    frame = await arrived(addressee, packet)
    await addressee.send(addressee.receipt(frame), lane="fast")
    await country.sender.until_status(drop_id, "delivered")
    refused = addressee.receipt(frame, verdict="refused", reason="expired")
    await addressee.send(refused, lane="fast")
    await country.at[SENDER].until_state(cut(refused).header.id, "received")
    assert await country.at[SENDER].state_of(packet) == "delivered"


async def test_a_relays_refusal_reaches_the_sender_with_its_name(country):
    """What the neighbour refuses on the link, the relay tells the sender, naming who refused."""
    addressee = await country.lasting_rogue("addressee")
    drop_id, packet, _ = await country.drop(to=addressee.address)
    frame = await arrived(addressee, packet)
    lane, number = placed_at(addressee, frame)
    await addressee.refuse(lane, number, frame.raw, "format-invalid")
    await country.sender.until_status(drop_id, "refused")
    (leaf,) = [
        one for one in await country.at[SENDER].leaves_of(packet) if one["kind"] == "confirmed"
    ]
    assert (leaf["verdict"], leaf["by"]) == ("refused", addressee.address)


async def test_a_refusal_of_damaged_bytes_brings_the_intact_frame_again(country):
    """A neighbour that got other bytes than we hold gets ours again; the sender hears nothing."""
    addressee = await country.lasting_rogue("addressee")
    drop_id, packet, _ = await country.drop(to=addressee.address)
    frame = await arrived(addressee, packet)
    lane, number = placed_at(addressee, frame)
    await addressee.refuse(lane, number, b"other bytes", "digest-mismatch")
    eyes = country.at[RELAY]
    found = await eyes.until(lambda: eyes.incidents("damaged_on_the_way", addressee.address))
    assert packet in found[0].detail
    assert "refused" not in country.sender.states_of(drop_id)


async def test_a_busy_neighbour_gets_the_frame_again_at_the_time_it_named(country):
    """`busy` is no end: the relay places the frame again, and the sender hears nothing of it."""
    addressee = await country.lasting_rogue("addressee")
    drop_id, packet, _ = await country.drop(to=addressee.address)
    frame = await arrived(addressee, packet)
    lane, number = placed_at(addressee, frame)
    at = format_instant(now() + SECOND)
    await addressee.refuse(lane, number, frame.raw, "busy", again_at=at)
    await addressee.until(lambda: [one.header.id for one in addressee.packets].count(packet) > 1)
    assert "refused" not in country.sender.states_of(drop_id)


def placed_at(rogue, frame):
    """Return lane and number under which a frame came."""
    for raw in rogue.messages:
        if raw[:6] == b"BBAL\x01\x01":
            message = cut_object(raw)
            entries = unpack_bundle_body(message.body)[1]
            if frame.raw in entries:
                return message.header.lane, message.header.first + entries.index(frame.raw)
    raise AssertionError("the frame came in no bundle")


# --- duplicates -----------------------------------------------------------------------------------


async def test_a_duplicate_frame_gets_the_stored_receipt_again(country):
    """The same frame again, after a while, brings the very same receipt and no other."""
    rogue = await country.rogue()
    frame = rogue.packet(ROOT)
    await rogue.send(frame)
    first, _ = await rogue.receipt_on(frame)
    await asyncio.sleep(3.5)
    await rogue.send(frame)
    await rogue.until(lambda: len(rogue.receipts_on(frame)) > 1)
    assert {each.raw for each, _ in rogue.receipts_on(frame)} == {first.raw}


async def test_a_duplicate_frame_is_released_once(country):
    """However often a frame comes, its document reaches the inbox once."""
    rogue = await country.rogue()
    document = country.document()
    facts = {"type": "attendance.daily/1", "section": "S15", "class_": "R5", "flow": "result"}
    reader = EncryptionKeyring.load(country.network.keys_of(RECIPIENT)).newest.public
    frame = rogue.encrypted(RECIPIENT, document, reader, **facts)
    for _ in range(4):
        await rogue.send(frame, lane="fast")
    await rogue.until_noted(4, "fast")
    packet = cut(frame).header.id
    await country.recipient.until_received(packet)
    await asyncio.sleep(0.5)
    leaves = await country.at[RECIPIENT].leaves_of(packet)
    kinds = [leaf["kind"] for leaf in leaves]
    assert (len(country.recipient.received(packet)), kinds.count("released")) == (1, 1)


async def test_a_refused_frame_sent_again_has_one_verdict(country):
    """The same bad frame again gets its stored answer; quarantine and journal keep one verdict."""
    rogue = await country.rogue()
    frame = rogue.packet("kz.zhambyl.nobody")
    await rogue.send(frame)
    await rogue.receipt_on(frame, "refused")
    await rogue.send(frame)
    await rogue.send(frame)
    await rogue.until_noted(3)
    await asyncio.sleep(0.3)
    rows = await country.at[RELAY].quarantine_of(frame)
    assert [row.state for row in rows] == ["refused"]
