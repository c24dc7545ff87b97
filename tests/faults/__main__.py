"""Real faults on real components: `python -m faults [--count N] [--hours H] [--seed S]`.

The table is written to build/faults.md as the run goes on. 1 where anything was breached, or where
the time was over before all had struck.
"""

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from faults.network import PLACES
from faults.plan import SHARES, draw
from faults.run import run
from faults.table import Outcome, summary, table

TABLE = Path("build/faults.md")


def main() -> int:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(prog="faults", description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", action="append", choices=list(SHARES), help="else all of them")
    parser.add_argument("--on-disk", action="store_true", help="not in memory, where there is room")
    asked = parser.parse_args()
    for name in ("aio_pika", "aiormq"):  # they tell of each connection that we cut
        logging.getLogger(name).setLevel(logging.CRITICAL)
    TABLE.parent.mkdir(exist_ok=True)
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    )
    with bar:
        task = bar.add_task("faults", total=asked.count)

        def advance(outcome: Outcome) -> None:
            bar.update(task, completed=len(outcome.counted))
            TABLE.write_text(table(outcome), encoding="utf-8")

        faults = draw(asked.seed, asked.count, PLACES, asked.kind or tuple(SHARES))
        outcome = asyncio.run(run(asked.seed, faults, asked.hours, advance, on_disk=asked.on_disk))
    TABLE.write_text(table(outcome), encoding="utf-8")
    print(table(outcome) if not outcome.passed else summary(outcome))
    return 0 if outcome.passed else 1


if __name__ == "__main__":
    sys.exit(main())
