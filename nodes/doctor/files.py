"""Rights on files: keys and secrets belong to the daemon's user, and to nobody else."""

import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from nodes.cli.seen import Seen, fail, ok
from nodes.config import Config
from nodes.said import Said

SHOWN = 5
"""So many paths are named."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


async def examine(config: Config) -> AsyncIterator[Seen]:
    """Look at the modes of folders, keys, secrets and the policy."""
    folders = [config.keys.folder, config.data / "at-rest"]
    yield _closed(Said("doctor.folders"), [each for each in folders if each.exists()], "700")
    yield _closed(Said("doctor.keys"), sorted(_keys(config)), "600")
    yield _closed(Said("doctor.secrets"), sorted(_secrets(config)), "600")
    yield _unchanged_by_others(config)


def _keys(config: Config) -> Iterator[Path]:
    yield from config.keys.folder.rglob("*.key")
    yield from config.data.glob("*.key")
    yield from (config.data / "at-rest").glob("*.key")


def _secrets(config: Config) -> Iterator[Path]:
    named = [
        config.keys.passphrase_file,
        config.database.password_file,
        config.database.owner_password_file,
        config.broker.password_file if config.broker else None,
        *(system.password_file for system in config.systems),
    ]
    yield from (path for path in named if path is not None and path.exists())


def _closed(name: str, paths: list[Path], mode: str) -> Seen:
    """Say which of these somebody besides their owner may use."""
    open_ones = [path for path in paths if path.stat().st_mode & _OTHERS]
    if not open_ones:
        return ok(name, Said("doctor.found.closed", {"count": len(paths)}))
    shown, more = ", ".join(str(path) for path in open_ones[:SHOWN]), len(open_ones) - SHOWN
    found = Said("doctor.found.others-use", {"paths": shown})
    if more > 0:
        found = Said("doctor.found.others-use-more", {"paths": shown, "more": more})
    return fail(name, found, Said("doctor.advice.close", {"mode": mode}))


def _unchanged_by_others(config: Config) -> Seen:
    """Say whether others may change what the node trusts or obeys."""
    named = [config.keys.root, config.keys.authorities, config.keys.crls, config.rights.policy]
    paths = [path for path in named if path is not None and path.exists()]
    name = Said("doctor.trust")
    changeable = [str(path) for path in paths if path.stat().st_mode & _OTHERS_WRITE]
    if changeable:
        found = Said("doctor.found.others-change", {"paths": ", ".join(changeable)})
        return fail(name, found, Said("doctor.advice.unwritable"))
    return ok(name, Said("doctor.found.unchanged", {"count": len(paths)}))
