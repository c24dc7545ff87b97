"""Receipts that do not come: the very frame goes out again, until they do."""

import asyncio
import itertools

import pytest

from harness.drafts import DISTRICT, SCHOOL
from harness.pki import make_network
from harness.service_node import PATIENCE_S, Node, new_link, new_record
from nodes.clock import now
from schemas.leaves import LeafKind
from schemas.objects import Bundle, cut_object

_names = (f"sweep_{number}" for number in itertools.count(1))


@pytest.fixture
async def pair(server, tmp_path):
    network = make_network(["kz", "kz.akmola", DISTRICT, SCHOOL], now())
    return [
        Node(address, network, tmp_path / name, await new_record(server, next(_names), address))
        for address, name in ((DISTRICT, "district"), (SCHOOL, "school"))
    ]


def is_bundle(body):
    """Tell what brings frames from what only notes them."""
    return isinstance(cut_object(body).header, Bundle)


async def places(node, packet):
    """Return how often a frame has been placed for the neighbour."""
    query = "SELECT count(*) AS n FROM entry JOIN packet USING (frame) WHERE packet.id = $1"
    [row] = await node.archive._rows(query, packet)
    return row["n"]


async def test_without_a_receipt_the_same_frame_goes_out_again(pair):
    """While receipts are held back it is placed again; then released once, and nothing is open."""
    district, school = pair
    line = new_link(SCHOOL)
    async with district.live(line), school.live(line):
        [first] = await school.drop(DISTRICT, [1])
        await school.until(SCHOOL, first, "confirmed")
        line.down.loses = is_bundle
        [packet] = await school.drop(DISTRICT, [2])
        async with asyncio.timeout(PATIENCE_S):
            while await places(school, packet) < 2:  # noqa: ASYNC110 - the record tells no events
                await asyncio.sleep(0.05)
        assert await school.kinds(SCHOOL, packet) == [LeafKind.SENT]
        line.down.loses = lambda _body: False
        line.cut()  # so that what was lost goes out at once
        await school.until(SCHOOL, packet, "confirmed")
        await district.until(SCHOOL, packet, "closed")
        assert (await district.kinds(SCHOOL, packet)).count(LeafKind.RELEASED) == 1
        assert await school.archive._rows("SELECT FROM open_exchange") == []
