"""The machine: room on its disk, and the age of its backup."""

import shutil
from collections.abc import AsyncIterator

from nodes.cli.moments import duration
from nodes.cli.registry_shapes import Finding
from nodes.clock import now
from nodes.config import Config
from nodes.doctor.findings import fail, ok, warn
from schemas.moments import HOUR, SECOND

GIB = 1024**3


async def examine(config: Config) -> AsyncIterator[Finding]:
    """Look at the disk of the data folder, and at the backup's stamp."""
    yield _room(config)
    yield _backup(config)


def _room(config: Config) -> Finding:
    """See that the data folder's disk has room; the database may have one of its own."""
    folder = next(each for each in (config.data, *config.data.parents) if each.exists())
    free, least = shutil.disk_usage(folder).free, config.doctor.free_bytes_least
    text = f"{free / GIB:.1f} GiB free at {folder}, {least / GIB:.1f} GiB wanted"
    what = "make room, or give it a larger disk: a full one stops the node"
    if free < least:
        return fail("disk", text, what)
    return warn("disk", text, what) if free < 2 * least else ok("disk", text)


def _backup(config: Config) -> Finding:
    stamp = config.backup.stamp
    if stamp is None:
        found = "nobody says how old it is: [backup] names no stamp"
        return warn("backup", found, "let each good backup touch a file, and name it there")
    what = "make a backup, and see why the last one failed"
    if not stamp.exists():
        return fail("backup", f"{stamp} is missing: no backup has ended well yet", what)
    age_us = now() - stamp.stat().st_mtime_ns // 1000
    text = f"{duration(age_us / SECOND)} old, at most {config.backup.age_most_h} h allowed"
    if age_us > config.backup.age_most_h * HOUR:
        return fail("backup", text, what)
    return ok("backup", text)
