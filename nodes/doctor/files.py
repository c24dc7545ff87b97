"""Rights on files: keys and secrets belong to the daemon's user, and to nobody else."""

import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from nodes.cli.registry_shapes import Finding
from nodes.config import Config
from nodes.doctor.findings import fail, ok

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


async def examine(config: Config) -> AsyncIterator[Finding]:
    """Look at the modes of folders, keys, secrets and the policy."""
    folders = [config.keys.folder, config.data / "at-rest"]
    yield _closed("rights on folders", [each for each in folders if each.exists()], "700")
    yield _closed("rights on keys", sorted(_keys(config)), "600")
    yield _closed("rights on secrets", sorted(_secrets(config)), "600")
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


def _closed(name: str, paths: list[Path], mode: str) -> Finding:
    """Say which of these somebody besides their owner may use."""
    open_ones = [path for path in paths if path.stat().st_mode & _OTHERS]
    if not open_ones:
        return ok(name, f"{len(paths)} looked at, each for its owner alone")
    shown = ", ".join(str(path) for path in open_ones[:5])
    more = f" and {len(open_ones) - 5} more" if len(open_ones) > 5 else ""
    what = f"run `chmod {mode}` on them; replace what others may have read"
    return fail(name, f"others may use {shown}{more}", what)


def _unchanged_by_others(config: Config) -> Finding:
    """Say whether others may change what the node trusts or obeys."""
    named = [config.keys.root, config.keys.authorities, config.keys.crls, config.rights.policy]
    paths = [path for path in named if path is not None and path.exists()]
    changeable = [str(path) for path in paths if path.stat().st_mode & _OTHERS_WRITE]
    if changeable:
        found = f"others may change {', '.join(changeable)}"
        return fail("rights on trust", found, "run `chmod go-w` on them; see what was changed")
    return ok("rights on trust", f"{len(paths)} looked at, none for others to change")
