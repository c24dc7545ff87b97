"""Runs one day of the country, from its seed to its figures."""

from pathlib import Path

from nodes.simulate import country as places
from nodes.simulate import measured, traffic
from nodes.simulate.costs import costs_of
from nodes.simulate.figures import DayFigures, figures_of
from nodes.simulate.outages import outages_of
from nodes.simulate.storage import storage_of
from nodes.simulate.traffic import Day
from nodes.simulate.world import Progress, World
from schemas.moments import DAY

UNTIL = 3 * DAY
"""What is not closed by then is reported as open."""


def run_day(
    day: Day, *, kato: Path | None, organisations: int, seed: int, on_progress: Progress
) -> DayFigures:
    """Return the figures of a day; the same arguments give the same figures.

    Raises ConfigurationFault where the KATO file is none, or has no districts.
    """
    found = measured.load()
    supposed = traffic.load()
    governing = places.offices(kato)
    country = places.populate(governing, supposed.organisation, organisations, seed)
    world = World(
        country,
        supposed,
        classes=traffic.lines_of(supposed, country, seed),
        drops=traffic.drops_of(supposed, country, day, seed),
        outages=outages_of(day, country),
        costs=costs_of(found),
    )
    world.run(on_progress, UNTIL)
    storage = storage_of(supposed, country, found)
    return figures_of(
        world, storage, day=day, seed=seed, governing=len(governing), measured_on=found.day
    )
