"""`bbaj retention`: how long payloads are kept, and what is destroyed at the end of their term."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is quick

import asyncio
from typing import Annotated

import typer

from nodes.cli.commands import destruction
from nodes.cli.options import ConfigOption, JsonOption

app = typer.Typer(
    name="retention",
    help="How long payloads are kept, and their destruction.",
    no_args_is_help=True,
)
destruction.add_to(app)


@app.command()
def classes(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Show the policy in force: terms, when they begin, what they rest on."""
    from nodes.cli import output, retaining, retaining_tables
    from nodes.cli.opening import load

    shown = asyncio.run(retaining.show_policy(load(config)))
    output.show(json, shown, lambda: retaining_tables.policy(shown))


@app.command()
def due(
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="DATE", help="At the end of this day; else now."),
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """List buckets whose term is over; nothing is deleted."""
    from nodes.cli import output, retaining, retaining_tables
    from nodes.cli.opening import load

    found = asyncio.run(retaining.list_due(load(config), retaining.day(until)))
    output.show(json, found, lambda: retaining_tables.due(found))
