"""`bbaj show`, `overdue`, `incidents`, `quarantine`, `track`: what became of packets."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is quick

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from nodes.cli.commands.finding import FromOption, ToOption
from nodes.cli.commands.printing import LangOption
from nodes.cli.options import ConfigOption, JsonOption, LimitOption, PacketArgument

quarantine = typer.Typer(
    name="quarantine", help="Frames that were refused, or are held.", no_args_is_help=True
)


def add_to(app: typer.Typer) -> None:
    """Add the commands that stand alone."""
    app.command("show")(show)
    app.command("overdue")(overdue)
    app.command("incidents")(incidents)
    app.command("track")(track)


def show(
    packet: PacketArgument,
    content: Annotated[
        bool,
        typer.Option("--content", help="The document in it instead; needs the right to print."),
    ] = False,
    lang: LangOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show everything about a packet, in order of time, or the document in it."""
    from nodes.cli import output, reports, tables
    from nodes.cli.opening import load

    if content:
        _show_content(packet, lang, config, json)
        return
    story = asyncio.run(reports.tell_story(load(config), packet))
    output.show(json, story, lambda: tables.story(story))


def _show_content(packet: str, lang: str | None, config: Path | None, json: bool) -> None:
    from nodes.cli import output, printouts
    from nodes.cli.guarding import admit
    from nodes.cli.opening import load
    from nodes.cli.speaking import language_of

    asyncio.run(admit("print", config))
    sheet = asyncio.run(printouts.content(load(config), packet, language_of(lang)))
    output.show(json, sheet, lambda: printouts.drawn(sheet))


def overdue(
    limit: LimitOption = 200, config: ConfigOption = None, json: JsonOption = False
) -> None:
    """List packets without a receipt past their deadline, with who holds them."""
    from nodes.cli import output, reports, tables
    from nodes.cli.opening import load

    rows = asyncio.run(reports.list_overdue(load(config), limit))
    output.show(json, rows, lambda: tables.overdue(rows))


def incidents(
    limit: LimitOption = 50, config: ConfigOption = None, json: JsonOption = False
) -> None:
    """List what an operator must look at, newest first."""
    from nodes.cli import output, reports, trouble_tables
    from nodes.cli.opening import load

    rows = asyncio.run(reports.list_incidents(load(config), limit))
    output.show(json, rows, lambda: trouble_tables.incidents(rows))


def track(
    packet: PacketArgument,
    from_: FromOption = None,
    to: ToOption = None,
    epoch: Annotated[int, typer.Option(min=1, help="The sender's, with --from and --to.")] = 1,
    wait: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="Wait at most so long for answers.")
    ] = 30.0,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Ask the nodes on a packet's way what became of it; each answers with proof.

    For a packet that this node has not had, and that a node below it has sent or is to receive,
    name both ends.
    """
    from nodes.cli import output, tracking, tracking_tables
    from nodes.cli.opening import load
    from nodes.cli.speaking import say

    wish = tracking.Wish(packet=packet, sender=from_, recipient=to, epoch=epoch)
    with output.working(say("packets.working.asking")):
        report = tracking.track(load(config), wish, wait)
    output.show(json, report, lambda: tracking_tables.tracked(report))


@quarantine.command("list")
def list_quarantine(
    state: Annotated[str | None, typer.Option(help="refused, held or incident.")] = None,
    neighbour: Annotated[str | None, typer.Option(help="The link that brought it.")] = None,
    reason: Annotated[str | None, typer.Option(help="Like sig-invalid.")] = None,
    after: Annotated[int | None, typer.Option(help="Go on below this frame.")] = None,
    limit: LimitOption = 50,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """List quarantined frames, newest first, each with what to do."""
    from nodes.cli import output, quarantines, trouble_tables
    from nodes.cli.opening import load

    rows = asyncio.run(
        quarantines.list_quarantine(
            load(config), state=state, neighbour=neighbour, reason=reason, after=after, limit=limit
        )
    )
    output.show(json, rows, lambda: trouble_tables.quarantine(rows))


@quarantine.command("show")
def show_quarantine(
    frame: Annotated[str, typer.Argument(metavar="ID", help="A frame number, or a packet id.")],
    raw: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the exact bytes to a new file.")
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show what is known of a quarantined frame."""
    from nodes.cli import output, quarantines, trouble_tables
    from nodes.cli.opening import load

    entry = asyncio.run(quarantines.show_quarantine(load(config), frame, raw))
    output.show(json, entry, lambda: trouble_tables.quarantine_entry(entry))
