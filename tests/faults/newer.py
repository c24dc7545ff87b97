"""A daemon of a time to come: it offers a newer bundle version, and seals packets with an `ext`.

Everything else is the product as it is. `PROGRAM` is what `PrivateNetwork` runs in its place.
"""

import sys
from pathlib import Path
from typing import Any

import exchange.answering
import exchange.drops
import exchange.links
from nodes.running import run_node
from schemas.header import Header
from schemas.objects import Hello

PROGRAM = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from faults.newer import main
main()
"""
VERSIONS = [1, 2]
EXT = {"later": {"than": "this"}}


def header(**fields: Any) -> Header:
    """Return a header with a member that nobody knows yet."""
    return Header(**fields, ext=EXT)


def hello(**fields: Any) -> Hello:
    """Return a hello that offers a version more."""
    return Hello(**{**fields, "versions": VERSIONS})


def main() -> None:
    """Run the node of a configuration."""
    exchange.drops.Header = exchange.answering.Header = header  # type: ignore[misc]
    exchange.links.Hello = hello  # type: ignore[misc]
    run_node(*map(Path, sys.argv[1:]))
