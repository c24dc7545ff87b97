"""PDF: its text can be found, its fonts are in it, its pages are counted."""

import re
import sys
import time
from pathlib import Path

import pytest

from harness.printouts import (
    LETTERS,
    dossier_of,
    file_of,
    pdf_text,
    picture,
    ran,
    sheet_of,
    strange_fonts,
)
from nodes.printing.page import make_page
from nodes.printing.paper import make_pdf
from schemas.codes import Language
from schemas.documents.registry import DOCUMENT_FILE, NOTICE_RETURNED


def printed(dossier, folder: Path, language: Language = Language.KK) -> Path:
    """Return the file of a printed dossier."""
    file = folder / "printed.pdf"
    file.write_bytes(make_pdf(make_page(sheet_of(dossier, language)))[0])
    return file


def test_every_letter_is_found_and_every_font_is_embedded(tmp_path):
    """Text can be searched, letters of Kazakh included, and needs no font of the reader's."""
    file = printed(dossier_of(NOTICE_RETURNED), tmp_path)
    assert LETTERS in pdf_text(file)
    assert strange_fonts(file) == []
    pages = int(re.search(r"Pages:\s+(\d+)", ran("pdfinfo", file))[1])
    assert f"{pages}-бет, барлығы {pages}" in pdf_text(file)


def test_pictures_and_odd_characters_are_set(tmp_path):
    """A picture is in the file as one; what no font of ours shows does not end the printing."""
    content = file_of("image/png", picture(), "𓀀 \u202e ☃")
    file = printed(dossier_of(DOCUMENT_FILE, content), tmp_path)
    assert len(ran("pdfimages", "-list", file).splitlines()) >= 4
    text = pdf_text(file)
    assert "[U+13000] [U+202E] ☃" in text
    assert "𓀀" not in text


@pytest.mark.slow
def test_a_page_is_set_in_half_a_second():
    """One page takes under 500 ms once the typesetter is loaded."""
    page = make_page(sheet_of(dossier_of()))
    took = []
    for _ in range(5):
        began = time.perf_counter()
        _, sheets = make_pdf(page)
        took.append((time.perf_counter() - began) / sheets)
    assert min(took) < 0.5


def test_nothing_else_pays_for_the_typesetter():
    """Daemon and commands start without typesetter, templates and pictures."""
    code = (
        "import nodes.daemon, nodes.cli.main, nodes.cli.printouts, nodes.cli.commands.looking\n"
        "import sys\n"
        "print([each for each in ('weasyprint', 'PIL', 'jinja2') if each in sys.modules])"
    )
    assert ran(sys.executable, "-c", code) == "[]\n"
