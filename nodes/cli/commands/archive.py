"""`bbaj archive`: the archive of record as a whole."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is quick

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from nodes.cli.commands.completeness import PERIOD_HELP
from nodes.cli.options import ConfigOption, JsonOption

app = typer.Typer(name="archive", help="The archive of record as a whole.", no_args_is_help=True)

PeriodOption = Annotated[
    str, typer.Option("--period", metavar="PERIOD", help=f"And all periods in it. {PERIOD_HELP}")
]
FileOption = Annotated[Path, typer.Option("--to", metavar="FILE", help="A new file.")]


@app.command()
def counts(
    period: Annotated[
        str | None, typer.Option(metavar="PERIOD", help="And all periods in it; else all.")
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(help="section, region, type or period; may be given again. Else by all."),
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Count packets and their bytes by section, region, type and period."""
    from nodes.cli import archives, completing_tables, output
    from nodes.cli.opening import load

    told = asyncio.run(archives.counts(load(config), period, by or ()))
    output.show(json, told, lambda: completing_tables.counts(told))


@app.command()
def export(
    form: Annotated[str, typer.Option(metavar="TYPE", help="A packet type.")],
    period: PeriodOption,
    to: FileOption,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Write all organisations' documents of one form and period, a line of JSON each."""
    import msgspec

    from nodes.cli import archives, completing_tables, output
    from nodes.cli.opening import load
    from nodes.cli.progress import progress

    with progress() as on_progress:
        told = asyncio.run(archives.export(load(config), form, period, to, on_progress))
    facts = msgspec.structs.asdict(told)
    output.show(json, told, lambda: completing_tables.written("exported", **facts))


@app.command()
def public(
    period: PeriodOption,
    to: FileOption,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Write figures that anybody may see, as CSV: no small cell stands in it or follows from it."""
    import msgspec

    from nodes.cli import archives, completing_tables, output
    from nodes.cli.opening import load

    told = asyncio.run(archives.public(load(config), period, to))
    facts = msgspec.structs.asdict(told)
    output.show(json, told, lambda: completing_tables.written("shown", **facts))
