"""What machines need: the worst of the five days, by tier, and the memory that was measured."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from nodes.simulate.costs import PLACE_OF_TIER, costs_of
from nodes.simulate.figures import DayFigures, TierFigures
from nodes.simulate.groups import wall_us
from nodes.simulate.measured import Measured, load
from nodes.simulate.running import run_day
from nodes.simulate.traffic import DAYS, Day
from nodes.simulate.world import Progress
from schemas.codes import Tier
from schemas.moments import SECOND


class Need(msgspec.Struct, frozen=True):
    """What the node of a tier needs that has most to do."""

    tier: Tier
    nodes: int
    processor_share: float
    """Of two cores, in its busiest minute of the worst day."""
    processor_day: Day
    frames_a_second: float
    """In that minute or another of that day."""
    memory_mb: float
    """Measured: daemon and database, and the broker but at a school."""
    disk_gb_a_year: float
    disk_gb_in_10_years: float
    line_kilobits_a_second: float
    """To its parent, in one direction, in the busiest minute of the worst day; the republic: 0."""
    queue_deepest: int
    queue_day: Day


class Sizing(msgspec.Struct, frozen=True):
    """What `bbaj simulate --country --sizing --json` prints."""

    seed: int
    organisations: int
    measured_on: str
    needs: list[Need]
    relayed_a_second: int
    """Frames that a node of two cores relays in full groups, by the measured costs."""


class _Worst(NamedTuple):
    day: Day
    figures: TierFigures


def run_sizing(
    *, kato: Path | None, organisations: int, seed: int, on_progress: Progress
) -> Sizing:
    """Run the five days, and return what each tier needs.

    Raises ConfigurationFault where the KATO file is none.
    """
    days = [
        run_day(
            day,
            kato=kato,
            organisations=organisations,
            seed=seed,
            on_progress=_shifted(at, on_progress),
        )
        for at, day in enumerate(DAYS)
    ]
    found = load()
    return Sizing(
        seed=seed,
        organisations=organisations,
        measured_on=found.day,
        needs=[_need(tier.tier, days, found) for tier in days[0].tiers],
        relayed_a_second=SECOND // wall_us(costs_of(found).piece_us["relay"]),
    )


def _shifted(at: int, on_progress: Progress) -> Progress:
    """Return what tells the progress of one day among all."""
    return lambda stage, done, total: on_progress(stage, at * total + done, len(DAYS) * total)


def _need(tier: Tier, days: Sequence[DayFigures], found: Measured) -> Need:
    of_days = [
        _Worst(each.day, figures) for each in days for figures in each.tiers if figures.tier is tier
    ]
    loaded = _worst(of_days, lambda figures: figures.processor_share_busiest_minute)
    queued = _worst(of_days, lambda figures: figures.queue_deepest)
    lines = [
        link.busiest_kilobits_a_second for day in days for link in day.links if link.child is tier
    ]
    return Need(
        tier=tier,
        nodes=loaded.figures.nodes,
        processor_share=loaded.figures.processor_share_busiest_minute,
        processor_day=loaded.day,
        frames_a_second=loaded.figures.frames_a_second_busiest_minute,
        memory_mb=round(found.places[PLACE_OF_TIER[tier]].resident_mb.total),
        disk_gb_a_year=loaded.figures.stored_gb_a_year,
        disk_gb_in_10_years=loaded.figures.stored_gb_in_10_years,
        line_kilobits_a_second=max(lines, default=0.0),
        queue_deepest=queued.figures.queue_deepest,
        queue_day=queued.day,
    )


def _worst(days: Sequence[_Worst], figure: Callable[[TierFigures], float]) -> _Worst:
    return max(days, key=lambda each: figure(each.figures))
