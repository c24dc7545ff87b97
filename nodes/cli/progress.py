"""Progress of long commands on standard error, in the three languages of those who wait."""

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

STAGES = {
    "journal": "журнал · журнал · journal",
    "frames": "кадрлар · кадры · frames",
    "streams": "ағындар · потоки · streams",
    "tiles": "тақталар · плитки · tiles",
    "packets": "пакеттер · пакеты · packets",
    "dump": "көшіру · копирование · copying",
    "sums": "бақылау сомалары · контрольные суммы · sums",
    "rebuild": "қайта құру · восстановление от соседей · rebuilding",
    "restore": "қалпына келтіру · восстановление · restoring",
}
"""What the stages of commands are called: Kazakh, Russian, English."""


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

    def advance(stage: str, done: int, total: int) -> None:
        if stage not in stages:
            stages[stage] = bars.add_task(STAGES[stage], total=total)
        bars.update(stages[stage], completed=done, total=total)

    with bars:
        yield advance
