"""`bbaj store`: the node's database."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is quick

import asyncio
from typing import Annotated

import typer

from nodes.cli.options import ConfigOption, JsonOption

app = typer.Typer(name="store", help="The node's database.", no_args_is_help=True)


@app.command()
def migrate(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Bring the database to this program's schema, with rights and partitions; safe to repeat."""
    from nodes.cli import output, store_tables, stores
    from nodes.cli.opening import load

    steps = asyncio.run(stores.migrate(load(config)))
    output.show(json, steps, lambda: store_tables.steps(steps))


@app.command()
def partitions(
    months: Annotated[int, typer.Option(min=1, max=120, help="From this month on.")] = 13,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Make the payload partitions of the coming months; safe to repeat."""
    from nodes.cli import output, store_tables, stores
    from nodes.cli.opening import load

    steps = asyncio.run(stores.make_partitions(load(config), months))
    output.show(json, steps, lambda: store_tables.steps(steps))


@app.command()
def verify(
    incremental: Annotated[
        bool, typer.Option("--incremental", help="What is new, and a share of the rest: nightly.")
    ] = False,
    anew: Annotated[
        bool, typer.Option("--anew", help="Go on with no run that was interrupted.")
    ] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Hash the whole record again, and name what does not fit; the daemon may run meanwhile."""
    from nodes.cli import output, store_tables, stores
    from nodes.cli.opening import load

    found = asyncio.run(stores.verify_record(load(config), incremental=incremental, anew=anew))
    output.show(json, found, lambda: store_tables.store_check(found))
    stores.judge(found)


@app.command()
def rebuild(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Make the derived tables again from the record, with the daemon stopped."""
    from nodes.cli import output, store_tables, stores
    from nodes.cli.opening import load

    done = asyncio.run(stores.rebuild_derived(load(config)))
    output.show(json, done, lambda: store_tables.rebuilding(done))
