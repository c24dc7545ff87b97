"""What a seed does: which documents are dropped, and what goes wrong where and when.

A scenario is a small text file that says how much of what; a plan is drawn from it by a seed, as a
list that can be cut down while a run still fails.
"""

import tomllib
from functools import lru_cache
from pathlib import Path
from random import Random

import msgspec

from simulation.chance import stream

SCENARIOS = Path(__file__).parent / "scenarios"
LINE_FAULTS = frozenset(
    ("cut", "slow", "flaky", "lose", "double", "reorder", "damage", "full", "purge", "again")
)
"""These befall a line; a line is named by its child."""

BURST_S = 2.0
"""Documents of a burst come within so long."""

Span = tuple[float, float]


class Much(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of one kind of fault a scenario has."""

    count: tuple[int, int]
    lasts_s: Span = (0, 0)
    value: Span = (0, 0)
    at: tuple[str, ...] = ()
    """Where; empty: at any node, or on any line."""


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of the folder `scenarios`."""

    title: str
    nodes: tuple[str, ...]
    faults_s: float
    """Faults begin within this time; then all is healed."""
    documents: tuple[int, int]
    closes_s: float = 48 * 3600
    """So long after healing everything is closed."""
    sweep_s: float = 300
    weight: float = 1.0
    """How often it has its turn, beside the others."""
    strangers: float = 0.0
    """The share of documents to an address that is not there."""
    faults: dict[str, Much] = {}
    name: str = ""


class Drop(msgspec.Struct, frozen=True):
    """A document that a local system hands over."""

    at_s: float
    sender: str
    to: str
    number: int


class Fault(msgspec.Struct, frozen=True):
    """Something that goes wrong."""

    kind: str
    where: str
    at_s: float
    lasts_s: float
    value: float


class Plan(msgspec.Struct, frozen=True):
    """All that one run is made of."""

    seed: int
    scenario: Scenario
    drops: tuple[Drop, ...]
    faults: tuple[Fault, ...]


@lru_cache
def scenarios() -> dict[str, Scenario]:
    """Return all scenarios by name, in the order of their names."""
    found = {}
    for path in sorted(SCENARIOS.glob("*.toml")):
        table = tomllib.loads(path.read_text(encoding="utf-8")) | {"name": path.stem}
        found[path.stem] = msgspec.convert(table, Scenario, strict=False)
    return found


def scenario_of(seed: int) -> Scenario:
    """Return the scenario that a seed runs when none is named."""
    every = list(scenarios().values())
    weights = [scenario.weight for scenario in every]
    return stream(seed, "scenario").choices(every, weights)[0]


def draw(seed: int, scenario: Scenario) -> Plan:
    """Return what a seed makes of a scenario."""
    chance = stream(seed, f"plan {scenario.name}")
    numbers = range(chance.randint(*scenario.documents))
    drops = _gathered([_draw_drop(number, scenario, chance) for number in numbers], chance)
    faults = [
        _draw_fault(kind, much, scenario, chance)
        for kind, much in sorted(scenario.faults.items())
        for _ in range(chance.randint(*much.count))
    ]
    return Plan(seed, scenario, tuple(drops), tuple(sorted(faults, key=lambda each: each.at_s)))


def _draw_drop(number: int, scenario: Scenario, chance: Random) -> Drop:
    sender, to = chance.sample(scenario.nodes, 2)
    if chance.random() < scenario.strangers:
        to = f"{chance.choice(scenario.nodes)}.nobody"
    return Drop(chance.random() * scenario.faults_s, sender, to, number)


def _gathered(drops: list[Drop], chance: Random) -> list[Drop]:
    """Return drops of which many come in one burst, as they do in the field."""
    at_s = drops[0].at_s
    return [
        msgspec.structs.replace(drop, at_s=at_s + chance.random() * BURST_S)
        if chance.random() < 0.4
        else drop
        for drop in drops
    ]


def _draw_fault(kind: str, much: Much, scenario: Scenario, chance: Random) -> Fault:
    places = much.at or (scenario.nodes[1:] if kind in LINE_FAULTS else scenario.nodes)
    return Fault(
        kind,
        chance.choice(places),
        round(chance.random() * scenario.faults_s, 3),
        round(chance.uniform(*much.lasts_s), 3),
        round(chance.uniform(*much.value), 3),
    )
