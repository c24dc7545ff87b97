"""Room for the database: what is free, how it grows, and how long that lasts."""

import shutil
from collections.abc import Sequence
from urllib.parse import parse_qs, urlsplit

from nodes.config import Config
from schemas.moments import DAY
from schemas.records import DiskSample

SAMPLED_EVERY_US = DAY
GROWTH_OVER_US = 28 * DAY
"""Growth is that between the oldest and the newest sample of so long."""

_HERE = ("localhost", "127.0.0.1", "::1", "/")


def free_bytes(config: Config, used: int) -> int | None:
    """Return the room that a database of `used` bytes has; None where nobody says. Raises OSError.

    The disk of the folder named, else what the configuration allows, else the disk of the data
    folder where the database is in this machine.
    """
    upkeep = config.upkeep
    if upkeep.database_folder is not None:
        return shutil.disk_usage(upkeep.database_folder).free
    if upkeep.database_room_bytes is not None:
        return max(0, upkeep.database_room_bytes - used)
    if not _is_here(config.database.url):
        return None
    folder = next(each for each in (config.data, *config.data.parents) if each.exists())
    return shutil.disk_usage(folder).free


def growth_a_day(samples: Sequence[DiskSample]) -> int | None:
    """Return the bytes that a database grows by in a day; None before there is a day to tell by.

    `samples` are the oldest first. One that shrinks does not grow.
    """
    if not samples or samples[-1].at - samples[0].at < DAY:
        return None
    grown = samples[-1].used - samples[0].used
    return max(0, grown * DAY // (samples[-1].at - samples[0].at))


def days_left(free: int | None, growth: int | None) -> int | None:
    """Return after how many days the disk is full; None: never at this rate, or nobody knows."""
    return None if free is None or not growth else free // growth


def _is_here(url: str) -> bool:
    parts = urlsplit(url)
    host = parts.hostname or next(iter(parse_qs(parts.query).get("host", ["/"])))
    return host.startswith(_HERE)
