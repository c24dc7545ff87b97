"""The steps from an empty database to today's schema: `NNNN_name.sql`, never edited once out."""

from hashlib import sha256
from importlib.resources import files

import msgspec

SCHEMA_VERSION = 3
"""The number of the last step: what this program needs."""


class Migration(msgspec.Struct, frozen=True, gc=False):
    """One step; `digest` is the SHA-256 of its text."""

    version: int
    name: str
    text: str
    digest: bytes


def all_migrations() -> list[Migration]:
    """Return every step, in order."""
    names = sorted(file.name for file in files(__name__).iterdir() if file.name.endswith(".sql"))
    steps = []
    for name in names:
        text = files(__name__).joinpath(name).read_text("utf-8")
        version = int(name.split("_", 1)[0])
        steps.append(Migration(version, name, text, sha256(text.encode()).digest()))
    assert [step.version for step in steps] == list(range(1, SCHEMA_VERSION + 1))
    return steps
