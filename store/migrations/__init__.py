"""The steps from an empty database to today's schema: `NNNN_name.sql`, never edited once out."""

from hashlib import sha256
from importlib.resources import files

import msgspec


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
    versions = [step.version for step in steps]
    assert versions == sorted(set(versions)), "each step has a number of its own"
    return steps


SCHEMA_VERSION = all_migrations()[-1].version
"""The number of the last step: what this program needs."""
