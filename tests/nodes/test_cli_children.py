"""Commands about children, on real daemons and brokers: suspended, described, moved, closed.

kz ──┬── kz.akmola ──┬── burabay    is suspended and reinstated
     │               ├── stepnogorsk    moves
     └── kz.abai
"""

import asyncio
import itertools
import re
import shutil
from collections.abc import AsyncIterator

import pytest

from harness.cli_run import Done, bbaj
from harness.network import private_network
from nodes import samples
from nodes.cli.registry_shapes import (
    ChildCard,
    ChildDone,
    ChildStory,
    InstructionLine,
    RevokingDone,
)
from nodes.cli.shapes import Failure, Incident, PacketList, Sending, Story
from nodes.sandbox.network import NodeSpec, PrivateNetwork, vhost_of
from schemas.moments import SECOND, parse_instant

pytestmark = pytest.mark.slow

TOP, HOME, AWAY = "kz", "kz.akmola", "kz.abai"
STAYS, MOVES = "kz.akmola.burabay", "kz.akmola.stepnogorsk"
ROBBED = "kz.akmola.kokshetau"
ROUND_US = 3 * SECOND
"""One round of the network here: a sweep, and two hops."""
PATIENCE_S = 40.0

_numbers = itertools.count(7000)


class Commands:
    """The commands at every node."""

    def __init__(self, network: PrivateNetwork) -> None:
        self.network = network

    async def __call__(self, at: str, *words: str, given: bytes = b"") -> Done:
        return await bbaj(*words, config=self.network.nodes[at].config_path, given=given)

    async def child(self, at: str, *words: str) -> ChildDone:
        return (await self(at, "child", *words, "--json")).shape(ChildDone)

    async def story(self, at: str, address: str) -> ChildStory:
        return (await self(at, "child", "show", address, "--json")).shape(ChildStory)

    async def until_standing(self, at: str, address: str, standing: str) -> str:
        """Wait until a node's copy of a card says so; return since when it does."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                story = await self.story(at, address)
                if story.card.standing == standing:
                    return story.versions[-1].learned
                await asyncio.sleep(0.1)

    async def send(self, at: str, to: str, *more: str) -> Done:
        words = ("send", "-", "--type", "attendance.daily/1", "--to", to, "--json", *more)
        return await self(at, *words, given=samples.tiny(next(_numbers)))

    async def until_delivered(self, at: str, packet: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                story = (await self(at, "show", packet, "--json")).shape(Story)
                if story.packets[0].state == "delivered":
                    return
                await asyncio.sleep(0.3)

    def log(self, at: str) -> str:
        return self.network.nodes[at].log_path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
async def commands() -> AsyncIterator[Commands]:
    specs = [
        NodeSpec(TOP),
        NodeSpec(HOME),
        NodeSpec(AWAY, systems=("office",)),
        NodeSpec(STAYS),
        NodeSpec(MOVES),
        NodeSpec(ROBBED),
    ]
    async with private_network(specs) as network:
        for end, name in (("key", "key.pem"), ("pem", "cert.pem")):
            there = network.keys_of(TOP) / f"authority.{end}"
            shutil.copy(network.folder / "ca" / "authorities" / TOP / name, there)
            there.chmod(0o600)
        await network.start(*network.nodes)
        yield Commands(network)


async def test_children_are_listed_with_their_cards(commands):
    """A node lists those that it vouches for, each as its newest card says."""
    rows = (await commands(HOME, "child", "list", "--json")).shape(list[ChildCard])
    assert [row.address for row in rows] == [STAYS, ROBBED, MOVES]
    assert {row.vouched_by for row in rows} == {HOME}


async def test_suspending_takes_effect_at_once_and_everywhere_within_one_round(commands):
    """The connection is cut, the next packet refused, and all concerned hold the new card."""
    assert (await commands.send(STAYS, TOP, "--wait=30")).shape(Sending).state == "delivered"
    connections = commands.log(STAYS).count('"down"')
    done = await commands.child(HOME, "suspend", STAYS)
    assert (done.standing, done.changed) == ("suspended", True)
    assert done.broker[0].startswith("connections of burabay.akmola.kz")
    for at in (HOME, TOP, STAYS):
        learned = await commands.until_standing(at, STAYS, "suspended")
        assert parse_instant(learned) - parse_instant(done.at) < ROUND_US
    refused = await commands.send(STAYS, TOP, "--wait=30")
    assert refused.code == 68
    assert refused.read(Sending).reason == "sender-suspended"
    assert commands.log(STAYS).count('"down"') > connections
    await commands.child(HOME, "reinstate", STAYS)
    await commands.until_standing(STAYS, STAYS, "active")
    assert (await commands.send(STAYS, TOP, "--wait=30")).shape(Sending).state == "delivered"


async def test_a_card_says_what_it_is_told_to(commands):
    """Names, place and rights change together; what is not given stays."""
    words = ("--kk", "Бурабай", "--ru", "Бурабай", "--en", "Burabay", "--type", "ping/1")
    await commands.child(HOME, "describe", STAYS, *words)
    await commands.child(HOME, "describe", STAYS, "--all-types")
    card = (await commands.story(HOME, STAYS)).card
    assert card.names == {"kk": "Бурабай", "ru": "Бурабай", "en": "Burabay"}
    assert card.types == []
    refused = await commands(HOME, "child", "describe", STAYS, "--kk", "Бурабай")
    assert (refused.code, "three languages" in refused.err) == (64, True)


async def test_what_the_daemon_declines_ends_with_80(commands):
    """A command that the daemon declines says why, and changes nothing."""
    declined = await commands(HOME, "child", "suspend", AWAY, "--json")
    assert declined.code == 80
    assert "kz vouches for kz.abai" in declined.err


async def test_an_instruction_waits_for_a_daemon_that_is_down(commands):
    """The command says that it waits, gives up after its limit, and the daemon does it later."""
    await commands.network.stop(AWAY)
    waited = await commands(AWAY, "child", "adopt", STAYS, "--wait=4")
    assert waited.code == 79
    assert re.search(r"the daemon has not done it yet; waiting for up to [01]", waited.err)
    assert "carried out once the daemon runs" in waited.err
    await commands.network.start(AWAY)
    rows = (await commands(AWAY, "instructions", "--json")).shape(list[InstructionLine])
    assert (rows[0].what, rows[0].state) == ("adopt", "waiting")
    assert rows[0].who.startswith("op-")


async def test_a_node_moves_and_its_open_packets_arrive(commands):
    """Moved at its parent by name, adopted by another: both ways go on, the archive stays."""
    network = commands.network
    kept = (await commands.send(MOVES, HOME, "--wait=30")).shape(Sending).packet
    await network.stop(MOVES)
    to_it = (await commands.send(HOME, MOVES)).shape(Sending)
    from_it = (await commands.send(MOVES, TOP)).shape(Sending)
    moved = await commands.child(HOME, "move", MOVES, AWAY)
    assert moved.broker[0] == "user stepnogorsk.akmola.kz.bbaj.internal withdrawn"
    adopted = await commands.child(AWAY, "adopt", MOVES)
    assert adopted.broker == ["user stepnogorsk.akmola.kz.bbaj.internal and its queues stand ready"]
    path = network.nodes[MOVES].config_path
    text = path.read_text(encoding="utf-8")
    here, there = f'vhost = "{vhost_of(HOME)}"', f'vhost = "{vhost_of(AWAY)}"'
    assert here in text
    path.write_text(text.replace(here, f'{there}\naddress = "{AWAY}"'), encoding="utf-8")
    await network.start(MOVES)
    await _until_sent_and_delivered(commands, HOME, to_it)
    await _until_sent_and_delivered(commands, MOVES, from_it)
    assert kept is not None
    await commands.until_delivered(MOVES, kept)
    assert (await commands.story(TOP, MOVES)).card.uplink == AWAY


async def _until_sent_and_delivered(commands: Commands, at: str, sending: Sending) -> None:
    """Follow a drop to its packet, and that to its delivery."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            listed = await commands(at, "list", "--to", sending.to, "--json")
            packets = [
                each
                for each in listed.read(PacketList).packets
                if (each.from_, each.to) == (at, sending.to)
            ]
            if packets and all(each.state == "delivered" for each in packets):
                return
            await asyncio.sleep(0.3)


async def test_a_lost_key_is_revoked_by_its_parent(commands):
    """The authority answers the parent's request, and what the key signs counts no more."""
    words = ("revoke", ROBBED, "--reason", "keyCompromise", "--json")
    done = (await commands(HOME, *words)).shape(RevokingDone)
    assert done.address == ROBBED
    assert done.broker == ["connections of kokshetau.akmola.kz.bbaj.internal closed"]
    sent = (await commands.send(ROBBED, TOP, "--wait=3")).read(Sending)
    assert sent.state in {"handed over", "sent"}
    async with asyncio.timeout(PATIENCE_S):
        while True:
            rows = (await commands(HOME, "incidents", "--json")).shape(list[Incident])
            if any("key-revoked" in row.detail and row.neighbour == ROBBED for row in rows):
                break
            await asyncio.sleep(0.2)


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        ((AWAY, "--reason", "keyCompromise"), 80, "ask its parent"),
        (("ab" * 32, "--reason", "keyCompromise"), 80, "name its address"),
        ((STAYS, "--reason", "boredom"), 64, "boredom"),
    ],
    ids=["not a child", "unknown certificate", "no such reason"],
)
async def test_what_cannot_be_revoked_is_declined(commands, words, code, why):
    """A node asks for its own and its children's certificates only, by a reason of RFC 5280."""
    declined = await commands(HOME, "revoke", *words)
    assert declined.code == code
    assert why in declined.err


async def test_errors_come_as_json(commands):
    """With --json a declined instruction is one Failure on standard error."""
    declined = await commands(HOME, "child", "reinstate", "kz.nobody", "--json")
    failure = Done(0, declined.err.encode(), "").read(Failure)
    assert (failure.exit_code, failure.name) == (80, "not-done")
