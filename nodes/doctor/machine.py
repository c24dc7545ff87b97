"""The machine: room on its disks, partitions ahead, and the age of its backup."""

import shutil
from collections.abc import AsyncIterator

from nodes.cli.moments import duration
from nodes.cli.seen import Seen, fail, ok, warn
from nodes.clock import now
from nodes.config import Config
from nodes.policies import open_retention
from nodes.room import GROWTH_OVER_US, days_left, free_bytes, growth_a_day
from nodes.said import Said
from nodes.upkeep import ALARM_MONTHS_AHEAD
from nodes.wiring import database_url
from schemas.errors import BbajError
from schemas.moments import HOUR, SECOND, Instant
from schemas.records import DiskSample
from schemas.retention import buckets_ahead
from store.upkeep import database_bytes, last_backup, missing_partitions, samples_since

GIB = 1024**3


async def examine(config: Config) -> AsyncIterator[Seen]:
    """Look at the disks, at the partitions of the next weeks, and at the last backup."""
    yield _room(config)
    yield await _backup(config)
    yield await _growth(config)
    yield await _partitions(config)


def _room(config: Config) -> Seen:
    """See that the data folder's disk has room; the database may have one of its own."""
    folder = next(each for each in (config.data, *config.data.parents) if each.exists())
    name = Said("doctor.disk")
    free, least = shutil.disk_usage(folder).free, config.doctor.free_bytes_least
    facts = {"free": f"{free / GIB:.1f}", "folder": folder, "least": f"{least / GIB:.1f}"}
    found, what_to_do = Said("doctor.found.room", facts), Said("doctor.advice.make-room")
    if free < least:
        return fail(name, found, what_to_do)
    return warn(name, found, what_to_do) if free < 2 * least else ok(name, found)


async def _backup(config: Config) -> Seen:
    """See how old the last good backup is, by the record or by the stamp of another tool."""
    made, name = await _last_good(config), Said("doctor.backup")
    what_to_do = Said("doctor.advice.back-up")
    if made is None:
        stamp = config.backup.stamp
        if stamp is not None:
            return fail(name, Said("doctor.found.no-stamp", {"stamp": stamp}), what_to_do)
        return warn(name, Said("doctor.found.no-backup"), Said("doctor.advice.each-night"))
    age_us, most_h = now() - made, config.backup.age_most_h
    found = Said("doctor.found.backup", {"age": duration(age_us / SECOND), "most": most_h})
    if age_us > most_h * HOUR:
        return fail(name, found, what_to_do)
    return ok(name, found)


async def _last_good(config: Config) -> Instant | None:
    stamp, made = config.backup.stamp, []
    if stamp is not None and stamp.exists():
        made.append(stamp.stat().st_mtime_ns // 1000)
    try:
        run = await last_backup(database_url(config))
    except BbajError:  # the database is looked at elsewhere
        run = None
    if run is not None:
        made.append(run.made)
    return max(made, default=None)


async def _growth(config: Config) -> Seen:
    """See how long the database's disk lasts, as it grows these weeks."""
    name, url, at = Said("doctor.database-room"), database_url(config), now()
    used = await database_bytes(url)
    try:
        free = free_bytes(config, used)
    except OSError as error:
        what = f"{error.filename}: {error.strerror}"
        return fail(name, what, Said("doctor.advice.database-folder"))
    facts = {"used": f"{used / GIB:.1f}"}
    if free is None:
        return warn(name, Said("doctor.found.used", facts), Said("doctor.advice.name-room"))
    facts["free"] = f"{free / GIB:.1f}"
    samples = await samples_since(url, at - GROWTH_OVER_US)
    growth = growth_a_day([*samples, DiskSample(at, used, free)])
    left, least = days_left(free, growth), config.upkeep.days_left_least
    if left is None:
        return ok(name, Said("doctor.found.left", facts))
    facts |= {"days": str(left), "growth": f"{(growth or 0) / GIB:.2f}"}
    found = Said("doctor.found.days-left", facts)
    if left < least:
        return warn(name, found, Said("doctor.advice.larger-disk"))
    return ok(name, found)


async def _partitions(config: Config) -> Seen:
    """See that what arrives in the next weeks has a partition to go to."""
    name = Said("doctor.partitions")
    wanted = buckets_ahead(open_retention(config), now(), ALARM_MONTHS_AHEAD)
    missing = await missing_partitions(database_url(config), wanted)
    if missing:
        facts = {"missing": len(missing), "wanted": len(wanted), "first": missing[0]}
        found = Said("doctor.found.partitions-missing", facts)
        return fail(name, found, Said("checks.advice.partitions"))
    return ok(name, Said("doctor.found.partitions", {"count": len(wanted)}))
