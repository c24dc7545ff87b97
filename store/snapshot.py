"""One moment of the record, held while others copy it; and what a database holds at all."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from schemas.moments import Instant
from store.errors import StoreFault
from store.postgres.position import load_tree
from store.postgres.session import session

_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

_IDENTITY = "SELECT address, epoch FROM identity ORDER BY epoch DESC LIMIT 1"

_LEAVES = "SELECT COALESCE(max(index) + 1, 0) FROM leaf"

_CHECKPOINT = "SELECT size, note FROM checkpoint ORDER BY size DESC LIMIT 1"

_COSIGNED = """
SELECT c.size, p.note || string_agg(c.lines, '' ORDER BY c.witness) AS note
FROM cosignature AS c JOIN checkpoint AS p ON p.size = c.size
WHERE c.epoch = $1 AND c.size = (SELECT max(size) FROM cosignature WHERE epoch = $1)
GROUP BY c.size, p.note
"""

_BUCKETS = """
SELECT substr(c.relname, length('payload_') + 1) AS bucket
FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'payload'::regclass AND NOT i.inhdetachpending ORDER BY 1
"""

_DESTROYED = "SELECT bucket, act, at FROM destroyed ORDER BY bucket"

_TABLES = """
SELECT c.relname FROM pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
ORDER BY c.relname
"""


class Moment(msgspec.Struct, frozen=True):
    """What the record was at one moment."""

    address: str
    epoch: int
    leaves: int
    root: bytes
    checkpoint: tuple[int, str] | None
    """Size and note of the newest checkpoint."""
    cosigned: tuple[int, str] | None
    """Size of the newest one that a witness has cosigned, and its note with all their lines."""
    buckets: list[str]
    """Those that have a partition."""
    destroyed: dict[str, tuple[str, Instant]]
    """Those that are to be destroyed or are, with act and time: their keys count no more."""
    used: int
    """Bytes of the whole database on its disk."""
    server: str
    """PostgreSQL's version."""


class Held(msgspec.Struct, frozen=True):
    """A moment that `pg_dump --snapshot` can copy as long as it is held."""

    snapshot: str
    moment: Moment


class Present(msgspec.Struct, frozen=True):
    """What a database holds."""

    tables: list[str]
    """None where it is empty."""
    address: str | None
    """Whose record it is; None: of nobody."""
    epoch: int
    leaves: int


@asynccontextmanager
async def hold_moment(url: str) -> AsyncIterator[Held]:
    """Hold the record as it is now, beside the daemon, which goes on. Raises as a session does."""
    async with session(url, "bbaj backup") as connection:
        await connection.execute(_BEGIN)
        identity = await connection.fetchrow(_IDENTITY)
        if identity is None:
            raise StoreFault("the database belongs to no address: run `bbaj store migrate`")
        leaves = await connection.fetchval(_LEAVES)
        checkpoint = await connection.fetchrow(_CHECKPOINT)
        cosigned = await connection.fetchrow(_COSIGNED, identity["epoch"])
        moment = Moment(
            address=identity["address"],
            epoch=identity["epoch"],
            leaves=leaves,
            root=(await load_tree(connection, leaves)).root(),
            checkpoint=None if checkpoint is None else tuple(checkpoint),
            cosigned=None if cosigned is None else tuple(cosigned),
            buckets=[row["bucket"] for row in await connection.fetch(_BUCKETS)],
            destroyed={
                row["bucket"]: (row["act"], row["at"]) for row in await connection.fetch(_DESTROYED)
            },
            used=await connection.fetchval("SELECT pg_database_size(current_database())"),
            server=await connection.fetchval("SHOW server_version"),
        )
        yield Held(await connection.fetchval("SELECT pg_export_snapshot()"), moment)
        await connection.execute("COMMIT")


async def look(url: str) -> Present:
    """Return what is in a database, whether or not it is ours."""
    async with session(url, "bbaj restore") as connection:
        tables = [row["relname"] for row in await connection.fetch(_TABLES)]
        if "identity" not in tables or "leaf" not in tables:
            return Present(tables, None, 0, 0)
        identity = await connection.fetchrow(_IDENTITY)
        leaves = await connection.fetchval(_LEAVES)
    if identity is None:
        return Present(tables, None, 0, leaves)
    return Present(tables, identity["address"], identity["epoch"], leaves)
