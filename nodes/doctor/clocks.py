"""The clock: kept by NTP, and beside the database's and the parent's."""

import asyncio
import ctypes
import re
import urllib.error
import urllib.request
from collections.abc import AsyncIterator

from nodes.cli.moments import duration
from nodes.cli.seen import Seen, fail, ok, warn
from nodes.clock import now
from nodes.config import Config
from nodes.said import Said
from nodes.wiring import database_url
from schemas.moments import SECOND
from store.postgres.session import session

WORTH_A_WORD_US = 5 * SECOND
ASK_S = 3.0
TIME_ERROR = 5
"""What adjtimex returns while nobody keeps the clock."""
TIMEX_BYTES = 512
"""More than any `struct timex`; its first field, modes, is 0: nothing is set."""

_DOUBTED = re.compile(r"^bbaj_clock_doubted (\S+)$", re.MULTILINE)
_NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"


async def examine(config: Config) -> AsyncIterator[Seen]:
    """Look at how the clock is kept, and compare it."""
    yield _kept(config)
    yield await _beside_database(config)
    if config.parent is not None and config.http.port != 0:
        yield await asyncio.to_thread(_beside_parent, config)


def _kept(config: Config) -> Seen:
    name = Said("doctor.clock-kept")
    if not config.doctor.ntp:
        return ok(name, Said("doctor.found.kept-by-host"))
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    if state == TIME_ERROR:
        return warn(name, Said("doctor.found.kept-by-nobody"), Said("doctor.advice.ntp"))
    return ok(name, Said("doctor.found.kept-by-ntp"))


async def _beside_database(config: Config) -> Seen:
    async with session(database_url(config), "bbaj doctor") as connection:
        before = now()
        theirs = await connection.fetchval(_NOW)
        after = now()
    name = Said("doctor.clock-beside-database")
    offset = (before + after) // 2 - theirs
    found = Said("doctor.found.clocks-apart", {"apart": duration(abs(offset) / SECOND)})
    if abs(offset) - (after - before) > config.limits.time_window_ahead_us:
        return fail(name, found, Said("doctor.advice.set-one"))
    if abs(offset) - (after - before) > WORTH_A_WORD_US:
        return warn(name, found, Said("doctor.advice.keep-both"))
    return ok(name, found)


def _beside_parent(config: Config) -> Seen:
    """Ask the daemon, which compares at each hello."""
    name = Said("doctor.clock-beside-parent")
    url = f"http://{config.http.host}:{config.http.port}/metrics"
    try:
        with urllib.request.urlopen(url, timeout=ASK_S) as answer:
            found = _DOUBTED.search(answer.read().decode())
    except OSError as error:
        silent = Said("doctor.found.daemon-silent", {"error": error})
        return warn(name, silent, Said("doctor.advice.start-daemon"))
    if found is None or float(found[1]):
        return fail(name, Said("doctor.found.disagrees"), Said("doctor.advice.set-clock"))
    return ok(name, Said("doctor.found.agrees"))
