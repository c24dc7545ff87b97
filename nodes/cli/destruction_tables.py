"""Proposals and acts of destruction as people read them, in the language spoken here."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType

from nodes.cli.destructions import ActDone, ProposalLine
from nodes.cli.drawing import facts_table, new_table
from nodes.cli.moments import utc_and_local
from nodes.config import spoken_language
from nodes.texts import text
from schemas.documents.act import APPROVALS, Hand


def _say(key: str, **facts: object) -> str:
    return text(f"destruction.{key}", spoken_language(), **facts)


def proposals(lines: Sequence[ProposalLine]) -> Iterator[RenderableType]:
    """Draw `retention list`."""
    if not lines:
        yield _say("none")
        return
    heads = ("proposal", "bucket", "state", "packets", "held", "approvals", "digest")
    table = new_table(*map(_say, heads))
    for line in lines:
        table.add_row(
            line.id,
            line.bucket,
            _say(line.state),
            str(line.packets),
            str(line.held),
            f"{len(line.approved)}/{APPROVALS}",
            line.frames_sha256[:16],
        )
    yield table


def proposal(line: ProposalLine) -> Iterator[RenderableType]:
    """Draw `retention show`, and what `propose` and `approve` leave."""
    pairs = [
        (_say("proposal"), line.id),
        (_say("bucket"), line.bucket),
        (_say("state"), _say(line.state)),
        (_say("packets"), str(line.packets)),
        (_say("size"), str(line.size)),
        (_say("held"), str(line.held)),
        (_say("digest"), line.frames_sha256),
        (_say("term-ended"), utc_and_local(line.term_ended)),
        (_say("basis"), line.basis),
        (_say("by"), _hand(line.proposed)),
        *((_say("approved-by"), _hand(hand)) for hand in line.approved),
    ]
    if line.act is not None and line.destroyed is not None:
        pairs += [(_say("act"), line.act), (_say("destroyed"), utc_and_local(line.destroyed))]
    yield facts_table(pairs)
    if line.changed is not None:
        yield _say("void", why=line.changed)
    elif line.state == "proposed":
        yield _say("next-approve", id=line.id, digest=line.frames_sha256[:16])
    elif line.state == "approved":
        yield _say("next-act", id=line.id, digest=line.frames_sha256[:16])


def act(done: ActDone) -> Iterator[RenderableType]:
    """Draw `retention act`."""
    yield _say("done", bucket=done.bucket, act=done.act, packets=done.packets, held=done.held)
    yield _say("next-print", act=done.act)


def _hand(hand: Hand) -> str:
    return f"{hand.by} ({hand.role}), {utc_and_local(hand.at)}"
