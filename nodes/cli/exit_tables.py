"""The table of exit codes: for programs in English, for people in the language spoken here."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType

from nodes.cli.drawing import new_table
from nodes.cli.exits import ExitCode
from nodes.cli.shapes import Exit
from nodes.cli.speaking import say
from nodes.config import spoken_language
from schemas.codes import Language


def rows(codes: Sequence[ExitCode], language: Language = Language.EN) -> list[Exit]:
    """Return the table in one language."""
    return [
        Exit(
            code=row.code,
            name=row.name,
            meaning=row.meaning(language),
            next_step=row.next_step(language),
        )
        for row in codes
    ]


def exits(codes: Sequence[ExitCode]) -> Iterator[RenderableType]:
    """Draw `exits`."""
    names = ("code", "name", "meaning", "step")
    table = new_table(*(say(f"exits.columns.{name}") for name in names))
    for row in rows(codes, spoken_language()):
        table.add_row(str(row.code), row.name, row.meaning, row.next_step)
    yield table
