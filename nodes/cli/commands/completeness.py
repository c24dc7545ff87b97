"""`bbaj completeness` and `bbaj reconcile`: what was to be here, and what is."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is quick

import asyncio
from typing import Annotated

import typer

from nodes.cli.options import ConfigOption, JsonOption

app = typer.Typer(
    name="completeness", help="What was to come, and what has not.", no_args_is_help=True
)

UnderOption = Annotated[
    str | None,
    typer.Option("--under", metavar="ADDRESS", help="Of this address, and all below it."),
]
PERIOD_HELP = "Like 2026-11-23, 2026-11, 2026-Q4 or 2026."


def add_to(program: typer.Typer) -> None:
    """Add the command that stands alone."""
    program.command("reconcile")(reconcile)


@app.command()
def expected(
    period: Annotated[str, typer.Option(metavar="PERIOD", help=PERIOD_HELP)],
    type_: Annotated[str | None, typer.Option("--type", help="Of this type alone.")] = None,
    under: UnderOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """List which reports of a period have not come or came late, and the shares on time."""
    from nodes.cli import completing, completing_tables, output, reports
    from nodes.cli.opening import load

    reports.address(under)
    told = asyncio.run(completing.expected(load(config), period, type_, under))
    output.show(json, told, lambda: completing_tables.expected(told))


@app.command()
def gaps(
    under: UnderOption = None,
    period: Annotated[
        str | None, typer.Option(metavar="PERIOD", help="Sealed about then; else ever.")
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """List numbers of packets to this node that are missing, each with what explains it."""
    from nodes.cli import completing, completing_tables, output, reports
    from nodes.cli.opening import load

    reports.address(under)
    told = asyncio.run(completing.gaps(load(config), period, under))
    output.show(json, told, lambda: completing_tables.gaps(told))


@app.command()
def calendar(
    sample: Annotated[
        bool, typer.Option("--sample", help="One to begin with, in the place of the node's.")
    ] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Print the calendar of expected reports that counts here, once it has been checked."""
    from nodes.cli import output
    from nodes.cli.opening import load
    from nodes.policies import open_calendar
    from schemas.calendar_sample import SAMPLE, calendar_text

    told = SAMPLE if sample else open_calendar(load(config))
    output.show(json, told, lambda: [calendar_text(told).decode().rstrip("\n")])


def reconcile(
    neighbour: Annotated[
        str | None, typer.Argument(metavar="[NEIGHBOUR]", help="The parent, or a child; else all.")
    ] = None,
    wait: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="Wait at most so long for answers.")
    ] = 60.0,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Compare all that was ever sent over a link with what the other end holds."""
    from nodes.cli import completing_tables, output, reconciling
    from nodes.cli.opening import load
    from nodes.config import spoken_language
    from nodes.texts import text

    with output.working(text("progress.comparing", spoken_language())):
        told = asyncio.run(reconciling.reconcile(load(config), neighbour, wait))
    output.show(json, told, lambda: completing_tables.reconciled(told))
    reconciling.demand_agreement(told)
