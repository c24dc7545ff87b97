"""`bbaj keys`: the node's keys, their renewal, and the escrow of those that open its archive."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is quick

from pathlib import Path
from typing import Annotated

import typer

from nodes.cli.options import ConfigOption, JsonOption

app = typer.Typer(name="keys", help="The node's keys.", no_args_is_help=True)

WAIT_S = 60.0
Purposes = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY]...", help="packet, journal, link or witness; none: all."),
]
Wait = Annotated[
    float,
    typer.Option("--wait", metavar="SECONDS", min=0, help="Wait at most so long for the daemon."),
]
PassphraseFile = Annotated[
    Path, typer.Option("--passphrase-file", help="Of the escrow, mode 0600; not the node's own.")
]


@app.command("list")
def list_keys(config: ConfigOption = None, json: JsonOption = False) -> None:
    """List keys in use, asked for and of before, and when each is renewed."""
    from nodes.cli import key_tables, keys, output
    from nodes.cli.opening import load

    rows = keys.list_keys(load(config))
    output.show(json, rows, lambda: key_tables.keys(rows))


@app.command()
def renew(
    purposes: Purposes = None,
    wait: Wait = WAIT_S,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Have the daemon ask for the next certificates now; it takes them into use as they come."""
    from nodes.cli import key_tables, keys, output
    from nodes.cli.opening import load

    asked = keys.renew(load(config), list(purposes or ()), wait)
    output.show(json, asked, lambda: key_tables.renewal(asked))


@app.command()
def escrow(
    to: Annotated[Path, typer.Option("--to", help="File to write; never written over.")],
    passphrase_file: PassphraseFile,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Write all encryption keys, old ones too, into one file for the backup."""
    from nodes.cli import key_tables, keys, output
    from nodes.cli.opening import load

    written = keys.escrow(load(config), to, passphrase_file)
    output.show(json, written, lambda: key_tables.escrow(written))


@app.command()
def restore(
    from_: Annotated[Path, typer.Option("--from", help="File that `keys escrow` wrote.")],
    passphrase_file: PassphraseFile,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Bring the encryption keys of an escrow back; what is there stays as it is."""
    from nodes.cli import key_tables, keys, output
    from nodes.cli.opening import load

    done = keys.restore(load(config), from_, passphrase_file)
    output.show(json, done, lambda: key_tables.restored(done))
