"""Brings a database to today's schema, gives the daemon its rights, makes payload partitions.

Runs as the owner of the database. The daemon's role may read and insert, and change the three
derived tables; it owns nothing.
"""

import re
from collections.abc import Iterable

from store.errors import StoreMisfit
from store.migrations import Migration, all_migrations
from store.postgres.session import Connection, session

MIGRATION_LOCK_KEY = 0x6262616B
"""The advisory lock of whoever migrates."""

DERIVED = ("open_exchange", "held_open", "drop_pending")
"""The tables whose rows change."""

READ_ONLY = ("schema_version",)
"""The table that only the owner writes."""

_BUCKET_CLASS = re.compile(r"[A-Z][A-Z0-9]{0,7}")
_MONTH = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])")

_VERSIONS = """
CREATE TABLE IF NOT EXISTS schema_version (
    version integer PRIMARY KEY,
    name    text NOT NULL,
    digest  bytea NOT NULL
)
"""

_TABLES = """
SELECT c.relname FROM pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY c.relname
"""

_PARTITIONS = """
SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'payload'::regclass
"""

# Attached, not created in place: that would wait for every reader of payload, and they for it.
_MAKE_PARTITION = """
CREATE TABLE {name} (LIKE payload INCLUDING STORAGE, CHECK (bucket = '{bucket}'));
ALTER TABLE payload ATTACH PARTITION {name} FOR VALUES IN ('{bucket}');
CREATE TRIGGER never_truncated BEFORE TRUNCATE ON {name}
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""


async def migrate(owner_url: str, daemon_role: str, address: str, epoch: int = 1) -> list[str]:
    """Bring the database to today's schema; return the names of the steps taken.

    Does nothing where nothing is to do. Raises StoreMisfit for a database of another address, or
    whose steps are not those of this program.
    """
    async with session(owner_url, "bbaj migrate") as connection:
        await connection.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK_KEY)
        async with connection.transaction():
            await connection.execute(_VERSIONS)
            steps = _missing(all_migrations(), await _taken(connection))
            for step in steps:
                await connection.execute(step.text)
                await connection.execute(
                    "INSERT INTO schema_version VALUES ($1, $2, $3)",
                    step.version,
                    step.name,
                    step.digest,
                )
            await _settle_identity(connection, address, epoch)
            await _grant(connection, daemon_role)
        return [step.name for step in steps]


async def ensure_partitions(
    owner_url: str, classes: Iterable[str], from_month: str, months: int
) -> list[str]:
    """Make the payload partitions of `months` months from `from_month` (`2026-11`) on.

    Returns the buckets that were new.
    """
    buckets = [f"{class_}-{month}" for month in _months(from_month, months) for class_ in classes]
    for bucket in buckets:
        if not _BUCKET_CLASS.fullmatch(bucket[:-8]):
            raise StoreMisfit(f"no retention class: {bucket[:-8]!r}")
    made = []
    async with session(owner_url, "bbaj partitions") as connection:
        await connection.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK_KEY)
        found = {row["relname"] for row in await connection.fetch(_PARTITIONS)}
        for bucket in buckets:
            if partition_of(bucket) not in found:
                text = _MAKE_PARTITION.format(name=f'"{partition_of(bucket)}"', bucket=bucket)
                async with connection.transaction():
                    await connection.execute(text)
                made.append(bucket)
    return made


def partition_of(bucket: str) -> str:
    """Return the name of a bucket's partition."""
    return f"payload_{bucket}"


def _months(first: str, count: int) -> list[str]:
    if not _MONTH.fullmatch(first):
        raise StoreMisfit(f"no month: {first!r}, expected like 2026-11")
    start = int(first[:4]) * 12 + int(first[5:]) - 1
    return [f"{at // 12:04}-{at % 12 + 1:02}" for at in range(start, start + count)]


async def _taken(connection: Connection) -> dict[int, bytes]:
    found = await connection.fetch("SELECT version, digest FROM schema_version")
    return {row["version"]: row["digest"] for row in found}


def _missing(steps: list[Migration], taken: dict[int, bytes]) -> list[Migration]:
    unknown = set(taken) - {step.version for step in steps}
    if unknown:
        raise StoreMisfit(f"schema version {max(unknown)} is newer than this program")
    for step in steps:
        if taken.get(step.version, step.digest) != step.digest:
            raise StoreMisfit(f"migration {step.name} was taken in another wording")
    return [step for step in steps if step.version not in taken]


async def _settle_identity(connection: Connection, address: str, epoch: int) -> None:
    owner = await connection.fetchval("SELECT address FROM identity ORDER BY epoch DESC LIMIT 1")
    if owner is None:
        await connection.execute("INSERT INTO identity VALUES ($1, $2)", epoch, address)
    elif owner != address:
        raise StoreMisfit(f"the database belongs to {owner}, not to {address}")


async def _grant(connection: Connection, daemon_role: str) -> None:
    """Make the rights of the daemon's role what they should be, whatever they were."""
    role = await connection.fetchval("SELECT quote_ident($1)", daemon_role)
    await connection.execute(f"GRANT USAGE ON SCHEMA public TO {role}")
    for row in await connection.fetch(_TABLES):
        table = row["relname"]
        rights = "SELECT, INSERT"
        if table in DERIVED:
            rights = "SELECT, INSERT, UPDATE, DELETE"
        elif table in READ_ONLY:
            rights = "SELECT"
        await connection.execute(f"REVOKE ALL ON {table} FROM PUBLIC, {role}")
        await connection.execute(f"GRANT {rights} ON {table} TO {role}")
