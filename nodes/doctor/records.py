"""The database's promises, and what the record says that somebody must look at."""

from collections import Counter
from collections.abc import AsyncIterator

from nodes.cli.seen import Seen, fail, ok, warn
from nodes.clock import now
from nodes.config import Config
from nodes.said import Said, joined
from nodes.wiring import database_url
from schemas.moments import DAY
from store.postgres.session import Connection, session
from store.reading import Reading

INCIDENTS_LOOKED_AT = 1000
_SETTINGS = ("fsync", "full_page_writes", "synchronous_commit")


async def examine(config: Config) -> AsyncIterator[Seen]:
    """Look at the server's settings, at incidents of the last day, at suspended links."""
    async with session(database_url(config), "bbaj doctor") as connection:
        yield await _durable(connection)
    async with Reading(database_url(config)) as desk:
        yield await _incidents(desk)
        yield await _links(desk)


async def _durable(connection: Connection) -> Seen:
    """See that what is committed survives a power cut."""
    values = {name: await connection.fetchval(f"SHOW {name}") for name in _SETTINGS}
    name = Said("doctor.durable")
    allowed = {"on", "remote_apply"}
    off = {setting: value for setting, value in values.items() if value not in allowed}
    if off:
        found = joined(
            Said("doctor.found.setting", {"name": setting, "value": value})
            for setting, value in off.items()
        )
        return fail(name, found, Said("doctor.advice.set-on"))
    return ok(name, ", ".join(f"{setting} {value}" for setting, value in values.items()))


async def _incidents(desk: Reading) -> Seen:
    since, name = now() - DAY, Said("doctor.incidents")
    rows = [row for row in await desk.incidents(INCIDENTS_LOOKED_AT) if row.happened >= since]
    if rows:
        kinds = Counter(row.kind for row in rows)
        shown = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
        found = Said("doctor.found.incidents", {"kinds": shown})
        return warn(name, found, Said("doctor.advice.incidents"))
    return ok(name, Said("doctor.found.no-incidents"))


async def _links(desk: Reading) -> Seen:
    marks = await desk.link_marks()
    name = Said("doctor.links")
    suspended = sorted(each for each, mark in marks.items() if mark.action == "suspended")
    if suspended:
        found = Said("doctor.found.suspended", {"neighbours": ", ".join(suspended)})
        return fail(name, found, Said("doctor.advice.lift"))
    return ok(name, Said("doctor.found.no-suspended"))
