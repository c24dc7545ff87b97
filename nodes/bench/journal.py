"""`bbaj bench journal`: the journal from empty to full, on a private PostgreSQL with fsync on.

The tree's code by itself in processor time; appending to it and to an empty one in turn; proofs at
full size, each checked; a whole verification of the record, in both times, with the memory that it
took. Then what witnessing costs a parent, with a broker and daemons beside it.
"""

import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from exchange.batch import Batch, Tails
from nodes.bench.journal_rows import RELAY, Writer
from nodes.bench.witnessing import measure_witnessing
from nodes.clock import now
from nodes.errors import JudgementFailed
from nodes.sandbox.postgres import DatabaseUrls, PrivatePostgres
from schemas.retention import DEFAULT, buckets_ahead
from store.merkle import Tree, consistency_holds, inclusion_holds, leaf_hash
from store.migrate import ensure_partitions, migrate
from store.postgres import PostgresArchive
from store.postgres.notary import Notary
from store.verify import verify

END_LEAVES = 100_000
"""So many at each end are compared."""
GROUP_LEAVES = 2000
"""Of one commit, as a busy sequencer groups them."""
GROUP_PACKETS = 200
PACKETS = 10_000
PAYLOAD_BYTES = 5000
PROOFS = 200
PROOF_WARM_UP = 20
MEGABYTE = 1_000_000


class JournalResult(msgspec.Struct, frozen=True):
    """What `--json` prints."""

    leaves: int
    packets: int
    tree_leaves_per_cpu_second: int
    """Of the code that appends to the tree and fills its tiles, without any database."""
    append_leaves_per_second: int
    """Committed to the record, in groups, each with its fsync."""
    append_full_against_empty: float
    """Rate of the last 100,000 leaves against the first ones of an empty journal beside it, a group
    of each in turn, by their medians."""
    inclusion_proof_ms: float
    """Median from the record at full size, any leaf."""
    consistency_proof_ms: float
    verify_mb_per_second: float
    """Leaves, heads and payloads, each read, opened and hashed again."""
    verify_mb_per_cpu_second: float
    """The same by this process's own time, whatever else the machine had to do."""
    verify_journal_mb_per_cpu_second: float
    verify_frames_mb_per_cpu_second: float
    verify_memory_grew_mb: float
    """Resident memory at its highest above where the verification began."""
    witnessed_children: int
    witnessed_checkpoints: int
    witnessing_cpu_percent: float
    """Of one core: what witnessing takes a parent, each child showing a checkpoint every 10 s."""
    witnessing_idle_cpu_percent: float
    """What the same children take while they are silent; not in the figure before."""


async def run_journal(*, leaves: int) -> JournalResult:
    """Measure; raise JudgementFailed where a proof or the record does not hold."""
    figures = await measure_journal(leaves) | await measure_witnessing()
    return msgspec.convert(figures, JournalResult)


async def measure_journal(leaves: int) -> dict[str, float]:
    """Return the figures of the journal itself. Raises JudgementFailed."""
    with tempfile.TemporaryDirectory(prefix="bbaj-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)  # noqa: ASYNC240 - once, before anything runs
        postgres = PrivatePostgres(folder / "postgres")
        try:
            await postgres.start()
            async with _journal(postgres, "full") as full, _journal(postgres, "empty") as empty:
                return await _measure(full, empty, leaves)
        finally:
            await postgres.stop()


class _Journal:
    """A record that grows, and who writes it."""

    def __init__(self, urls: DatabaseUrls, archive: PostgresArchive, writer: Writer) -> None:
        self.urls = urls
        self.writer = writer
        self._archive = archive

    async def open(self) -> None:
        self.tails = Tails(await self._archive.open())

    async def append(self) -> float:
        """Append a group of leaves; return the seconds of its commit."""
        batch = Batch(self.tails, now())
        self.writer.add_leaves(batch, GROUP_LEAVES)
        return await self._commit(batch)

    async def add_packets(self) -> None:
        for _ in range(0, PACKETS, GROUP_PACKETS):
            batch = Batch(self.tails, now())
            self.writer.add_packets(batch, GROUP_PACKETS, PAYLOAD_BYTES)
            await self._commit(batch)

    async def _commit(self, batch: Batch) -> float:
        began = time.perf_counter()
        await self._archive.commit(batch.changes)
        took_s = time.perf_counter() - began
        batch.adopt()
        return took_s


@asynccontextmanager
async def _journal(postgres: PrivatePostgres, name: str) -> AsyncIterator[_Journal]:
    urls = await postgres.create_database(name)
    await migrate(urls.owner_url, urlsplit(urls.daemon_url).username or "", RELAY)
    await ensure_partitions(urls.owner_url, buckets_ahead(DEFAULT, now(), 1))
    archive = PostgresArchive(urls.daemon_url)
    journal = _Journal(urls, archive, Writer(postgres.folder.parent / f"{name}-at-rest"))
    try:
        await journal.open()
        yield journal
    finally:
        await archive.close()


async def _measure(full: _Journal, empty: _Journal, leaves: int) -> dict[str, float]:
    groups = (leaves - END_LEAVES) // GROUP_LEAVES
    filled_s = sum([await full.append() for _ in range(groups)])
    full_s, empty_s = await _append_in_turn(full, empty)
    await full.add_packets()
    verification = await _verify(full)
    size = full.tails.leaf
    async with Notary(full.urls.daemon_url) as reader:
        inclusion, consistency = await _prove(reader, size)
    return {
        "leaves": size,
        "packets": PACKETS,
        "tree_leaves_per_cpu_second": _time_tree(min(leaves, 1_000_000)),
        "append_leaves_per_second": round(groups * GROUP_LEAVES / filled_s),
        "append_full_against_empty": round(empty_s / full_s, 2),
        "inclusion_proof_ms": inclusion,
        "consistency_proof_ms": consistency,
        **verification,
    }


async def _append_in_turn(full: _Journal, empty: _Journal) -> tuple[float, float]:
    """Append END_LEAVES to both, a group each in turn; return the median seconds of a commit.

    Whatever else the machine does meanwhile falls on both, and each comes first as often.
    """
    took: dict[_Journal, list[float]] = {full: [], empty: []}
    for number in range(END_LEAVES // GROUP_LEAVES):
        for journal in (full, empty) if number % 2 else (empty, full):
            took[journal].append(await journal.append())
    return statistics.median(took[full]), statistics.median(took[empty])


def _time_tree(leaves: int) -> int:
    """Return leaves appended in a second of processor time, tiles included."""
    tree, spent = Tree(), 0.0
    for first in range(0, leaves, GROUP_LEAVES):
        hashes = [leaf_hash(number.to_bytes(8)) for number in range(first, first + GROUP_LEAVES)]
        began = time.process_time()
        tree.extend(hashes)
        spent += time.process_time() - began
    return round(leaves / spent)


async def _prove(archive: Notary, size: int) -> tuple[float, float]:
    """Return the median milliseconds of both proofs; each must hold. Raises JudgementFailed."""
    root = await archive.root_at(size)
    inclusion, consistency = [], []
    for place in _places(PROOF_WARM_UP + PROOFS, size):
        began = time.perf_counter()
        proof = await archive.inclusion_proof(place, size)
        inclusion.append(time.perf_counter() - began)
        record = (await archive.leaves_at([place]))[place]
        holds = inclusion_holds(place, size, leaf_hash(record), proof, root)
        old_root = await archive.root_at(place)
        began = time.perf_counter()
        proof = await archive.consistency_proof(place, size)
        consistency.append(time.perf_counter() - began)
        if not (holds and consistency_holds(place, size, old_root, root, proof)):
            raise JudgementFailed(f"the proof of leaf {place} in {size} does not hold")
    return _median_ms(inclusion), _median_ms(consistency)


def _places(count: int, size: int) -> Iterator[int]:
    """Yield places all over the journal, the same in each run."""
    for number in range(count):
        yield int.from_bytes(sha256(number.to_bytes(8)).digest()[:8]) % size


def _median_ms(times: list[float]) -> float:
    return round(statistics.median(times[PROOF_WARM_UP:]) * 1e3, 2)


async def _verify(journal: _Journal) -> dict[str, float]:
    """Verify the whole record; return rates by stage and the memory taken."""
    sizes = journal.writer.bytes_written
    before, highest, cpu = _resident_bytes(), 0, {"": time.process_time()}

    def on_progress(stage: str, _done: int, _total: int) -> None:
        nonlocal highest
        highest = max(highest, _resident_bytes())
        cpu[stage] = time.process_time()

    began = time.perf_counter()
    found = await verify(journal.urls.daemon_url, journal.writer.at_rest.open, on_progress)
    took_s = time.perf_counter() - began
    if not found.holds:
        raise JudgementFailed(f"the record does not hold: {found.faults[0]}")
    total = sum(sizes.values())
    return {
        "verify_mb_per_second": _rate(total, took_s),
        "verify_mb_per_cpu_second": _rate(total, time.process_time() - cpu[""]),
        "verify_journal_mb_per_cpu_second": _rate(sizes["journal"], cpu["journal"] - cpu[""]),
        "verify_frames_mb_per_cpu_second": _rate(sizes["frames"], cpu["frames"] - cpu["journal"]),
        "verify_memory_grew_mb": round((highest - before) / MEGABYTE, 1),
    }


def _rate(size: int, seconds: float) -> float:
    return round(size / MEGABYTE / seconds, 1)


def _resident_bytes() -> int:
    """Return this process's resident memory, as the system counts it."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
