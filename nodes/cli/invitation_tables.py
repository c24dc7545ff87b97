"""Invitations and joining as people read them."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from nodes.cli.drawing import facts_table, new_table
from nodes.cli.invitation_shapes import (
    InvitationLine,
    InvitationMade,
    JoinDone,
    Removed,
    Withdrawn,
)
from nodes.cli.moments import utc_and_local, utc_over_local

STYLES = {"open": "green", "used": "dim", "withdrawn": "dim", "ended": "dim", "unknown": "red"}


def made(rows: Sequence[InvitationMade], drawn: Sequence[str]) -> Iterator[RenderableType]:
    """Draw `invite`: each text on one line of its own, to be copied whole."""
    for row in rows:
        yield f"{row.address}: invitation {row.invitation}, until {utc_and_local(row.ends)}"
        yield Text(row.text, no_wrap=True, overflow="ignore")
    yield from drawn
    yield "secret until it is used: hand it over in person, or over a line that you trust"
    yield "on that machine: bbaj join INVITATION --folder DIR --database URL"


def given(rows: Sequence[InvitationLine], strangers: int) -> Iterator[RenderableType]:
    """Draw `invitation list`, and say where somebody came whom our broker did not let in."""
    if strangers:
        yield Text(
            f"{strangers} incidents in the last week of callers whom our broker did not let in: "
            "`bbaj incidents`, kind stranger_refused",
            "red",
        )
    if not rows:
        yield "no invitations"
        return
    table = new_table("invitation", "address", "state", "until", "used or withdrawn", "in vain")
    for row in rows:
        table.add_row(
            row.invitation,
            row.address or "-",
            Text(row.state, STYLES.get(row.state, "")),
            utc_over_local(row.ends) if row.ends else "-",
            utc_over_local(row.at) if row.at else "-",
            Text(str(row.refused), "red" if row.refused else ""),
        )
    yield table


def withdrawn(done: Withdrawn) -> Iterator[RenderableType]:
    """Draw `invitation withdraw`."""
    yield f"{done.address}: invitation {done.invitation} withdrawn at {utc_and_local(done.at)}"


def joined(done: JoinDone) -> Iterator[RenderableType]:
    """Draw `join`."""
    yield facts_table(
        [
            ("address", done.address),
            ("tier", done.tier),
            ("parent", done.parent),
            ("configuration", done.config),
            ("root", done.root_sha256),
            ("took", "joined before" if done.again else f"{done.took_s:.1f} s"),
        ]
    )
    if done.replaces and not done.again:
        yield "this address had a machine before: bring its database and data folder here first"
    yield f"next: bbaj node run --config {done.config}"


def removed(done: Removed) -> Iterator[RenderableType]:
    """Draw `remove`."""
    moved = f", successor {done.successor}" if done.successor else ""
    yield f"{done.address}: {done.standing} since {utc_and_local(done.at)}{moved}"
    if done.waiting:
        yield f"{done.waiting} entries were not taken by it: they stay in the record"
    yield from done.broker
    yield f"certificates: {done.revoked or 'revoked'}"
