"""Three daemons pass a document on and close the exchange; what every other test here builds on."""

from harness.rogue import sha256
from schemas.frame import cut

ROOT, RELAY, SENDER = "kz", "kz.zhambyl", "kz.zhambyl.taraz"


async def test_a_dropped_document_is_delivered(country):
    """A document dropped at one leaf reaches the inbox of another, and its sender is told so."""
    drop_id, packet, document = await country.drop()
    received = await country.recipient.until_received(packet)
    await country.sender.until_status(drop_id, "delivered")
    assert received == document


async def test_a_packet_left_out_leaves_a_gap_in_the_numbers(country):
    """What a child has sealed and never sent shows at the recipient, by numbers that are signed."""
    rogue = await country.rogue()
    first, _left_out, third = (rogue.packet("kz") for _ in range(3))
    for frame in (first, third):
        await rogue.send(frame)
        await rogue.receipt_on(frame, "accepted")
    query = "SELECT seq FROM packet WHERE sender = $1 AND recipient = 'kz' ORDER BY frame"
    assert [row["seq"] for row in await country.at["kz"].rows(query, rogue.address)] == [1, 3]


async def test_a_rogue_that_behaves_is_served(country):
    """A child that speaks by hand, rightly, gets its packet through two nodes and its receipt."""
    rogue = await country.rogue()
    frame = rogue.packet("kz")
    await rogue.send(frame)
    brought, receipt = await rogue.receipt_on(frame)
    assert (receipt.verdict, rogue.authenticates(brought)) == ("accepted", True)


async def test_a_reply_names_what_it_answers(country):
    """`re` of a document comes back as it was dropped, and stands in the header that is signed."""
    _, request, _ = await country.drop()
    await country.recipient.drop(
        f"reply-{request}", country.document(), type="attendance.daily/1", to=SENDER, re=request
    )
    status = await country.recipient.until_status(f"reply-{request}", "delivered")
    await country.sender.until_received(status["packet"])
    [message] = country.sender.received(status["packet"])
    [row] = await country.at[SENDER].rows("SELECT re FROM packet WHERE id = $1", status["packet"])
    assert (message.headers["re"], row["re"]) == (request, request)


async def test_stores_and_wire_have_the_same_digests(country):
    """What was on the wire is named by the same digests at each node that keeps it."""
    rogue = await country.rogue()
    frame = rogue.packet(ROOT)
    await rogue.send(frame)
    _, receipt = await rogue.receipt_on(frame)
    query = "SELECT head_sha256, frame_sha256 FROM packet WHERE id = $1"
    found = [
        tuple(value.hex() for value in row.values())
        for address in (RELAY, ROOT)
        for row in await country.at[address].rows(query, cut(frame).header.id)
    ]
    named = (receipt.head_sha256, receipt.frame_sha256)
    assert named == (sha256(cut(frame).head).hex(), sha256(frame).hex())
    assert found == [named, named]
