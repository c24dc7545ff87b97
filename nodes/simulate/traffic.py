"""What is sent on a day, by whom, when and over which lines: drawn from a seed.

`traffic.toml` says what is supposed; the types' lanes, classes and sizes are the product's.
"""

import tomllib
from collections.abc import Iterator
from importlib.resources import files
from typing import Literal

import msgspec

from nodes.simulate.country import ROOT, Country, Share
from nodes.simulate.draws import Draws
from schemas.documents.registry import TYPES
from schemas.header import FAST_FLOWS
from schemas.moments import HOUR, MINUTE, SECOND
from schemas.objects import Lane

Day = Literal["school", "deadline", "power", "cutoff", "break"]
DAYS: tuple[Day, ...] = ("school", "deadline", "power", "cutoff", "break")
_ON: dict[Day, frozenset[str]] = {
    "school": frozenset({"every", "school"}),
    "deadline": frozenset({"every", "school", "deadline"}),
    "power": frozenset({"every", "school"}),
    "cutoff": frozenset({"every", "school"}),
    "break": frozenset({"every", "break"}),
}
LATENESS = 3
"""A late one comes at the latest of so many even draws."""


class LineClass(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line towards the parent that so many in 100 of some kinds have."""

    kinds: frozenset[str]
    in_100: int
    kilobits_per_s: int
    delay_ms: int
    """One way."""

    @property
    def bytes_per_s(self) -> float:
        """What it takes in each direction."""
        return self.kilobits_per_s * 1000 / 8


class DocumentRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who sends documents of a type to whom, when, and how often."""

    type: str
    by: frozenset[str]
    to: Literal["republic", "parent", "children"]
    on: Literal["every", "school", "deadline", "break"]
    in_100: float
    begins: str
    ends: str
    a_year: int
    late: bool = False

    @property
    def lane(self) -> Lane:
        """The lane of such packets; their answers go `fast`."""
        return "fast" if TYPES[self.type].flow in FAST_FLOWS else "bulk"


class Traffic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that is supposed."""

    organisation: tuple[Share, ...]
    line: tuple[LineClass, ...]
    document: tuple[DocumentRule, ...]


class Drop(msgspec.Struct, frozen=True, gc=False):
    """A document that is handed over at its sender."""

    at: int
    """Microseconds since midnight."""
    rule: int
    sender: int
    recipient: int


def load() -> Traffic:
    """Return what the model supposes."""
    text = files("nodes.simulate").joinpath("traffic.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), Traffic)


def lines_of(traffic: Traffic, country: Country, seed: int) -> list[LineClass]:
    """Return each node's line to its parent; the root's is never used."""
    draws = Draws(f"lines {seed}")
    by_kind: dict[str, list[LineClass]] = {}
    for line in traffic.line:
        for kind in sorted(line.kinds):
            by_kind.setdefault(kind, []).append(line)
    anything = traffic.line[-1:]
    return [
        classes[draws.places([each.in_100 for each in classes], 1)[0]]
        for classes in (by_kind.get(member.kind, anything) for member in country.members)
    ]


def drops_of(traffic: Traffic, country: Country, day: Day, seed: int) -> list[Drop]:
    """Return what is handed over on a day, in order of time."""
    draws = Draws(f"drops {day} {seed}")
    drops = [
        Drop(_moment(rule, draws), number, sender, recipient)
        for number, rule in enumerate(traffic.document)
        if rule.on in _ON[day]
        for sender, recipient in pairs(rule, country)
        if draws.next() * 100 < rule.in_100
    ]
    drops.sort(key=lambda drop: (drop.at, drop.rule, drop.sender, drop.recipient))
    return drops


def pairs(rule: DocumentRule, country: Country) -> Iterator[tuple[int, int]]:
    """Yield sender and recipient of every document that a rule allows."""
    root = country.places[ROOT]
    for place, parent in enumerate(country.parents):
        if place == root:
            continue
        if rule.to == "children":
            if country.members[parent].kind in rule.by:
                yield parent, place
        elif country.members[place].kind in rule.by:
            yield place, root if rule.to == "republic" else parent


def _moment(rule: DocumentRule, draws: Draws) -> int:
    begins, ends = _of_clock(rule.begins), _of_clock(rule.ends)
    share = max(draws.next() for _ in range(LATENESS if rule.late else 1))
    return begins + int((ends - begins) * share)


def _of_clock(text: str) -> int:
    units = (HOUR, MINUTE, SECOND)
    return sum(int(part) * unit for part, unit in zip(text.split(":"), units, strict=False))
