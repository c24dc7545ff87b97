"""A printout as one page of HTML that needs nothing else: no script, no link, no other file.

Everything is escaped as it goes in. Only what stands in this folder is ever markup.
"""

import base64
import io
from functools import cache
from pathlib import Path
from typing import Any

import segno
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from nodes.printing.blocks import Block, Printout
from nodes.printing.speaker import Speaker, visible

PNG_ADDRESS = "data:image/png;base64,"
MODULE_PIXELS = 6
LINE_CHARACTERS_MAX = 28
"""Lines so short, such as moments, stand as they are."""
WORD_CHARACTERS_MAX = 20
"""Longer words may be broken anywhere, or a table would be wider than its page."""


def make_page(sheet: Printout) -> str:
    """Return the page of a printout."""
    speaker = Speaker(sheet.language)
    template = _environment().get_template("page.html.jinja")
    return template.render(
        sheet=sheet,
        say=speaker.say,
        style=_own(_style(sheet, speaker)),
        qr=_qr(sheet.code),
    )


def address_of(png: bytes) -> str:
    """Return the address under which a picture stands in the page itself."""
    return PNG_ADDRESS + base64.b64encode(png).decode()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(("html.jinja",), default=True),
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
    )
    environment.globals.update(kind_of=_kind_of, address_of=address_of, manner_of=_manner_of)
    return environment


def _own(markup: str) -> Markup:
    """Let a template take a text as it is: one of our own making, or a quoted CSS string."""
    return Markup(markup)  # noqa: S704 - see above: nothing from outside comes here unquoted


def _shown(value: Any) -> Any:  # noqa: ANN401 - whatever a template names
    """Write out what shows nothing, before it is escaped."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _kind_of(block: Block) -> str:
    return type(block).__name__


def _manner_of(cell: str) -> Markup:
    """Return how a cell is set: one with lines or endless words loosely, which takes longer."""
    if "\n" in cell and max(map(len, cell.split("\n"))) <= LINE_CHARACTERS_MAX:
        return _own(' class="lines"')
    is_loose = "\n" in cell or any(len(word) > WORD_CHARACTERS_MAX for word in cell.split())
    return _own(' class="loose"' if is_loose else "")


def _style(sheet: Printout, speaker: Speaker) -> str:
    """Return the style sheet; texts in it are CSS strings, and page numbers are counted."""
    page = speaker.say("print.page", page="\0page\0", pages="\0pages\0")
    parts = page.split("\0")
    counted = [f"counter({part})" if at % 2 else _css(part) for at, part in enumerate(parts)]
    template = _environment().get_template("page.css.jinja")
    return template.render(
        head=_own(_css(f"{sheet.title}, {sheet.form}")),
        name=_own(_css(sheet.name)),
        printed=_own(_css(speaker.say("print.system"))),
        page=_own(" ".join(counted)),
    )


def _css(text: str) -> str:
    """Return a text as a CSS string: every character that could end it is written by number."""
    return '"' + "".join(_css_character(each) for each in visible(text)) + '"'


def _css_character(character: str) -> str:
    is_plain = character.isalnum() or character in " .,:/-_№«»()"
    return character if is_plain else f"\\{ord(character):06x}"


def _qr(text: str) -> bytes:
    drawn = io.BytesIO()
    segno.make_qr(text, error="m").save(drawn, kind="png", scale=MODULE_PIXELS, border=2)
    return drawn.getvalue()
