"""Invitations and joining as people read them, in the language spoken here."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from nodes.cli.drawing import facts_table, new_table, plain
from nodes.cli.invitation_shapes import (
    InvitationLine,
    InvitationMade,
    JoinDone,
    Removed,
    Withdrawn,
)
from nodes.cli.moments import utc_and_local, utc_over_local
from nodes.cli.registry_tables import columns, deeds, standing_of, tier_of
from nodes.cli.speaking import say

STYLES = {"open": "green", "used": "dim", "withdrawn": "dim", "ended": "dim", "unknown": "red"}


def made(rows: Sequence[InvitationMade], drawn: Sequence[str]) -> Iterator[RenderableType]:
    """Draw `invite`: each text on one line of its own, to be copied whole."""
    for row in rows:
        facts = {"address": row.address, "invitation": row.invitation}
        yield say("network.invite.made", at=utc_and_local(row.ends), **facts)
        yield Text(row.text, no_wrap=True, overflow="ignore")
    yield from drawn
    yield say("network.invite.secret")
    yield say("network.invite.next")


def given(rows: Sequence[InvitationLine], strangers: int) -> Iterator[RenderableType]:
    """Draw `invitation list`, and say where somebody came whom our broker did not let in."""
    if strangers:
        yield Text(say("network.invite.strangers", count=strangers), "red")
    if not rows:
        yield say("network.no-invitations")
        return
    table = new_table(*columns("invitation", "address", "state", "until", "ended", "refused"))
    for row in rows:
        table.add_row(
            row.invitation,
            row.address or "-",
            Text(say(f"network.invitations.{row.state}"), STYLES[row.state]),
            utc_over_local(row.ends) if row.ends else "-",
            utc_over_local(row.at) if row.at else "-",
            Text(str(row.refused), "red" if row.refused else ""),
        )
    yield table


def withdrawn(done: Withdrawn) -> Iterator[RenderableType]:
    """Draw `invitation withdraw`."""
    facts = {"address": done.address, "invitation": done.invitation}
    yield say("network.invite.withdrawn", at=utc_and_local(done.at), **facts)


def joined(done: JoinDone) -> Iterator[RenderableType]:
    """Draw `join`."""
    address, tier = columns("address", "tier")
    took = say("network.join.took", seconds=f"{done.took_s:.1f}")
    yield facts_table(
        [
            (address, done.address),
            (tier, tier_of(done.tier)),
            (say("network.facts.parent"), done.parent),
            (say("network.facts.config"), done.config),
            (say("network.facts.root"), done.root_sha256),
            (say("network.facts.took"), say("network.join.before") if done.again else took),
        ]
    )
    if done.replaces and not done.again:
        yield say("network.join.replaces")
    yield say("network.join.next", config=done.config)


def removed(done: Removed) -> Iterator[RenderableType]:
    """Draw `remove`."""
    facts = {
        "address": done.address,
        "standing": standing_of(done.standing),
        "at": utc_and_local(done.at),
    }
    if done.successor:
        yield say("network.removed.successor", successor=done.successor, **facts)
    else:
        yield say("network.removed.since", **facts)
    if done.waiting:
        yield say("network.removed.waiting", count=done.waiting)
    yield from deeds(done.broker)
    detail = plain(done.revoked) or say("network.removed.revoked")
    yield say("network.removed.certificates", detail=detail)
