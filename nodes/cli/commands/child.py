"""`bbaj child` and `bbaj revoke`: what a parent vouches for, and takes back."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is quick

import asyncio
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from nodes.cli.registry_shapes import ChildDone

app = typer.Typer(
    name="child",
    help="Nodes that this one vouches for, or that hang under it.",
    no_args_is_help=True,
)

Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="A child's address.")]
Wait = Annotated[
    float,
    typer.Option("--wait", metavar="SECONDS", min=0, help="Wait at most so long for the daemon."),
]
WAIT_S = 60.0


def add_to(app_: typer.Typer) -> None:
    """Add the commands that stand alone."""
    app_.command("revoke")(revoke)


@app.command("list")
def list_children(config: ConfigOption = None, json: JsonOption = False) -> None:
    """List children with their tier, standing and place."""
    from nodes.cli import children, output, registry_tables
    from nodes.cli.opening import load

    rows = asyncio.run(children.list_children(load(config)))
    output.show(json, rows, lambda: registry_tables.children(rows))


@app.command()
def show(address: Address, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Show an address's card, and the cards before it."""
    from nodes.cli import children, output, registry_tables
    from nodes.cli.opening import load

    story = asyncio.run(children.show_child(load(config), address))
    output.show(json, story, lambda: registry_tables.child(story))


@app.command()
def suspend(
    address: Address, wait: Wait = WAIT_S, config: ConfigOption = None, json: JsonOption = False
) -> None:
    """Refuse a child's packets from now on, everywhere within one round of the network."""
    from nodes.cli import children
    from nodes.cli.opening import load

    _show(children.suspend(load(config), address, wait), json)


@app.command()
def reinstate(
    address: Address, wait: Wait = WAIT_S, config: ConfigOption = None, json: JsonOption = False
) -> None:
    """Let a suspended child's packets through again."""
    from nodes.cli import children
    from nodes.cli.opening import load

    _show(children.reinstate(load(config), address, wait), json)


@app.command()
def close(
    address: Address,
    successor: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Where packets should go from now on.")
    ] = None,
    wait: Wait = WAIT_S,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """End a node for ever: closed, merged into another, or renamed; its archive stays."""
    from nodes.cli import children
    from nodes.cli.opening import load

    _show(children.close(load(config), address, successor, wait), json)


@app.command()
def describe(
    address: Address,
    kk: KazakhName = None,
    ru: RussianName = None,
    en: EnglishName = None,
    kato: KatoOption = None,
    kato_edition: KatoEdition = None,
    bin_: BinOption = None,
    types: TypesOption = None,
    all_types: Annotated[
        bool, typer.Option("--all-types", help="Let it send every type again.")
    ] = False,
    former: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Its address before it was renamed.")
    ] = None,
    wait: Wait = WAIT_S,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Change names, place, number or rights on a child's card; what is not given stays."""
    from nodes.cli import children, describing
    from nodes.cli.opening import load

    described = describing.describe(
        address,
        names=(kk, ru, en),
        kato=(kato, kato_edition),
        bin_=bin_,
        types=() if all_types else types,
        former=former,
    )
    _show(children.describe(load(config), described, wait), json)


@app.command()
def move(
    address: Address,
    uplink: Annotated[str, typer.Argument(metavar="UPLINK", help="Whom it hangs under then.")],
    wait: Wait = WAIT_S,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Let a child hang under another node, whose operator runs `bbaj child adopt` next."""
    from nodes.cli import children
    from nodes.cli.opening import load

    _show(children.move(load(config), address, uplink, wait), json)


@app.command()
def adopt(
    address: Address, wait: Wait = WAIT_S, config: ConfigOption = None, json: JsonOption = False
) -> None:
    """Take over a node that was moved here: wait for its card, then give it a login."""
    from nodes.cli import children
    from nodes.cli.opening import load

    _show(children.adopt(load(config), address, wait), json)


def revoke(
    what: Annotated[
        str, typer.Argument(metavar="ADDRESS|SHA256", help="All of a node's certificates, or one.")
    ],
    reason: Annotated[str, typer.Option(help="As RFC 5280 names it, like keyCompromise.")],
    wait: Wait = WAIT_S,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Have the authority revoke certificates of a child, or of this node itself."""
    from nodes.cli import output, registry_tables, revoking
    from nodes.cli.opening import load

    done = revoking.revoke(load(config), what, reason, wait)
    output.show(json, done, lambda: registry_tables.revoking(done))


def _show(done: "ChildDone", json: bool) -> None:
    from nodes.cli import output, registry_tables

    output.show(json, done, lambda: registry_tables.child_done(done))
