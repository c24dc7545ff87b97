"""QR codes of invitations: drawn on the terminal, or written as SVG."""

import io
from collections.abc import Sequence
from pathlib import Path

import segno

from nodes.cli.errors import FileFault
from nodes.cli.invitation_shapes import InvitationMade

TERMINAL = "terminal"
MODULE_PX = 3


def draw(made: Sequence[InvitationMade], target: str) -> list[str]:
    """Draw a code for each invitation; return the files written, or the drawings themselves.

    `target` is `terminal` or a file's name; with several, each file has the address in its name.
    Raises FileFault where a file is there already, or cannot be written.
    """
    if target == TERMINAL:
        return [f"{each.address}\n{_on_terminal(each.text)}" for each in made]
    paths = [_path(Path(target), each.address, several=len(made) > 1) for each in made]
    for path, each in zip(paths, made, strict=True):
        _write(path, each.text)
    return [str(path) for path in paths]


def _on_terminal(text: str) -> str:
    drawn = io.StringIO()
    _code(text).terminal(drawn, compact=True)
    return drawn.getvalue()


def _path(file: Path, address: str, *, several: bool) -> Path:
    return file.with_name(f"{file.stem}-{address}{file.suffix or '.svg'}") if several else file


def _write(path: Path, text: str) -> None:
    """Write a code; its text is a secret, so others may not read it."""
    drawn = io.BytesIO()
    _code(text).save(drawn, kind="svg", scale=MODULE_PX, light="white")
    try:
        path.touch(mode=0o600, exist_ok=False)
        path.write_bytes(drawn.getvalue())
    except OSError as error:
        raise FileFault(f"{path}: {error.strerror}: name another file with --qr") from error


def _code(text: str) -> segno.QRCode:
    return segno.make_qr(text, error="l", boost_error=False)
