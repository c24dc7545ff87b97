"""Children come, are suspended, and go, while their parent's daemon runs and serves the others."""

import pytest

from harness.rogue import rogue_child
from schemas.leaves import read_leaf

ROOT, RELAY, SENDER = "kz", "kz.zhambyl", "kz.zhambyl.taraz"


@pytest.fixture(scope="module")
async def newcomer(country):
    """Return a child that came after its parent's daemon had started."""
    address = f"{RELAY}.newcomer"
    await country.network.admit(address)
    rogue = rogue_child(country.network, address)
    await rogue.start()
    yield rogue
    await rogue.stop()


def started(country):
    return country.at[RELAY].log.count('"record_opened"')


async def verdict_on(rogue):
    """Return what becomes of a sound packet to the root."""
    frame = rogue.packet(ROOT)
    await rogue.send(frame)
    answer = await rogue.answer_to(frame)
    return getattr(answer, "verdict", None), answer.reason


async def test_a_child_is_served_without_a_new_life(country, newcomer):
    """A card put into the folder is enough: the parent's daemon goes on as it was."""
    before = started(country)
    assert await verdict_on(newcomer) == ("accepted", None)
    drop_id, _, _ = await country.drop(to=ROOT)
    await country.sender.until_status(drop_id, "delivered")
    assert started(country) == before


async def test_a_child_that_came_is_counted(country, newcomer):
    """Its connection stands among the others in the metrics, under its label."""
    await country.at[RELAY].until(
        lambda: country.at[RELAY].metric("bbaj_link_up", neighbour="newcomer")
    )


async def test_suspending_counts_at_once_and_can_be_undone(country, newcomer):
    """The next packet after a card that says suspended is refused; the next card lifts it."""
    country.network.vouch(newcomer.address, standing="suspended")
    await until_card(country, newcomer.address, "suspended")
    suspended = await verdict_on(newcomer)
    country.network.vouch(newcomer.address, standing="active")
    await until_card(country, newcomer.address, "active")
    assert suspended == ("refused", "sender-suspended")
    assert await verdict_on(newcomer) == ("accepted", None)


async def test_a_closed_child_is_let_go(country):
    """Closed, a child has no link any more: what it says stays unread, and no metric names it."""
    address = f"{RELAY}.leaver"
    await country.network.admit(address)
    eyes = country.at[RELAY]
    rogue = rogue_child(country.network, address)
    await country.online(rogue)
    assert await verdict_on(rogue) == ("accepted", None)
    country.network.vouch(address, standing="closed")
    log = await eyes.until_logged('"child_dismissed"')
    metrics = await eyes.fetch("/metrics")
    assert address in log
    assert 'neighbour="leaver"' not in metrics
    assert 'neighbour="taraz"' in metrics


async def until_card(country, address, standing):
    """Wait until the newest card that the parent has journaled of an address says so."""
    query = "SELECT record FROM leaf WHERE kind = 'card' ORDER BY index DESC"

    async def look():
        leaves = (read_leaf(row["record"]) for row in await country.at[RELAY].rows(query))
        newest = next((leaf for leaf in leaves if leaf["address"] == address), None)
        return newest is not None and newest["standing"] == standing

    await country.at[RELAY].until(look)
