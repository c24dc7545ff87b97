"""`bbaj bench journal`: the journal from empty to full, on a private PostgreSQL with fsync on.

The tree's code by itself in processor time; appending at both ends; proofs at full size, each
checked; a whole verification of the record, in both times, with the memory that it took. Then what
witnessing costs a parent, with a broker and daemons beside it.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
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
    append_last_against_first: float
    """Rate of the last 100,000 leaves against the first, by the quicker quarter of their groups:
    what slows down the others is the machine."""
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
            urls = await postgres.create_database("bench")
            await migrate(urls.owner_url, urlsplit(urls.daemon_url).username or "", RELAY)
            await ensure_partitions(urls.owner_url, buckets_ahead(DEFAULT, now(), 1))
            return await _measure(urls, Writer(folder / "at-rest"), leaves)
        finally:
            await postgres.stop()


async def _measure(urls: DatabaseUrls, writer: Writer, leaves: int) -> dict[str, float]:
    archive = PostgresArchive(urls.daemon_url)
    try:
        tails = Tails(await archive.open())
        groups, took_s = await _append(archive, tails, writer, leaves)
        ends = END_LEAVES // GROUP_LEAVES
        ratio = _quick(groups[:ends]) / _quick(groups[-ends:])
        await _add_packets(archive, tails, writer)
    finally:
        await archive.close()
    verification = await _verify(urls, writer)
    async with Notary(urls.daemon_url) as reader:
        inclusion, consistency = await _prove(reader, tails.leaf)
    return {
        "leaves": tails.leaf,
        "packets": PACKETS,
        "tree_leaves_per_cpu_second": _time_tree(min(leaves, 1_000_000)),
        "append_leaves_per_second": round(leaves / took_s),
        "append_last_against_first": round(ratio, 2),
        "inclusion_proof_ms": inclusion,
        "consistency_proof_ms": consistency,
        **verification,
    }


def _time_tree(leaves: int) -> int:
    """Return leaves appended in a second of processor time, tiles included."""
    tree, spent = Tree(), 0.0
    for first in range(0, leaves, GROUP_LEAVES):
        hashes = [leaf_hash(number.to_bytes(8)) for number in range(first, first + GROUP_LEAVES)]
        began = time.process_time()
        tree.extend(hashes)
        spent += time.process_time() - began
    return round(leaves / spent)


async def _append(
    archive: PostgresArchive, tails: Tails, writer: Writer, leaves: int
) -> tuple[list[float], float]:
    """Fill the journal; return the seconds of each group's commit, and all of them together."""
    groups = []
    for _ in range(0, leaves, GROUP_LEAVES):
        batch = Batch(tails, now())
        writer.add_leaves(batch, GROUP_LEAVES)
        began = time.perf_counter()
        await archive.commit(batch.changes)
        groups.append(time.perf_counter() - began)
        batch.adopt()
    return groups, sum(groups)


def _quick(times: list[float]) -> float:
    """Return the time that the quicker quarter keeps to."""
    return statistics.quantiles(times, n=4)[0]


async def _add_packets(archive: PostgresArchive, tails: Tails, writer: Writer) -> None:
    for _ in range(0, PACKETS, GROUP_PACKETS):
        batch = Batch(tails, now())
        writer.add_packets(batch, GROUP_PACKETS, PAYLOAD_BYTES)
        await archive.commit(batch.changes)
        batch.adopt()


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


async def _verify(urls: DatabaseUrls, writer: Writer) -> dict[str, float]:
    """Verify the whole record; return rates by stage and the memory taken."""
    sizes = writer.bytes_written
    before, highest, cpu = _resident_bytes(), 0, {"": time.process_time()}

    def on_progress(stage: str, _done: int, _total: int) -> None:
        nonlocal highest
        highest = max(highest, _resident_bytes())
        cpu[stage] = time.process_time()

    began = time.perf_counter()
    found = await verify(urls.daemon_url, writer.at_rest.open, on_progress)
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
