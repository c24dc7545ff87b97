"""Journals as people read them, in the language spoken here."""

from collections.abc import Iterator

from rich.console import RenderableType

from nodes.cli.drawing import facts_table, new_table
from nodes.cli.journal_shapes import JournalStory
from nodes.cli.moments import duration, utc_and_local, utc_over_local
from nodes.cli.speaking import say
from nodes.said import spoken


def journal(story: JournalStory) -> Iterator[RenderableType]:
    """Draw `journal show`."""
    witnessed = {"size": story.witnessed, "needed": story.witnesses_needed}
    yield facts_table(
        [
            (say("journal.name"), story.origin),
            (say("journal.leaves"), str(story.leaves)),
            (say("journal.signed"), _signed(story)),
            (say("journal.witnessed"), say("journal.witnessed-is", **witnessed)),
            (say("journal.waits"), _waits(story)),
        ]
    )
    if story.witnesses:
        yield ""
        drawn = new_table(*_columns("cosigned-by", "leaves", "at"), "")
        for row in story.witnesses:
            newest = say("journal.newest") if row.is_newest else ""
            drawn.add_row(row.witness, str(row.size), utc_over_local(row.at), newest)
        yield drawn
    if story.neighbours:
        yield ""
        watched = new_table(*_columns("of-neighbour", "leaves", "shown", "root"))
        for shown in story.neighbours:
            watched.add_row(shown.origin, str(shown.size), utc_over_local(shown.shown), shown.root)
        yield watched
    if story.checkpoint is not None:
        yield ""
        yield story.checkpoint


def _columns(*names: str) -> list[str]:
    return [say(f"journal.{name}") for name in names]


def _signed(story: JournalStory) -> str:
    if story.signed is None:
        return say("journal.unsigned")
    return say("journal.signed-is", size=story.size, at=utc_and_local(story.signed))


def _waits(story: JournalStory) -> str:
    if story.waits_s is None:
        return say("journal.waits-not")
    return say("journal.waits-since", span=spoken(duration(story.waits_s)))
