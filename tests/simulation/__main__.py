"""Run seeds: `python -m simulation [SEED] [--count N] [--scenario NAME]`, with tests/ in the path.

One that fails is shrunk: documents and faults are left out while it still fails. What is printed
then is the line that runs it again, and the history of the shrunk run.
"""

import argparse
import gc
import sys
import time
from pathlib import Path

import msgspec

from simulation.country import run
from simulation.plan import Plan, draw, scenario_of, scenarios

HISTORY_LINES = 80
"""So many lines of a failed run are printed; the file has them all."""
CHATTER = (" delivered  ", " published  ", " commit  ")
"""What is not printed of a history."""
GARBAGE = 200_000
"""Cycles are looked for after so many new objects: a run leaves few, and is over soon."""
SHRUNK_S = 60.0
"""Shrinking takes no longer than about this."""


def main() -> int:
    """Run what the command line says; 1 where a seed failed."""
    asked = _arguments()
    named = None if asked.scenario is None else scenarios()[asked.scenario]
    gc.freeze()
    gc.set_threshold(GARBAGE)
    began = time.process_time()
    for seed in range(asked.seed, asked.seed + asked.count):
        plan = draw(seed, named or scenario_of(seed))
        watch, failure = run(plan)
        if asked.verbose:
            run_of = f"{seed} {plan.scenario.name} {watch.digest} {watch.lasted_s:.0f} s"
            print(f"{run_of} {failure or 'closed'}", flush=True)
        if failure is not None:
            _report(plan, failure, asked.history, shrinking=not asked.whole)
            return 1
    took_s = time.process_time() - began
    print(f"{asked.count} seeds from {asked.seed} on: all closed, {took_s:.1f} s of a core")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("seed", type=int, nargs="?", default=1)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--scenario", choices=list(scenarios()))
    parser.add_argument("--history", type=Path, default=Path("history.txt"))
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--whole", action="store_true", help="do not shrink what fails")
    return parser.parse_args()


def _report(plan: Plan, failure: Exception, history: Path, *, shrinking: bool) -> None:
    """Print what failed, how to run it again, and the shortest history of it."""
    print(f"seed {plan.seed} of {plan.scenario.name} fails: {failure!r}")
    print(f"again: make simulate SEED={plan.seed} SCENARIO={plan.scenario.name}", flush=True)
    if not shrinking:
        return
    shrunk = shrink(plan, type(failure))
    watch, last = run(shrunk)
    found = [line for line in watch.history if not any(each in line for each in CHATTER)]
    lines = [*(repr(each) for each in (*shrunk.drops, *shrunk.faults)), *watch.history]
    history.write_text("\n".join(lines), encoding="utf-8")
    print(f"shrunk to {len(shrunk.drops)} documents, {len(shrunk.faults)} faults: {last!r}")
    print("\n".join(repr(each) for each in (*shrunk.drops, *shrunk.faults)))
    print("\n".join(found[-HISTORY_LINES:]))
    print(f"the whole history is in {history}")


def shrink(plan: Plan, kind: type[Exception]) -> Plan:
    """Return a plan with as little in it as still fails in the same way."""
    until = time.monotonic() + SHRUNK_S
    for part in ("faults", "drops"):
        size = max(1, len(getattr(plan, part)) // 2)
        while size:
            at = 0
            while at < len(getattr(plan, part)) and time.monotonic() < until:
                whole = getattr(plan, part)
                less = msgspec.structs.replace(plan, **{part: whole[:at] + whole[at + size :]})
                _, failure = run(less)
                if isinstance(failure, kind):
                    plan = less
                else:
                    at += size
            size //= 2
    return plan


if __name__ == "__main__":
    sys.exit(main())
