import asyncio

import pytest

from harness.record_rows import HERE, MONTH, PARENT, START, unseal
from schemas.records import PayloadRow
from store.errors import OutcomeUnknown, StoreUnavailable
from store.postgres import Reader

FAST, BULK = f"{PARENT}/fast", f"{PARENT}/bulk"


def name_of(row):
    return (row.sender, row.epoch, row.id)


async def test_known_gives_the_trail(archive, scribe):
    """A packet is known by sender, epoch and id, with its leaves in order."""
    sent, received = scribe.send(), scribe.receive()
    await archive.commit(scribe.renew())
    scribe.confirm(sent)
    await archive.commit(scribe.renew())
    stranger = (sent.sender, 2, sent.id)
    found = await archive.known([name_of(sent), name_of(received), stranger])
    assert set(found) == {name_of(sent), name_of(received)}
    assert found[name_of(sent)].packet == sent
    assert [mark.kind for mark in found[name_of(sent)].marks] == ["sent", "confirmed"]
    assert [mark.kind for mark in found[name_of(received)].marks] == ["received", "released"]
    by_frame = await archive.trail_of_frame([sent.frame, 999])
    assert by_frame == {sent.frame: found[name_of(sent)]}


async def test_nothing_asked_is_nothing_found(archive):
    """Empty questions are answered without asking."""
    assert await archive.known([]) == {}
    assert await archive.trail_of_frame([]) == {}
    assert await archive.numbers_known([]) == {}
    assert await archive.refused_before([]) == {}
    assert await archive.answers_to([]) == []
    assert await archive.places_of([]) == {}


async def test_numbers_known(archive, scribe):
    """A pair's number is known with the digest of the head that bears it."""
    row = scribe.send()
    await archive.commit(scribe.renew())
    known, unknown = (HERE, PARENT, 1, 1), (HERE, PARENT, 1, 2)
    assert await archive.numbers_known([known, unknown]) == {known: row.head_sha256}


async def test_last_seq(archive, scribe):
    """The last number of a pair is the highest, and 0 before the first."""
    for _ in range(3):
        scribe.send()
    await archive.commit(scribe.renew())
    assert await archive.last_seq(PARENT, HERE, 1) == 3
    assert await archive.last_seq(PARENT, HERE, 2) == 0
    assert await archive.last_seq(HERE, PARENT, 1) == 0


async def test_refused_before(archive, scribe):
    """A refused frame is known by all of its bytes, a held one is not refused."""
    refused, held = scribe.quarantine(raw=b"bad"), scribe.quarantine("held", raw=b"early")
    await archive.commit(scribe.renew())
    found = await archive.refused_before([refused.sha256, held.sha256, bytes(32)])
    assert found == {refused.sha256: refused}


async def test_answers_to(archive, scribe):
    """Answers are found by the id that they answer."""
    row = scribe.send()
    receipt = scribe.confirm(row)
    scribe.send()
    await archive.commit(scribe.renew())
    found = await archive.answers_to([row.id, "none"])
    assert found == [receipt]


async def test_entries_join_head_and_payload(archive, scribe):
    """An entry comes with what makes its bytes: head and sealed payload, or object."""
    row = scribe.send()
    scribe.place(BULK, None, b"refusal")
    await archive.commit(scribe.renew())
    first, second = await archive.entries(BULK, 1, 0, 10, 10**6)
    assert (first.number, first.frame, first.size) == (1, row.frame, row.size)
    assert (first.head, first.bucket, first.object) == (row.head, f"R5-{MONTH}", None)
    payload = unseal(first.bucket, first.sha256, first.sealed)
    assert len(first.head + payload) == row.size
    assert (second.number, second.object, second.head) == (2, b"refusal", None)
    assert (second.bucket, second.sealed) == (None, None)


@pytest.mark.parametrize(
    ("after", "count_max", "frames", "numbers"),
    [
        (0, 10, 10.0, [1, 2, 3, 4, 5]),
        (3, 10, 10.0, [4, 5]),
        (5, 10, 10.0, []),
        (0, 2, 10.0, [1, 2]),
        (0, 10, 3.0, [1, 2, 3]),
        (0, 10, 2.9, [1, 2]),
        (0, 10, 0.1, [1]),
        (4, 10, 0.0, [5]),
    ],
)
async def test_entries_stop_at_their_limits(archive, scribe, after, count_max, frames, numbers):
    """Entries come up to a count and a size, but one at least."""
    size = {scribe.send().size for _ in range(5)}.pop()
    await archive.commit(scribe.renew())
    found = await archive.entries(BULK, 1, after, count_max, int(size * frames))
    assert [entry.number for entry in found] == numbers


async def test_destroyed_payload_leaves_the_head(archive, superuser, scribe):
    """Once a partition is dropped, the entry comes with head and bucket, without payload."""
    row = scribe.send()
    await archive.commit(scribe.renew())
    await superuser.execute(f'DROP TABLE "payload_R5-{MONTH}"')
    (entry,) = await archive.entries(BULK, 1, 0, 10, 10**6)
    assert (entry.head, entry.bucket, entry.sealed) == (row.head, f"R5-{MONTH}", None)
    assert await archive.stored_frame(row.frame) == (row, None, f"R5-{MONTH}", None)


async def test_places_and_chains(archive, scribe):
    """A frame's places and a stream's chain values are found again."""
    row = scribe.send()
    scribe.now += 5
    again = scribe.place(BULK, row)
    intake = scribe.take(FAST, b"1" * 32, b"2" * 32)
    await archive.commit(scribe.renew())
    assert await archive.places_of([row.frame, 77]) == {
        row.frame: [(BULK, 1, scribe.now - 5), (BULK, 2, scribe.now)]
    }
    assert await archive.chain_at(BULK, 1, 2) == again.chain
    assert await archive.chain_at(BULK, 1, 3) is None
    assert await archive.chain_at(FAST, 1, 2, incoming=True) == intake.chain
    assert await archive.chain_at(FAST, 1, 1, incoming=True) is None


async def test_stored_frame(archive, scribe):
    """A frame is found whole: as packet, or as what was quarantined."""
    row, refused = scribe.send(), scribe.quarantine(raw=b"bad")
    await archive.commit(scribe.renew())
    packet, quarantined, bucket, sealed = await archive.stored_frame(row.frame)
    assert (packet, quarantined, bucket) == (row, None, f"R5-{MONTH}")
    assert len(unseal(bucket, row.frame_sha256, sealed)) == 1000
    packet, quarantined, bucket, sealed = await archive.stored_frame(refused.frame)
    assert (packet, quarantined, bucket) == (None, refused, f"QRN-{MONTH}")
    assert unseal(bucket, refused.sha256, sealed) == b"bad"
    assert await archive.stored_frame(99) == (None, None, None, None)


async def test_own_class_goes_before_quarantine(archive, scribe):
    """A frame held first and judged later is read from its own retention class."""
    row = scribe.send()
    scribe.changes.payloads.append(PayloadRow(row.frame, f"QRN-{MONTH}", b"whole frame"))
    await archive.commit(scribe.renew())
    assert (await archive.stored_frame(row.frame))[2] == f"R5-{MONTH}"
    (entry,) = await archive.entries(BULK, 1, 0, 10, 10**6)
    assert entry.bucket == f"R5-{MONTH}"


async def test_checkpoints(archive):
    """The newest checkpoint is given; the first of a size stays."""
    assert await archive.last_checkpoint() is None
    await archive.add_checkpoint(5, START, "five")
    await archive.add_checkpoint(9, START + 1, "nine")
    await archive.add_checkpoint(9, START + 2, "again")
    assert await archive.last_checkpoint() == (9, START + 1, "nine")


async def test_reader_beside_the_daemon(archive, record, scribe):
    """A reader needs no lock, and reads what was committed."""
    row = scribe.send()
    await archive.commit(scribe.renew())
    async with Reader(record.daemon) as reader:
        assert list(await reader.known([name_of(row)])) == [name_of(row)]
    with pytest.raises(OutcomeUnknown):
        await reader.held_all()


async def test_lost_reading_connections_are_replaced(archive, superuser, scribe):
    """When the server ended a reading connection, the call may be made again."""
    row = scribe.send()
    await archive.commit(scribe.renew())
    await archive.held_all()
    await superuser.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'bbaj reading' AND datname = current_database()"
    )
    for _ in range(5):
        try:
            found = await archive.known([name_of(row)])
            break
        except StoreUnavailable:
            continue
    assert list(found) == [name_of(row)]


async def test_a_cancel_outlives_a_lost_connection(archive):
    """Who is told to end while its connection goes does end, and takes no other error for it."""
    loop, borrowed = asyncio.get_running_loop(), asyncio.Event()

    async def read() -> None:
        async with archive._reading() as connection:
            borrowed.set()
            try:
                await asyncio.Event().wait()
            finally:
                loop.call_soon(connection.terminate)

    reading = asyncio.create_task(read())
    await borrowed.wait()
    reading.cancel()
    await asyncio.wait({reading})
    assert reading.cancelled()


async def test_payloads_of_many_frames(archive, scribe):
    """Each from the bucket that a single read takes; what is no packet, or lost, is left out."""
    rows = [scribe.send(class_=class_) for class_ in ("R5", "N5", "R5")]
    refused = scribe.quarantine(raw=b"bad")
    scribe.changes.payloads.append(PayloadRow(rows[0].frame, f"QRN-{MONTH}", b"whole frame"))
    lost = scribe.send()
    scribe.changes.payloads.pop()
    await archive.commit(scribe.renew())
    found = await archive.payloads_of([*(row.frame for row in rows), refused.frame, lost.frame, 99])
    assert found == {row.frame: (await archive.stored_frame(row.frame))[2:] for row in rows}
    assert await archive.payloads_of([]) == {}
