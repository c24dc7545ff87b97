"""What fails on a day: power at offices and organisations, lines to parents.

power    every second oblast: its organisations, districts and cities, from 08:00 to 12:00, all
         back at once; oblasts and the republic have generators
cutoff   the oblast with the most nodes below it has no line to the republic from 00:00 to 24:00
"""

from collections import Counter

import msgspec

from nodes.simulate.country import ROOT, Country
from nodes.simulate.traffic import Day
from schemas.codes import Tier
from schemas.moments import DAY, HOUR

POWER_FROM, POWER_TO = 8 * HOUR, 12 * HOUR


class Outage(msgspec.Struct, frozen=True, gc=False):
    """A node without power, or a node whose line to its parent is cut."""

    is_power: bool
    place: int
    begins: int
    ends: int
    """Both in microseconds since midnight."""


def outages_of(day: Day, country: Country) -> list[Outage]:
    """Return what fails on a day."""
    match day:
        case "power":
            chosen = frozenset(_oblasts(country)[::2])
            return [
                Outage(is_power=True, place=place, begins=POWER_FROM, ends=POWER_TO)
                for place, member in enumerate(country.members)
                if member.tier not in {Tier.REPUBLIC, Tier.OBLAST}
                and _oblast_of(member.address) in chosen
            ]
        case "cutoff":
            sizes = Counter(_oblast_of(member.address) for member in country.members)
            largest = max(_oblasts(country), key=lambda oblast: (sizes[oblast], oblast))
            place = country.places[largest]
            return [Outage(is_power=False, place=place, begins=0, ends=DAY)]
        case _:
            return []


def _oblasts(country: Country) -> list[str]:
    return sorted(member.address for member in country.members if member.tier is Tier.OBLAST)


def _oblast_of(address: str) -> str:
    """Return the address of the child of the root that an address lies within."""
    rest = address.removeprefix(f"{ROOT}.")
    return f"{ROOT}.{rest.partition('.')[0]}"
