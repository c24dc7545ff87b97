"""Documents whose recipient's card is not at hand: they wait in the record, and say so once."""

import asyncio
import itertools
from contextlib import asynccontextmanager

import msgspec
import pytest

from exchange.dropped import Drop
from exchange.drops import Outcome
from exchange.jobs import Introduced
from harness.cards import make_cards
from harness.pki import make_network
from harness.service_node import Node, new_link, new_record
from nodes import samples
from nodes.clock import now
from schemas.frame import cut
from schemas.header import Header

TOP, PARENT, HERE, SIBLING = "kz", "kz.akmola", "kz.akmola.burabay", "kz.akmola.zerenda"
PATIENCE_S = 20.0

_numbers = itertools.count()


@pytest.fixture
def network():
    return make_network([TOP, PARENT, HERE, SIBLING], now())


@pytest.fixture
async def make(server, network, tmp_path):
    """Make nodes that know these cards only."""

    async def make(address, *known):
        record = await new_record(server, f"waiting_{next(_numbers)}", address)
        node = Node(address, network, tmp_path / address, record)
        node.cards = make_cards(network, known)
        return node

    return make


@pytest.fixture
async def node(make):
    return await make(HERE, TOP, PARENT, HERE)


@asynccontextmanager
async def alone(node):
    """Run a node that has been greeted and whose neighbour is silent since."""
    async with node.live() as service:
        service.state.greeted.set()
        yield service


def document(to=SIBLING, drop_id="one") -> Drop:
    return Drop("sis", drop_id, "attendance.daily/1", to, samples.tiny(1), dropped=now())


async def events(node) -> list[dict]:
    """Return the status events placed so far."""
    entries = await node.archive.entries("status/sis", 1, 0, 100, 1 << 20)
    return [msgspec.json.decode(entry.object) for entry in entries]


async def until_state(node, state: str) -> dict:
    """Wait for the last status event to say so."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = await events(node)
            if found and found[-1]["state"] == state:
                return found[-1]
            await asyncio.sleep(0.02)


async def sealed(node, packet_id: str) -> tuple[Header, bytes]:
    """Return header and payload of a packet of ours."""
    trail = await node.trail(HERE, packet_id)
    packet, _, bucket, kept = await node.archive.stored_frame(trail.packet.frame)
    payload = node.service.state.gate.open_rest(bucket, packet.frame_sha256, kept)
    frame = cut(packet.head + payload)
    return frame.header, frame.payload


async def test_it_waits_until_the_card_has_come(node, network):
    """Nothing is sealed before; then it is encrypted to the key in the card."""
    async with alone(node) as service:
        (outcome,) = await service.drop([document()])
        assert outcome == Outcome("one", "waiting")
        assert await node.archive.awaited_by("sis", "one") == "card"
        assert await node.archive.last_seq(SIBLING, HERE, 1) == 0
        (waiting,) = await events(node)
        assert (waiting["state"], waiting["for"], waiting["to"]) == ("waiting", "card", SIBLING)
        await service.submit(Introduced([], [], make_cards(network, [SIBLING])))
        sent = await until_state(node, "sent")
        header, payload = await sealed(node, sent["packet"])
        assert await node.archive.awaited_by("sis", "one") is None
    keys = network.nodes[SIBLING].encryption
    assert header.payload.is_encrypted
    assert payload[1:33] == keys.newest.id


async def test_it_says_so_once(node):
    """Neither sweeps nor a restart repeat that it waits."""
    async with alone(node) as service:
        await service.drop([document()])
        await asyncio.sleep(0.5)
    async with alone(node):
        await asyncio.sleep(0.5)
        assert [event["state"] for event in await events(node)] == ["waiting"]


async def test_it_is_sealed_after_a_restart(node, network):
    """What waits stands in the record: a card that comes in the next life is enough."""
    async with alone(node) as service:
        await service.drop([document()])
    node.cards = make_cards(network)
    async with alone(node):
        await until_state(node, "sent")


async def test_the_same_drop_again_waits_once(node, network):
    """A repeated drop makes neither a second row nor a second packet."""
    async with alone(node) as service:
        await service.drop([document(), document()])
        await service.drop([document()])
        await service.submit(Introduced([], [], make_cards(network, [SIBLING])))
        await until_state(node, "sent")
        assert await node.archive.last_seq(SIBLING, HERE, 1) == 1


async def test_others_do_not_wait_for_it(node):
    """Documents to known recipients, and of types that are not personal, pass it by."""
    async with alone(node) as service:
        order = Drop("sis", "order", "admin.order/1", SIBLING, samples.order(1, 1), section="S06")
        outcomes = await service.drop([document(), order, document(PARENT, "two")])
    assert [outcome.state for outcome in outcomes] == ["waiting", "sent", "sent"]


async def test_an_unknown_recipient_is_a_fault(make, node):
    """The node responsible says that there is no such address: the document is faulty."""
    parent, link = await make(PARENT, TOP, PARENT, HERE, SIBLING), new_link(HERE)
    async with parent.live(link), node.live(link) as service:
        (outcome,) = await service.drop([document("kz.akmola.nowhere")])
        assert outcome.state == "waiting"
        fault = await until_state(node, "fault")
    assert (fault["field"], fault["problem"]) == ("to", "kz.akmola.nowhere is unknown")


async def test_the_card_is_asked_for(make, node, network):
    """Over the link it comes by itself, and the document goes on."""
    parent, link = await make(PARENT, *network.nodes), new_link(HERE)
    async with parent.live(link), node.live(link) as service:
        assert (await service.drop([document()]))[0].state == "waiting"
        sent = await until_state(node, "sent")
        assert (await sealed(node, sent["packet"]))[0].to == SIBLING
