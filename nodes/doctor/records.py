"""The database's promises, and what the record says that somebody must look at."""

from collections import Counter
from collections.abc import AsyncIterator

from nodes.cli.registry_shapes import Finding
from nodes.clock import now
from nodes.config import Config
from nodes.doctor.findings import fail, ok, warn
from nodes.wiring import database_url
from schemas.moments import DAY
from store.postgres.session import Connection, session
from store.reading import Reading

INCIDENTS_LOOKED_AT = 1000
_SETTINGS = ("fsync", "full_page_writes", "synchronous_commit")


async def examine(config: Config) -> AsyncIterator[Finding]:
    """Look at the server's settings, at incidents of the last day, at suspended links."""
    async with session(database_url(config), "bbaj doctor") as connection:
        yield await _durable(connection)
    async with Reading(database_url(config)) as desk:
        yield await _incidents(desk)
        yield await _links(desk)


async def _durable(connection: Connection) -> Finding:
    """See that what is committed survives a power cut."""
    values = {name: await connection.fetchval(f"SHOW {name}") for name in _SETTINGS}
    allowed = {"on", "remote_apply"}
    off = [f"{name} is {value}" for name, value in values.items() if value not in allowed]
    if off:
        what = "set them to on: what is acknowledged must survive a power cut"
        return fail("database keeps its word", ", ".join(off), what)
    return ok("database keeps its word", ", ".join(f"{name} {values[name]}" for name in values))


async def _incidents(desk: Reading) -> Finding:
    since = now() - DAY
    rows = [row for row in await desk.incidents(INCIDENTS_LOOKED_AT) if row.happened >= since]
    if rows:
        kinds = Counter(row.kind for row in rows)
        shown = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
        return warn("incidents", f"in the last day: {shown}", "look with `bbaj incidents`")
    return ok("incidents", "none in the last day")


async def _links(desk: Reading) -> Finding:
    marks = await desk.link_marks()
    suspended = sorted(name for name, mark in marks.items() if mark.action == "suspended")
    if suspended:
        what = "find out why with `bbaj link list`, then `bbaj link lift`"
        return fail("links", f"suspended: {', '.join(suspended)}", what)
    return ok("links", "none is suspended")
