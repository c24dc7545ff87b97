"""The public part of a node's configuration, as it lies in a backup: no key, no password."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from nodes.config import Config
from signing.keys import sync_folder

_PASSWORD = re.compile(r"(://[^:/@\s\"']+):[^@\s\"']*@")


def copy_configuration(config: Config, file: Path, folder: Path) -> None:
    """Copy the configuration without passwords, and the public files that it names."""
    folder.mkdir(mode=0o700)
    text = _PASSWORD.sub(r"\1@", file.read_text(encoding="utf-8"))
    (folder / "node.toml").write_text(text, encoding="utf-8")
    for place, path in _public(config):
        target = folder / place / path.name
        target.parent.mkdir(mode=0o700, exist_ok=True)
        shutil.copyfile(path, target)
    for each in (*folder.iterdir(), folder):
        if each.is_dir():
            sync_folder(each)


def _public(config: Config) -> Iterator[tuple[str, Path]]:
    """Yield certificates, lists, cards and policies, each with the folder that takes it."""
    keys = config.keys
    yield "keys", keys.root
    yield from (("keys", path) for path in sorted(keys.folder.glob("*.pem")))
    yield from (("authorities", path) for path in sorted(keys.authorities.glob("*.pem")))
    yield from (("crls", path) for path in sorted(keys.crls.glob("*.pem")))
    if keys.cards is not None:
        for pattern in ("*.card", "*.pem"):
            yield from (("cards", path) for path in sorted(keys.cards.glob(pattern)))
    # That on rights names logins.
    named = [keys.genesis, config.policies.algorithms, config.retention.policy]
    yield from (("policies", path) for path in named if path is not None and path.exists())
    yield from (("timestamps", place.root) for place in config.timestamps)
