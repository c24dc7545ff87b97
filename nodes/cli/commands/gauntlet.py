"""`bbaj gauntlet`: the hostile peer on a bad line, for whoever joins."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is quick

import asyncio
from typing import Annotated

import typer

from nodes.cli.options import ConfigOption, JsonOption


def gauntlet(
    neighbour: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="The parent or the child to be tried.")
    ],
    *,
    case: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Run this case alone; may be given again."),
    ] = None,
    fork: Annotated[
        bool,
        typer.Option("--fork", help="Fork our stream at the end: its operator must lift that."),
    ] = False,
    patience: Annotated[float, typer.Option(min=1, help="Seconds that an answer may take.")] = 60.0,
    seed: Annotated[int, typer.Option(help="The same seed turns the same bits.")] = 1,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Try a neighbour's node, of whatever make: a bad line, bad packets, bad objects.

    The configuration is that of an address kept for this, known to the neighbour; its daemon does
    not run. Never use the address of a node in service: its streams would fork.
    """
    from nodes.cli import gauntlet_tables, output
    from nodes.cli.errors import UsageFault
    from nodes.cli.opening import load
    from nodes.cli.progress import progress
    from nodes.errors import JudgementFailed
    from nodes.gauntlet.running import CASES, SUSPENDING, open_party, run_gauntlet

    unknown = set(case or ()) - CASES.keys() - SUSPENDING.keys()
    if unknown:
        raise UsageFault(f"no case is named {', '.join(sorted(unknown))}: {', '.join(CASES)} are")
    names = [*(case or CASES), *(SUSPENDING if fork else ())]
    with progress() as on_progress:
        result = asyncio.run(
            run_gauntlet(
                open_party(load(config), neighbour),
                names,
                seed=seed,
                patience_s=patience,
                on_progress=on_progress,
            )
        )
    output.show(json, result, lambda: gauntlet_tables.gauntlet(result))
    if not result.withstood:
        faults = sum(bool(each.fault) for each in result.cases)
        raise JudgementFailed(f"{neighbour}: {faults} of {len(result.cases)} cases found a fault")


def add_to(app: typer.Typer) -> None:
    """Give the command line its gauntlet."""
    app.command()(gauntlet)
