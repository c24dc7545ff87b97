"""Three daemons pass a document on and close the exchange; what every other test here builds on."""


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
