"""The table of a run: what struck, with how much in flight, and what came of it. Pure."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from statistics import median

import msgspec

from faults.judging import Judgement
from faults.plan import WAYS, Fault
from faults.steps import STEPS


class Counted(msgspec.Struct, frozen=True):
    """A fault that struck and was healed."""

    fault: Fault
    in_flight: int
    healed_s: float


class Outcome(msgspec.Struct):
    """All of a run."""

    seed: int
    asked: int
    counted: list[Counted]
    missed: Counter[str]
    """Steps that a daemon did not come to in time, by name: these struck nothing."""
    breaches: list[str]
    judgement: Judgement | None = None
    took_s: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether all that was asked for has struck, and nothing was breached."""
        return (
            len(self.counted) >= self.asked
            and not self.breaches
            and self.judgement is not None
            and not self.judgement.findings
        )


def summary(outcome: Outcome) -> str:
    """Return the run in one line."""
    found = outcome.judgement
    came = "not judged"
    if found is not None:
        came = (
            f"{found.dropped} documents dropped, {found.delivered} delivered, "
            f"{found.lost} lost, {found.doubled} doubled, {found.false} false"
        )
    took = timedelta(seconds=round(outcome.took_s))
    return (
        f"{len(outcome.counted)} of {outcome.asked} faults in {took}, seed {outcome.seed}: {came}, "
        f"{len(outcome.breaches)} breaches"
    )


def table(outcome: Outcome) -> str:
    """Return all of it as Markdown."""
    lines = [summary(outcome), ""]
    lines += ["| fault | count | in flight, least | median | healed in, s, median | longest |"]
    lines += ["|---|---|---|---|---|---|"]
    for kind, ways in WAYS.items():
        for way in ways:
            mine = [
                each for each in outcome.counted if (each.fault.kind, each.fault.way) == (kind, way)
            ]
            lines.append(f"| {kind} {way} | {len(mine)} | {_figures(mine)} |")
    lines += ["", "| a daemon killed | count | not reached |", "|---|---|---|"]
    steps = Counter(each.fault.step for each in outcome.counted if each.fault.kind == "daemon")
    lines.append(f"| at random | {steps['']} | |")
    lines += [f"| {step} | {steps[step]} | {outcome.missed[step]} |" for step in STEPS]
    found = outcome.judgement.findings if outcome.judgement is not None else []
    return "\n".join([*lines, "", *outcome.breaches, *found]).rstrip() + "\n"


def _figures(counted: Sequence[Counted]) -> str:
    if not counted:
        return "| | | "
    in_flight = [each.in_flight for each in counted]
    healed = [each.healed_s for each in counted]
    return f"{min(in_flight)} | {median(in_flight):.0f} | {median(healed):.1f} | {max(healed):.1f}"
