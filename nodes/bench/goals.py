"""Goals, and whether figures reach them. A goal that is missed is shown; it is no error."""

from collections.abc import Mapping

import msgspec


class Goal(msgspec.Struct, frozen=True):
    """What a release must reach."""

    most: float | None = None
    least: float | None = None

    def is_reached(self, value: float) -> bool:
        """Say whether a figure is as wanted."""
        return (self.most is None or value <= self.most) and (
            self.least is None or value >= self.least
        )


class Verdict(msgspec.Struct, frozen=True):
    """A figure beside its goal."""

    name: str
    value: float
    goal: Goal
    reached: bool


def judge(figures: Mapping[str, float], goals: Mapping[str, Goal]) -> list[Verdict]:
    """Hold each figure that has a goal against it, in the order of the goals."""
    return [
        Verdict(name, figures[name], goal, goal.is_reached(figures[name]))
        for name, goal in goals.items()
    ]
