"""What commands print for people, in each language: drawn, and looked through for strange words."""

import re
from collections.abc import Iterable

from rich.console import Console, RenderableType

from nodes.texts import below
from schemas.codes import Language


def drawn(parts: Iterable[RenderableType]) -> str:
    """Return what is drawn, on a line wide enough for all of it."""
    console = Console(width=400, markup=False, emoji=False, highlight=False)
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    return captured.get()


def strangers(said: str, language: Language, *prefixes: str) -> set[str]:
    """Return texts of other languages that stand in what was said; those without places alone.

    What is part of a text of the language itself says nothing.
    """
    own = [each for prefix in prefixes for each in below(prefix, language).values()]
    others = {
        each
        for other in Language
        if other is not language
        for prefix in prefixes
        for each in below(prefix, other).values()
        if "{" not in each
    }
    return {
        each
        for each in others
        if re.search(rf"(?<!\w){re.escape(each)}(?!\w)", said)
        and not any(each in mine for mine in own)
    }
