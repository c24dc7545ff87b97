import asyncpg
import pytest
from harness.record_rows import MONTH, pending_drop

from store.errors import StoreFault
from store.migrate import DERIVED
from store.postgres.session import session

RECORD_TABLES = [
    "identity", "packet", "payload", "kept", "leaf", "tile", "entry", "intake", "note",
    "quarantine", "incident", "certificate", "crl", "checkpoint", "drop_outcome", "released",
    "taken", "link_mark",
]  # fmt: skip
PARTITION = f'"payload_R5-{MONTH}"'


async def full(archive, scribe):
    """Put a row at least into the tables that packets touch."""
    row = scribe.receive()
    scribe.quarantine()
    scribe.note("kz.akmola.burabay/fast", 1)
    for _ in range(260):
        scribe.packet_leaf("received", row)
    await archive.commit(scribe.renew())
    await archive.add_checkpoint(1, 1, "note")
    await archive.take(row.frame, "clerk", 1)


@pytest.mark.parametrize("table", [*RECORD_TABLES, PARTITION])
@pytest.mark.parametrize("how", ["UPDATE {0} SET {1} = {1}", "DELETE FROM {0}", "TRUNCATE {0}"])
async def test_daemon_changes_no_record(record, superuser, table, how):
    """The daemon's role may not update, delete or truncate any table of the record."""
    column = await superuser.fetchval(
        "SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum = 1", table
    )
    daemon = await asyncpg.connect(record.daemon)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await daemon.execute(how.format(table, column))
    await daemon.close()


@pytest.mark.parametrize("table", ["packet", "payload", "leaf", "entry", "quarantine", "released",
                                   "kept", "checkpoint", "taken", "tile", "note", PARTITION])  # fmt: skip
async def test_superuser_is_stopped_by_triggers(archive, superuser, scribe, table):
    """Triggers stop even a superuser, on partitions too."""
    await full(archive, scribe)
    before = await superuser.fetchval(f"SELECT count(*) FROM {table}")
    assert before > 0
    column = await superuser.fetchval(
        "SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum = 1", table
    )
    for text in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}",
                 f"TRUNCATE {table}"):  # fmt: skip
        with pytest.raises(asyncpg.RestrictViolationError, match="insert-only"):
            await superuser.execute(text)
    assert await superuser.fetchval(f"SELECT count(*) FROM {table}") == before


async def test_every_record_table_is_guarded(superuser):
    """No table but the derived ones is without its two triggers."""
    found = await superuser.fetch(
        "SELECT c.relname, count(t.oid) FROM pg_class AS c "
        "LEFT JOIN pg_trigger AS t ON t.tgrelid = c.oid "
        "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') "
        "GROUP BY c.relname"
    )
    unguarded = {row["relname"] for row in found if row["count"] < 2}
    assert unguarded == {*DERIVED, "schema_version"}
    assert {row["relname"] for row in found} >= set(RECORD_TABLES)


async def test_derived_tables_change(archive, record):
    """The daemon's role may change what is derived."""
    await archive.drop(pending_drop())
    daemon = await asyncpg.connect(record.daemon)
    for table in DERIVED:
        await daemon.execute(f"DELETE FROM {table}")
    await daemon.close()
    assert await archive.pending_drops(10) == []


async def test_refusal_comes_out_as_fault(record):
    """A refused change is our own fault, and halts."""
    with pytest.raises(StoreFault):
        async with session(record.daemon, "test") as connection:
            await connection.execute("DELETE FROM packet")
