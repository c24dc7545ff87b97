"""`bbaj journal`: the node's own journal, and what vouches for it."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is quick

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from nodes.cli.options import ConfigOption, JsonOption

app = typer.Typer(
    name="journal", help="The journal, and what vouches for it.", no_args_is_help=True
)

Wait = Annotated[
    float,
    typer.Option("--wait", metavar="SECONDS", min=0, help="Wait at most so long for the daemon."),
]
WAIT_S = 60.0
RENEW_WAIT_S = 600.0
Authority = Annotated[
    str | None, typer.Option(metavar="NAME", help="By this one alone, as [[timestamps]] names it.")
]


@app.command()
def show(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Show the journal's newest checkpoint, who has cosigned it, and the neighbours' journals."""
    from nodes.cli import journal_tables, journals, output
    from nodes.cli.opening import load

    story = asyncio.run(journals.show_journal(load(config)))
    output.show(json, story, lambda: journal_tables.journal(story))


@app.command()
def recover(
    after: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="NOTE", help="At the root: what its oblasts hold, of `bbaj journal note`."
        ),
    ] = None,
    wait: Wait = WAIT_S,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Give up what this journal has lost and ask for a new epoch; look for a newer backup first."""
    from nodes.cli import output, recovering
    from nodes.cli.opening import load

    done = recovering.recover(load(config), after or [], wait)
    output.show(json, done, lambda: recovering.asked(done))


@app.command()
def approve(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="A child that asks.")],
    wait: Wait = WAIT_S,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Let a child that has lost leaves begin a new epoch of its journal."""
    from nodes.cli import output, recovering
    from nodes.cli.opening import load

    done = recovering.approve(load(config), address, wait)
    output.show(json, done, lambda: recovering.approved(done))


@app.command()
def note(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="A neighbour.")],
    size: Annotated[
        int | None, typer.Option(metavar="LEAVES", min=0, help="The one of this size.")
    ] = None,
    wait: Wait = WAIT_S,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Print the newest checkpoint that this node holds of a neighbour's journal, cosigned."""
    from nodes.cli import output, recovering
    from nodes.cli.opening import load

    held = recovering.note(load(config), address, size, wait)
    if json:
        output.show(json, held, list)
    else:  # a terminal's width must not break its lines
        output.write_bytes(held.note.rstrip("\n").encode() + b"\n")


@app.command()
def stamps(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="So many, newest first.")] = 20,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """List the journal's time-stamps: until when each holds up, what renews it, what is due."""
    from nodes.cli import output, stamping
    from nodes.cli.opening import load

    lines = asyncio.run(stamping.list_stamps(load(config), limit))
    output.show(json, lines, lambda: stamping.stamps_table(lines))


@app.command()
def stamp(
    authority: Authority = None,
    wait: Wait = WAIT_S,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Have the newest checkpoint time-stamped now, by each authority or by one."""
    from nodes.cli import output, stamping
    from nodes.cli.opening import load

    done = stamping.make(load(config), authority, wait)
    output.show(json, done, lambda: stamping.made(done))


@app.command()
def renew(
    authority: Authority = None,
    hash_anew: Annotated[
        bool,
        typer.Option("--hash", help="Hash all leaves anew, too, though no policy asks for it yet."),
    ] = False,
    wait: Wait = RENEW_WAIT_S,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Renew all that the journal's proofs rest on, before an authority or algorithm ends."""
    from nodes.cli import output, stamping
    from nodes.cli.opening import load

    done = stamping.renew(load(config), authority, wait, anew=hash_anew)
    output.show(json, done, lambda: stamping.made(done))


@app.command("export-tiles")
def export_tiles(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="New, or of an export before: it goes on there.")
    ],
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Write the journal as C2SP tlog-tiles, with a policy file, for public tools to audit."""
    from nodes.cli import output, store_tables, tiles
    from nodes.cli.opening import load

    done = asyncio.run(tiles.export(load(config), folder))
    output.show(json, done, lambda: store_tables.tiles_export(done))
