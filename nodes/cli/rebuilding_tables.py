"""What has come back of a lost record, as people read it."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from nodes.cli.drawing import new_table
from nodes.cli.rebuilding_shapes import RebuildReport
from nodes.config import spoken_language
from nodes.texts import text


def report(told: RebuildReport) -> Iterator[RenderableType]:
    """Draw the report: streams, then every gap."""
    yield _say("sum", packets=told.packets, objects=told.objects)
    if told.streams:
        table = new_table(*(_say(name) for name in ("stream", "came", "noted", "state")))
        for each in told.streams:
            state = _say("whole" if each.is_whole else "coming")
            name = f"{each.neighbour}: {each.lane}/{each.epoch}"
            table.add_row(name, str(each.came), str(each.noted), state)
        yield table
    for neighbour in told.silent:
        yield Text(_say("silent", neighbour=neighbour), "red")
    if told.gaps:
        table = new_table(*(_say(name) for name in ("stream", "number", "why", "digest")))
        for gap in told.gaps:
            name = f"{gap.neighbour}: {gap.lane}/{gap.epoch}"
            table.add_row(name, str(gap.number), Text(_why(gap.why), "red"), gap.sha256[:16])
        yield table
    for own in told.own_gaps:
        facts = {"recipient": own.recipient, "epoch": own.epoch}
        yield Text(_say("own", first=own.first, last=own.last, **facts), "red")
    if told.is_done and not (told.gaps or told.own_gaps or told.silent):
        yield _say("no_gaps")
    if told.is_done:
        yield _say("unknown")


def _why(why: str) -> str:
    return _say(f"why_{why}") if why in {"destroyed", "lost"} else why


def _say(key: str, **facts: object) -> str:
    return text(f"rebuild.{key}", spoken_language(), **facts)
