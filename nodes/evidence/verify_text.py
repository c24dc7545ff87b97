"""VERIFY.md of an evidence folder: prose, and blocks that any POSIX shell runs as they stand.

The blocks are those of `sections/`; each is there when the folder has something that it is about.
A block uses coreutils, awk and openssl only, finds what to check in SHA256SUMS, writes nothing, and
ends the shell (`sh -eu`) at the first thing that does not hold.
"""

import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from importlib.resources import files

from signing.profiles import ARC

_ALWAYS = ""
_SECTIONS = (
    ("tools", _ALWAYS),
    ("sums", _ALWAYS),
    ("pieces", _ALWAYS),
    ("whole", r"payload\.bin"),
    ("contents", r"content"),
    ("decrypted", r"clear\.bin"),
    ("signature", _ALWAYS),
    ("chained", r"roots_and_crls\.pem"),
    ("followed", r"crls_after\.pem"),
    ("answers", r"(receipt|closing)(-[0-9]+)?/head\.bin"),
    ("checkpoints", r"checkpoints/[0-9]+/note\.txt"),
    ("witnesses", r"cosigned\.txt"),
    ("lattices", r"cosigned\.bin"),
    ("stamps", r"stamps/[0-9]+/token\.der"),
    ("custody", r"chain\.txt"),
    ("tracked", r"body\.bin"),
    ("issued", r"issued\.proof"),
    ("renewals", r"renewals/[0-9]+/token\.der"),
    ("end", _ALWAYS),
)
"""Each section, and what some file's name must end in for it."""


def verify_text(packet: str, names: Iterable[str], notes: list[str]) -> str:
    """Return VERIFY.md for a folder with these files; `notes` say what is not in it."""
    return "".join(_texts(packet, list(names), notes))


def _texts(packet: str, names: list[str], notes: list[str]) -> Iterator[str]:
    yield _section("introduction").replace("@packet@", packet)
    if notes:
        yield _section("missing").replace("@notes@", "\n".join(f"- {note}" for note in notes))
    for section, ending in _SECTIONS:
        found = re.compile(rf"(^|/){ending}$") if ending else None
        if found is None or any(map(found.search, names)):
            yield _section(section).replace("@arc@", ARC).replace("@inflate@", _inflate())


def _inflate() -> str:
    """Return the digest of what undoes deflate, which is a program too."""
    return sha256(files("nodes.evidence").joinpath("inflate.awk").read_bytes()).hexdigest()


def _section(name: str) -> str:
    return files("nodes.evidence").joinpath(f"sections/{name}.md").read_text("utf-8")
