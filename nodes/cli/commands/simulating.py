"""`bbaj simulate`: the whole country as a model, at measured costs."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is quick

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from nodes.cli.options import JsonOption

ORGANISATIONS = 20_000
ORGANISATIONS_MAX = 100_000


class DayName(StrEnum):
    """Which day is run."""

    SCHOOL = "school"
    DEADLINE = "deadline"
    POWER = "power"
    CUTOFF = "cutoff"
    BREAK = "break"


def simulate(
    *,
    country: Annotated[
        bool, typer.Option("--country", help="All governing nodes and organisations.")
    ] = False,
    day: Annotated[
        DayName,
        typer.Option(
            help="A school day; one with a deadline hour; one when half of the oblasts get their "
            "power back; one without a line to the largest oblast; one of the summer break."
        ),
    ] = DayName.SCHOOL,
    sizing: Annotated[
        bool, typer.Option("--sizing", help="Run all five days, and say what each tier needs.")
    ] = False,
    kato: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="KATO as CSV; without it, built-in counts by oblast."),
    ] = None,
    organisations: Annotated[int, typer.Option(min=1, max=ORGANISATIONS_MAX)] = ORGANISATIONS,
    seed: Annotated[int, typer.Option(help="The same seed gives the same figures.")] = 1,
    json: JsonOption = False,
) -> None:
    """Model a day of the whole network at the costs that `bbaj bench costs` measured."""
    from nodes.cli import output, simulate_tables
    from nodes.cli.errors import UsageFault
    from nodes.cli.progress import progress

    if not country:
        raise UsageFault("name what to simulate: --country is what there is")
    with progress() as on_progress:
        if sizing:
            from nodes.simulate.sizing import run_sizing

            sized = run_sizing(
                kato=kato, organisations=organisations, seed=seed, on_progress=on_progress
            )
            output.show(json, sized, lambda: simulate_tables.sizing(sized))
            return
        from nodes.simulate.running import run_day

        figures = run_day(
            day.value, kato=kato, organisations=organisations, seed=seed, on_progress=on_progress
        )
        output.show(json, figures, lambda: simulate_tables.day(figures))


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("simulate")(simulate)
