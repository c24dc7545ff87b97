import asyncio
import time

import asyncpg
import pytest

from harness.record_rows import CERTIFICATE, HERE, PARENT, START, Scribe, pending_drop
from schemas.leaves import LeafKind
from schemas.records import (
    CertificateRow,
    CrlRow,
    HeldRow,
    IncidentRow,
    OpenRow,
    PayloadRow,
    StreamTail,
)
from store.errors import (
    BucketDestroyed,
    LockHeld,
    OutcomeUnknown,
    PartitionMissing,
    RecordConflict,
    StoreFault,
    StoreMisfit,
)
from store.merkle import inclusion_holds, leaf_hash, root_of
from store.postgres import PostgresArchive

_COUNT = "SELECT count(*) FROM {}"
FAST, BULK = f"{PARENT}/fast", f"{PARENT}/bulk"


async def count(superuser, table):
    return await superuser.fetchval(_COUNT.format(table))


async def backend_of(superuser, name="bbaj sequencer"):
    return await superuser.fetchval(
        "SELECT pid FROM pg_stat_activity WHERE application_name = $1 "
        "AND datname = current_database()",
        name,
    )


async def until(condition):
    """Wait until an awaitable condition holds."""
    ends = time.monotonic() + 20
    while not (found := await condition()):
        assert time.monotonic() < ends
        await asyncio.sleep(0.01)
    return found


async def test_new_record_stands_at_nothing(record):
    """A new record has no frames, leaves or streams."""
    archive = PostgresArchive(record.daemon)
    position = await archive.open()
    await archive.close()
    assert (position.address, position.epoch, position.last_frame) == (HERE, 1, 0)
    assert (position.leaves, position.last_leaf_at) == (0, 0)
    assert (position.outgoing, position.cursors, position.incoming) == ({}, {}, {})


async def test_position_is_found_again(archive, scribe):
    """After a restart the record stands where the last commit left it."""
    scribe.receive()
    scribe.send()
    scribe.send()
    scribe.quarantine()
    scribe.note(BULK, 2)
    scribe.note(BULK, 1)
    scribe.take("kz.other/fast", b"1" * 32, b"2" * 32)
    committed = await archive.commit(scribe.renew())
    position = await archive.open()
    assert position.last_frame == scribe.frame == 5
    assert position.leaves == committed.leaves == scribe.leaves
    assert position.last_leaf_at == scribe.now - 2
    assert position.outgoing == {name: StreamTail(*tail) for name, tail in scribe.tails.items()}
    assert position.cursors == {BULK: 1, FAST: 0}
    assert position.incoming == {name: StreamTail(*tail) for name, tail in scribe.taken.items()}


async def test_incoming_tail_is_of_the_newest_epoch(archive, scribe):
    """A neighbour's new epoch begins its stream anew."""
    scribe.take(BULK, b"1" * 32, b"2" * 32)
    scribe.changes.intakes.append(
        type(scribe.changes.intakes[0])(BULK, 2, 1, 1, b"c" * 32, scribe.now)
    )
    await archive.commit(scribe.renew())
    position = await archive.open()
    assert position.incoming == {BULK: StreamTail(1, b"c" * 32, 2)}


async def test_root_is_that_of_the_leaves(archive, scribe):
    """Commits return the RFC 6962 root over all leaves, across tiles and restarts."""
    hashes = []
    for width in (1, 254, 1, 1, 300, 700):
        for _ in range(width):
            scribe.leaf(LeafKind.OPERATOR, None, who="clerk", what="test")
        hashes += [leaf_hash(leaf.record) for leaf in scribe.changes.leaves]
        committed = await archive.commit(scribe.renew())
        assert (committed.leaves, committed.root) == (len(hashes), root_of(hashes))
        await archive.open()
    assert await archive.root_at(500) == root_of(hashes[:500])
    proof = await archive.inclusion_proof(3, 1000)
    assert inclusion_holds(3, 1000, hashes[3], proof, root_of(hashes[:1000]))
    assert len(await archive.consistency_proof(300, 1257)) > 0


async def test_leaf_indexes_follow(archive, scribe):
    """A leaf that leaves a gap is a bug of ours, and stores nothing."""
    scribe.leaves = 1
    scribe.leaf(LeafKind.OPERATOR, None, who="clerk", what="test")
    with pytest.raises(AssertionError):
        await archive.commit(scribe.renew())
    assert (await archive.open()).leaves == 0


async def test_conflict_stores_nothing(archive, superuser, scribe):
    """A name that is there already fails the whole commit, which may be made anew."""
    first = scribe.send()
    await archive.commit(scribe.renew())
    before = await archive.leaf_count()
    second = scribe.send()
    changes = scribe.renew()
    double = type(second)(
        **{
            name: getattr(first if name in {"id", "sender", "epoch"} else second, name)
            for name in second.__struct_fields__
        }
    )
    changes.packets = [double]
    with pytest.raises(RecordConflict, match="packet_name"):
        await archive.commit(changes)
    assert await count(superuser, "packet") == 1
    assert await archive.leaf_count() == before
    changes.packets = [second]
    assert (await archive.commit(changes)).leaves == before + 1


async def test_number_can_be_used_once(archive, scribe):
    """A number of a pair of addresses belongs to one packet."""
    scribe.send()
    await archive.commit(scribe.renew())
    scribe.seqs.clear()
    scribe.send()
    with pytest.raises(RecordConflict, match="packet_seq"):
        await archive.commit(scribe.renew())


async def test_a_missing_partition_is_made(archive, superuser, scribe):
    """A late report's bucket needs no operator, and no right of the daemon to make tables."""
    row = scribe.send()
    changes = scribe.renew()
    changes.payloads = [PayloadRow(row.frame, "R5-2019-08", b"sealed")]
    await archive.commit(changes)
    assert (await archive.stored_frame(row.frame))[2:] == ("R5-2019-08", b"sealed")
    assert await count(superuser, '"payload_R5-2019-08"') == 1


async def test_a_destroyed_bucket_takes_nothing(archive, superuser, scribe):
    """Whatever was loaded before: its partition never comes back."""
    await superuser.execute(
        "INSERT INTO destroyed VALUES ('R5-2019-08', 1, 'act', 'proposal', 1, 1, $1)", bytes(32)
    )
    row = scribe.send()
    changes = scribe.renew()
    changes.payloads = [PayloadRow(row.frame, "R5-2019-08", b"sealed")]
    with pytest.raises(BucketDestroyed, match="R5-2019-08"):
        await archive.commit(changes)
    assert await count(superuser, "packet") == 0


async def test_a_partition_taken_away_is_named(archive, superuser, scribe):
    """Then nothing is stored; with the record opened anew it is made again."""
    row = scribe.send()
    changes = scribe.renew()
    changes.payloads = [PayloadRow(row.frame, "R5-2026-11", b"sealed")]
    await superuser.execute('DROP TABLE "payload_R5-2026-11", "finding_R5-2026-11"')
    with pytest.raises(PartitionMissing, match=r"R5-2026-11") as caught:
        await archive.commit(changes)
    assert caught.value.bucket == "R5-2026-11"
    assert await count(superuser, "packet") == 0
    await archive.open()
    await archive.commit(changes)
    assert await count(superuser, "packet") == 1


async def test_bad_value_is_a_fault(archive, scribe):
    """A value that a column does not take is a bug of ours; the session goes on."""
    scribe.changes.incidents.append(IncidentRow(START, None, PARENT, "", None))
    with pytest.raises(StoreFault):
        await archive.commit(scribe.renew())
    scribe.changes.incidents.append(IncidentRow("soon", "kind", PARENT, "", None))
    with pytest.raises(TypeError):
        await archive.commit(scribe.renew())
    scribe.changes.incidents.append(IncidentRow(START, "fork", PARENT, "", None))
    await archive.commit(scribe.renew())


async def test_open_rows_are_put_and_closed(archive, scribe):
    """Open exchanges are inserted, replaced by frame, and removed by what they are about."""
    one, two = scribe.send(), scribe.send()
    await archive.commit(scribe.renew())
    later = OpenRow(one.frame, one.frame, "receipt", START, START + 9, 1, None)
    scribe.changes.open += [OpenRow(one.frame, one.frame, "receipt", START, 5, 1, None), later]
    scribe.changes.closed.append(two.frame)
    await archive.commit(scribe.renew())
    assert await archive.open_due(START + 9, 10) == [later]
    assert await archive.open_due(START + 8, 10) == []


async def test_removal_comes_before_put(archive, scribe):
    """One commit may close an exchange's row and open another for the same exchange."""
    row = scribe.receive()
    await archive.commit(scribe.renew())
    anew = OpenRow(99, row.frame, "closing", START, START, 1, None)
    scribe.changes.closed.append(row.frame)
    scribe.changes.open.append(anew)
    await archive.commit(scribe.renew())
    assert await archive.open_due(START * 2, 10) == [anew]


async def test_held_rows_go_when_judged(archive, scribe):
    """A held frame is listed with its size until it is judged."""
    one, two = scribe.quarantine("held", b"one"), scribe.quarantine("held", b"three")
    await archive.commit(scribe.renew())
    assert [row.frame for row in await archive.held_all()] == [one.frame, two.frame]
    assert await archive.held_bytes(PARENT) == 8
    scribe.changes.judged += [one.frame, two.frame]
    scribe.changes.held.append(HeldRow(two.frame, PARENT, "crl", CERTIFICATE, START))
    await archive.commit(scribe.renew())
    assert [row.missing for row in await archive.held_all()] == ["crl"]
    assert await archive.held_bytes(PARENT) == 5
    assert await archive.held_bytes("kz.other") == 0


async def test_certificates_are_learned_once(archive, scribe):
    """A certificate or CRL that is known already is no conflict; the newest CRL is given."""
    for number in (1, 2, 2**159):
        scribe.changes.crls.append(
            CrlRow(bytes([number % 251]) * 32, "CN=x", number, b"crl", START)
        )
    scribe.changes.crls.append(CrlRow(b"y" * 32, "CN=y", 1, b"crl", START))
    scribe.changes.certificates += [CertificateRow(b"s" * 32, b"der", START)] * 2
    await archive.commit(scribe.renew())
    scribe.changes.certificates.append(CertificateRow(b"s" * 32, b"der", START + 1))
    await archive.commit(scribe.renew())
    assert await archive.certificates() == [CertificateRow(b"s" * 32, b"der", START)]
    assert [(row.issuer, row.number) for row in await archive.crls()] == [
        ("CN=x", 2**159),
        ("CN=y", 1),
    ]
    assert len(await archive.crls(every=True)) == 4


@pytest.mark.usefixtures("archive")
async def test_second_daemon_is_kept_out(record):
    """While one daemon commits, another one can't."""
    with pytest.raises(LockHeld):
        await PostgresArchive(record.daemon).open()


async def test_standby_takes_over(archive, record, scribe):
    """A second daemon waits, and stands where the first one stopped."""
    scribe.send()
    standby = PostgresArchive(record.daemon)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(standby.open(wait=True))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await archive.commit(scribe.renew())
        await archive.close()
    assert waiting.result().last_frame == 1
    scribe.send()
    await standby.commit(scribe.renew())
    await standby.close()


async def test_standby_holds_back_no_vacuum(archive, record, superuser):
    """A waiting daemon keeps no snapshot."""
    standby = PostgresArchive(record.daemon)
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(standby.open(wait=True))
        await until(lambda: superuser.fetchval(
            "SELECT count(*) = 2 FROM pg_stat_activity WHERE application_name = 'bbaj sequencer' "
            "AND datname = current_database() AND state = 'idle' AND backend_xmin IS NULL"
        ))  # fmt: skip
        await archive.close()
        await waiting
    await standby.close()


@pytest.mark.parametrize("table", ["packet", "leaf", "entry", "open_exchange"])
async def test_killed_within_a_commit(archive, record, superuser, scribe, table):
    """A connection killed in the middle leaves nothing, and only `open` goes on."""
    scribe.send()
    await archive.commit(scribe.renew())
    scribe.send()
    changes = scribe.renew()
    other = await asyncpg.connect(record.superuser)
    async with asyncio.TaskGroup() as tasks, other.transaction():
        await other.execute(f"LOCK {table} IN EXCLUSIVE MODE")
        commit = tasks.create_task(_outcome(archive.commit(changes)))
        await until(
            lambda: superuser.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        )
        await superuser.execute("SELECT pg_terminate_backend($1)", await backend_of(superuser))
        assert isinstance(await commit, OutcomeUnknown)
    await other.close()
    for call in (archive.commit(changes), archive.held_all(), archive.known([("a", 1, "b")])):
        with pytest.raises(OutcomeUnknown):
            await call
    position = await archive.open(wait=True)
    assert (position.last_frame, position.leaves) == (1, 1)
    assert (await archive.commit(changes)).leaves == 2


async def _outcome(call):
    try:
        return await call
    except OutcomeUnknown as error:
        return error


async def test_killed_between_commits(archive, superuser, scribe):
    """A connection killed while idle is found lost by the next commit, which is not there."""
    for _attempt in range(10):
        scribe.send()
        changes, before = scribe.renew(), await archive.leaf_count()
        await superuser.execute("SELECT pg_terminate_backend($1)", await backend_of(superuser))
        with pytest.raises(OutcomeUnknown):
            await archive.commit(changes)
        assert (await archive.open(wait=True)).leaves == before
        await archive.commit(changes)


async def test_killed_at_random(record, superuser, scribe):
    """Wherever the connection is killed, a commit is there whole or not at all."""
    archive = PostgresArchive(record.daemon)
    await archive.open()
    seen = set()
    for attempt in range(30):
        for _ in range(20):
            scribe.send()
        changes, before = scribe.renew(), (await archive.leaf_count())
        async with asyncio.TaskGroup() as tasks:
            commit = tasks.create_task(_outcome(archive.commit(changes)))
            await asyncio.sleep(attempt * 0.0002)
            await superuser.execute("SELECT pg_terminate_backend($1)", await backend_of(superuser))
        position = await archive.open(wait=True)
        seen.add(position.leaves - before)
        assert position.leaves in {before, before + 20}
        assert await count(superuser, "payload") == position.leaves == position.last_frame
        assert position.leaves == before + 20 or isinstance(commit.result(), OutcomeUnknown)
        if position.leaves == before:
            await archive.commit(changes)
    await archive.close()
    assert seen <= {0, 20}


async def test_cancelled_commit_closes_the_archive(archive, record, scribe):
    """A commit cancelled from outside leaves its outcome open."""
    scribe.send()
    other = await asyncpg.connect(record.superuser)
    async with other.transaction():
        await other.execute("LOCK entry IN EXCLUSIVE MODE")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await archive.commit(scribe.renew())
    await other.close()
    with pytest.raises(OutcomeUnknown):
        await archive.held_all()
    assert (await archive.open(wait=True)).leaves == 0


async def test_warning_with_commit_is_unknown(archive, superuser, scribe):
    """A commit whose wait for the standby was cancelled is neither yes nor no."""
    scribe.send()
    try:
        await superuser.execute("ALTER SYSTEM SET synchronous_standby_names = 'absent'")
        await superuser.execute("SELECT pg_reload_conf()")
        await until(lambda: superuser.fetchval(
            "SELECT current_setting('synchronous_standby_names') = 'absent'"
        ))  # fmt: skip
        async with asyncio.TaskGroup() as tasks:
            commit = tasks.create_task(_outcome(archive.commit(scribe.renew())))
            await until(lambda: superuser.fetchval(
                "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep')"
            ))  # fmt: skip
            await superuser.execute("SELECT pg_cancel_backend($1)", await backend_of(superuser))
        assert isinstance(commit.result(), OutcomeUnknown)
    finally:
        await superuser.execute("ALTER SYSTEM RESET synchronous_standby_names")
        await superuser.execute("SELECT pg_reload_conf()")
    with pytest.raises(OutcomeUnknown):
        await archive.commit(scribe.renew())
    assert (await archive.open(wait=True)).leaves == 1


async def test_open_refuses_loose_commits(record, superuser):
    """A server that answers commits before they are on disk is not written to."""
    await superuser.execute(f"ALTER DATABASE {record.name} SET synchronous_commit = off")
    with pytest.raises(StoreMisfit, match="synchronous_commit"):
        await PostgresArchive(record.daemon).open()


async def test_open_reads_little(record, superuser, scribe):
    """Opening a record reads no table from end to end."""
    archive = PostgresArchive(record.daemon)
    await archive.open()
    for at in range(1500):
        scribe.relay(f"kz.a{at % 7}", "kz", f"kz.n{at % 40}/bulk")
        if at % 100 == 0:
            scribe.note(f"kz.n{at % 40}/bulk", 1)
            scribe.take(f"kz.m{at % 30}/bulk", bytes(32))
    await archive.commit(scribe.renew())
    await superuser.execute("ANALYZE")
    scans = "SELECT sum(seq_scan) FROM pg_stat_user_tables WHERE relname = ANY ($1)"
    tables = ["packet", "leaf", "entry", "note", "intake", "quarantine", "kept", "tile"]
    before = await superuser.fetchval(scans, tables)
    position = await archive.open(wait=True)
    await archive.close()
    assert len(position.outgoing) == 40
    await asyncio.sleep(0.1)
    await superuser.execute("SELECT pg_stat_clear_snapshot()")
    assert await superuser.fetchval(scans, tables) == before


async def test_wakes_on_drop(record):
    """A document handed over by command wakes the daemon."""
    woken = asyncio.Event()
    archive = PostgresArchive(record.daemon)
    archive.wake_on_drop(woken.set)
    await archive.open()
    await archive.drop(pending_drop())
    async with asyncio.timeout(10):
        await woken.wait()
    await archive.close()


@pytest.mark.slow
async def test_pace(record):
    """Packets of 1 KB are committed at 6,000 a second and more, in groups of 256."""
    archive = PostgresArchive(record.daemon)
    await archive.open()
    scribe, groups = Scribe(), []
    for _ in range(40):
        for at in range(256):
            scribe.relay(f"kz.akmola.s{at}", "kz", "kz/bulk")
        groups.append(scribe.renew())
    began = time.perf_counter()
    for changes in groups:
        await archive.commit(changes)
    pace = 40 * 256 / (time.perf_counter() - began)
    await archive.close()
    assert pace > 6000
