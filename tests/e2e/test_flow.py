"""Three daemons pass a document on and close the exchange; what every other test here builds on."""


async def test_a_dropped_document_is_delivered(country):
    """A document dropped at one leaf reaches the inbox of another, and its sender is told so."""
    drop_id, packet, document = await country.drop()
    received = await country.recipient.until_received(packet)
    await country.sender.until_status(drop_id, "delivered")
    assert received == document


async def test_a_rogue_that_behaves_is_served(country):
    """A child that speaks by hand, rightly, gets its packet through two nodes and its receipt."""
    rogue = await country.rogue()
    frame = rogue.packet("kz")
    await rogue.send(frame)
    brought, receipt = await rogue.receipt_on(frame)
    assert (receipt.verdict, rogue.authenticates(brought)) == ("accepted", True)
