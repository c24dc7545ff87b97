import pytest

from harness.record_rows import HERE, MONTH, START, outcome, pending_drop
from schemas.header import PART
from schemas.leaves import LeafKind
from schemas.moments import HOUR
from schemas.records import OpenRow
from store.errors import LockHeld
from store.rebuild import Rebuilt, rebuild

NOW = START + HOUR


@pytest.mark.usefixtures("archive")
async def test_rebuild_needs_the_daemon_stopped(record):
    """While a daemon commits, nothing is rebuilt."""
    with pytest.raises(LockHeld):
        await rebuild(record.owner, NOW)


async def test_rebuild_restores_what_is_open(archive, record, superuser, scribe):
    """Open exchanges and held frames come back from the record alone."""
    waiting, done, late, dead = (scribe.send() for _ in range(4))
    scribe.confirm(done)
    scribe.packet_leaf(LeafKind.OVERDUE, late)
    scribe.packet_leaf(LeafKind.EXPIRED, dead)
    received, closed = scribe.receive(), scribe.receive()
    again = scribe.packet(HERE, received.sender, via=HERE, type_="receipt/1", re=received.id)
    scribe.packet_leaf(LeafKind.SENT, again)
    scribe.close(closed)
    held = scribe.quarantine("held", b"early")
    scribe.quarantine("refused", b"bad")
    await archive.commit(scribe.renew())
    await archive.close()
    await superuser.execute("DELETE FROM open_exchange; DELETE FROM held_open")
    done = await rebuild(record.owner, NOW)
    assert done == Rebuilt(documents=2, receipts=1, held=1, drops_removed=0)
    await archive.open(wait=True)
    due = await archive.open_due(NOW, 10)
    assert sorted(due, key=lambda row: row.frame) == [
        OpenRow(waiting.frame, waiting.frame, "receipt", waiting.received, NOW, 0,
                waiting.received + 24 * HOUR),
        OpenRow(late.frame, late.frame, "receipt", late.received, NOW, 0, None),
        OpenRow(again.frame, received.frame, "closing", again.received, NOW, 0, None),
    ]  # fmt: skip
    assert [row.frame for row in await archive.held_all()] == [held.frame]


async def test_parts_wait_for_no_answer(archive, record, scribe):
    """Only the manifest of a large file is answered: its parts are never open."""
    part = scribe.packet(HERE, "kz", via=HERE, type_=PART)
    scribe.packet_leaf(LeafKind.SENT, part)
    came = scribe.packet("kz", HERE, via="kz", type_=PART)
    scribe.packet_leaf(LeafKind.RECEIVED, came)
    await archive.commit(scribe.renew())
    await archive.close()
    assert (await rebuild(record.owner, NOW)).documents == 0


async def test_rebuild_removes_decided_drops(archive, record, superuser, scribe):
    """Drops that are decided go, the others stay."""
    await archive.drop(pending_drop("d-1"))
    await archive.drop(pending_drop("d-2"))
    scribe.changes.drops.append(outcome(pending_drop("d-1")))
    await archive.commit(scribe.renew())
    await superuser.execute(
        "INSERT INTO drop_pending SELECT system, 'd-1', dropped, type, recipient, section, period, "
        "title, re, media_type, bucket, sealed FROM drop_pending WHERE drop_id = 'd-2'"
    )
    assert [drop.drop_id for drop in await archive.pending_drops(10)] == ["d-2"]
    await archive.close()
    assert (await rebuild(record.owner, NOW)).drops_removed == 1
    assert await superuser.fetchval("SELECT array_agg(drop_id) FROM drop_pending") == ["d-2"]


async def test_the_index_over_content_is_emptied(archive, record, superuser, scribe):
    """What finds documents is forgotten whole, and its cursor stands before the first frame."""
    row = scribe.receive()
    await archive.commit(scribe.renew())
    await archive.close()
    bucket = f"R5-{MONTH}"
    await superuser.execute("INSERT INTO finding VALUES ($1, $2, '{1}', '{2}')", row.frame, bucket)
    await superuser.execute("UPDATE finding_cursor SET frame = $1, leaf = 1", row.frame)
    await rebuild(record.owner, scribe.now)
    assert await superuser.fetchval("SELECT count(*) FROM finding") == 0
    assert tuple(await superuser.fetchrow("SELECT frame, leaf FROM finding_cursor")) == (0, -1)
