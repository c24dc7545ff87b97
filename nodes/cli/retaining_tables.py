"""Retention and legal holds as people read them, in the language spoken here."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType

from nodes.cli.drawing import new_table
from nodes.cli.moments import utc_and_local, utc_over_local
from nodes.cli.retaining_shapes import DueList, HoldLine, HoldsDone, PolicyShown
from nodes.config import spoken_language
from nodes.texts import text


def _say(key: str, **facts: object) -> str:
    return text(f"retention.{key}", spoken_language(), **facts)


def policy(shown: PolicyShown) -> Iterator[RenderableType]:
    """Draw `retention classes`."""
    table = new_table(*map(_say, ("class", "name", "term", "starts", "status", "basis")))
    for line in shown.classes:
        table.add_row(
            line.class_,
            line.name,
            line.term,
            _say(f"from.{line.starts}"),
            _say(line.status),
            line.basis,
        )
    yield table
    yield _say("version", version=shown.version, sha256=shown.sha256)
    if shown.since is None:
        yield _say("not-journaled")
    else:
        yield _say("in-force", since=utc_and_local(shown.since))


def due(found: DueList) -> Iterator[RenderableType]:
    """Draw `retention due`."""
    if found.buckets:
        table = new_table(
            *map(_say, ("bucket", "class", "due", "packets", "size", "held", "basis"))
        )
        for line in found.buckets:
            table.add_row(
                line.bucket,
                line.class_,
                utc_over_local(line.due),
                str(line.packets),
                str(line.size),
                str(line.held),
                line.basis,
            )
        yield table
        yield _say("nothing-deleted")
    else:
        yield _say("nothing-due", until=utc_and_local(found.until))
    if found.never:
        yield _say("never", classes=", ".join(found.never))


def holds(lines: Sequence[HoldLine]) -> Iterator[RenderableType]:
    """Draw `hold list`."""
    if not lines:
        yield _say("no-hold")
        return
    table = new_table(*map(_say, ("number", "what", "dispute", "since", "who", "lifted")))
    for line in lines:
        table.add_row(
            str(line.number),
            "\n".join(_selectors(line)),
            line.dispute or "",
            utc_over_local(line.since),
            line.who,
            "" if line.lifted is None else f"{utc_over_local(line.lifted)}\n{line.lifted_by}",
        )
    yield table


def holds_done(done: HoldsDone, *, lifted: bool) -> Iterator[RenderableType]:
    """Draw `hold set` and `hold lift`."""
    numbers = ", ".join(map(str, done.numbers))
    yield _say("hold-lifted" if lifted else "hold-set", numbers=numbers)


def _selectors(line: HoldLine) -> Iterator[str]:
    if line.packet is not None:
        yield _say("of-packet", packet=line.packet)
    if line.organisation is not None:
        key = "of-organisation-below" if line.below else "of-organisation"
        yield _say(key, organisation=line.organisation)
    if line.period is not None:
        yield _say("of-period", period=line.period)
