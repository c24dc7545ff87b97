"""`bbaj hold`: what may not be destroyed, whatever its term."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is quick

import asyncio
from typing import Annotated

import typer

from nodes.cli.options import ConfigOption, JsonOption

app = typer.Typer(
    name="hold",
    help="Legal holds: packets that may not be destroyed while a dispute lasts.",
    no_args_is_help=True,
)

DisputeOption = Annotated[
    str | None,
    typer.Option("--dispute", metavar="NUMBER", help="The number of the dispute that it serves."),
]
Wait = Annotated[
    float,
    typer.Option("--wait", metavar="SECONDS", min=0, help="Wait at most so long for the daemon."),
]
WAIT_S = 60.0


@app.command("set")
def set_(
    packet: Annotated[
        list[str] | None,
        typer.Option("--packet", metavar="ID", help="With its answers; may be given again."),
    ] = None,
    organisation: Annotated[
        str | None,
        typer.Option("--organisation", metavar="ADDRESS", help="What it sends and is sent."),
    ] = None,
    under: Annotated[
        bool, typer.Option("--under", help="Those below the organisation as well.")
    ] = False,
    period: Annotated[
        str | None,
        typer.Option("--period", metavar="P", help="What reports on a part of it: 2026-Q4."),
    ] = None,
    dispute: DisputeOption = None,
    wait: Wait = WAIT_S,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Hold packets from now on; what is given together must all fit."""
    from exchange.legal_holds import SetHold
    from nodes.cli import holding, output, retaining_tables
    from nodes.cli.opening import load

    wish = holding.wish(
        SetHold,
        {
            "packets": packet or [],
            "organisation": organisation,
            "below": under,
            "period": period,
            "dispute": dispute,
        },
    )
    done = asyncio.run(holding.set_hold(load(config), wish, wait))
    output.show(json, done, lambda: retaining_tables.holds_done(done, lifted=False))


@app.command()
def lift(
    number: Annotated[
        int | None, typer.Argument(metavar="[NUMBER]", help="As `bbaj hold list` shows it.")
    ] = None,
    dispute: DisputeOption = None,
    wait: Wait = WAIT_S,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """End a hold, or all holds of a dispute."""
    from exchange.legal_holds import LiftHold
    from nodes.cli import holding, output, retaining_tables
    from nodes.cli.opening import load

    wish = holding.wish(LiftHold, {"number": number, "dispute": dispute})
    done = asyncio.run(holding.lift_hold(load(config), wish, wait))
    output.show(json, done, lambda: retaining_tables.holds_done(done, lifted=True))


@app.command("list")
def list_(
    every: Annotated[bool, typer.Option("--all", help="Lifted ones too.")] = False,
    packet: Annotated[
        str | None, typer.Option("--packet", metavar="ID", help="Those that hold this packet.")
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """List legal holds."""
    from nodes.cli import holding, output, retaining_tables
    from nodes.cli.opening import load

    lines = asyncio.run(holding.list_holds(load(config), every=every, packet=packet))
    output.show(json, lines, lambda: retaining_tables.holds(lines))
