"""`bbaj invite`, `invitation`, `join` and `remove`: how nodes come to the tree, and leave it."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is quick

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from nodes.cli.options import (
    BinOption,
    ConfigOption,
    EnglishName,
    JsonOption,
    KatoEdition,
    KatoOption,
    KazakhName,
    RussianName,
    TypesOption,
)

app = typer.Typer(
    name="invitation", help="Invitations that this node has given.", no_args_is_help=True
)

WAIT_S = 60.0
JOIN_WAIT_S = 120.0
Wait = Annotated[
    float,
    typer.Option("--wait", metavar="SECONDS", min=0, help="Wait at most so long for the answer."),
]


def add_to(app_: typer.Typer) -> None:
    """Add the commands that stand alone."""
    for name, command in (("invite", invite), ("join", join), ("remove", remove)):
        app_.command(name)(command)


def invite(
    addresses: Annotated[
        list[str], typer.Argument(metavar="ADDRESS...", help="Children to be, or to be replaced.")
    ],
    tier: Annotated[
        str | None, typer.Option(help="oblast, city, district or school, for a new child.")
    ] = None,
    kk: KazakhName = None,
    ru: RussianName = None,
    en: EnglishName = None,
    kato: KatoOption = None,
    kato_edition: KatoEdition = None,
    bin_: BinOption = None,
    types: TypesOption = None,
    hours: Annotated[
        float | None,
        typer.Option(min=0.01, max=23.75, help="How long it counts; else as long as may be."),
    ] = None,
    urls: Annotated[
        list[str] | None,
        typer.Option("--url", help="Our broker as they reach it; else broker.public_urls."),
    ] = None,
    qr: Annotated[
        str | None, typer.Option(metavar="FILE.svg|terminal", help="Draw its text as a QR code.")
    ] = None,
    wait: Wait = WAIT_S,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Let machines become children of this node: each gets a text that counts once, for a day."""
    from nodes.cli import invitation_tables, inviting, output
    from nodes.cli.opening import load
    from nodes.cli.speaking import say
    from nodes.cli.wishing import wish_of

    wish = wish_of(
        addresses,
        tier=tier,
        names=(kk, ru, en),
        kato=(kato, kato_edition),
        bin_=bin_,
        types=types or [],
        hours=hours,
        urls=urls or [],
    )
    with output.working(say("network.invite.asking", count=len(wish.addresses))):
        made = asyncio.run(inviting.invite(load(config), wish, wait))
    drawn = _draw(made, qr, json)
    output.show(json, made, lambda: invitation_tables.made(made, drawn))


@app.command("list")
def list_invitations(config: ConfigOption = None, json: JsonOption = False) -> None:
    """List invitations, newest first, with what became of each."""
    from nodes.cli import invitation_tables, inviting, output
    from nodes.cli.opening import load

    settings = load(config)
    rows = asyncio.run(inviting.list_invitations(settings))
    strangers = asyncio.run(inviting.strangers(settings))
    output.show(json, rows, lambda: invitation_tables.given(rows, strangers))


@app.command()
def withdraw(
    invitation: Annotated[str, typer.Argument(metavar="ID", help="As `invitation list` shows it.")],
    wait: Wait = WAIT_S,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Withdraw an invitation that nobody has used."""
    from nodes.cli import invitation_tables, inviting, output
    from nodes.cli.opening import load

    done = inviting.withdraw(load(config), invitation, wait)
    output.show(json, done, lambda: invitation_tables.withdrawn(done))


def join(
    invitation: Annotated[
        str, typer.Argument(metavar="INVITATION", help="Its text, its file, or - for input.")
    ],
    folder: Annotated[Path, typer.Option(metavar="DIR", help="Where this node's files go.")],
    database: Annotated[
        str, typer.Option(metavar="URL", help="PostgreSQL, as the daemon's own role.")
    ],
    database_owner_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The same as its owner: the daemon then prepares it."),
    ] = None,
    broker_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="This node's own RabbitMQ; a leaf needs none."),
    ] = None,
    root: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The network's root, if it is known.")
    ] = None,
    root_sha256: Annotated[
        str | None, typer.Option(metavar="HEX", help="Or its SHA-256, told in another way.")
    ] = None,
    passphrase_file: Annotated[
        Path | None, typer.Option(help="File of mode 0600 with a passphrase for this node's keys.")
    ] = None,
    http_port: Annotated[
        int, typer.Option(min=0, max=65535, help="For metrics and health.")
    ] = 9464,
    language: Annotated[
        str | None,
        typer.Option(metavar="kk|ru|en", help="Of the steps; else as BBAJ_LANG or the locale say."),
    ] = None,
    wait: Wait = JOIN_WAIT_S,
    json: JsonOption = False,
) -> None:
    """Make this machine a node by an invitation; safe to repeat until it has joined."""
    from nodes.cli import admitting, invitation_tables, output
    from nodes.cli.speaking import language_of
    from nodes.join_folder import Settings

    settings = Settings(
        database_url=database,
        owner_url=database_owner_url,
        broker_url=broker_url,
        http_port=http_port,
        passphrase_file=passphrase_file,
    )
    done = asyncio.run(
        admitting.admit(
            invitation,
            folder,
            settings,
            root_sha256=admitting.root_of(root, root_sha256),
            wait_s=wait,
            say=admitting.speaker(language_of(language, "--language"), quiet=json),
        )
    )
    output.show(json, done, lambda: invitation_tables.joined(done))


def remove(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="A child's address.")],
    reason: Annotated[
        str, typer.Option(help="Why its certificates end, as RFC 5280 names it.")
    ] = "cessationOfOperation",
    successor: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Where packets should go from now on.")
    ] = None,
    wait: Wait = WAIT_S,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Remove a child for ever: its card is closed, login and certificates end; archives stay."""
    from nodes.cli import invitation_tables, inviting, output
    from nodes.cli.opening import load

    done = inviting.remove(load(config), address, reason, successor, wait)
    output.show(json, done, lambda: invitation_tables.removed(done))


def _draw(made: list, qr: str | None, json: bool) -> list[str]:  # type: ignore[type-arg]
    """Draw codes where they are asked for; beside JSON on standard error, if anywhere."""
    if qr is None:
        return []
    from nodes.cli import codes_to_scan

    drawn = codes_to_scan.draw(made, qr)
    if json and qr == codes_to_scan.TERMINAL:
        typer.echo("\n".join(drawn), err=True)
    return drawn
