"""Quarantine and incidents as people read them, in the language spoken here."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType

from nodes.cli.drawing import new_table, plain
from nodes.cli.moments import utc_and_local, utc_over_local
from nodes.cli.shapes import Incident, Quarantined, QuarantineEntry
from nodes.cli.speaking import say
from nodes.cli.tables import columns, facts_of, reason_of, state_of, step_after


def quarantine(rows: Sequence[Quarantined]) -> Iterator[RenderableType]:
    """Draw `quarantine list`."""
    if not rows:
        yield say("packets.none.quarantine")
        return
    names = ("frame", "received", "neighbour", "state", "reason", "packet", "step")
    table = new_table(*columns(*names))
    for row in rows:
        table.add_row(
            str(row.frame),
            utc_over_local(row.received),
            row.neighbour,
            state_of(row.state),
            f"{row.reason}\n{plain(row.detail)}",
            row.id or "-",
            step_after(row.reason),
        )
    yield table


def quarantine_entry(entry: QuarantineEntry) -> Iterator[RenderableType]:
    """Draw `quarantine show`."""
    for row in entry.rows:
        pairs = [
            ("frame", str(row.frame)),
            ("size", str(row.size)),
            ("whole", say("print.yes" if row.kept else "print.no")),
            ("digest", row.sha256),
            ("received", utc_and_local(row.received)),
            ("neighbour", row.neighbour),
            ("state", state_of(row.state).plain),
            ("reason", reason_of(row.reason)),
            ("detail", plain(row.detail)),
            ("packet", row.id),
            ("ends", f"{row.from_} -> {row.to}" if row.id else ""),
            ("step", step_after(row.reason)),
        ]
        yield facts_of(pairs)
    if entry.raw:
        yield say("print.done", file=entry.raw)


def incidents(rows: Sequence[Incident]) -> Iterator[RenderableType]:
    """Draw `incidents`; what is there to say is as the journal of incidents has it."""
    if not rows:
        yield say("packets.none.incidents")
        return
    table = new_table(*columns("at", "kind", "neighbour", "detail", "frame"))
    for row in rows:
        frame = "" if row.frame is None else str(row.frame)
        table.add_row(utc_over_local(row.at), row.kind, row.neighbour, plain(row.detail), frame)
    yield table
