"""Puts results on standard output: one JSON value, or tables for people."""

import os
import sys
from collections.abc import Callable, Iterable

import msgspec
from rich.console import Console, RenderableType
from rich.status import Status

from nodes.cli.exits import READER_GONE

PLAIN_COLUMNS = 1000
"""Width where nobody looks: lines of a pipe or a file are not wrapped."""


def show(as_json: bool, value: object, draw: Callable[[], Iterable[RenderableType]]) -> None:
    """Print a shape (or a list of shapes) as JSON, or what `draw` makes of it."""
    if as_json:
        write_bytes(msgspec.json.encode(value, enc_hook=_english) + b"\n")
        return
    console = console_to(stderr=False)
    with console.capture() as drawn:  # rich, writing by itself, would end with a code of its own
        for part in draw():
            console.print(part)
    lines = drawn.get().splitlines()
    write_bytes("".join(f"{line.rstrip()}\n" for line in lines).encode())


def _english(value: object) -> str:
    """Return the English that a `Said` is. Raises NotImplementedError for anything else."""
    if isinstance(value, str):
        return str(value)
    raise NotImplementedError(type(value))


def write_bytes(data: bytes) -> None:
    """Write bytes to standard output as they are."""
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    except BrokenPipeError as error:
        leave_quietly(error)


def leave_quietly(error: BrokenPipeError) -> None:
    """End without a word: nobody reads on."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(READER_GONE) from error


def console_to(*, stderr: bool) -> Console:
    """Return a console that takes texts as they are: no markup, no emoji."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PLAIN_COLUMNS
    return Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def working(text: str) -> Status:
    """Return a line on standard error that shows what is going on; nothing where nobody looks."""
    return Status(text, console=console_to(stderr=True), spinner="line")
