"""Looks after the archive beside the sequencer: partitions ahead, room on the disk, backups.

What it finds becomes metrics, and an incident before it becomes a fault. Once a day a sample of the
disk is kept, and the neighbour above is told how the node is. Nothing here reads a large table.
"""

from importlib.metadata import version

import msgspec

from exchange.ports import Clock
from exchange.service import Service
from exchange.upkeep import DISK_SHORT, PARTITIONS_SHORT, Alarm, StateTold
from nodes.config import Config
from nodes.keyring import KeyFolder
from nodes.room import GROWTH_OVER_US, SAMPLED_EVERY_US, days_left, free_bytes, growth_a_day
from nodes.telemetry import Telemetry
from nodes.upkeep import ALARM_MONTHS_AHEAD
from nodes.wiring import database_url
from schemas.documents.state import ArchiveState
from schemas.moments import DAY, HOUR, SECOND, Instant, format_instant
from schemas.records import DiskSample
from schemas.retention import buckets_ahead
from signing.certificates import life_of_der
from store.reading import Reading
from store.upkeep import (
    add_sample,
    database_bytes,
    last_backup,
    missing_partitions,
    samples_since,
)

LOOK_EVERY_US = HOUR
ALARM_EVERY_US = 7 * DAY
"""An alarm that stands is an incident again after so long."""
GIB = 1024**3


class Room(msgspec.Struct, frozen=True):
    """What there is of the disk."""

    used: int
    free: int | None
    growth: int | None
    days: int | None


class Seen(msgspec.Struct, frozen=True):
    """What was found when it was last looked."""

    at: Instant
    room: Room
    backup_age_h: int | None


class Caretaker:
    """One node's; `tend` is called at each sweep, and looks at its own pace."""

    def __init__(
        self, config: Config, service: Service, clock: Clock, watch: Telemetry, started: Instant
    ) -> None:
        """Look after the archive of a running service; `started` is when the process began."""
        self._config = config
        self._service = service
        self._clock = clock
        self._watch = watch
        self._started = started
        self._url = database_url(config)
        self._seen: Seen | None = None
        self._told_on = ""
        """The day of the last state that was told, as it bears it."""

    async def tend(self) -> None:
        """Look where it is time to, and tell once a day. Raises what the archive does."""
        now = self._clock()
        if self._seen is None or not 0 <= now - self._seen.at < LOOK_EVERY_US:
            room = await self._look_at_disk(now)
            await self._look_at_partitions(now)
            self._seen = Seen(now, room, await self._look_at_backups(now))
        if self._config.upkeep.state and self._told_on != _day_of(now):
            await self._tell(self._seen, now)

    async def _tell(self, seen: "Seen", now: Instant) -> None:
        """Tell the neighbour above how we are, once we may seal; the root has nobody to tell."""
        if self._service.state.registry.uplink is not None and self._service.may_seal():
            await self._service.keep_tended(StateTold(await self._state(now, seen)))
            self._told_on = _day_of(now)

    async def _look_at_disk(self, now: Instant) -> Room:
        """Measure, keep the day's sample, and raise the alarm while there is time."""
        used = await database_bytes(self._url)
        try:
            free = free_bytes(self._config, used)
        except OSError as error:
            free = None
            self._watch.noticed("disk_unseen", level="warning", why=str(error))
        samples = await samples_since(self._url, now - GROWTH_OVER_US)
        today = DiskSample(now, used, free)
        if not samples or not 0 <= now - samples[-1].at < SAMPLED_EVERY_US:
            await add_sample(self._url, today)
        growth = growth_a_day([*samples, today])
        room = Room(used, free, growth, days_left(free, growth))
        self._watch.room(used, room.free, room.days)
        least = self._config.upkeep.days_left_least
        if room.days is not None and room.days < least:
            detail = f"{room.days} days at {_gib(growth)} a day, {_gib(free)} free; least {least}"
            await self._raise(DISK_SHORT, f"{detail}: give the database a larger disk", now)
        return room

    async def _look_at_partitions(self, now: Instant) -> None:
        """Raise the alarm where a partition is missing that the next weeks need."""
        wanted = buckets_ahead(self._service.state.gate.retention, now, ALARM_MONTHS_AHEAD)
        missing = await missing_partitions(self._url, wanted)
        self._watch.partitions_missing.set(len(missing))
        if missing:
            detail = f"{len(missing)} missing, like {missing[0]}: run `bbaj store partitions`"
            await self._raise(PARTITIONS_SHORT, detail, now)

    async def _look_at_backups(self, now: Instant) -> int | None:
        run = await last_backup(self._url)
        if run is None:
            return None
        self._watch.backup_age.set(max(0, now - run.made) / SECOND)
        return max(0, now - run.made) // HOUR

    async def _raise(self, kind: str, detail: str, now: Instant) -> None:
        """Open one incident for each week that an alarm stands."""
        here, since = self._config.address, now - ALARM_EVERY_US
        if not await self._service.state.archive.incident_since(kind, here, since):
            await self._service.keep_tended(Alarm(kind, detail))

    async def _state(self, now: Instant, seen: Seen) -> ArchiveState:
        """Return how the node is today."""
        service, room = self._service, seen.room
        async with Reading(self._url) as desk:
            gauges = await desk.gauges()
        oldest = [each.oldest_placed for each in gauges.streams.values() if each.oldest_placed]
        unwitnessed, _ = await service.parts.witnessing.lag(now)
        offset_us = service.state.clock_offset_us
        return ArchiveState(
            period=_day_of(now),
            version=version("bbaj"),
            uptime_s=max(0, now - self._started) // SECOND,
            epoch=service.state.gate.epoch,
            leaves=service.leaves,
            unwitnessed_leaves=unwitnessed,
            waiting=sum(each.beyond_cursor for each in gauges.streams.values()),
            waiting_s=max(0, now - min(oldest, default=now)) // SECOND,
            open_exchanges=sum(gauges.open.values()),
            held_frames=sum(gauges.held.values()),
            database_bytes=room.used,
            growth_bytes_a_day=room.growth,
            free_bytes=room.free,
            days_left=room.days,
            certificate_days=self._certificate_days(now),
            clock_offset_ms=None if offset_us is None else round(offset_us / 1000),
            clock_doubted=not service.state.clock_agrees.is_set(),
            backup_age_h=seen.backup_age_h,
        )

    def _certificate_days(self, now: Instant) -> dict[str, int]:
        keys = KeyFolder(self._config.keys.folder, self._config.address)
        return {
            purpose.value: (life_of_der(der).until - now) // DAY
            for purpose, der in keys.certificates().items()
        }


def _day_of(now: Instant) -> str:
    return format_instant(now)[:10]


def _gib(size: int | None) -> str:
    return f"{(size or 0) / GIB:.1f} GiB"
