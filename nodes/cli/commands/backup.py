"""`bbaj backup` and `bbaj restore`: the record and its keys, apart from each other."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is quick

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from nodes.cli.options import ConfigOption, JsonOption

PassphraseFile = Annotated[
    Path, typer.Option("--passphrase-file", help="Of the keys' escrow, mode 0600; kept elsewhere.")
]


def add_to(app: typer.Typer) -> None:
    """Add the commands that stand alone."""
    app.command("backup")(backup)
    app.command("restore")(restore)


def backup(
    to: Annotated[
        Path, typer.Option("--to", help="Folder of backups; each has a name of its own.")
    ],
    keys_to: Annotated[
        Path, typer.Option("--keys-to", help="Folder of the keys' escrow, on another disk.")
    ],
    passphrase_file: PassphraseFile,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Prove it: one that is not does not count.")
    ] = True,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Copy the record and escrow its keys, and prove it by restoring; the daemon may run."""
    from nodes.cli import backup_tables, backups, output
    from nodes.cli.opening import load
    from nodes.config import config_path

    places = backups.Places(to, keys_to, passphrase_file)
    file = config_path(config)
    done = asyncio.run(backups.back_up(load(config), file, places, is_proven=verify))
    output.show(json, done, lambda: backup_tables.backup(done))


def restore(
    keys_from: Annotated[Path, typer.Option("--keys-from", help="Folder of the keys' escrow.")],
    passphrase_file: PassphraseFile,
    from_: Annotated[Path | None, typer.Option("--from", help="One backup's folder.")] = None,
    keys_only: Annotated[
        bool, typer.Option("--keys-only", help="Bring back missing keys, and nothing else.")
    ] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Bring a backup back into the empty database that the configuration names, with its keys."""
    from nodes.cli import backup_tables, backups, output
    from nodes.cli.errors import UsageFault
    from nodes.cli.opening import load

    if (from_ is None) != keys_only:
        raise UsageFault("name a backup with --from, or say --keys-only")
    loaded = load(config)
    if from_ is None:
        back = backups.restore_keys(loaded, keys_from, passphrase_file)
        output.show(json, back, lambda: backup_tables.keys_back(back))
        return
    places = backups.Places(from_, keys_from, passphrase_file)
    done = asyncio.run(backups.restore(loaded, places))
    output.show(json, done, lambda: backup_tables.restored(done))
