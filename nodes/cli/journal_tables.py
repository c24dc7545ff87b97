"""Journals as people read them."""

from collections.abc import Iterator

from rich.console import RenderableType

from nodes.cli.drawing import facts_table, new_table
from nodes.cli.journal_shapes import JournalStory
from nodes.cli.moments import duration, utc_and_local, utc_over_local


def journal(story: JournalStory) -> Iterator[RenderableType]:
    """Draw `journal show`."""
    waits = "nothing" if story.waits_s is None else f"since {duration(story.waits_s)}"
    yield facts_table(
        [
            ("journal", story.origin),
            ("leaves", str(story.leaves)),
            ("signed", _signed(story)),
            ("witnessed", f"{story.witnessed} leaves, {story.witnesses_needed} witnesses needed"),
            ("waits for witnesses", waits),
        ]
    )
    if story.witnesses:
        yield ""
        drawn = new_table("cosigned by", "leaves", "at", "")
        for row in story.witnesses:
            newest = "the newest" if row.is_newest else ""
            drawn.add_row(row.witness, str(row.size), utc_over_local(row.at), newest)
        yield drawn
    if story.neighbours:
        yield ""
        watched = new_table("neighbour's journal", "leaves", "shown", "root")
        for shown in story.neighbours:
            watched.add_row(shown.origin, str(shown.size), utc_over_local(shown.shown), shown.root)
        yield watched
    if story.checkpoint is not None:
        yield ""
        yield story.checkpoint


def _signed(story: JournalStory) -> str:
    if story.signed is None:
        return "no checkpoint yet"
    return f"{story.size} leaves, {utc_and_local(story.signed)}"
