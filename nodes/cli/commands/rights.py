"""`bbaj access` and `bbaj instructions`: who has used what, and what became of it."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is quick

import asyncio

import typer

from nodes.cli.options import ConfigOption, JsonOption, LimitOption

app = typer.Typer(name="access", help="Uses of commands, by pseudonym.", no_args_is_help=True)


def add_to(app_: typer.Typer) -> None:
    """Add the commands that stand alone."""
    app_.command("instructions")(instructions)


@app.command("list")
def list_accesses(
    limit: LimitOption = 50, config: ConfigOption = None, json: JsonOption = False
) -> None:
    """List uses of commands, refused ones too, newest first."""
    from nodes.cli import histories, output, registry_tables
    from nodes.cli.opening import load

    rows = asyncio.run(histories.list_accesses(load(config), limit))
    output.show(json, rows, lambda: registry_tables.accesses(rows))


def instructions(
    limit: LimitOption = 20, config: ConfigOption = None, json: JsonOption = False
) -> None:
    """List what operators have told the daemon, and what became of it, newest first."""
    from nodes.cli import histories, output, registry_tables
    from nodes.cli.opening import load

    rows = asyncio.run(histories.list_instructions(load(config), limit))
    output.show(json, rows, lambda: registry_tables.instructions(rows))
