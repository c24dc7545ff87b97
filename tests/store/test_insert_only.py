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
CHANGES = ["UPDATE {0} SET {1} = {1}", "DELETE FROM {0}", "TRUNCATE {0}"]

_COUNT = "SELECT count(*) FROM {}"
_FIRST_COLUMN = "SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum = 1"
_TRIGGERS = """
SELECT c.relname, count(t.oid) FROM pg_class AS c LEFT JOIN pg_trigger AS t ON t.tgrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') GROUP BY c.relname
"""


@pytest.mark.parametrize("table", [*RECORD_TABLES, PARTITION])
@pytest.mark.parametrize("change", CHANGES)
async def test_daemon_changes_no_record(shared_record, table, change):
    """The daemon's role may not update, delete or truncate any table of the record."""
    daemon = await asyncpg.connect(shared_record.daemon)
    column = await daemon.fetchval(_FIRST_COLUMN, table)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await daemon.execute(change.format(table, column))
    await daemon.close()


async def test_superuser_is_stopped_by_triggers(archive, superuser, scribe):
    """Triggers stop even a superuser, on partitions too."""
    row = scribe.receive()
    scribe.quarantine()
    scribe.note("kz.akmola.burabay/fast", 1)
    for _ in range(260):
        scribe.packet_leaf("received", row)
    await archive.commit(scribe.renew())
    await archive.add_checkpoint(1, 1, "note")
    await archive.take(row.frame, "clerk", 1)
    filled = {
        "packet", "payload", "kept", "leaf", "tile", "entry", "intake", "note", "quarantine",
        "checkpoint", "released", "taken", PARTITION,
    }  # fmt: skip
    for table in [*RECORD_TABLES, PARTITION]:
        before = await superuser.fetchval(_COUNT.format(table))
        column = await superuser.fetchval(_FIRST_COLUMN, table)
        for change in CHANGES if table in filled else CHANGES[2:]:
            with pytest.raises(asyncpg.RestrictViolationError, match="insert-only"):
                await superuser.execute(change.format(table, column))
        assert await superuser.fetchval(_COUNT.format(table)) == before
        assert before > 0 or table not in filled, table


async def test_every_record_table_is_guarded(superuser):
    """No table but the derived ones is without its two triggers."""
    found = {row["relname"]: row["count"] for row in await superuser.fetch(_TRIGGERS)}
    unguarded = {table for table, count in found.items() if count < 2}
    partitions = {table for table in found if table.startswith("finding_")} - {*DERIVED}
    assert unguarded == {*DERIVED, "schema_version", *partitions}
    assert set(found) >= set(RECORD_TABLES)


async def test_derived_tables_change(archive, record):
    """The daemon's role may change what is derived."""
    await archive.drop(pending_drop())
    daemon = await asyncpg.connect(record.daemon)
    for table in DERIVED:
        await daemon.execute(CHANGES[1].format(table))
    await daemon.close()
    assert await archive.pending_drops(10) == []


async def test_refusal_comes_out_as_fault(shared_record):
    """A refused change is our own fault, and halts."""
    with pytest.raises(StoreFault):
        async with session(shared_record.daemon, "test") as connection:
            await connection.execute(CHANGES[1].format("packet"))
