"""Links between two real services: whatever happens to a connection, everything arrives once."""

import asyncio
import itertools
import os
import re

import pytest
from msgspec.structs import replace

from exchange.pace import SAMPLE_BYTES
from harness.drafts import DISTRICT, OBLAST, SCHOOL
from harness.memory_link import Waiting
from harness.pki import make_network
from harness.service_node import PATIENCE_S, Node, new_link, new_record
from nodes import samples
from nodes.clock import now
from schemas.leaves import LeafKind

_names = (f"links_{number}" for number in itertools.count(1))


@pytest.fixture(scope="module")
def network():
    return make_network(["kz", OBLAST, DISTRICT, SCHOOL], now())


@pytest.fixture
async def pair(server, network, tmp_path):
    return [
        Node(address, network, tmp_path / name, await new_record(server, next(_names), address))
        for address, name in ((DISTRICT, "district"), (SCHOOL, "school"))
    ]


async def test_a_document_is_delivered_and_closed(pair):
    """Sent, received, confirmed, closed: one leaf of each, and then no traffic."""
    district, school = pair
    line = new_link(SCHOOL)
    async with district.live(line), school.live(line):
        [packet] = await school.drop(DISTRICT, [1])
        await district.until(SCHOOL, packet, "closed")
        assert await school.kinds(SCHOOL, packet) == [LeafKind.SENT, LeafKind.CONFIRMED]
        assert await district.kinds(SCHOOL, packet) == [
            LeafKind.RECEIVED,
            LeafKind.RELEASED,
            LeafKind.CLOSED,
        ]


async def test_what_was_dropped_off_the_net_goes_out_when_it_is_back(pair):
    """Documents sealed while the neighbour is away are delivered in the order of their numbers."""
    district, school = pair
    line = new_link(SCHOOL)
    async with school.live(line):
        ids = await school.drop(DISTRICT, range(1, 21))
        async with district.live(line):
            await school.until(SCHOOL, ids[-1], "confirmed")
            for packet in ids:
                await district.until(SCHOOL, packet, "closed")
            trails = [await district.trail(SCHOOL, packet) for packet in ids]
    assert [trail.packet.frame for trail in trails] == sorted(t.packet.frame for t in trails)


async def test_fifty_at_once_have_a_receipt_each(pair):
    """Fifty documents at once, all different: each arrives as it was sent, and has its receipt."""
    district, school = pair
    line = new_link(SCHOOL)
    async with district.live(line), school.live(line):
        ids = await school.drop(DISTRICT, range(50))
        for packet in ids:
            await school.until(SCHOOL, packet, "confirmed")
        sent = [(await school.trail(SCHOOL, packet)).packet for packet in ids]
        came = [(await district.trail(SCHOOL, packet)).packet for packet in ids]
        receipts = await school.archive.answers_to(ids)
    digests = [row.frame_sha256 for row in sent]
    assert len(set(digests)) == 50
    assert [row.frame_sha256 for row in came] == digests
    assert sorted(row.re for row in receipts) == sorted(ids)


async def test_a_greeting_that_found_no_room_is_said_again(pair):
    """Behind a queue that was full at first, both sides greet once there is room."""
    district, school = pair
    line = new_link(SCHOOL)
    line.down.room = 0
    async with district.live(line), school.live(line):
        [packet] = await school.drop(DISTRICT, [1])
        await asyncio.sleep(0.5)
        line.down.room = 1000
        await school.until(SCHOOL, packet, "confirmed")


async def test_lost_queues_and_cut_lines_lose_and_double_nothing(pair):
    """Cut and purged again and again while documents flow: each is released exactly once."""
    district, school = pair
    line = new_link(SCHOOL)
    ids = []
    async with district.live(line), school.live(line):
        for round_ in range(12):
            ids += await school.drop(DISTRICT, range(round_ * 5, round_ * 5 + 5))
            await asyncio.sleep(0.03 * (round_ % 4))
            (line.purge if round_ % 2 else line.cut)()
        for packet in ids:
            await school.until(SCHOOL, packet, "confirmed")
            await district.until(SCHOOL, packet, "closed")
        for packet in ids:
            assert (await district.kinds(SCHOOL, packet)).count(LeafKind.RELEASED) == 1
            assert (await school.kinds(SCHOOL, packet)).count(LeafKind.CONFIRMED) == 1
    assert not set(district.eyes.incidents + school.eyes.incidents)


async def test_what_comes_again_is_counted_and_changes_nothing(pair):
    """All that a neighbour has sent is said once more: known numbers, told by their count."""
    district, school = pair
    line = new_link(SCHOOL)
    said = []
    line.up.loses = said.append
    async with district.live(line), school.live(line):
        packets = await school.drop(DISTRICT, range(3))
        for packet in packets:
            await district.until(SCHOOL, packet, "closed")
        before = await district.kinds(SCHOOL, packets[0])
        assert district.eyes.again == 0
        line.up.waiting.extend(Waiting(body, {}) for body in said)
        line.up.news.set()
        async with asyncio.timeout(PATIENCE_S):
            while district.eyes.again < 6:  # noqa: ASYNC110 - three documents, three closings
                await asyncio.sleep(0.01)
        assert await district.kinds(SCHOOL, packets[0]) == before


async def test_a_restarted_node_goes_on_from_its_record(pair):
    """Either node is ended without warning and begins again: nothing is lost or doubled."""
    district, school = pair
    line = new_link(SCHOOL)
    ids = []
    for number in range(4):
        async with district.live(line), school.live(line):
            ids += await school.drop(DISTRICT, range(number * 10, number * 10 + 10))
    async with district.live(line), school.live(line):
        for packet in ids:
            await school.until(SCHOOL, packet, "confirmed")
            await district.until(SCHOOL, packet, "closed")
            assert (await district.kinds(SCHOOL, packet)).count(LeafKind.RELEASED) == 1


async def test_files_leave_room_on_the_line_for_an_order(pair):
    """Files go out as far ahead of notes as a line that is not measured yet takes in seconds."""
    district, school = pair
    line = new_link(SCHOOL)
    went: dict[bytes, list[int]] = {b"fast": [], b"bulk": []}
    enough = asyncio.Event()

    def never_arrives(body: bytes) -> bool:
        lane = re.search(rb'"lane":"(fast|bulk)","first"', body)
        if lane is not None:
            went[lane[1]].append(len(body))
        if went[b"fast"] and sum(went[b"bulk"]) > SAMPLE_BYTES:
            enough.set()
        return lane is not None

    async with district.live(line), school.live(line) as service:
        [packet] = await school.drop(DISTRICT, [1])
        await district.until(SCHOOL, packet, "closed")
        line.up.loses = never_arrives
        document = school.document(DISTRICT, 2)
        file = replace(document, type="document.file/1", section="S06", body=os.urandom(30_000))
        order = replace(document, type="admin.order/1", section="S05", body=samples.order(1, 1))
        await service.drop([replace(file, drop_id=f"file-{number}") for number in range(20)])
        await service.drop([replace(order, drop_id="order")])
        await asyncio.wait_for(enough.wait(), 10)
    assert sum(went[b"bulk"]) <= SAMPLE_BYTES + 35_000
