"""Runs seeds of all scenarios for hours: `python -m simulation.soak [HOURS] [--seed FIRST]`.

As many lots at once as there are processors, two at most. A seed that fails is shrunk and does not
end the run; the table in build/soak.md names it with the line that runs it again. 1 where one did.
"""

import argparse
import itertools
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from os import cpu_count
from pathlib import Path

from simulation.mutants import ROOT
from simulation.plan import scenarios

BUILD = ROOT / "build"
LOT = 50
"""So many seeds are run by one process after the other."""
LOT_MAX_S = 1800
"""A lot that takes longer hangs."""
RAN = re.compile(r"^\d+ (\S+) \w{64} (\d+) s closed$", re.MULTILINE)
FAILED = re.compile(r"^seed \d+ of (\S+) fails: .*\nagain: .*$", re.MULTILINE)


class Tally:
    """What has run so far, by scenario."""

    def __init__(self) -> None:
        self.closed: Counter[str] = Counter()
        self.simulated_s: Counter[str] = Counter()
        self.breaches: list[str] = []

    def add(self, first: int, output: str) -> None:
        """Count what the process of a lot has printed."""
        for scenario, lasted_s in RAN.findall(output):
            self.closed[scenario] += 1
            self.simulated_s[scenario] += int(lasted_s)
        failed = FAILED.search(output)
        if failed is not None:
            self.breaches.append(failed[0])
        elif len(RAN.findall(output)) < LOT:
            self.breaches.append(f"seeds from {first} on end without a word: {output[-2000:]}")

    def line(self, seconds: float) -> str:
        """Say in one line how far the run is."""
        years = sum(self.simulated_s.values()) / timedelta(days=365.25).total_seconds()
        seeds = self.closed.total()
        return (
            f"{timedelta(seconds=round(seconds))}: {seeds} seeds closed, {years:.2f} years, "
            f"{seeds / seconds * 3600:.0f} seeds an hour, {len(self.breaches)} breaches"
        )

    def table(self, seconds: float) -> str:
        """Return all of it as Markdown."""
        rows = [
            f"| {name} | {self.closed[name]} | {self.simulated_s[name] / 86400:.1f} |"
            for name in scenarios()
        ]
        head = ["| scenario | seeds closed | simulated days |", "|---|---|---|"]
        lines = [self.line(seconds), "", *head, *rows, "", *self.breaches]
        return "\n".join(lines).rstrip() + "\n"


def run_lot(first: int) -> str:
    """Run one lot in a process of its own; return what it printed."""
    history = BUILD / "soak" / f"history-{first}.txt"
    command = [sys.executable, "-m", "simulation", str(first), "--count", str(LOT), "--verbose"]
    try:
        done = subprocess.run(
            [*command, "--history", str(history)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=LOT_MAX_S,
        )
    except subprocess.TimeoutExpired as late:
        return f"took more than {late.timeout:.0f} s"
    return done.stdout


def soak(hours: float, first: int) -> Tally:
    """Run lots until the time is over."""
    began = time.monotonic()
    firsts: Iterator[int] = itertools.count(first, LOT)
    tally = Tally()

    def work() -> None:
        while time.monotonic() - began < hours * 3600:
            seed = next(firsts)
            tally.add(seed, run_lot(seed))
            print(tally.line(time.monotonic() - began), file=sys.stderr, flush=True)
            (BUILD / "soak.md").write_text(tally.table(time.monotonic() - began), encoding="utf-8")

    at_once = min(2, cpu_count() or 1)
    with ThreadPoolExecutor(at_once) as workers:
        for worker in [workers.submit(work) for _ in range(at_once)]:
            worker.result()
    return tally


def main() -> int:
    """Soak for as long as the command line says; 1 where anything was breached."""
    parser = argparse.ArgumentParser(prog="simulation.soak", description=__doc__)
    parser.add_argument("hours", type=float, nargs="?", default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    Path(BUILD / "soak").mkdir(parents=True, exist_ok=True)
    tally = soak(asked.hours, asked.seed)
    print((BUILD / "soak.md").read_text(encoding="utf-8"), end="")
    return 1 if tally.breaches else 0


if __name__ == "__main__":
    sys.exit(main())
