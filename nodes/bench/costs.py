"""`bbaj bench costs`: what one exchange costs each node on its way, for the country's model.

Daemons, brokers and the database server are real and private, with every check and fsync on. The
sender hands documents over by its database, as `bbaj send` does. Processor time is read from the
system before and after each step, so that other work on this machine hardly counts; the times by
the clock do suffer from it. The proxy counts what goes over the sender's line.
"""

import asyncio
import os
import platform
import statistics
from collections.abc import Callable

import msgspec

from nodes import samples
from nodes.bench.costs_stage import PLACES, CostsStage, Documents, Span, open_costs_stage
from nodes.bench.exchanges import document
from nodes.clock import now
from nodes.simulate.measured import (
    ANSWER_TYPES,
    LineCosts,
    Measured,
    Place,
    PlaceCosts,
    Processor,
    Waits,
)
from schemas.answers import ARCHIVE_STATE
from schemas.documents.registry import (
    ADMIN_ORDER,
    ATTENDANCE_DAILY,
    DOCUMENT_FILE,
    PERFORMANCE_PERIOD,
)
from schemas.moments import format_instant
from signing.payload import travelling_bytes
from store.reading import Filters

WARM_UP = 32
IDLE_S = 20.0
ALONE = 40
ALONE_EVERY_S = 0.5
WAITED_FOR = 20
LARGE_CONTENT_BYTES = 10_000
LARGE_SHARE = 4
"""A quarter as many large documents as small ones: enough to tell bytes from packets."""
GREETINGS = 8
GREETING_S = 3.0
OF_EACH_TYPE = 5
SETTLE_S = 12.0
"""Longer than a checkpoint may wait, so that the cosignature of what came is counted with it."""
STEPS = 7

Progress = Callable[[str, int, int], None]


class _Spans(msgspec.Struct, frozen=True):
    """What was used in each step."""

    idle: Span
    alone: Span
    burst: Span
    greetings: Span

    def beyond_idle_us(self, span: Span, place: Place) -> Processor:
        """Return what a place used in a span more than it would have with nothing to do."""
        return span.used_us(place) - self.idle.used_us(place) / (self.idle.took_s / span.took_s)

    def line_beyond_idle(self, span: Span) -> float:
        """Return the bytes on the line of a span more than that of an idle one."""
        return span.line_bytes - self.idle.line_bytes / (self.idle.took_s / span.took_s)


class _Stored(msgspec.Struct, frozen=True):
    """The growth of each database for an exchange with a small document, and with a large one."""

    small: dict[Place, float]
    large: dict[Place, float]


async def run_costs(*, exchanges: int, on_progress: Progress) -> Measured:
    """Measure; `exchanges` is the size of the burst."""
    async with open_costs_stage() as stage:
        return await _measure(stage, exchanges, lambda done: on_progress("costs", done, STEPS))


async def _measure(stage: CostsStage, exchanges: int, told: Callable[[int], None]) -> Measured:
    await stage.exchange(_orders(WARM_UP))
    await asyncio.sleep(SETTLE_S)
    told(1)
    idle = await stage.during(asyncio.sleep(IDLE_S))
    told(2)
    waits = Waits(await _wait(stage, PLACES["relay"]), await _wait(stage, PLACES["recipient"]))
    told(3)
    alone = await stage.during(_one_by_one(stage))
    told(4)
    large = _large(exchanges // LARGE_SHARE)
    await stage.exchange(large)  # rows that go have room from now on
    before = await stage.stored_bytes()
    burst = await stage.during(_settled(stage, _orders(exchanges)))
    between = await stage.stored_bytes()
    told(5)
    await _settled(stage, large)
    after = await stage.stored_bytes()
    told(6)
    greetings = await stage.during(_greetings(stage))
    told(7)
    return _result(
        _Spans(idle, alone, burst, greetings),
        _Stored(
            {place: (between[place] - before[place]) / exchanges for place in PLACES},
            {place: (after[place] - between[place]) / len(large) for place in PLACES},
        ),
        waits,
        await _sizes(stage),
        exchanges,
    )


def _result(
    spans: _Spans, stored: _Stored, waits: Waits, sizes: dict[str, int], exchanges: int
) -> Measured:
    large_bytes = sizes.pop(_LARGE)
    return Measured(
        day=format_instant(now())[:10],
        machine=f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        exchanges=exchanges,
        places={
            place: _place_costs(place, spans, stored, exchanges, (sizes[ADMIN_ORDER], large_bytes))
            for place in PLACES
        },
        line=_line_costs(spans, exchanges, sizes),
        waits=waits,
        greeting_us=(spans.beyond_idle_us(spans.greetings, "relay") / GREETINGS).rounded(),
        frame_bytes=sizes,
    )


def _place_costs(
    place: Place, spans: _Spans, stored: _Stored, exchanges: int, frame_bytes: tuple[int, int]
) -> PlaceCosts:
    small_bytes, large_bytes = frame_bytes
    factor = (stored.large[place] - stored.small[place]) / (large_bytes - small_bytes)
    return PlaceCosts(
        burst_us=(spans.beyond_idle_us(spans.burst, place) / exchanges).rounded(),
        alone_us=(spans.beyond_idle_us(spans.alone, place) / ALONE).rounded(),
        idle_us_per_s=(spans.idle.used_us(place) / spans.idle.took_s).rounded(),
        resident_mb=spans.greetings.ends.weights[place].resident_mb.rounded(),
        stored_bytes=round(stored.small[place] - factor * small_bytes),
        stored_factor=round(factor, 3),
    )


def _line_costs(spans: _Spans, exchanges: int, sizes: dict[str, int]) -> LineCosts:
    frames = sizes[ADMIN_ORDER] + sum(sizes[each] for each in ANSWER_TYPES)
    return LineCosts(
        idle_bytes_per_s=round(spans.idle.line_bytes / spans.idle.took_s, 1),
        alone_bytes=round(spans.line_beyond_idle(spans.alone) / ALONE - frames),
        burst_bytes=round(spans.line_beyond_idle(spans.burst) / exchanges - frames),
        greeting_bytes=round(spans.line_beyond_idle(spans.greetings) / GREETINGS),
    )


# --- what is measured -----------------------------------------------------------------------------


async def _settled(stage: CostsStage, documents: Documents) -> None:
    await stage.exchange(documents)
    await asyncio.sleep(SETTLE_S)


async def _one_by_one(stage: CostsStage) -> None:
    for kind, content in _orders(ALONE):
        await stage.drop(kind, content, PLACES["recipient"])
        await asyncio.sleep(ALONE_EVERY_S)
    await asyncio.sleep(SETTLE_S)


async def _wait(stage: CostsStage, to: str) -> float:
    """Return the median milliseconds from drop to delivered, one packet after the other."""
    times = []
    for kind, content in _orders(WAITED_FOR):
        began = now()
        await stage.drop(kind, content, to)
        await stage.delivered()
        times.append((now() - began) / 1000)
    return round(statistics.median(times), 1)


async def _greetings(stage: CostsStage) -> None:
    for _ in range(GREETINGS):
        stage.proxy.cut()
        stage.proxy.restore()
        await asyncio.sleep(GREETING_S)


_LARGE = "large"


async def _sizes(stage: CostsStage) -> dict[str, int]:
    """Return the median frame of each type of which made-up documents exist, and of answers."""
    sender = PLACES["sender"]
    made = {
        ATTENDANCE_DAILY: [
            samples.attendance(sender, f"2026-09-0{n + 1}", n) for n in range(OF_EACH_TYPE)
        ],
        PERFORMANCE_PERIOD: [samples.performance(sender, "2026-Q1", n) for n in range(2)],
        DOCUMENT_FILE: [samples.file(n) for n in range(OF_EACH_TYPE)],
    }
    await stage.exchange([(kind, each) for kind, contents in made.items() for each in contents])
    found = {kind: await _sizes_of(stage, kind) for kind in (*made, ADMIN_ORDER, *ANSWER_TYPES)}
    sizes = {kind: round(statistics.median(each)) for kind, each in found.items()}
    state, order = samples.state("2026-09-01", 1), samples.order(1, 1)
    more = _travelling(state) - _travelling(order)  # no system may drop a state
    return {**sizes, ARCHIVE_STATE: sizes[ADMIN_ORDER] + more, _LARGE: max(found[ADMIN_ORDER])}


async def _sizes_of(stage: CostsStage, kind: str) -> list[int]:
    """Return the frames of a type at the recipient, in bytes."""
    page = await stage.reading.list_packets(Filters(type_=kind), limit=20_000)
    return [line.packet.size for line in page.packets]


def _travelling(content: bytes) -> int:
    return travelling_bytes(content, encrypted=False, padded=False)


def _orders(count: int) -> Documents:
    return [(ADMIN_ORDER, samples.order(number, 1)) for number in range(count)]


def _large(count: int) -> Documents:
    return [(ADMIN_ORDER, document("clear", n, LARGE_CONTENT_BYTES, "")) for n in range(count)]
