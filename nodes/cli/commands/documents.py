"""`bbaj send`, `ping`, `resend`, `return`, `inbox`: handing documents over and taking them out."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is quick

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nodes.cli.options import ConfigOption, JsonOption, LimitOption, PacketArgument, WaitOption

if TYPE_CHECKING:
    from exchange.dropped import Drop
    from nodes.cli.handing import Parts
    from nodes.config import Config


inbox = typer.Typer(name="inbox", help="Documents that came for this node.", no_args_is_help=True)

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="The document; - reads standard input.")
]
SystemOption = Annotated[
    str | None, typer.Option("--system", help="Only what a local system was given.")
]


def add_to(app: typer.Typer) -> None:
    """Add the commands that stand alone."""
    for name, command in (("send", send), ("ping", ping), ("resend", resend), ("return", return_)):
        app.command(name)(command)


def send(
    file: FileArgument,
    type_: Annotated[str, typer.Option("--type", help="Like attendance.daily/1.")],
    to: Annotated[str, typer.Option(metavar="ADDRESS", help="The recipient.")],
    section: Annotated[str | None, typer.Option(help="S01 to S15; most types have one.")] = None,
    period: Annotated[str | None, typer.Option(help="Like 2026-11-23 or 2026-Q4.")] = None,
    title: Annotated[str | None, typer.Option(help="Of a document.file/1.")] = None,
    re: Annotated[str | None, typer.Option(metavar="ID", help="The packet answered.")] = None,
    drop_id: Annotated[
        str | None,
        typer.Option(help="Your name for it; the same one again sends nothing twice."),
    ] = None,
    media_type: Annotated[str | None, typer.Option(help="Of a document.file/1.")] = None,
    wait: WaitOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Hand a document over to the node, which seals and sends it."""
    from functools import partial

    import msgspec

    from exchange.dropped import Drop
    from nodes.cli import handing, large
    from nodes.cli.files import read_document
    from nodes.cli.opening import load
    from nodes.cli.progress import progress

    loaded = load(config)
    drop = Drop(
        system=handing.SYSTEM,
        drop_id=drop_id or "",
        type=type_,
        to=to,
        body=b"",
        section=section,
        period=period,
        title=title,
        re=re,
        media_type=media_type,
    )
    if large.goes_in_parts(file, type_):
        drop = large.with_manifest(drop, file, loaded.address)
        with progress() as advance:
            parts = partial(large.parts_of, drop, file, partial(advance, "parts"))
            _hand_over(loaded, drop, wait, json, parts)
        return
    drop = msgspec.structs.replace(drop, body=read_document(file))
    if drop_id is None:
        drop = msgspec.structs.replace(drop, drop_id=handing.drop_id_of(drop))
    _hand_over(loaded, drop, wait, json)


def ping(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="A node of the network.")],
    wait: WaitOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Send an empty packet through all tiers; the node there answers it by itself."""
    from nodes.cli import handing
    from nodes.cli.opening import load

    _hand_over(load(config), handing.ping(address), wait, json)


def resend(
    packet: PacketArgument,
    wait: WaitOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Seal a refused document of ours again, as a new packet."""
    from nodes.cli import handing
    from nodes.cli.opening import load

    loaded = load(config)
    drop, parts = asyncio.run(handing.again(loaded, packet))
    _hand_over(loaded, drop, wait, json, parts)


def return_(
    packet: PacketArgument,
    reason: Annotated[str, typer.Option(metavar="CODE", help="Like period-wrong, incomplete.")],
    text: Annotated[str, typer.Option(help="What is wrong, for its sender.")] = "",
    field: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH=PROBLEM", help="A field to correct; may be given again."),
    ] = None,
    wait: WaitOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Return a document to its sender for correction: a notice of its own, no new verdict."""
    from nodes.cli import handing
    from nodes.cli.opening import load

    loaded = load(config)
    drop = asyncio.run(handing.notice(loaded, packet, reason, text, field or []))
    _hand_over(loaded, drop, wait, json)


@inbox.command("list")
def list_inbox(
    system: SystemOption = None,
    taken: Annotated[bool, typer.Option("--taken", help="Those taken before, too.")] = False,
    limit: LimitOption = 200,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """List documents that wait, oldest first."""
    from nodes.cli import inboxes, output, tables
    from nodes.cli.opening import load

    lines = asyncio.run(inboxes.list_inbox(load(config), system, include_taken=taken, limit=limit))
    output.show(json, lines, lambda: tables.inbox(lines))


@inbox.command("take")
def take(
    packet: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="A packet's id; else the oldest.")
    ] = None,
    to: Annotated[
        str, typer.Option(metavar="DIR|-", help="Where it goes, named by its packet id.")
    ] = ".",
    system: SystemOption = None,
    every: Annotated[bool, typer.Option("--all", help="All that wait.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also if it was taken before.")] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Take a document out of the inbox, exactly once."""
    from nodes.cli import inboxes, output, tables
    from nodes.cli.errors import UsageFault
    from nodes.cli.opening import load

    if to == "-" and json:
        raise UsageFault("--json and --to -: standard output holds the one or the other")
    taking = inboxes.Taking(
        packet=packet,
        system=system,
        every=every,
        again=again,
        folder=None if to == "-" else Path(to),
    )
    documents = asyncio.run(inboxes.take(load(config), taking))
    if to != "-":
        output.show(json, documents, lambda: tables.taken(documents))


def _hand_over(
    config: "Config",
    drop: "Drop",
    wait_s: float | None,
    json: bool,
    parts: "Parts | None" = None,
) -> None:
    """Hand a drop over, show what became of it, and end with its exit code."""
    from nodes.cli import handing, output, tables
    from nodes.cli.speaking import say

    with output.working(say("packets.working.handing-over")) as line:
        result = asyncio.run(
            handing.send(
                config,
                drop,
                wait_s,
                lambda before: line.update(tables.on_its_way(before)),
                parts,
            )
        )
    output.show(json, result, lambda: tables.sending(result))
    handing.judge(result, wait_s)
