"""What an act destroyed is no fault; acts, rows, leaves and partitions that differ are."""

import asyncio

import asyncpg
import pytest

from harness.record_rows import MONTH, seal, unseal
from schemas.leaves import LeafKind
from schemas.records import DestroyedRow, PayloadRow
from store.errors import StoreFault, StoreUnavailable
from store.verify import verify

BUCKET = f"R5-{MONTH}"
DIGEST = bytes(32)
ACT = "01a20675-fef0-7a11-8c3e-0d5a4b7f6e21"


def act(scribe, **changes):
    """Return row and leaf of an act on the bucket, as one commit has them."""
    facts = {
        "act": ACT, "bucket": BUCKET, "count": "2", "size": "2000", "proposal": "p",
        "frames_sha256": DIGEST.hex(), **changes,
    }  # fmt: skip
    scribe.leaf(LeafKind.DESTROYED, None, **facts)
    scribe.changes.destroyed = [DestroyedRow(BUCKET, scribe.now, ACT, "p", 2, 2000, DIGEST)]
    return scribe.renew()


async def faults(record, **more):
    found = await verify(record.daemon, unseal, **more)
    return [str(fault) for fault in found.faults], found.counts


@pytest.fixture
async def destroyed(archive, scribe):
    """Lend a record whose bucket is destroyed, but for its partition."""
    for _ in range(2):
        scribe.send()
    await archive.commit(scribe.renew())
    await archive.commit(act(scribe))
    return archive


async def test_what_an_act_destroyed_is_no_fault(destroyed, record):
    """Heads, leaves and the act verify; the payloads are counted as destroyed."""
    assert await destroyed.drop_bucket(BUCKET)
    assert not await destroyed.drop_bucket(BUCKET)
    found, counts = await faults(record)
    assert (found, counts["destroyed"], counts["act"]) == ([], 2, 1)


async def test_a_partition_that_stands_although_an_act_destroyed_it(destroyed, record):
    """What should be gone is named until it is."""
    found, _ = await faults(record)
    what = f"its partition stands, though act {ACT} destroyed it: run the daemon"
    assert found == [f"payload bucket {BUCKET}: {what}"]
    assert await destroyed.payload_buckets() >= {BUCKET}


async def test_only_an_act_lets_a_partition_go(archive, scribe):
    """The daemon's role drops no partition of a bucket that no act destroys."""
    scribe.send()
    await archive.commit(scribe.renew())
    with pytest.raises(StoreFault, match="no act destroys bucket"):
        await archive.drop_bucket(BUCKET)
    assert BUCKET in await archive.payload_buckets()


async def test_an_act_without_its_leaf(archive, superuser, scribe, record):
    """A row that somebody has added destroys nothing rightly."""
    scribe.send()
    await archive.commit(scribe.renew())
    await superuser.execute(
        "INSERT INTO destroyed VALUES ($1, 1, $2, 'p', 1, 1, $3)", BUCKET, ACT, DIGEST
    )
    await archive.drop_bucket(BUCKET)
    found, _ = await faults(record)
    assert found == [
        f"destroyed bucket {BUCKET}: the row was added: no leaf says that it was destroyed"
    ]


async def test_a_leaf_without_its_row(destroyed, superuser, record):
    """An act whose row was deleted is named by its leaf."""
    await destroyed.drop_bucket(BUCKET)
    await superuser.execute("ALTER TABLE destroyed DISABLE TRIGGER ALL; DELETE FROM destroyed")
    found, _ = await faults(record)
    assert f"destroyed bucket {BUCKET}: the row was deleted: leaf 2 (destroyed) names it" in found
    assert f"payload bucket {BUCKET}: its partition is gone, and no act destroyed it" in found


async def test_a_row_that_says_other_than_its_leaf(archive, scribe, record):
    """Count, size, digest, act and proposal are those of the leaf."""
    scribe.send()
    await archive.commit(scribe.renew())
    await archive.commit(act(scribe, count="1"))
    await archive.drop_bucket(BUCKET)
    found, _ = await faults(record)
    assert found == [f"destroyed bucket {BUCKET}: its count is not that of leaf 1"]


async def test_a_payload_in_a_hold_partition_that_no_leaf_moved(archive, scribe, record):
    """What lies under a hold was moved by a leaf that says so."""
    row = scribe.send()
    into = f"{BUCKET}-h1"
    scribe.changes.payloads.append(
        PayloadRow(row.frame, into, seal(into, row.frame_sha256, b"payload"))
    )
    await archive.commit(scribe.renew())
    found, _ = await faults(record)
    assert f"kept frame {row.frame}: no leaf says that it was moved into {into}" in found


async def test_what_the_key_folder_lists_is_no_fault_in_an_older_copy(archive, scribe, record):
    """A record from before the act holds where the keys' own list knows the act."""
    scribe.send()
    await archive.commit(scribe.renew())

    def closed(*_):
        raise ValueError("the key is gone")

    found = await verify(record.daemon, closed, listed={BUCKET: ACT})
    assert (found.faults, found.counts["destroyed"]) == ([], 1)


async def test_what_was_moved_is_read_from_where_it_is(archive, scribe):
    """A moved payload is found in the hold partition, and a destroyed one nowhere."""
    kept, gone = scribe.send(), scribe.send()
    await archive.commit(scribe.renew())
    into = f"{BUCKET}-h1"
    moved = PayloadRow(kept.frame, into, seal(into, kept.frame_sha256, b"moved"))
    scribe.changes.payloads.append(moved)
    scribe.leaf(LeafKind.MOVED, kept.frame, bucket=BUCKET, into=into)
    await archive.commit(act(scribe))
    assert (await archive.stored_frame(kept.frame))[2:] == (into, moved.sealed)
    assert (await archive.stored_frame(gone.frame))[2:] == (BUCKET, None)
    entries = await archive.entries("kz.akmola.burabay/bulk", 1, 0, 10, 10**6)
    assert [entry.sealed for entry in entries] == [moved.sealed, None]
    assert (await archive.destroyed_of([kept.frame, gone.frame])).keys() == {gone.frame}


async def test_a_reader_in_the_way_is_let_through(destroyed, superuser, record):
    """While somebody reads on, the drop gives up at once, and others read; then it goes."""
    other = await asyncpg.connect(record.daemon)
    reading = superuser.transaction()
    await reading.start()
    await superuser.fetch("SELECT count(*) FROM payload")
    began = asyncio.get_running_loop().time()
    with pytest.raises(StoreUnavailable):
        await destroyed.drop_bucket(BUCKET)
    await other.fetch("SELECT count(*) FROM payload")
    assert asyncio.get_running_loop().time() - began < 5
    await reading.commit()
    assert await destroyed.drop_bucket(BUCKET)
    await other.close()
