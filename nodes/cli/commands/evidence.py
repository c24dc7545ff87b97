"""`bbaj evidence`: proof for a third party, to be checked with stock tools."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is quick

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from nodes.cli.options import ConfigOption, JsonOption, PacketArgument

app = typer.Typer(
    name="evidence",
    help="Proof for a third party, to be checked with stock tools.",
    no_args_is_help=True,
)


@app.command()
def export(
    packet: PacketArgument,
    to: Annotated[Path, typer.Option(metavar="DIR", help="A folder that is not there yet.")],
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Write a packet, its answers and all that proves them into a folder."""
    from nodes.cli import exporting, output, tables
    from nodes.cli.opening import load

    file = asyncio.run(exporting.export(load(config), packet, to))
    output.show(json, file, lambda: tables.evidence(file))
