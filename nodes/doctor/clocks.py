"""The clock: kept by NTP, and beside the database's and the parent's."""

import asyncio
import ctypes
import re
import urllib.error
import urllib.request
from collections.abc import AsyncIterator

from nodes.cli.moments import duration
from nodes.cli.registry_shapes import Finding
from nodes.clock import now
from nodes.config import Config
from nodes.doctor.findings import fail, ok, warn
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


async def examine(config: Config) -> AsyncIterator[Finding]:
    """Look at how the clock is kept, and compare it."""
    yield _kept(config)
    yield await _beside_database(config)
    if config.parent is not None and config.http.port != 0:
        yield await asyncio.to_thread(_beside_parent, config)


def _kept(config: Config) -> Finding:
    if not config.doctor.ntp:
        return ok("clock kept", "by this machine's host, the configuration says")
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    if state == TIME_ERROR:
        what = "start chrony or systemd-timesyncd; `[doctor] ntp = false` where the host keeps it"
        return warn("clock kept", "by nobody: NTP does not synchronise it", what)
    return ok("clock kept", "by NTP")


async def _beside_database(config: Config) -> Finding:
    async with session(database_url(config), "bbaj doctor") as connection:
        before = now()
        theirs = await connection.fetchval(_NOW)
        after = now()
    offset = (before + after) // 2 - theirs
    text = f"{duration(abs(offset) / SECOND)} from the database's"
    if abs(offset) - (after - before) > config.limits.time_window_ahead_us:
        return fail("clock beside the database", text, "set the one that is wrong, then keep both")
    if abs(offset) - (after - before) > WORTH_A_WORD_US:
        return warn("clock beside the database", text, "let NTP keep both machines' clocks")
    return ok("clock beside the database", text)


def _beside_parent(config: Config) -> Finding:
    """Ask the daemon, which compares at each hello."""
    name = "clock beside the parent"
    url = f"http://{config.http.host}:{config.http.port}/metrics"
    try:
        with urllib.request.urlopen(url, timeout=ASK_S) as answer:
            found = _DOUBTED.search(answer.read().decode())
    except OSError as error:
        return warn(name, f"the daemon does not answer: {error}", "start it: `bbaj node run`")
    if found is None or float(found[1]):
        what = "set this machine's clock; the daemon seals again once they agree"
        return fail(name, "disagrees beyond the window: nothing is sealed", what)
    return ok(name, "agrees within the window, by the last hello")
