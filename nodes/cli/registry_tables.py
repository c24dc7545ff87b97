"""Children, instructions, rights and health as people read them."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from nodes.cli.drawing import facts_table, new_table
from nodes.cli.moments import utc_and_local, utc_over_local
from nodes.cli.registry_shapes import (
    AccessLine,
    ChildCard,
    ChildDone,
    ChildStory,
    Examination,
    InstructionLine,
    RevokingDone,
)
from nodes.cli.tables import plain

STYLES = {
    "active": "green",
    "suspended": "yellow",
    "closed": "red",
    "ok": "green",
    "warn": "yellow",
    "fail": "red",
    "done": "green",
    "refused": "red",
    "waiting": "yellow",
}


def _styled(text: str) -> Text:
    return Text(text, STYLES.get(text, ""))


def children(rows: Sequence[ChildCard]) -> Iterator[RenderableType]:
    """Draw `child list`."""
    if not rows:
        yield "no children: `bbaj invite` begins one"
        return
    drawn = new_table("address", "tier", "standing", "hangs under", "since", "name")
    for row in rows:
        drawn.add_row(
            row.address,
            row.tier,
            _styled(row.standing),
            row.uplink or "-",
            utc_over_local(row.since),
            plain(row.names["en"]) if row.names else "-",
        )
    yield drawn


def child(story: ChildStory) -> Iterator[RenderableType]:
    """Draw `child show`."""
    card = story.card
    pairs = [
        ("address", card.address),
        ("tier", card.tier),
        ("standing", f"{card.standing} since {utc_and_local(card.since)}"),
        ("hangs under", card.uplink or "-"),
        *((f"name, {language}", plain(name)) for language, name in (card.names or {}).items()),
        ("KATO", f"{card.kato} of {card.kato_edition}" if card.kato else "-"),
        ("BIN", card.bin_ or "-"),
        ("former", card.former or "-"),
        ("successor", card.successor or "-"),
        ("may send", ", ".join(card.types) or "all types"),
        ("encryption key", card.encryption_key or "not stated yet"),
        ("vouched by", card.vouched_by),
    ]
    yield facts_table(pairs)
    yield ""
    drawn = new_table("learned", "standing", "hangs under", "number", "card")
    for each in story.versions:
        drawn.add_row(
            utc_over_local(each.learned),
            _styled(each.standing),
            each.uplink or "-",
            str(each.number),
            each.sha256[:16],
        )
    yield drawn


def child_done(done: ChildDone) -> Iterator[RenderableType]:
    """Draw what was done about a child."""
    how = "" if done.changed else ", as before"
    yield f"{done.address} is {done.standing}{how} ({utc_and_local(done.at)})"
    if done.waiting:
        yield f"{done.waiting} entries for it are not taken yet"
    yield from (plain(each) for each in done.broker)


def revoking(done: RevokingDone) -> Iterator[RenderableType]:
    """Draw `revoke`."""
    detail = f": {plain(done.detail)}" if done.detail else ""
    yield f"certificates of {done.address} are revoked{detail} ({utc_and_local(done.at)})"
    yield from (plain(each) for each in done.broker)


def instructions(rows: Sequence[InstructionLine]) -> Iterator[RenderableType]:
    """Draw `instructions`."""
    if not rows:
        yield "no instruction was given yet"
        return
    drawn = new_table("given", "who", "what", "state", "id")
    for row in rows:
        drawn.add_row(utc_over_local(row.given), row.who, row.what, _styled(row.state), row.id)
    yield drawn


def accesses(rows: Sequence[AccessLine]) -> Iterator[RenderableType]:
    """Draw `access list`."""
    if not rows:
        yield "no use of a command is recorded: see [rights] in the configuration"
        return
    drawn = new_table("when", "who", "command", "")
    for row in rows:
        verdict = Text("allowed", "green") if row.allowed else Text("refused", "red")
        drawn.add_row(utc_over_local(row.at), row.who, row.what, verdict)
    yield drawn


def examination(found: Examination) -> Iterator[RenderableType]:
    """Draw `doctor`."""
    drawn = new_table("what", "", "found")
    for each in found.findings:
        advice = f"\n{plain(each.what_to_do)}" if each.what_to_do else ""
        drawn.add_row(each.name, _styled(each.state), plain(each.found) + advice)
    yield drawn
