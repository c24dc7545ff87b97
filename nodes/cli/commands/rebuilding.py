"""`bbaj rebuild`: a record that was lost comes back from the neighbours."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is quick

import asyncio
from typing import Annotated

import typer

from nodes.cli.options import ConfigOption, JsonOption


def add_to(app: typer.Typer) -> None:
    """Add the command that stands alone."""
    app.command("rebuild")(rebuild)


def rebuild(
    from_neighbours: Annotated[
        bool,
        typer.Option("--from-neighbours", help="Fetch all that neighbours hold; else report only."),
    ] = False,
    wait: Annotated[
        float, typer.Option("--wait", metavar="SECONDS", min=0, help="Wait at most so long.")
    ] = 3600.0,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Fetch the record of a node that lost its disk from its neighbours, and name every gap."""
    from nodes.cli import output, rebuilding, rebuilding_tables
    from nodes.cli.opening import load
    from nodes.cli.progress import progress

    loaded = load(config)
    if from_neighbours:
        with progress() as advance:
            told = asyncio.run(rebuilding.rebuild(loaded, wait, advance))
    else:
        told = asyncio.run(rebuilding.report(loaded))
    output.show(json, told, lambda: rebuilding_tables.report(told))
    rebuilding.demand_whole(told)
