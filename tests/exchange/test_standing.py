"""What operators do with children, over real records and links in memory.

kz ──┬── kz.akmola ── kz.akmola.burabay      moves, is suspended, is closed
     └── kz.abai
"""

import asyncio
import itertools
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import pytest

from exchange.identity import new_packet_id
from exchange.standing import ADOPT_WAIT_US, Adopt, Close, Describe, Move, SetStanding
from harness.memory_link import MemoryLink
from harness.pki import make_network
from harness.service_node import Node, new_link, new_record
from nodes.clock import now
from schemas.codes import Names
from schemas.leaves import read_leaf
from schemas.records import InstructionRow

TOP, HOME, AWAY, CHILD = "kz", "kz.akmola", "kz.abai", "kz.akmola.burabay"
PATIENCE_S = 20.0

_numbers = itertools.count()


class Country:
    """Four nodes and their links; a fifth link is there for a child that has moved."""

    def __init__(self, nodes):
        self.nodes = nodes
        self.home, self.away = new_link(HOME), new_link(AWAY)
        self.first = new_link(CHILD)
        self.second = MemoryLink(AWAY, CHILD)

    @asynccontextmanager
    async def running(self, *addresses, child_by=None):
        """Run nodes; the child calls its parent by name, or over another link."""
        links = {
            TOP: (self.home, self.away),
            HOME: (self.home, self.first),
            AWAY: (self.away, self.second),
            CHILD: (child_by or self.first,),
        }
        async with AsyncExitStack() as stack:
            for address in addresses:
                await stack.enter_async_context(self.nodes[address].live(*links[address]))
            yield

    async def tell(self, address, what, content):
        """Give an instruction; return its outcome's state and answer."""
        row = InstructionRow(
            new_packet_id(now()), now(), "op-0123", what, msgspec.json.encode(content)
        )
        await self.nodes[address].archive.instruct(row)
        return await self.outcome(address, row)

    async def outcome(self, address, row):
        archive = self.nodes[address].archive
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = await archive.instruction_outcome(row.id)
                if found is not None:
                    return found.state, msgspec.json.decode(found.content)
                await asyncio.sleep(0.02)

    def card(self, at, address):
        """Return what the newest card of an address says at a node."""
        known = self.nodes[at].service.state.registry.card(address)
        return None if known is None else known.facts

    async def until_card(self, at, address, **facts):
        """Wait until a node's copy of a card says so."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                card = self.card(at, address)
                if card and all(getattr(card, name) == value for name, value in facts.items()):
                    return
                await asyncio.sleep(0.02)

    async def answer(self, sender, packet):
        """Wait until a node has the answer to a packet of its own; return the leaf."""
        node = self.nodes[sender]
        await node.until(sender, packet, "confirmed")
        leaves = [read_leaf(mark.record) for mark in (await node.trail(sender, packet)).marks]
        return next(leaf for leaf in leaves if leaf["kind"] == "confirmed")

    async def operator_leaves(self, address):
        """Return the operator leaves of a node's journal, oldest first."""
        rows = await self.nodes[address].archive._rows(
            "SELECT record FROM leaf WHERE kind = 'operator' ORDER BY index"
        )
        return [read_leaf(row["record"]) for row in rows]


async def make_country(server, folder):
    network = make_network([TOP, HOME, AWAY, CHILD], now())
    nodes = {}
    for address in network.nodes:
        record = await new_record(server, f"standing_{next(_numbers)}", address)
        nodes[address] = Node(address, network, folder / address, record)
    return Country(nodes)


@pytest.fixture
async def country(server, tmp_path):
    return await make_country(server, tmp_path)


@pytest.fixture(scope="module")
async def calm(server, tmp_path_factory):
    """Return a country for tests that change nothing in it."""
    return await make_country(server, tmp_path_factory.mktemp("calm"))


ALL = (TOP, HOME, AWAY, CHILD)


async def test_a_suspended_child_is_refused_and_everybody_concerned_knows(country):
    """Suspending refuses at once; the child's own copy of its card and the ancestors' show it."""
    async with country.running(*ALL):
        state, answer = await country.tell(HOME, "suspend", SetStanding(CHILD))
        assert (state, answer["standing"], answer["changed"]) == ("done", "suspended", True)
        for at in (HOME, TOP, CHILD):
            await country.until_card(at, CHILD, standing="suspended")
        [packet] = await country.nodes[CHILD].drop(TOP, [1])
        assert (await country.answer(CHILD, packet))["reason"] == "sender-suspended"
        assert await country.nodes[HOME].kinds(CHILD, packet) == []
        assert await country.nodes[TOP].kinds(CHILD, packet) == []


async def test_a_reinstated_child_is_heard_again(country):
    """What was suspended is let through again, and the card says so."""
    async with country.running(*ALL):
        await country.tell(HOME, "suspend", SetStanding(CHILD))
        await country.tell(HOME, "reinstate", SetStanding(CHILD))
        await country.until_card(CHILD, CHILD, standing="active")
        [packet] = await country.nodes[CHILD].drop(TOP, [2])
        await country.nodes[CHILD].until(CHILD, packet, "confirmed")


async def test_an_instruction_is_a_leaf_with_its_operators_pseudonym(country):
    """Done and declined ones alike name who, what, which one and how it ended."""
    async with country.running(HOME):
        await country.tell(HOME, "suspend", SetStanding(CHILD))
        await country.tell(HOME, "suspend", SetStanding("kz.akmola.nobody"))
        done, declined = await country.operator_leaves(HOME)
    assert (done["who"], done["what"], done["verdict"]) == ("op-0123", "suspend", "done")
    assert done["detail"] == f"{CHILD} suspended"
    assert (declined["what"], declined["verdict"]) == ("suspend", "refused")
    assert "kz.akmola.nobody has no card" in declined["detail"]


async def test_an_instruction_given_twice_is_carried_out_once(country):
    """The same row again changes nothing; a new one finds it done, and signs no card."""
    row = InstructionRow(
        new_packet_id(now()), now(), "op-1", "suspend", msgspec.json.encode(SetStanding(CHILD))
    )
    async with country.running(HOME):
        archive = country.nodes[HOME].archive
        await archive.instruct(row)
        await archive.instruct(row)
        assert (await country.outcome(HOME, row))[1]["changed"]
        cards = len(await archive.card_history(CHILD))
        state, answer = await country.tell(HOME, "suspend", SetStanding(CHILD))
        assert (state, answer["changed"]) == ("done", False)
        assert len(await archive.card_history(CHILD)) == cards
        assert len(await country.operator_leaves(HOME)) == 2


async def test_instructions_of_one_sweep_see_each_other(country):
    """What waited while the daemon was down is done in order, each on the card before it."""
    names = Names(kk="Бурабай", ru="Бурабай", en="Burabay")
    rows = [
        InstructionRow(f"0{n}", now(), "op-1", what, msgspec.json.encode(content))
        for n, (what, content) in enumerate(
            [
                ("suspend", SetStanding(CHILD)),
                ("describe", Describe(CHILD, names=names)),
                ("describe", Describe(CHILD, types=("admin.order/1",))),
            ]
        )
    ]
    home = country.nodes[HOME]
    async with home.archive:
        for row in rows:
            await home.archive.instruct(row)
    async with country.running(HOME):
        for row in rows:
            assert (await country.outcome(HOME, row))[0] == "done"
        card = country.card(HOME, CHILD)
    assert card.standing == "suspended"
    assert card.names == names
    assert card.types == ("admin.order/1",)


@pytest.mark.parametrize(
    ("what", "content", "why"),
    [
        ("suspend", SetStanding(AWAY), "kz vouches for kz.abai"),
        ("suspend", {"address": "no address"}, "content:"),
        ("suspend", {"address": CHILD, "more": 1}, "content:"),
        ("close", Close(CHILD, CHILD), "does not succeed itself"),
        ("move", Move(CHILD, f"{CHILD}.school-7"), "hangs below"),
        ("describe", {"address": CHILD, "bin": "123456789012"}, "bin"),
        ("dance", {}, "knows no dance"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_cannot_be_done_is_declined(calm, what, content, why):
    """Each refusal says why, and leaves the card as it was."""
    async with calm.running(HOME):
        before = calm.card(HOME, CHILD)
        state, answer = await calm.tell(HOME, what, content)
        assert state == "refused"
        assert why in answer["why"]
        assert calm.card(HOME, CHILD) == before


async def test_a_closed_node_stays_closed(country):
    """An address ends for ever; its successor may still be named."""
    async with country.running(HOME):
        await country.tell(HOME, "close", Close(CHILD))
        for what in ("suspend", "reinstate"):
            state, answer = await country.tell(HOME, what, SetStanding(CHILD))
            assert state == "refused"
            assert "for ever" in answer["why"]
        state, _ = await country.tell(HOME, "close", Close(CHILD, AWAY))
        assert state == "done"
        assert country.card(HOME, CHILD).successor == AWAY


async def test_a_node_with_others_below_is_not_closed(calm):
    """Nobody is left hanging under an address that has ended."""
    async with calm.running(TOP):
        state, answer = await calm.tell(TOP, "close", Close(HOME))
    assert state == "refused"
    assert f"{CHILD} still hang under it" in answer["why"]


async def test_a_merged_node_is_answered_for_by_its_successor(country):
    """A packet open towards a node that is merged ends as refused, and names who took its place."""
    async with country.running(TOP, HOME, AWAY):
        [packet] = await country.nodes[AWAY].drop(CHILD, [3])
        await country.nodes[HOME].until(AWAY, packet, "relayed")
        await country.tell(HOME, "close", Close(CHILD, HOME))
        answer = await country.answer(AWAY, packet)
        assert answer["reason"] == "recipient-moved"
        assert HOME in answer["detail"]
        assert "relayed" in await country.nodes[HOME].kinds(AWAY, packet), "the archive stays"


async def test_a_parents_own_packet_to_a_closed_child_ends(country):
    """What the node responsible has itself open towards a child that it closes ends as refused."""
    async with country.running(TOP, HOME):
        [packet] = await country.nodes[HOME].drop(CHILD, [7])
        await country.tell(HOME, "close", Close(CHILD, AWAY))
        answer = await country.answer(HOME, packet)
    assert (answer["verdict"], answer["reason"]) == ("refused", "recipient-moved")


async def test_a_node_moves_with_packets_open_both_ways(country):
    """What was on its way to and from a node that moves arrives over its new parent."""
    async with country.running(*ALL):
        pass  # each has taken the cards
    async with country.running(CHILD):
        outgoing = await _parked(country.nodes[CHILD], AWAY, 4)
    async with country.running(TOP, HOME, AWAY):
        [incoming] = await country.nodes[HOME].drop(CHILD, [5])
        [from_afar] = await country.nodes[AWAY].drop(CHILD, [6])
        await country.nodes[HOME].until(AWAY, from_afar, "relayed")
        state, _ = await country.tell(HOME, "move", Move(CHILD, AWAY))
        assert state == "done"
        state, _ = await country.tell(AWAY, "adopt", Adopt(CHILD))
        assert state == "done"
        async with country.running(CHILD, child_by=country.second):
            await country.until_card(CHILD, CHILD, uplink=AWAY)
            await country.nodes[HOME].until(HOME, incoming, "confirmed")
            await country.nodes[AWAY].until(AWAY, from_afar, "confirmed")
            packet = await outgoing(country.nodes[CHILD])
            await country.nodes[CHILD].until(CHILD, packet, "confirmed")
            assert "relayed" in await country.nodes[HOME].kinds(AWAY, from_afar)


async def test_a_node_moves_home_again(country):
    """Moving back to the parent by name leaves no uplink on the card."""
    async with country.running(HOME):
        await country.tell(HOME, "move", Move(CHILD, AWAY))
        assert country.card(HOME, CHILD).uplink == AWAY
        await country.tell(HOME, "move", Move(CHILD, HOME))
        assert country.card(HOME, CHILD).uplink is None
        state, _ = await country.tell(HOME, "adopt", Adopt(CHILD))
        assert state == "done"


async def test_adopting_waits_for_the_card_and_then_declines(country):
    """Without a card that says so nobody hangs under us; the refusal names the command."""
    row = InstructionRow(
        new_packet_id(now()), now(), "op-1", "adopt", msgspec.json.encode(Adopt(CHILD))
    )
    async with country.running(AWAY):
        archive = country.nodes[AWAY].archive
        await archive.instruct(row)
        await asyncio.sleep(0.5)
        assert await archive.instruction_outcome(row.id) is None
    country.nodes[AWAY].clock = lambda: now() + ADOPT_WAIT_US
    async with country.running(AWAY):
        state, answer = await country.outcome(AWAY, row)
    assert state == "refused"
    assert f"bbaj child move {CHILD} {AWAY}" in answer["why"]


async def _parked(node, to, number):
    """Let a node that is off the net hand a document over; return what tells its packet's id."""
    drop = node.document(to, number)
    await node.service.park(drop)

    async def packet_of(running):
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = await running.archive.drop_outcome("sis", drop.drop_id)
                if found is not None:
                    break
                await asyncio.sleep(0.02)
        [trail] = (await running.archive.trail_of_frame([found.frame])).values()
        return trail.packet.id

    return packet_of
