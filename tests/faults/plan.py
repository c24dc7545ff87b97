"""What a run does: which faults strike where, drawn from a seed. Pure.

The shares of the kinds are fixed; their order, their places and how long they last are drawn.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import cycle
from random import Random
from typing import Literal

import msgspec

from faults.steps import STEPS

Kind = Literal["daemon", "database", "broker", "link"]

SHARES: Mapping[Kind, int] = {"daemon": 250, "database": 60, "broker": 40, "link": 650}
"""Of a thousand faults."""
WAYS: Mapping[Kind, Sequence[str]] = {
    "daemon": ("killed at random", "killed at a step"),
    "database": ("server killed", "server stopped at once", "backend killed", "sessions ended"),
    "broker": ("killed",),
    "link": ("cut", "frozen", "slowed", "refused", "forsaken"),
}
LASTS_S: Mapping[str, tuple[float, float]] = {
    "cut": (0, 0),
    "frozen": (0.3, 4),
    "slowed": (0.5, 2),
    "refused": (0.3, 3),
    "forsaken": (0, 0),
}
"""How long a link stays so; other faults are healed at once."""
AFTER_S = 0.6
"""A fault strikes at any moment within so long, once enough is in flight."""


class Places(msgspec.Struct, frozen=True):
    """Where faults may strike."""

    nodes: tuple[str, ...]
    with_systems: tuple[str, ...]
    brokers: tuple[str, ...]
    lines: tuple[str, ...]
    """Lines by the address of their child."""


class Fault(msgspec.Struct, frozen=True):
    """One fault; `step` is where a daemon kills itself."""

    kind: Kind
    way: str
    at: str
    after_s: float
    lasts_s: float = 0
    step: str = ""

    def __str__(self) -> str:
        what = f" {self.step}" if self.step else ""
        lasts = f" for {self.lasts_s:.1f} s" if self.lasts_s else ""
        return f"{self.kind} {self.way}{what} at {self.at}{lasts}"


def draw(
    seed: int, count: int, places: Places, kinds: Collection[Kind] = tuple(SHARES)
) -> list[Fault]:
    """Return so many faults of some kinds; the same arguments always draw the same ones."""
    chance = Random(f"faults {seed}")
    steps = [*STEPS]
    chance.shuffle(steps)
    turns = cycle(steps)
    faults: list[Fault] = []
    for kind, number in shared_out(count, kinds).items():
        ways = cycle(chance.sample(WAYS[kind], len(WAYS[kind])))
        for _ in range(number):
            way = next(ways)
            step = next(turns) if way == "killed at a step" else ""
            at = chance.choice(places_of(kind, step, places))
            lasts_s = chance.uniform(*LASTS_S.get(way, (0, 0)))
            faults.append(Fault(kind, way, at, chance.uniform(0, AFTER_S), lasts_s, step))
    chance.shuffle(faults)
    return faults


def shared_out(count: int, kinds: Collection[Kind] = tuple(SHARES)) -> dict[Kind, int]:
    """Return how many faults of each kind there are among so many, by their shares."""
    numbers: dict[Kind, int] = {}
    left, shares_left = count, sum(SHARES[kind] for kind in kinds)
    for kind in kinds:
        numbers[kind] = round(left * SHARES[kind] / shares_left)
        left -= numbers[kind]
        shares_left -= SHARES[kind]
    return numbers


def places_of(kind: Kind, step: str, places: Places) -> Sequence[str]:
    """Return where a fault of a kind may strike."""
    match kind:
        case "broker":
            return places.brokers
        case "link":
            return places.lines
        case "daemon" if step and STEPS[step].at == "system":
            return places.with_systems
        case _:
            return places.nodes
