"""The machine: room on its disks, partitions ahead, and the age of its backup."""

import shutil
from collections.abc import AsyncIterator

from nodes.cli.moments import duration
from nodes.cli.registry_shapes import Finding
from nodes.clock import now
from nodes.config import Config
from nodes.doctor.findings import fail, ok, warn
from nodes.policies import open_retention
from nodes.room import GROWTH_OVER_US, days_left, free_bytes, growth_a_day
from nodes.upkeep import ALARM_MONTHS_AHEAD
from nodes.wiring import database_url
from schemas.errors import BbajError
from schemas.moments import HOUR, SECOND, Instant
from schemas.records import DiskSample
from schemas.retention import buckets_ahead
from store.upkeep import database_bytes, last_backup, missing_partitions, samples_since

GIB = 1024**3


async def examine(config: Config) -> AsyncIterator[Finding]:
    """Look at the disks, at the partitions of the next weeks, and at the last backup."""
    yield _room(config)
    yield await _backup(config)
    yield await _growth(config)
    yield await _partitions(config)


def _room(config: Config) -> Finding:
    """See that the data folder's disk has room; the database may have one of its own."""
    folder = next(each for each in (config.data, *config.data.parents) if each.exists())
    free, least = shutil.disk_usage(folder).free, config.doctor.free_bytes_least
    text = f"{free / GIB:.1f} GiB free at {folder}, {least / GIB:.1f} GiB wanted"
    what = "make room, or give it a larger disk: a full one stops the node"
    if free < least:
        return fail("disk", text, what)
    return warn("disk", text, what) if free < 2 * least else ok("disk", text)


async def _backup(config: Config) -> Finding:
    """See how old the last good backup is, by the record or by the stamp of another tool."""
    made = await _last_good(config)
    what = "run `bbaj backup`, and see why the last one failed"
    if made is None:
        stamp = config.backup.stamp
        if stamp is not None:
            return fail("backup", f"none is recorded, and {stamp} is missing", what)
        found = "none was ever proven: a backup counts once it was restored and verified"
        return warn("backup", found, "run `bbaj backup` each night, or name a stamp in [backup]")
    age_us = now() - made
    text = f"{duration(age_us / SECOND)} old, at most {config.backup.age_most_h} h allowed"
    if age_us > config.backup.age_most_h * HOUR:
        return fail("backup", text, what)
    return ok("backup", text)


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


async def _growth(config: Config) -> Finding:
    """See how long the database's disk lasts, as it grows these weeks."""
    name, url, at = "room for the database", database_url(config), now()
    used = await database_bytes(url)
    try:
        free = free_bytes(config, used)
    except OSError as error:
        return fail(name, f"{error.filename}: {error.strerror}", "correct upkeep.database_folder")
    if free is None:
        found = f"{used / GIB:.1f} GiB used, and nobody says what is left"
        return warn(name, found, "name database_folder or database_room_bytes in [upkeep]")
    samples = await samples_since(url, at - GROWTH_OVER_US)
    growth = growth_a_day([*samples, DiskSample(at, used, free)])
    left, least = days_left(free, growth), config.upkeep.days_left_least
    text = f"{free / GIB:.1f} GiB free, {used / GIB:.1f} GiB used"
    if left is None:
        return ok(name, text)
    text += f", {left} days at {(growth or 0) / GIB:.2f} GiB a day"
    if left < least:
        return warn(name, text, "give it a larger disk before it stops the node")
    return ok(name, text)


async def _partitions(config: Config) -> Finding:
    """See that what arrives in the next weeks has a partition to go to."""
    wanted = buckets_ahead(open_retention(config), now(), ALARM_MONTHS_AHEAD)
    missing = await missing_partitions(database_url(config), wanted)
    if missing:
        found = f"{len(missing)} of {len(wanted)} are missing, like {missing[0]}"
        return fail("partitions ahead", found, "run `bbaj store partitions`")
    return ok("partitions ahead", f"{len(wanted)} for this month and the next")
