"""Progress of long commands on standard error, in the language of those who wait."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from nodes.cli.output import console_to
from nodes.config import spoken_language
from nodes.texts import text


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """Give what is told a stage, how much of it is done, and how much there is.

    Shows nothing where nobody looks.
    """
    console = console_to(stderr=True)
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    stages: dict[str, TaskID] = {}
    language = spoken_language()

    def advance(stage: str, done: int, total: int) -> None:
        if stage not in stages:
            stages[stage] = bars.add_task(text(f"progress.{stage}", language), total=total)
        bars.update(stages[stage], completed=done, total=total)

    with bars:
        yield advance
