"""Has our checkpoints time-stamped, beside the sequencer: nothing waits for an authority (19.2).

When an authority is due is read from the record: its newest time-stamp, and the first checkpoint
that has none of it. So its clock survives restarts, and an idle journal asks for nothing.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from exchange.instructions import Declined, Done
from exchange.ports import Archive, Clock, Observer
from exchange.service import Service
from exchange.stamping import StampTrouble, StampWish
from nodes.config import Config, Timestamps
from nodes.stamp_desk import FAILURES, Cosigned, StampDesk, Turn
from nodes.stamp_terms import term_of, what_is_due
from schemas.codes import Tier
from schemas.errors import FormatError
from schemas.moments import DAY, HOUR, MINUTE, SECOND, Instant, format_instant
from schemas.records import RenewalRow, TimestampRow

ROUND_S = 5.0
UNCOSIGNED_US = 1 * MINUTE
"""So long a checkpoint waits for a witness before it is stamped without."""
RETRY_FIRST_US = 1 * MINUTE
RETRY_MOST_US = 1 * HOUR
LATE_INTERVALS = 2


class Watch(Observer, Protocol):
    """Telemetry of time-stamps."""

    def timestamp_waited(self, authority: str, waited_s: float) -> None:
        """Take note how long checkpoints have waited for an authority."""

    def outside_missing(self, *, missing: bool) -> None:
        """Take note whether policy asks for an authority from outside that is not configured."""


def lacks_outside(config: Config, tier: Tier | None) -> bool:
    """Say whether policy asks for a time-stamp from outside that nobody is configured to give."""
    return tier is Tier.REPUBLIC and not any(place.outside for place in config.timestamps)


def interval_us(place: Timestamps, tier: Tier | None) -> int:
    """Return the time between two stamps of an authority: hourly above districts, else daily."""
    if place.every_s is not None:
        return place.every_s * SECOND
    return HOUR if tier is not None and tier.is_above(Tier.DISTRICT) else DAY


class Stamping:
    """Asks the configured authorities, each at its interval; one a node."""

    def __init__(self, config: Config, service: Service, clock: Clock, watch: Watch) -> None:
        """Hold the parts."""
        self._config = config
        self._service = service
        self._archive: Archive = service.state.archive
        self._clock = clock
        self._watch = watch
        self._desk = StampDesk(config, service, clock)
        self._lacks_outside = False
        self._turns: list[Turn] = []
        self._wished = asyncio.Event()

    async def run(self, every_s: float = ROUND_S) -> None:
        """Look at what is due, for ever; ends only by an exception of the archive."""
        self._turns = await self._desk.open()
        stamps = self._service.parts.stamps
        stamps.authorities = tuple(turn.name for turn in self._turns)
        stamps.on_wish = self._wished.set
        while True:
            self._look_for_outside()
            if self._service.state.loss is None:
                await self._fulfil_wishes()
                await self._round()
            with suppress(TimeoutError):
                async with asyncio.timeout(every_s):
                    await self._wished.wait()
            self._wished.clear()

    def _tier(self) -> Tier | None:
        """Return our tier by our card, which may come while the node runs."""
        card = self._service.state.registry.card(self._config.address)
        return self._config.tier if card is None else card.facts.tier

    def _look_for_outside(self) -> None:
        """Tell once where policy asks for an authority that is not configured."""
        lacks = lacks_outside(self._config, self._tier())
        self._watch.outside_missing(missing=lacks)
        if lacks and not self._lacks_outside:
            what = "name one with `outside = true` in [[timestamps]]"
            self._watch.noticed("timestamp_outside_missing", level="warning", do=what)
        self._lacks_outside = lacks

    # --- at its interval ----------------------------------------------------------------------

    async def _round(self) -> None:
        for turn in self._turns:
            await self._take_turn(turn, self._clock())
        if self._turns:
            await self._renew_due(self._clock())

    async def _take_turn(self, turn: Turn, now: Instant) -> None:
        """Ask an authority where it is due, and tell where it stays late."""
        first = await self._archive.checkpoint_from(turn.next_size())
        waited = 0 if first is None else max(0, now - max(first[1], turn.since()))
        every_us = interval_us(turn.place, self._tier())
        is_due = not 0 <= now - turn.since() < every_us and now >= turn.retry_at
        if first is not None and is_due:
            found = await self._candidate(first, now)
            if found is not None and await self._attempt(turn, found):
                waited = 0
        self._watch.timestamp_waited(turn.name, waited / SECOND)
        await self._tell_late(turn, waited, every_us)

    async def _candidate(self, first: tuple[int, Instant, str], now: Instant) -> Cosigned | None:
        """Return the checkpoint to stamp: the newest cosigned; the newest, where none comes."""
        if await self._desk.newest_cosigned() >= first[0]:
            return await self._desk.newest(cosigned=True)
        if 0 <= now - first[1] < UNCOSIGNED_US:
            return None
        return await self._desk.newest(cosigned=False)

    async def _attempt(self, turn: Turn, found: Cosigned) -> bool:
        """Ask once; what fails is told, and tried again at a pace that backs off."""
        try:
            await self._desk.stamp(turn, found)
        except FAILURES as error:
            await self._failed(turn, error)
            return False
        return True

    async def _failed(self, turn: Turn, error: Exception) -> None:
        pause = min(RETRY_FIRST_US << min(turn.failures, 16), RETRY_MOST_US)
        turn.failures += 1
        turn.retry_at = self._clock() + pause
        self._watch.noticed(
            "timestamp_failed",
            level="warning",
            authority=turn.name,
            why=str(error),
            again_in_s=pause // SECOND,
        )
        if isinstance(error, FormatError) and turn.refused is not error.reason:
            turn.refused = error.reason
            what = StampTrouble("timestamp_refused", turn.name, f"{turn.name}: {error.detail}")
            await self._service.keep_evidence(what)

    async def _tell_late(self, turn: Turn, waited_us: int, every_us: int) -> None:
        """Open one incident for each time that an authority is late, whatever life tells it."""
        was_late, turn.is_late = turn.is_late, waited_us >= LATE_INTERVALS * every_us
        if was_late or not turn.is_late:
            return
        if not await self._archive.incident_since("timestamp_late", turn.name, turn.since()):
            detail = f"{turn.name}: checkpoints wait for its time-stamp: see the daemon's log"
            await self._service.keep_evidence(StampTrouble("timestamp_late", turn.name, detail))

    async def _renew_due(self, now: Instant) -> None:
        """Stamp the second log, too, once the policy sets an end to the journal's hash (19.4)."""
        stamped = max((turn.newest.size for turn in self._turns if turn.newest), default=0)
        turn = next((turn for turn in self._turns if now >= turn.retry_at), None)
        if turn is None or not stamped or not self._desk.hash_ends():
            return
        last = self._desk.renewed
        if last is not None:
            is_fresh = 0 <= now - last.at < interval_us(turn.place, self._tier())
            if is_fresh or last.size >= stamped:
                return
        try:
            await self._desk.renew(turn)
        except FAILURES as error:
            await self._failed(turn, error)

    # --- what operators wish ------------------------------------------------------------------

    async def _fulfil_wishes(self) -> None:
        stamps = self._service.parts.stamps
        for id_, (what, wish) in list(stamps.wishes.items()):
            if not stamps.is_answered(id_):
                stamps.answer(id_, await self._fulfil(what, wish))

    async def _fulfil(self, what: str, wish: StampWish) -> Done | Declined:
        found = await self._desk.newest(cosigned=True)
        if found is None:
            return Declined("there is no checkpoint yet: try again in a minute")
        rows: list[TimestampRow | RenewalRow] = []
        failed: dict[str, str] = {}
        for turn in self._wanted(wish):
            try:
                rows.append(await self._desk.stamp(turn, found))
            except FAILURES as error:
                failed[turn.name] = str(error)
        if wish.second_log or (what == "renew-journal" and self._desk.hash_ends()):
            rows += await self._renew_by_one_of(self._wanted(wish), failed)
        if not rows:
            return Declined("; ".join(f"{name}: {why}" for name, why in failed.items()))
        said = [_said(row) for row in rows]
        content = {"stamps": said, "failed": failed, "due": self._due()}
        return Done(content, detail=f"{len(rows)} stamps")

    async def _renew_by_one_of(
        self, turns: Sequence[Turn], failed: dict[str, str]
    ) -> list[RenewalRow]:
        """Have the second log stamped by the first of those that answer; keep why others fail."""
        for turn in turns:
            if turn.name in failed:
                continue
            try:
                row = await self._desk.renew(turn)
            except FAILURES as error:
                failed[turn.name] = str(error)
                continue
            return [] if row is None else [row]
        return []

    def _due(self) -> dict[str, str]:
        """Return what is to be done about authorities, by name."""
        policy = self._desk.policy()
        terms = {turn.name: term_of(turn.newest, policy) for turn in self._turns if turn.newest}
        due = {name: what_is_due(term, self._clock()) for name, term in terms.items()}
        return {name: str(what.said) for name, what in due.items() if what is not None}

    def _wanted(self, wish: StampWish) -> Sequence[Turn]:
        return [turn for turn in self._turns if wish.authority in {None, turn.name}]


def _said(row: TimestampRow | RenewalRow) -> dict[str, object]:
    """Return what the operator is told of a stamp."""
    return {
        "authority": row.authority,
        "size": row.size,
        "gen_time": format_instant(row.gen_time),
        "hash": "sha-512" if isinstance(row, RenewalRow) else "sha-256",
    }
