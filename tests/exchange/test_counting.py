"""Counts of reports go to the parent: a packet of their own, once for each type and period."""

import msgspec
import pytest

from exchange.counting import KIND, count_order
from harness.drafts import OBLAST
from harness.pair import TOP, running
from nodes import clock
from schemas.documents.completeness import Completeness
from schemas.records import InstructionRow

COUNTS = Completeness(
    period="2026-11-23",
    reports="attendance.daily/1",
    under=OBLAST,
    due="2026-11-24T19:00:00.000000Z",
    counted="2026-11-24T19:00:01.000000Z",
    expected=4,
    received=3,
    on_time=2,
    missing=1,
    gaps=0,
)


@pytest.fixture(scope="module")
async def pair(server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("counting")
    async with running(server, folder, "counting", documents=1) as pair:
        yield pair


async def packets(pair, at):
    query = "SELECT id, section, flow, class, period, coding FROM packet WHERE type = $1"
    return await pair[at].archive._rows(query, "archive.completeness/1")


async def test_counts_are_sealed_once_and_reach_the_parent(pair):
    """The parent keeps and confirms one packet, however often the same was ordered."""
    row = count_order(COUNTS, "daemon", clock.now())
    for _ in range(2):
        state, said = await pair.instruct(OBLAST, row)
        assert state == "done"
        await pair[OBLAST].until(OBLAST, said["packet"], "confirmed")
    await pair[TOP].until(OBLAST, said["packet"], "closed")
    [packet] = await packets(pair, TOP)
    assert tuple(packet)[1:5] == ("net", "oper", "R5", "2026-11-23")
    assert not packet["coding"].endswith("hpke")


async def test_counts_that_do_not_add_up_are_not_sealed(pair):
    """A document that its type does not allow is declined, with the field."""
    wrong = msgspec.structs.replace(COUNTS, period="2026-11-20", missing=2)
    state, said = await pair.instruct(OBLAST, count_order(wrong, "daemon", clock.now()))
    assert state == "refused"
    assert "$.missing: is not what was expected less what was received" in said["why"]


async def test_the_root_reports_to_nobody(pair):
    """It has no parent."""
    content = msgspec.json.encode(COUNTS)
    state, said = await pair.instruct(TOP, InstructionRow("count-x", 1, "op", KIND, content))
    assert (state, said["why"]) == ("refused", "the root has nobody above it to report to")
