import asyncio

import asyncpg
import msgspec

from harness.record_rows import START, outcome, pending_drop
from schemas.records import LinkMark
from store.postgres import Desk


async def test_drop_waits_until_decided(archive, scribe):
    """A dropped document waits, once, until its outcome is committed."""
    document = pending_drop()
    assert await archive.drop(document) is True
    assert await archive.drop(document) is False
    assert await archive.pending_drops(10) == [document]
    decided = outcome(document, scribe.send().frame)
    scribe.changes.drops.append(decided)
    await archive.commit(scribe.renew())
    assert await archive.pending_drops(10) == []
    assert await archive.drop_outcome("sis", "d-1") == decided
    assert await archive.drop(document) == decided
    assert await archive.pending_drops(10) == []


async def test_drop_can_fail(archive, scribe):
    """A drop may end as a fault that the local system must mend."""
    scribe.changes.drops.append(outcome(pending_drop(), None, "unknown type"))
    await archive.commit(scribe.renew())
    assert (await archive.drop_outcome("sis", "d-1")).fault == "unknown type"
    assert await archive.drop_outcome("sis", "d-2") is None
    assert list(await archive.drop_outcomes([("sis", "d-2"), ("sis", "d-1")])) == [("sis", "d-1")]


async def test_drops_come_oldest_first(archive):
    """Documents are taken up in the order in which they were handed over."""
    for number, dropped in ((1, 30), (2, 10), (3, 20)):
        await archive.drop(pending_drop(f"d-{number}", now=dropped))
    assert [drop.drop_id for drop in await archive.pending_drops(2)] == ["d-2", "d-3"]


async def test_what_awaits_a_card_stands_in_nobodys_way(archive, scribe):
    """It is left out until its recipient is said to be ready; the others come as before."""
    waiting, other = pending_drop("d-1", now=START), pending_drop("d-2", now=START + 1)
    marked = msgspec.structs.replace(waiting, awaits="card")
    await archive.drop(other)
    scribe.changes.waiting.append(marked)
    await archive.commit(scribe.renew())
    assert await archive.pending_drops(10) == [other]
    assert await archive.awaited_recipients() == [(waiting.recipient, "card")]
    assert await archive.awaited_by("sis", "d-1") == "card"
    assert await archive.pending_drops(10, [waiting.recipient]) == [marked, other]
    scribe.changes.drops.append(outcome(waiting))
    await archive.commit(scribe.renew())
    assert await archive.awaited_recipients() == []


async def test_what_was_handed_over_is_marked_as_waiting(archive, scribe):
    """A drop that is pending already keeps its row, and gets its mark."""
    document = pending_drop()
    await archive.drop(document)
    scribe.changes.waiting.append(msgspec.structs.replace(document, awaits="card", sealed=b"anew"))
    await archive.commit(scribe.renew())
    marked = msgspec.structs.replace(document, awaits="card")
    assert await archive.pending_drops(10, [document.recipient]) == [marked]


async def test_packets_that_no_drop_became(archive, scribe):
    """Of a route and type, of earlier epochs alone, the newest first."""
    first, claimed, last = scribe.send(), scribe.send(), scribe.send()
    scribe.changes.drops.append(outcome(pending_drop(), claimed.frame))
    await archive.commit(scribe.renew())
    route = (last.sender, last.recipient, last.type)
    assert await archive.unclaimed(*route, 2, 10) == [last, first]
    assert await archive.unclaimed(*route, 2, 1) == [last]
    assert await archive.unclaimed(*route, 1, 10) == []
    assert await archive.unclaimed(last.sender, last.recipient, "admin.order/1", 2, 10) == []


async def test_drop_repeated_during_its_commit(archive, record):
    """A drop repeated while its outcome is being committed is not handed over again."""
    document = pending_drop()
    await archive.drop(document)
    decided = outcome(document)
    other = await asyncpg.connect(record.daemon)
    async with Desk(record.daemon) as desk, asyncio.TaskGroup() as tasks:
        async with other.transaction():
            await other.execute("DELETE FROM drop_pending")
            await other.execute(
                "INSERT INTO drop_outcome VALUES ('sis', 'd-1', 1, NULL, $1)", decided.decided
            )
            again = tasks.create_task(desk.drop(document))
            await asyncio.sleep(0.2)
            assert not again.done()
        assert await again == decided
    await other.close()
    assert await archive.pending_drops(10) == []


async def test_inbox_is_taken_once(archive, scribe):
    """A released packet is taken exactly once, however many try."""
    row, later = scribe.receive(), scribe.receive()
    await archive.commit(scribe.renew())
    assert [item.packet for item in await archive.inbox("sis")] == [row, later]
    assert await archive.inbox("other") == []
    takers = [archive.take(row.frame, f"clerk {number}", START) for number in range(8)]
    assert sorted(await asyncio.gather(*takers)) == [False] * 7 + [True]
    assert [item.packet for item in await archive.inbox()] == [later]
    taken, waiting = await archive.inbox("sis", include_taken=True)
    assert (taken.taken, taken.by[:5], waiting.taken) == (START, "clerk", None)
    assert [item.packet for item in await archive.inbox(after_frame=row.frame)] == [later]


async def test_only_released_packets_are_taken(archive, scribe):
    """What was not released can't be taken."""
    row = scribe.send()
    await archive.commit(scribe.renew())
    assert await archive.take(row.frame, "clerk", START) is False


async def test_link_marks(archive):
    """The newest mark of each link counts, whatever its time."""
    suspended = LinkMark("kz.a", START, "suspended", "fork")
    lifted = LinkMark("kz.a", START, "lifted", "agreed")
    other = LinkMark("kz.b", START, "suspended", "quota")
    for mark in (suspended, other, lifted):
        await archive.mark_link(mark)
    assert await archive.link_marks() == {"kz.a": lifted, "kz.b": other}
