"""What a neighbour withstood, as people read it in the language spoken here."""

from collections.abc import Iterator

from rich.console import RenderableType

from nodes.cli.drawing import new_table
from nodes.cli.speaking import say, say_of
from nodes.gauntlet.running import GauntletResult


def gauntlet(result: GauntletResult) -> Iterator[RenderableType]:
    """Draw each case, and what came of it."""
    names = ("case", "what", "thrown", "seconds", "verdict")
    table = new_table(*(say(f"gauntlet.{name}") for name in names))
    for each in result.cases:
        table.add_row(
            each.name,
            say_of("gauntlet.cases", each.name),
            f"{each.thrown:,}",
            f"{each.seconds:g}",
            each.fault or say("gauntlet.withstood"),
        )
    yield table
