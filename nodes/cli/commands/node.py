"""`bbaj node`: the daemon, and a look at everything it needs."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is quick

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from nodes.cli.options import ConfigOption, JsonOption

app = typer.Typer(name="node", help="The node's daemon.", no_args_is_help=True)


@app.command()
def run(config: ConfigOption = None) -> None:
    """Run the node until SIGTERM; logs go to standard error."""
    from nodes.cli.opening import load
    from nodes.daemon import Daemon
    from nodes.running import forbid_core_dumps
    from nodes.telemetry import configure_logs

    forbid_core_dumps()
    loaded = load(config)
    configure_logs(loaded.log)
    asyncio.run(Daemon(loaded).run())


@app.command()
def check(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Look at configuration, keys, database, broker, links and clock; name every fault."""
    from nodes.cli import checks, node_tables, output
    from nodes.config import config_path

    found = asyncio.run(checks.check_node(config_path(config)))
    output.show(json, found, lambda: node_tables.node_check(found))
    checks.judge(found)


def add_to(app_: typer.Typer) -> None:
    """Add the commands that stand alone."""
    app_.command("doctor")(doctor)
    app_.command("exits")(exits)
    app_.command("types")(types)


def doctor(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Look at all that an operator may get wrong, try what must be refused, and say what to do."""
    from nodes.cli import output, registry_tables
    from nodes.config import config_path
    from nodes.doctor import examine

    found = asyncio.run(examine.examine(config_path(config)))
    output.show(json, found, lambda: registry_tables.examination(found))
    examine.judge(found)


def types(
    schemas: Annotated[
        Path | None,
        typer.Option("--schemas", metavar="DIR", help="Write a JSON Schema of each into it."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the types of packets; with `--schemas` describe their documents to programs."""
    from nodes.cli import output, packet_types

    lines = packet_types.describe(schemas)
    output.show(json, lines, lambda: packet_types.drawn(lines))


def exits(json: JsonOption = False) -> None:
    """Print the table of exit codes."""
    from nodes.cli import exit_tables, output
    from nodes.cli.exits import EXITS

    output.show(json, exit_tables.rows(EXITS), lambda: exit_tables.exits(EXITS))
