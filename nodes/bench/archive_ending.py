"""Destroys a bucket step by step as the daemon does, while a reader reads on (clause 23)."""

import asyncio
import contextlib
import statistics
from collections.abc import AsyncIterator, Iterator
from time import perf_counter

import msgspec

from exchange.acts import MOVED_A_BATCH
from exchange.batch import Batch
from exchange.destroying import FOREVER
from exchange.identity import new_packet_id
from exchange.undertaking import AGAIN_S
from nodes.bench.archive_load import Loader
from nodes.clock import now
from schemas.buckets import hold_bucket
from schemas.leaves import LeafKind
from schemas.moments import format_instant
from schemas.records import BucketContent, DestroyedRow
from signing.at_rest import AtRest
from store.errors import StoreUnavailable
from store.postgres.session import session
from store.reading import Reading

WATCHED_S = 3.0
STRIDE = 7919

_LARGEST = """
SELECT substr(c.relname, length('payload_') + 1)
FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'payload'::regclass ORDER BY pg_total_relation_size(c.oid) DESC LIMIT 1
"""


class Ending(msgspec.Struct, frozen=True):
    """What a destruction took."""

    packets: int
    took_s: float
    """From looking at the bucket once more to the last byte of it."""
    dropped_s: float
    """The partitions alone, the wait for readers included."""
    reader_median_ms: float
    reader_longest_ms: float
    reader_longest_before_ms: float
    """While nothing was destroyed."""


async def destroy_largest(
    owner_url: str, daemon_url: str, loader: Loader, keys: AtRest, watched_s: float = WATCHED_S
) -> Ending:
    """Destroy the bucket with the most in it; the reader is watched so long before that."""
    async with session(owner_url, "bbaj bench") as connection:
        bucket: str = await connection.fetchval(_LARGEST)
    keys.ensure(bucket)
    frames = _frames(loader.tails.frame)
    async with Reading(daemon_url) as desk:
        async with _reader(desk, frames) as before:
            await asyncio.sleep(watched_s)
        async with _reader(desk, frames) as during:
            began = perf_counter()
            content = await _act(loader, bucket)
            dropped_s = await _lay_to_rest(loader, bucket, keys)
            took_s = perf_counter() - began
    return Ending(
        packets=content.packets,
        took_s=round(took_s, 2),
        dropped_s=round(dropped_s, 2),
        reader_median_ms=round(statistics.median(during), 2),
        reader_longest_ms=round(max(during), 1),
        reader_longest_before_ms=round(max(before), 1),
    )


def _frames(last: int) -> Iterator[int]:
    """Yield frames all over the record, without end."""
    number = 0
    while True:
        number += STRIDE
        yield 1 + number % last


@contextlib.asynccontextmanager
async def _reader(desk: Reading, frames: Iterator[int]) -> AsyncIterator[list[float]]:
    """Have somebody open packets; the list fills with the milliseconds that each one took.

    The first one has been read when the block begins.
    """
    took: list[float] = []
    is_reading = asyncio.Event()

    async def read_on() -> None:
        for frame in frames:
            began = perf_counter()
            await desk.stored_frame(frame)
            took.append((perf_counter() - began) * 1e3)
            is_reading.set()

    async with asyncio.TaskGroup() as group:
        reading = group.create_task(read_on())
        try:
            await is_reading.wait()
            yield took
        finally:
            reading.cancel()


async def _act(loader: Loader, bucket: str) -> BucketContent:
    """Ask of the record what an act asks, and commit the row and the leaf that destroy."""
    archive, tails = loader.archive, loader.tails
    content = await archive.bucket_content(bucket)
    cursors = {stream: tail.number for stream, tail in tails.streams.items()}
    await archive.still_needed(bucket, cursors)
    await archive.kept_apart(bucket, FOREVER, hold_bucket(bucket, 1), MOVED_A_BATCH)
    batch = Batch(tails, now())
    act = new_packet_id(batch.now)
    row = DestroyedRow(
        bucket, batch.now, act, act, content.packets, content.size, content.frames_sha256
    )
    batch.changes.destroyed.append(row)
    batch.append_leaf(
        LeafKind.DESTROYED,
        None,
        act=act,
        bucket=bucket,
        count=str(row.packets),
        size=str(row.size),
        frames_sha256=row.frames_sha256.hex(),
        proposal=row.proposal,
    )
    await archive.commit(batch.changes)
    batch.adopt()
    return content


async def _lay_to_rest(loader: Loader, bucket: str, keys: AtRest) -> float:
    """Destroy key and partitions, once more where readers are in the way; return the seconds."""
    [done] = await loader.archive.destroyed()
    await asyncio.to_thread(keys.destroy, bucket, done.act, format_instant(done.at))
    began = perf_counter()
    while True:
        try:
            await loader.archive.drop_bucket(bucket)
        except StoreUnavailable:
            await asyncio.sleep(AGAIN_S)
        else:
            return perf_counter() - began
