"""`bbaj link`: links to neighbours, and whether they are in use."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is quick

import asyncio
from typing import Annotated

import typer

from nodes.cli.options import ConfigOption, JsonOption

app = typer.Typer(name="link", help="Links to neighbours.", no_args_is_help=True)

Neighbour = Annotated[str, typer.Argument(metavar="ADDRESS", help="The parent, or a child.")]
Why = Annotated[str, typer.Option("--why", help="The reason, for those who look later.")]


@app.command("list")
def list_links(config: ConfigOption = None, json: JsonOption = False) -> None:
    """List neighbours, and which links are suspended and why."""
    from nodes.cli import links, node_tables, output
    from nodes.cli.opening import load

    rows = asyncio.run(links.list_links(load(config)))
    output.show(json, rows, lambda: node_tables.links(rows))


@app.command()
def lift(
    neighbour: Neighbour, why: Why, config: ConfigOption = None, json: JsonOption = False
) -> None:
    """Take a suspended link up again, once both operators agree why it was suspended."""
    _mark(neighbour, "lifted", why, config, json)


@app.command()
def suspend(
    neighbour: Neighbour, why: Why, config: ConfigOption = None, json: JsonOption = False
) -> None:
    """Stop using a link; nothing is lost, both sides keep what they have for each other."""
    _mark(neighbour, "suspended", why, config, json)


def _mark(neighbour: str, action: str, why: str, config: ConfigOption, json: bool) -> None:
    from nodes.cli import links, node_tables, output
    from nodes.cli.opening import load

    row = asyncio.run(links.mark_link(load(config), neighbour, action, why))
    output.show(json, row, lambda: node_tables.links([row]))
