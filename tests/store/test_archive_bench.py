"""The bench of a full archive, at a tiny size: what it measures is what is there."""

import msgspec
import pytest

from nodes.bench.archive import GOALS, ArchiveResult
from nodes.bench.archive_disk import weigh
from nodes.bench.archive_ending import destroy_largest
from nodes.bench.archive_load import GROUP_PACKETS, Loader
from nodes.bench.archive_reading import search, searches
from nodes.bench.goals import Goal, Verdict
from nodes.bench.rebuilding import RebuildResult, refetched
from nodes.cli.bench_tables import archive
from nodes.cli.output import console_to
from schemas.answers import ANSWERS
from signing.at_rest import OVERHEAD_BYTES, AtRest
from store.reading import Filters, Reading

PACKETS = 3 * GROUP_PACKETS
FRAME_BYTES = 2048


@pytest.fixture
async def loader(record):
    async with Loader(record.daemon, FRAME_BYTES) as loader:
        await loader.fill(PACKETS, lambda *_: None)
        yield loader


async def total(reading, what):
    [row] = await reading._rows(f"SELECT {what}")
    return row[0]


async def test_a_loaded_record_has_all_that_packets_leave_behind(record, loader):
    """Each packet has payload and leaf, each document an entry and marks; streams have no gap."""
    async with Reading(record.daemon) as reading:
        page = await reading.list_packets(Filters(), limit=PACKETS)
        assert len(page.packets) == PACKETS
        assert {each.packet.size for each in page.packets} == {FRAME_BYTES}
        sealed = "sum(octet_length(sealed)) FROM payload"
        heads = sum(len(each.packet.head) for each in page.packets)
        assert await total(reading, sealed) == PACKETS * (FRAME_BYTES + OVERHEAD_BYTES) - heads
        for table in ("payload", "kept"):
            assert await total(reading, f"count(DISTINCT frame) FROM {table}") == PACKETS
        assert await total(reading, "count(DISTINCT frame) FROM leaf") == PACKETS
        documents = sum(each.packet.type not in ANSWERS for each in page.packets)
        assert await total(reading, "count(*) FROM finding") == documents
        assert await total(reading, "count(*) FROM entry") == PACKETS - documents
        assert await total(reading, "sum(last - first + 1) FROM intake") == 2 * documents
        gaps = "SELECT max(last) - sum(last - first + 1) AS gap FROM intake GROUP BY stream"
        assert await total(reading, f"count(*) FROM ({gaps}) AS s WHERE gap <> 0") == 0


async def test_every_byte_of_the_disk_is_in_the_table(record, loader):
    """Tables, indexes and long values together are what the server says of all relations."""
    disk = await weigh(record.owner, PACKETS, FRAME_BYTES)
    async with Reading(record.daemon) as reading:
        own = (
            "sum(pg_total_relation_size(oid))::bigint FROM pg_class "
            "WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        )
        whole = await total(reading, own)
    assert disk.bytes_per_packet == pytest.approx(whole / PACKETS, abs=0.1)
    assert sum(use.bytes_per_packet for use in disk.uses) == pytest.approx(whole / PACKETS, abs=1)
    assert disk.factor == pytest.approx(whole / PACKETS / FRAME_BYTES, abs=0.001)
    assert {("payload", "table"), ("packet", "index packet_name")} <= {
        (use.table, use.part) for use in disk.uses
    }


async def test_the_largest_bucket_is_destroyed_under_a_reader(record, loader, tmp_path):
    """Key and partitions are gone, heads are there, and a reader has read meanwhile."""
    keys = AtRest(tmp_path / "at-rest")
    ending = await destroy_largest(record.owner, record.daemon, loader, keys, watched_s=0.05)
    [done] = await loader.archive.destroyed()
    assert ending.packets == done.packets > PACKETS // 2
    assert done.bucket not in await loader.archive.payload_buckets()
    assert done.bucket in keys.destroyed()
    assert 0 <= ending.dropped_s <= ending.took_s
    assert 0 < ending.reader_median_ms <= ending.reader_longest_ms
    async with Reading(record.daemon) as reading:
        assert await total(reading, "count(*) FROM packet") == PACKETS
        assert await total(reading, "count(*) FROM payload") == PACKETS - done.packets


async def test_what_is_searched_for_is_there(record, loader):
    """Schools and oblasts in turn, each with packets on its first page."""
    wanted = searches(PACKETS)
    assert [each.sender_under.count(".") for each in wanted[:4]] == [3, 1, 3, 1]
    for waits in await search(record.daemon, record.daemon, wanted[:40]):
        assert 0 < waits.best_ms <= waits.median_ms <= waits.p99_ms


BROUGHT = (
    b'{"node": "kz.akmola", "lane": "bulk", "epoch": 1, "after": %d, "through": %d, "event": "%s"}'
)


@pytest.mark.parametrize(
    ("after", "through", "event", "again"),
    [
        (100, 228, b"page_brought", 0),
        (90, 100, b"page_brought", 10),
        (90, 218, b"page_brought", 10),
        (0, 0, b"page_brought", 0),
        (90, 100, b"link_up", 0),
    ],
)
def test_what_came_twice_is_read_off_the_neighbours_log(after, through, event, again):
    """Of a page it counts what the record had when it was killed, and nothing of another stream."""
    line = BROUGHT % (after, through, event)
    other = line.replace(b'"bulk"', b'"fast"')
    had = {("kz.akmola/bulk", 1): 100, ("kz.akmola/bulk", 2): 1000}
    assert refetched([line, other], had) == again


@pytest.mark.parametrize(
    ("goal", "value", "reached"),
    [
        (Goal(most=2.0), 2.0, True),
        (Goal(most=2.0), 2.001, False),
        (Goal(least=0.9), 0.9, True),
        (Goal(least=0.9), 0.899, False),
        (Goal(least=0.8, most=1.2), 1.3, False),
        (Goal(least=0.8, most=1.2), 0.7, False),
        (Goal(least=0.8, most=1.2), 1.0, True),
    ],
)
def test_goals_are_judged_at_their_bounds(goal, value, reached):
    """A bound itself is reached, and nothing beyond it."""
    assert goal.is_reached(value) is reached


def test_missed_goals_are_said_so():
    """Each figure with a goal stands beside it, with what came of it."""
    values = {
        name: 0 if kind is int else 0.5
        for name, kind in ArchiveResult.__annotations__.items()
        if name not in {"rebuild", "disk", "verdicts"}
    }
    values["rebuild"] = RebuildResult(3000, 10.0, 300.0, resumed=True, refetched=0)
    verdicts = [Verdict(name, 0.5, goal, goal.is_reached(0.5)) for name, goal in GOALS.items()]
    result = msgspec.convert(values | {"disk": [], "verdicts": verdicts}, ArchiveResult)
    console = console_to(stderr=False)
    with console.capture() as captured:
        for part in archive(result):
            console.print(part)
    lines = {" ".join(line.split()) for line in captured.get().splitlines()}
    assert "store full against empty 0.5 at least 0.9 missed" in lines
    assert "search growth 0.5 at most 1.2 reached" in lines
    assert "destroy s per million packets 0.5 at most 10 reached" in lines
