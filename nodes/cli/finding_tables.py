"""What `bbaj search` and exports of lists say, in the language of who asks."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from nodes.cli.drawing import STYLES, new_table, plain
from nodes.cli.moments import utc_over_local
from nodes.cli.shapes import Exported, FoundList
from nodes.texts import text
from schemas.codes import Language

COLUMNS = ("packet", "title", "type", "from", "received", "state")


def found(page: FoundList, language: Language) -> Iterator[RenderableType]:
    """Draw `search`."""
    if page.packets:
        table = new_table(*(text(f"search.columns.{each}", language) for each in COLUMNS))
        for line in page.packets:
            table.add_row(
                line.id,
                plain(line.title),
                line.type_ + (f"\n{line.period}" if line.period else ""),
                line.from_,
                utc_over_local(line.received or line.kept),
                Text(text(f"print.states.{line.state}", language), STYLES.get(line.state, "")),
            )
        yield table
    else:
        yield text("search.none", language)
    if page.next_after is not None:
        yield text("search.more", language, cursor=page.next_after)
    for key, count in (("unopened", page.unopened), ("behind", page.not_indexed)):
        if count:
            yield text(f"search.{key}", language, count=count)


def exported(done: Exported, language: Language) -> Iterator[RenderableType]:
    """Draw what was written by `--export`."""
    yield text("search.exported", language, file=done.file, packets=done.packets)
