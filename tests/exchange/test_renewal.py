"""A node's keys renew themselves: in time, after a long absence, on an operator's word, and once.

The clock is moved; the record is real, the link in memory, the authority on line at the parent.
"""

import asyncio
import hashlib
import itertools
import shutil
from contextlib import asynccontextmanager

import msgspec
import pytest

from exchange.identity import new_packet_id
from exchange.jobs import Introduced
from exchange.renewal import RenewNow, when_due
from harness.key_folders import PASSPHRASE, make_key_folder
from harness.pki import make_network
from harness.service_node import Node, new_link, new_record
from nodes import clock
from nodes.keyring import KeyFolder
from schemas.header import decode_header
from schemas.moments import DAY
from schemas.records import InstructionRow
from signing.certificates import life_of_der
from signing.keys import fingerprint
from signing.profiles import Purpose

TOP, PARENT, HERE = "kz", "kz.akmola", "kz.akmola.burabay"
PATIENCE_S = 30.0
DUE_US = 221 * DAY
"""By now every packet key of 400 days has been due, whatever its node's own day."""
AWAY_US = 2 * DUE_US
"""More than 14 months; by now every key that was renewed when due has been due again."""
FORGOTTEN_US = 3 * DUE_US
"""By now keys have ended so long ago that nobody takes a statement of theirs."""

_numbers = itertools.count()


class Moved:
    """The clock, moved."""

    def __init__(self) -> None:
        self.by_us = 0

    def __call__(self) -> int:
        return clock.now() + self.by_us


@pytest.fixture
def moved():
    return Moved()


@pytest.fixture
def network():
    return make_network([TOP, PARENT, HERE], clock.now())


@pytest.fixture
async def make(server, network, moved, tmp_path):
    async def make(address, keys):
        name = f"renewal_{next(_numbers)}"
        moments = [clock.now() + by_us for by_us in (DUE_US, AWAY_US, FORGOTTEN_US)]
        record = await new_record(server, name, address, moments=moments)
        node = Node(address, network, tmp_path / name, record)
        node.clock, node.keys = moved, keys
        return node

    return make


@pytest.fixture
async def parent(make, network, tmp_path):
    """Make the oblast, with its authority's key on line; it renews its own keys as well."""
    node = await make(PARENT, make_key_folder(network, PARENT, tmp_path / "parent"))
    node.authority = network.authorities[PARENT]
    return node


@pytest.fixture
async def child(make, network, tmp_path):
    return await make(HERE, make_key_folder(network, HERE, tmp_path / "child"))


@asynccontextmanager
async def living(network, *nodes):
    """Run parent and child, or one of them, with CRLs as of the moved clock."""
    link = new_link(HERE)
    async with asyncio.timeout(60):
        if len(nodes) == 1:
            async with _fresh(network, nodes[0], link):
                yield
        else:
            async with _fresh(network, nodes[0], link), _fresh(network, nodes[1], link):
                yield


@asynccontextmanager
async def _fresh(network, node, link):
    async with node.live(link) as service:
        if node.address == PARENT:
            service.state.greeted.set()  # its own parent is not here
        await service.submit(Introduced([], network.crls(node.clock()), []))
        yield


async def until(condition, what=""):
    """Wait until something is so; the record and the folder tell no events."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def in_use(node) -> dict[Purpose, str]:
    return {purpose: fingerprint(der) for purpose, der in node.keys.certificates().items()}


async def until_renewed(node, before):
    await until(lambda: in_use(node)[Purpose.PACKET] != before[Purpose.PACKET])


async def send(sender, to, number):
    """Have a document delivered; return the certificate that it was sealed with."""
    (packet,) = await sender.drop(to, [number])
    return await signer_of(sender, packet)


async def signer_of(sender, packet):
    """Wait for a packet's receipt; return the certificate that it was sealed with."""
    await sender.until(sender.address, packet, "confirmed")
    trail = await sender.trail(sender.address, packet)
    head = trail.packet.head
    return decode_header(head[8 : 8 + int.from_bytes(head[6:8])]).certificate


def test_each_certificate_has_its_own_day(network):
    """The day is told by address and certificate, as clause 11.8 says."""
    der = network.nodes[HERE].packet.certificate
    life = life_of_der(der)
    digest = hashlib.sha256(HERE.encode() + hashlib.sha256(der).digest() + bytes(8)).digest()
    spread = int.from_bytes(digest[:6]) / 2**48
    assert when_due(HERE, Purpose.PACKET, der) == life.until - 200 * DAY + int(spread * 20 * DAY)
    others = {when_due(f"{HERE}.school-{number}", Purpose.PACKET, der) for number in range(50)}
    assert len(others) == 50


async def test_nothing_is_renewed_early(network, parent, child):
    """A young node asks for nothing."""
    before = in_use(child)
    async with living(network, parent, child):
        await send(child, PARENT, 1)
        assert not child.service.parts.requests.is_pending(HERE, "renew")
    assert in_use(child) == before
    assert child.keys.asked() == []


def stated_by(node):
    """Return the child's keys as its card at this node has them."""
    return node.service.state.registry.card(HERE).keys


async def test_keys_renew_in_time_while_packets_flow(network, parent, child, moved):
    """Both nodes renew by themselves; packets go on both ways, and so does the journal."""
    told = []
    async with living(network, parent, child):
        first = await send(child, PARENT, 1)
    before = {node.address: in_use(node) for node in (parent, child)}
    moved.by_us = DUE_US
    async with living(network, parent, child):
        child.service.renewal.on_journal_key = told.append
        for node in (parent, child):
            await until_renewed(node, before[node.address])
        await until(lambda: child.keys.granted() == {} and child.keys.asked() == [])
        second = await send(child, PARENT, 2)
        third = await send(parent, HERE, 3)
        renewed = in_use(child)
        await until(lambda: stated_by(parent).packet == renewed[Purpose.PACKET])
        stated = stated_by(parent)
    changed = {purpose for purpose in renewed if renewed[purpose] != before[HERE][purpose]}
    assert changed == {Purpose.PACKET, Purpose.JOURNAL, Purpose.WITNESS}
    assert (first, second) == (before[HERE][Purpose.PACKET], renewed[Purpose.PACKET])
    assert third == in_use(parent)[Purpose.PACKET]
    assert [signer.fingerprint for signer in told] == [renewed[Purpose.JOURNAL]]
    assert stated.journal == renewed[Purpose.JOURNAL]
    assert stated.encryption[0].id == child.keys.encryption().newest.id.hex()
    assert len(child.keys.encryption().facts) == 2
    assert "message_unreadable" not in parent.eyes.incidents + child.eyes.incidents


async def test_a_node_that_was_away_for_14_months_comes_back(network, parent, child, moved):
    """Its key has ended: what is dropped waits, what comes is held, until it has renewed itself."""
    async with living(network, parent, child):
        await send(child, PARENT, 1)
    before = in_use(child)
    moved.by_us = DUE_US
    old_parent = in_use(parent)
    async with living(network, parent):
        await until_renewed(parent, old_parent)
        (waiting,) = await parent.drop(HERE, [2])
    moved.by_us = AWAY_US
    async with living(network, child):
        assert not child.service.may_seal()
        await child.service.park(child.document(PARENT, 3))
        await until(lambda: "own_key_ended" in child.eyes.incidents)
        await until(lambda: child.keys.asked() != [])
    assert in_use(child) == before
    old_parent = in_use(parent)
    async with living(network, parent, child):
        await until_renewed(child, before)
        await until_renewed(parent, old_parent)
        await parent.until(PARENT, waiting, "confirmed")
        signer = await signer_of(child, await packet_of(child, "drop-3"))
        assert child.service.may_seal()
    assert signer == in_use(child)[Purpose.PACKET]


async def test_both_ends_come_back_whose_keys_ended_long_ago(network, parent, child, moved):
    """The authority's node answers once it has renewed itself: with its old key for nobody."""
    async with living(network, parent, child):
        await send(child, PARENT, 1)
    before = {node.address: in_use(node) for node in (parent, child)}
    moved.by_us = FORGOTTEN_US
    async with living(network, parent, child):
        await until_renewed(parent, before[PARENT])
        await until_renewed(child, before[HERE])


async def packet_of(node, drop_id):
    """Return the packet that a parked document became."""
    async with asyncio.timeout(PATIENCE_S):  # the record tells no events
        while (done := await node.archive.drop_outcome("sis", drop_id)) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert done.frame is not None, done
    return (await node.archive.trail_of_frame([done.frame]))[done.frame].packet.id


async def test_a_second_renewal_with_other_keys_alarms(
    network, parent, child, make, moved, tmp_path
):
    """Whoever has stolen a key that was renewed already gets nothing, and the authority says so."""
    shutil.copytree(tmp_path / "child", tmp_path / "stolen")
    before = in_use(child)
    moved.by_us = DUE_US
    async with living(network, parent, child):
        await until_renewed(child, before)
    thief = await make(HERE, KeyFolder(tmp_path / "stolen", HERE, PASSPHRASE))
    async with living(network, parent, thief):
        await until(lambda: "second_renewal" in parent.eyes.incidents)
        await until(lambda: "renewal_refused" in thief.eyes.incidents)
    assert in_use(thief) == before


async def instruct(node, *purposes):
    """Tell a node to renew now; return what became of it."""
    content = msgspec.json.encode(RenewNow(purposes))
    row = InstructionRow(new_packet_id(clock.now()), clock.now(), "0" * 16, "renew", content)
    await node.archive.instruct(row)
    async with asyncio.timeout(PATIENCE_S):
        while (outcome := await node.archive.instruction_outcome(row.id)) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return outcome.state, msgspec.json.decode(outcome.content)


async def test_an_operator_renews_at_once(network, parent, child):
    """On the instruction `renew` a young node asks for the keys named, its packet key with them."""
    before = in_use(child)
    async with living(network, parent, child):
        state, said = await instruct(child, Purpose.LINK)
        assert (state, said["purposes"]) == ("done", ["packet", "link"])
        await until(lambda: in_use(child)[Purpose.LINK] != before[Purpose.LINK])
        await until_renewed(child, before)
        await send(child, PARENT, 1)
    changed = {purpose for purpose in before if in_use(child)[purpose] != before[purpose]}
    assert changed == {Purpose.PACKET, Purpose.LINK}


async def test_one_renewal_at_a_time(network, child):
    """While one is under way, off the net, an operator's word changes nothing and is told so."""
    async with living(network, child):
        first = await instruct(child)
        second = await instruct(child)
    assert first[0] == "done"
    assert second[0] == "refused"
    assert "under way" in second[1]["why"]


async def test_a_restart_asks_for_the_same_keys(network, parent, child, moved):
    """A request outlives the node: after a restart the grant still finds the key it is for."""
    before = in_use(child)
    moved.by_us = DUE_US
    async with living(network, child):
        await until(lambda: child.keys.asked() != [])
        asked = (child.keys._folder / "next" / "packet.key").read_bytes()
        await until(lambda: child.service.parts.requests.is_pending(HERE, "renew"))
    async with living(network, parent, child):
        await until_renewed(child, before)
    assert (child.keys._folder / "packet.key").read_bytes() == asked


async def test_a_folder_that_cannot_be_written_is_told_and_nothing_stops(
    network, parent, child, moved
):
    """Without room for the next keys the node says so and goes on with those it has."""
    (child.keys._folder / "next").write_bytes(b"")
    before = in_use(child)
    moved.by_us = DUE_US
    async with living(network, parent, child):
        await until(lambda: "renewal_hindered" in child.eyes.incidents)
        await send(child, PARENT, 1)
    assert in_use(child) == before
