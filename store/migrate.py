"""Brings a database to today's schema, gives the daemon its rights, makes payload partitions.

Runs as the owner of the database. The daemon's role may read and insert, and change the derived
tables; it owns nothing.
"""

from collections.abc import Iterable

from schemas.buckets import read_bucket
from store.errors import StoreMisfit
from store.migrations import Migration, all_migrations
from store.postgres.session import Connection, session

MIGRATION_LOCK_KEY = 0x6262616B
"""The advisory lock of whoever migrates."""

DERIVED = (
    "open_exchange",
    "held_open",
    "drop_pending",
    "drop_part",
    "finding",
    "finding_cursor",
)
"""The tables whose rows change."""

READ_ONLY = ("schema_version", "dictionary")
"""The tables that only the owner writes."""

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


async def ensure_partitions(owner_url: str, buckets: Iterable[str]) -> list[str]:
    """Make the partitions of these buckets; return the buckets that were new.

    Raises StoreMisfit for what is no bucket's name.
    """
    made = []
    async with session(owner_url, "bbaj partitions") as connection:
        for bucket in buckets:
            if read_bucket(bucket) is None:
                raise StoreMisfit(f"no bucket's name: {bucket!r}")
            if await connection.fetchval("SELECT make_bucket($1)", bucket):
                made.append(bucket)
    return made


def partition_of(bucket: str) -> str:
    """Return the name of a bucket's partition of `payload`."""
    return f"payload_{bucket}"


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
    await connection.execute("REVOKE ALL ON FUNCTION make_bucket FROM PUBLIC")
    await connection.execute(f"GRANT EXECUTE ON FUNCTION make_bucket TO {role}")
