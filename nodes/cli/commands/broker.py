"""`bbaj topology`: the tree round this node, and what its broker must hold."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is quick

from typing import Annotated

import typer

from nodes.cli.options import ConfigOption, JsonOption


def add_to(app: typer.Typer) -> None:
    """Add the commands that stand alone."""
    app.command("topology")(topology)


def topology(
    apply: Annotated[
        bool, typer.Option("--apply", help="Make and set what the broker lacks.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="End with 1 if it departs.")] = False,
    definitions: Annotated[
        bool,
        typer.Option("--print", help="Print the broker's definitions, to be imported as they are."),
    ] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show the tree with its tiers, and where the broker departs from the plan."""
    import asyncio

    from nodes.cli import brokers, node_tables, output
    from nodes.cli.opening import load

    loaded = load(config)
    if definitions:
        output.write_bytes(asyncio.run(brokers.definitions_of(loaded)))
        return
    shown = asyncio.run(brokers.compare(loaded, apply=apply))
    output.show(json, shown, lambda: node_tables.topology(shown))
    brokers.judge(shown, strict=apply or check)
