import asyncpg
import msgspec
import pytest

from harness.record_rows import HERE, MONTH
from store.errors import StoreMisfit, StoreUnavailable
from store.migrate import ensure_partitions, migrate, partition_of
from store.migrations import all_migrations
from store.postgres import PostgresArchive
from store.postgres.rows import TABLES, columns

_COLUMNS = """
SELECT column_name FROM information_schema.columns
WHERE table_schema = 'public' AND table_name = $1 ORDER BY ordinal_position
"""


async def test_migrates_an_empty_database(empty_database):
    """An empty database gets every step, and an archive can be opened on it."""
    done = await migrate(empty_database.owner, "daemon", HERE, epoch=3)
    assert done == [step.name for step in all_migrations()]
    archive = PostgresArchive(empty_database.daemon)
    position = await archive.open()
    await archive.close()
    assert (position.address, position.epoch, position.leaves) == (HERE, 3, 0)


async def test_migrating_again_changes_nothing(record):
    """A second run takes no step."""
    assert await migrate(record.owner, "daemon", HERE) == []


async def test_refuses_another_address(record):
    """A database stays with the address that it was made for."""
    with pytest.raises(StoreMisfit, match=HERE):
        await migrate(record.owner, "daemon", "kz.akmola")


async def test_refuses_reworded_step(record, superuser):
    """A database whose step had another wording is not touched."""
    await superuser.execute("UPDATE schema_version SET digest = ''")
    with pytest.raises(StoreMisfit, match="another wording"):
        await migrate(record.owner, "daemon", HERE)


async def test_refuses_newer_schema(record, superuser):
    """An older program leaves a newer schema alone, and does not open it."""
    await superuser.execute("INSERT INTO schema_version VALUES (99, 'later', '')")
    with pytest.raises(StoreMisfit, match="newer than this program"):
        await migrate(record.owner, "daemon", HERE)
    with pytest.raises(StoreMisfit, match="schema version 99"):
        await PostgresArchive(record.daemon).open()


async def test_open_needs_a_schema(empty_database):
    """An archive is not opened on a database that was never migrated."""
    with pytest.raises(StoreMisfit, match="bbaj store migrate"):
        await PostgresArchive(empty_database.daemon).open()


@pytest.mark.parametrize("row_type", TABLES, ids=lambda row_type: row_type.__name__)
async def test_columns_are_fields(shared_record, row_type: type[msgspec.Struct]):
    """A table's columns begin with the fields of its row, in order."""
    superuser = await asyncpg.connect(shared_record.superuser)
    found = [row["column_name"] for row in await superuser.fetch(_COLUMNS, TABLES[row_type])]
    await superuser.close()
    assert tuple(found[: len(columns(row_type))]) == columns(row_type)


async def test_partitions_are_made_once(record):
    """Only where they are missing."""
    buckets = [f"R5-{MONTH}", "R5-2027-08", "R10-2026-12-2", "R10-2026-12-2-h1"]
    assert await ensure_partitions(record.owner, buckets) == buckets[1:]
    assert await ensure_partitions(record.owner, buckets) == []


async def test_partitions_are_made_beside_a_reader(record, superuser):
    """Making a partition waits for nobody who reads payloads, nor do they for it."""
    async with superuser.transaction():
        await superuser.fetch("SELECT * FROM payload")
        assert await ensure_partitions(record.owner, ["R5-2027-05"]) == ["R5-2027-05"]


async def test_partition_has_every_trigger(record, superuser):
    """A new partition is as insert-only as the table."""
    await ensure_partitions(record.owner, ["R5-2027-06"])
    found = await superuser.fetch(
        "SELECT tgname FROM pg_trigger WHERE tgrelid = $1::regclass ORDER BY tgname",
        f'"{partition_of("R5-2027-06")}"',
    )
    assert [row["tgname"] for row in found] == ["insert_only", "never_truncated"]


@pytest.mark.parametrize("bucket", ["r5-2026-11", "R5'-2026-11", "R5-2026-13", "R5-2026-11-1"])
async def test_partition_names_are_checked(record, bucket):
    """What is no bucket never reaches the database."""
    with pytest.raises(StoreMisfit, match="no bucket's name"):
        await ensure_partitions(record.owner, [bucket])


async def test_the_server_checks_them_too(record):
    """The daemon's role may make buckets, and nothing but buckets."""
    daemon = await asyncpg.connect(record.daemon)
    for name in ("x (); DROP TABLE packet", "R5-2026-13", "R5-2026-11-h", ""):
        with pytest.raises(asyncpg.InvalidParameterValueError):
            await daemon.fetchval("SELECT make_bucket($1)", name)
    await daemon.close()
    stranger = await asyncpg.connect(record.daemon.replace("daemon", "stranger"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await stranger.fetchval("SELECT make_bucket('R5-2027-07')")
    await stranger.close()


async def test_unreachable_server_is_retryable(tmp_path):
    """A server that is not there may be there later."""
    with pytest.raises(StoreUnavailable):
        await PostgresArchive(f"postgresql://daemon@/none?host={tmp_path}").open()


async def test_stranger_may_nothing(server, record):
    """A role that was given nothing can't even read."""
    stranger = await asyncpg.connect(server.url("stranger", record.name))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await stranger.fetch("SELECT * FROM packet")
    await stranger.close()
