"""What keeps the record alive: backups that were proven, room on the disk, partitions ahead.

Nothing here reads a large table: sizes come from the server's own books, partitions from its
catalogue, the rest is a row a day.
"""

from collections.abc import Iterable

import msgspec

from schemas.moments import Instant
from schemas.records import BackupRun, DiskSample
from store.migrate import partition_of
from store.postgres.rows import read_all
from store.postgres.session import session

_LAST_BACKUP = "SELECT * FROM backup_run ORDER BY made DESC LIMIT 1"

_ADD_BACKUP = "INSERT INTO backup_run VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING"

_USED = "SELECT pg_database_size(current_database())"

_ADD_SAMPLE = "INSERT INTO disk_sample VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"

_SAMPLES = "SELECT * FROM disk_sample WHERE at >= $1 ORDER BY at"

_PARTITIONS = """
SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'payload'::regclass AND NOT i.inhdetachpending
"""

_NAME = "bbaj upkeep"


async def last_backup(url: str) -> BackupRun | None:
    """Return the newest backup that was proven; None where there is none."""
    async with session(url, _NAME) as connection:
        found = await connection.fetch(_LAST_BACKUP)
    return next(iter(read_all(BackupRun, found)), None)


async def add_backup(url: str, run: BackupRun) -> None:
    """Record a backup that was proven; the same one again is harmless."""
    async with session(url, _NAME) as connection:
        await connection.execute(_ADD_BACKUP, *msgspec.structs.astuple(run))


async def database_bytes(url: str) -> int:
    """Return the size of the database on its disk."""
    async with session(url, _NAME) as connection:
        used: int = await connection.fetchval(_USED)
        return used


async def add_sample(url: str, sample: DiskSample) -> None:
    """Keep a sample of the disk."""
    async with session(url, _NAME) as connection:
        await connection.execute(_ADD_SAMPLE, *msgspec.structs.astuple(sample))


async def samples_since(url: str, since: Instant) -> list[DiskSample]:
    """Return the samples of the disk from `since` on, oldest first."""
    async with session(url, _NAME) as connection:
        return read_all(DiskSample, await connection.fetch(_SAMPLES, since))


async def missing_partitions(url: str, buckets: Iterable[str]) -> list[str]:
    """Return those of the buckets that have no partition for payloads, in order."""
    async with session(url, _NAME) as connection:
        found = {row["relname"] for row in await connection.fetch(_PARTITIONS)}
    return [bucket for bucket in buckets if partition_of(bucket) not in found]
