"""How a year's packets fill each node's database: counted from what is supposed, not from a day.

Every node on a packet's way stores it with its receipt and its closing. Heads and leaves stay for
good; payloads go with their class, once the term of its policy is over and approved.
"""

from collections.abc import Mapping, Sequence

import msgspec

from nodes.simulate.country import Country
from nodes.simulate.measured import Measured, Place
from nodes.simulate.traffic import Traffic, pairs
from schemas.documents.registry import TYPES
from schemas.retention import DEFAULT

MONTHS_A_YEAR = 12
LOOKED_AHEAD_YEARS = 10


class Storage(msgspec.Struct, frozen=True):
    """Bytes by node."""

    a_year: Sequence[float]
    in_10_years: Sequence[float]


def storage_of(traffic: Traffic, country: Country, measured: Measured) -> Storage:
    """Return what the supposed documents of a year, and of ten, leave at each node."""
    a_year = [0.0] * len(country.members)
    later = [0.0] * len(country.members)
    for rule in traffic.document:
        kept_years = years_kept(TYPES[rule.type].retention.value)
        stays, goes = _bytes_at(measured, rule.type)
        for sender, recipient in pairs(rule, country):
            path = country.path(sender, recipient)
            for at, node in enumerate(path):
                place = _place_on(at, len(path))
                a_year[node] += rule.a_year * (stays[place] + goes[place])
                later[node] += rule.a_year * (
                    LOOKED_AHEAD_YEARS * stays[place] + kept_years * goes[place]
                )
    return Storage(a_year, later)


def years_kept(class_: str) -> float:
    """Return how many of ten years' payloads are still there, by the default policy's terms.

    A year more than the term, for the school year or month at whose end it begins to count.
    """
    months = DEFAULT.classes[class_].months
    if months is None:
        return LOOKED_AHEAD_YEARS
    return min(LOOKED_AHEAD_YEARS, months / MONTHS_A_YEAR + 1)


def _bytes_at(
    measured: Measured, type_: str
) -> tuple[Mapping[Place, float], Mapping[Place, float]]:
    """Return what stays and what goes of an exchange, by place.

    The measured share for each byte is that of the packet's own frame; answers are in what stays.
    """
    frame = measured.frame_bytes[type_]
    places = measured.places.items()
    stays = {place: found.stored_bytes for place, found in places}
    return stays, {place: found.stored_factor * frame for place, found in places}


def _place_on(at: int, length: int) -> Place:
    if at == 0:
        return "sender"
    return "recipient" if at == length - 1 else "relay"
