"""`show --content`: the same blocks on a terminal, with nothing in them that would steer it."""

import io

import pytest
from rich.console import Console

from harness.printouts import (
    ALL_TYPES,
    content_of,
    dossier_of,
    file_of,
    picture,
    quarantined_dossier,
    sheet_of,
)
from nodes.cli.printouts import drawn
from schemas.codes import Language
from schemas.documents.registry import DOCUMENT_FILE, TYPES


def shown(dossier, language=Language.EN) -> str:
    """Return what stands on a terminal."""
    console = Console(file=io.StringIO(), width=120, markup=False, emoji=False, highlight=False)
    for part in drawn(sheet_of(dossier, language)):
        console.print(part)
    return console.file.getvalue()


@pytest.mark.parametrize("type_name", ALL_TYPES)
def test_every_type_is_shown(type_name):
    """Title and content of each type stand there."""
    text = shown(dossier_of(type_name, content_of(type_name)))
    assert TYPES[type_name].names.en.lower() in text.lower()
    assert len(text.splitlines()) >= 3


@pytest.mark.parametrize(
    ("media_type", "data"),
    [("text/plain", b"a\x1b[2Jb [bold]c"), ("image/png", picture()), ("text/html", b"\x1b[2J")],
)
def test_files_steer_no_terminal(media_type, data):
    """Control characters are written out, in content and title alike."""
    text = shown(dossier_of(DOCUMENT_FILE, file_of(media_type, data, "title\x1b]0;x\x07")))
    assert "\x1b" not in text
    assert "title[U+001B]" in text
    assert media_type != "text/plain" or "a[U+001B][2Jb [bold]c" in text


def test_a_quarantined_frame_is_shown_as_such():
    """Its notice comes first."""
    assert "counts as no document" in shown(quarantined_dossier())
