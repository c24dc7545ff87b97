"""Children, instructions, rights and health as people read them, in the language spoken here."""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from nodes.cli.drawing import facts_table, new_table, plain
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
from nodes.cli.speaking import say
from nodes.config import spoken_language
from nodes.said import spoken
from schemas.codes import TIER_NAMES, Tier

STYLES = {
    "active": "green",
    "suspended": "yellow",
    "closed": "red",
    "done": "green",
    "refused": "red",
    "waiting": "yellow",
    "allowed": "green",
    "ok": "green",
    "warning": "yellow",
    "fault": "red",
}
DOCTOR_STATES = {"ok": "ok", "warn": "warning", "fail": "fault"}
"""The doctor's states, as `bbaj node check` calls them."""


def columns(*names: str) -> list[str]:
    """Return headings by their names in the catalogue."""
    return [say(f"network.columns.{name}") for name in names]


def standing_of(standing: str) -> str:
    """Return a standing in words."""
    return say(f"network.standings.{standing}")


def tier_of(tier: str) -> str:
    """Return a tier in words."""
    return TIER_NAMES[Tier(tier)].in_language(spoken_language())


def deeds(done: Iterable[str]) -> Iterator[RenderableType]:
    """Draw what was done at a broker."""
    yield from (plain(spoken(each)) for each in done)


def _styled(key: str) -> Text:
    """Return a state in words, in the colour of the last part of its key."""
    return Text(say(key), STYLES[key.rpartition(".")[2]])


def children(rows: Sequence[ChildCard]) -> Iterator[RenderableType]:
    """Draw `child list`."""
    if not rows:
        yield say("network.no-children")
        return
    drawn = new_table(*columns("address", "tier", "standing", "uplink", "since", "name"))
    language = spoken_language()
    for row in rows:
        drawn.add_row(
            row.address,
            tier_of(row.tier),
            _styled(f"network.standings.{row.standing}"),
            row.uplink or "-",
            utc_over_local(row.since),
            plain(row.names[language]) if row.names else "-",
        )
    yield drawn


def child(story: ChildStory) -> Iterator[RenderableType]:
    """Draw `child show`."""
    yield facts_table(_card_facts(story.card))
    yield ""
    drawn = new_table(*columns("learned", "standing", "uplink", "number", "card"))
    for each in story.versions:
        drawn.add_row(
            utc_over_local(each.learned),
            _styled(f"network.standings.{each.standing}"),
            each.uplink or "-",
            str(each.number),
            each.sha256[:16],
        )
    yield drawn


def _card_facts(card: ChildCard) -> Iterator[tuple[str, str]]:
    address, tier, standing, uplink = columns("address", "tier", "standing", "uplink")
    since = {"standing": standing_of(card.standing), "at": utc_and_local(card.since)}
    kato = {"code": card.kato, "edition": card.kato_edition}
    yield address, card.address
    yield tier, tier_of(card.tier)
    yield standing, say("network.since", **since)
    yield uplink, card.uplink or "-"
    for code, name in (card.names or {}).items():
        yield say("network.facts.name", code=code), plain(name)
    yield say("print.form.kato"), say("print.form.kato-of", **kato) if card.kato else "-"
    yield say("print.form.bin"), card.bin_ or "-"
    yield say("network.facts.former"), card.former or "-"
    yield say("network.facts.successor"), card.successor or "-"
    yield say("network.facts.types"), ", ".join(card.types) or say("network.all-types")
    key = card.encryption_key or say("network.not-stated")
    yield say("network.facts.encryption-key"), key
    yield say("network.facts.vouched-by"), card.vouched_by


def child_done(done: ChildDone) -> Iterator[RenderableType]:
    """Draw what was done about a child."""
    facts = {"standing": standing_of(done.standing), "at": utc_and_local(done.at)}
    key = "network.changed" if done.changed else "network.unchanged"
    yield say(key, address=done.address, **facts)
    if done.waiting:
        yield say("network.waiting", count=done.waiting)
    yield from deeds(done.broker)


def revoking(done: RevokingDone) -> Iterator[RenderableType]:
    """Draw `revoke`."""
    facts = {"address": done.address, "at": utc_and_local(done.at)}
    if done.detail:
        yield say("network.revoked-detail", detail=plain(done.detail), **facts)
    else:
        yield say("network.revoked", **facts)
    yield from deeds(done.broker)


def instructions(rows: Sequence[InstructionLine]) -> Iterator[RenderableType]:
    """Draw `instructions`."""
    if not rows:
        yield say("network.no-instructions")
        return
    drawn = new_table(*columns("given", "who", "what", "state", "id"))
    for row in rows:
        state = _styled(f"network.instructions.{row.state}")
        drawn.add_row(utc_over_local(row.given), row.who, row.what, state, row.id)
    yield drawn


def accesses(rows: Sequence[AccessLine]) -> Iterator[RenderableType]:
    """Draw `access list`."""
    if not rows:
        yield say("network.no-accesses")
        return
    drawn = new_table(*columns("at", "who", "command", "verdict"))
    for row in rows:
        verdict = _styled("network.accesses.allowed" if row.allowed else "network.accesses.refused")
        drawn.add_row(utc_over_local(row.at), row.who, row.what, verdict)
    yield drawn


def examination(found: Examination) -> Iterator[RenderableType]:
    """Draw `doctor`."""
    drawn = new_table(say("look.what"), "", say("look.found"))
    for each in found.findings:
        advice = f"\n{plain(spoken(each.what_to_do))}" if each.what_to_do else ""
        state = _styled(f"look.states.{DOCTOR_STATES[each.state]}")
        drawn.add_row(plain(spoken(each.name)), state, plain(spoken(each.found)) + advice)
    yield drawn
