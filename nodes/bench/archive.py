"""`bbaj bench archive`: a record from empty to full, on a private PostgreSQL with fsync on.

A seeded country's packets are stored through the store's own path. Lists are timed in a record with
a fifth of them and in the full one, storing in an empty one and in the full one, each in turn; then
a page is printed, the disk weighed, and the largest bucket destroyed while a reader reads on.
Besides, on a network of its own, a republic's record is deleted and fetched back from its oblasts.
"""

import statistics
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from nodes.bench.archive_disk import Disk, weigh
from nodes.bench.archive_ending import destroy_largest
from nodes.bench.archive_load import GROUP_PACKETS, Loader, Progress
from nodes.bench.archive_reading import print_page, search, searches
from nodes.bench.archive_rows import HERE
from nodes.bench.goals import Goal, Verdict, judge
from nodes.bench.journal_rows import Writer
from nodes.bench.rebuilding import RebuildResult, run_rebuild
from nodes.sandbox.postgres import DatabaseUrls, PrivatePostgres
from store.migrate import migrate
from store.postgres.session import session

SERVER = {"shared_buffers": "2GB"}
"""Room for the pages that new packets change, as a large archive's server needs it."""
SMALL_BYTES, LARGE_BYTES = 2048, 10_240
"""Frames of two records: most are measured with the small ones."""
LARGE_PACKETS = 20_000
"""So many large ones tell what each takes."""
PAIRS_MOST, PAIRS_LEAST = 200, 10
PACKETS_A_PAIR = 5000
WARM_UP_PAIRS = 50
"""Once around all schools: the first change of a page after a checkpoint writes all of it."""
GROWTH = 5
"""Lists are timed in a record with one such part of the packets, and in that with all of them."""


GOALS = {
    "store_full_against_empty": Goal(least=0.9),
    "disk_factor_2kb": Goal(most=2.0),
    "disk_factor_10kb": Goal(most=1.3),
    "search_median_ms": Goal(most=50),
    "search_p99_ms": Goal(most=200),
    "search_growth": Goal(most=1.2),
    "print_page_ms": Goal(most=500),
    "destroy_million_s": Goal(most=10),
    "reader_longest_ms": Goal(most=100),
    "rebuild_packets_per_second": Goal(least=167),
    "rebuild_refetched": Goal(most=0),
}
"""A rebuild of 100,000 packets takes ten minutes at most."""


class ArchiveResult(msgspec.Struct, frozen=True):
    """What `--json` prints."""

    packets: int
    store_packets_per_second: int
    """Committed to the full record, in groups, each with its fsync."""
    store_full_against_empty: float
    """Rate of storing in the full record against an empty one, by the medians of their groups."""
    disk_factor_2kb: float
    """Disk used against the bytes of the frames."""
    disk_factor_10kb: float
    search_median_ms: float
    """The first page of a list by organisation, type and period, among all packets."""
    search_p99_ms: float
    search_best_ms: float
    """The same by the best of several times for each list, so that other work does not count."""
    search_best_at_a_fifth_ms: float
    search_growth: float
    """The best among all packets against that among a fifth of them."""
    print_page_ms: float
    """From a packet's name to a page of PDF, the typesetter loaded before."""
    destroyed_packets: int
    destroy_s: float
    """From looking at the bucket once more to its last byte."""
    destroy_million_s: float
    """The same for each million of packets."""
    drop_s: float
    """Its partitions alone."""
    reader_median_ms: float
    """Of opening single packets meanwhile."""
    reader_longest_ms: float
    reader_longest_before_ms: float
    """While nothing was destroyed: what the machine by itself makes readers wait."""
    rebuild: RebuildResult
    disk: list[Disk]
    verdicts: list[Verdict]


async def run_archive(*, packets: int, rebuilt: int, on_progress: Progress) -> ArchiveResult:
    """Measure with so many packets, 2,000 at least, and fetch back so many in a record apart."""
    rebuild = await run_rebuild(packets=rebuilt, on_progress=on_progress)
    with tempfile.TemporaryDirectory(prefix="bbaj-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)  # noqa: ASYNC240 - once, before anything runs
        postgres = PrivatePostgres(folder / "postgres", SERVER)
        try:
            await postgres.start()
            large = await _weigh_large(postgres, min(packets, LARGE_PACKETS), on_progress)
            writer = Writer(folder / "at-rest")
            figures, small = await _measure(postgres, writer, packets, on_progress)
        finally:
            await postgres.stop()
    figures |= {"disk_factor_2kb": small.factor, "disk_factor_10kb": large.factor}
    judged = figures | {
        f"rebuild_{name}": value for name, value in msgspec.structs.asdict(rebuild).items()
    }
    verdicts = judge(judged, GOALS)
    told = {"packets": packets, "rebuild": rebuild, "disk": [small, large], "verdicts": verdicts}
    return msgspec.convert(figures | told, ArchiveResult)


async def _weigh_large(postgres: PrivatePostgres, packets: int, on_progress: Progress) -> Disk:
    async with _record(postgres, "large", LARGE_BYTES) as (urls, loader):
        await loader.fill(packets, on_progress)
        return await weigh(urls.owner_url, packets, LARGE_BYTES)


async def _measure(
    postgres: PrivatePostgres, writer: Writer, packets: int, on_progress: Progress
) -> tuple[dict[str, float], Disk]:
    """Return all figures but those of the disk, and the disk of small frames."""
    async with (
        _record(postgres, "young", SMALL_BYTES) as (_, young),
        _record(postgres, "part", SMALL_BYTES) as (part_urls, part),
        _record(postgres, "old", SMALL_BYTES) as (urls, old),
    ):
        await part.fill(packets // GROWTH, on_progress)
        await old.fill(packets, on_progress)
        await _settle(postgres, part_urls)
        await _settle(postgres, urls)
        wanted = searches(packets // GROWTH)
        early, late = await search(part_urls.daemon_url, urls.daemon_url, wanted)
        disk = await weigh(urls.owner_url, packets, SMALL_BYTES)
        pairs = max(PAIRS_LEAST, min(PAIRS_MOST, packets // PACKETS_A_PAIR))
        empty_s, full_s = await _store_in_turn(young, old, pairs)
        page_ms = await print_page(urls.daemon_url, old, writer)
        ending = await destroy_largest(urls.owner_url, urls.daemon_url, old, writer.at_rest)
    return {
        "store_packets_per_second": round(GROUP_PACKETS / full_s),
        "store_full_against_empty": round(empty_s / full_s, 3),
        "search_median_ms": late.median_ms,
        "search_p99_ms": late.p99_ms,
        "search_best_ms": late.best_ms,
        "search_best_at_a_fifth_ms": early.best_ms,
        "search_growth": round(late.best_ms / early.best_ms, 3),
        "print_page_ms": page_ms,
        "destroyed_packets": ending.packets,
        "destroy_s": ending.took_s,
        "destroy_million_s": round(ending.took_s * 1e6 / ending.packets, 2),
        "drop_s": ending.dropped_s,
        "reader_median_ms": ending.reader_median_ms,
        "reader_longest_ms": ending.reader_longest_ms,
        "reader_longest_before_ms": ending.reader_longest_before_ms,
    }, disk


@asynccontextmanager
async def _record(
    postgres: PrivatePostgres, name: str, frame_bytes: int
) -> AsyncIterator[tuple[DatabaseUrls, Loader]]:
    """Make an empty record, and who fills it."""
    urls = await postgres.create_database(name)
    await migrate(urls.owner_url, urlsplit(urls.daemon_url).username or "", HERE)
    async with Loader(urls.daemon_url, frame_bytes) as loader:
        yield urls, loader


async def _settle(postgres: PrivatePostgres, urls: DatabaseUrls) -> None:
    """Do at once what the server does by itself where a record grows at its own pace."""
    async with session(urls.owner_url, "bbaj bench") as connection:
        await connection.execute("VACUUM (ANALYZE)")
    async with session(postgres.admin_url, "bbaj bench") as connection:
        await connection.execute("CHECKPOINT")


async def _store_in_turn(young: Loader, old: Loader, pairs: int) -> tuple[float, float]:
    """Store groups in two records in turn; return the median seconds of a commit in each.

    Whatever else the machine does meanwhile falls on both, and each comes first as often.
    """
    took: dict[Loader, list[float]] = {young: [], old: []}
    for number in range(WARM_UP_PAIRS + pairs):
        for loader in (young, old) if number % 2 else (old, young):
            took[loader].append(await loader.store(GROUP_PACKETS))
    empty_s, full_s = (statistics.median(took[each][WARM_UP_PAIRS:]) for each in (young, old))
    return empty_s, full_s
