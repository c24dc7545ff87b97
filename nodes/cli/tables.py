"""Packets and documents as people read them, in the language spoken here.

Codes stay codes, with their words beside them where there is room; texts of others are shown with
control characters taken out.
"""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from nodes.cli.drawing import STYLES, facts_table, new_table, plain
from nodes.cli.moments import duration, utc_and_local, utc_over_local
from nodes.cli.shapes import (
    Happening,
    InboxLine,
    Overdue,
    PacketLine,
    PacketList,
    Sending,
    Story,
    TakenDocument,
)
from nodes.cli.speaking import say, say_of
from nodes.said import spoken
from schemas.reasons import Reason

_LONG = 24
_SHOWN_ELSEWHERE = frozenset({"kind", "at", "id", "type", "from", "to", "sent", "via", "epoch"})
_WORDS = {"verdict": "print.verdicts", "state": "print.states"}
"""Facts whose values are codes that have words."""


def columns(*names: str) -> list[str]:
    """Return headings, or names of facts, about packets."""
    return [say(f"packets.columns.{name}") for name in names]


def facts_of(pairs: Iterable[tuple[str, str | None]]) -> Table:
    """Return a table of facts about packets by their names; those that are empty are left out."""
    return facts_table((say(f"packets.columns.{name}"), value) for name, value in pairs if value)


def state_of(state: str) -> Text:
    """Return a state in words, in its colour."""
    return Text(say_of("print.states", state), STYLES.get(state, ""))


def reason_of(reason: str | None) -> str:
    """Return a reason's code with its words, as far as it is one of the closed list."""
    return f"{reason}: {say(f'print.reasons.{reason}')}" if _is_reason(reason) else reason or ""


def step_after(reason: str | None) -> str:
    """Return what to do about a reason for refusal; nothing about anything else."""
    return say(f"packets.steps.{reason}") if _is_reason(reason) else ""


def _is_reason(reason: str | None) -> bool:
    return reason in set(Reason)


# ------------------------------------------------------------------ packets


def packets(page: PacketList) -> Iterator[RenderableType]:
    """Draw `list`."""
    yield _packet_table(page.packets) if page.packets else say("packets.none.list")
    if page.next_after is not None:
        yield say("search.more", cursor=page.next_after)


def _packet_table(lines: Iterable[PacketLine]) -> Table:
    table = new_table(*columns("packet", "type", "from", "to", "sent", "received", "state"))
    for line in lines:
        table.add_row(
            line.id,
            _type_of(line),
            line.from_ + (f"\n{plain(line.from_name)}" if line.from_name else ""),
            line.to,
            utc_over_local(line.sent),
            utc_over_local(line.received) if line.received else "-",
            _states_of(line),
        )
    return table


def _type_of(line: PacketLine | InboxLine) -> str:
    return line.type_ + (f"\n{line.period}" if line.period else "")


def _states_of(line: PacketLine) -> Text:
    text = state_of(line.state)
    if line.overdue:
        text.append(f"\n{say('packets.overdue')}", STYLES["overdue"])
    if line.holder and line.state == "in custody":
        text.append(f"\n{line.holder}", "dim")
    if line.reason:
        text.append(f"\n{line.reason}", "red")
    if line.destroyed:
        text.append(f"\n{say('packets.destroyed', day=line.destroyed[:10])}", "dim")
    return text


def story(told: Story) -> Iterator[RenderableType]:
    """Draw `show`."""
    for line in told.packets:
        yield facts_of(_packet_facts(line))
        yield ""
    if told.happenings:
        table = new_table(*columns("at", "event", "where", "leaf", "facts"))
        for happening in told.happenings:
            table.add_row(
                utc_over_local(happening.at),
                Text(say_of("packets.events", happening.what), STYLES.get(happening.what, "")),
                happening.where,
                "" if happening.leaf is None else str(happening.leaf),
                _facts_in(happening),
            )
        yield table
    for key, lines in (("packets.answers", told.answers), ("packets.answered", told.answered)):
        if lines:
            yield f"\n{say(key)}"
            yield _packet_table(lines)


def _packet_facts(line: PacketLine) -> list[tuple[str, str | None]]:
    groups = {"section": line.section, "retention": line.class_, "flow": line.flow}
    return [
        ("packet", line.id),
        ("type", say("packets.type-of", type=line.type_, **groups)),
        ("ends", f"{line.from_} -> {line.to}"),
        ("number", say("print.number-of", seq=line.seq or "-", epoch=line.epoch)),
        ("period", line.period),
        ("re", line.re),
        ("sent", utc_and_local(line.sent)),
        ("received", _received(line)),
        ("kept", utc_and_local(line.kept)),
        ("via", line.via),
        ("size", str(line.size)),
        ("frame", str(line.frame)),
        ("state", _state_and_lateness(line)),
        ("since", utc_and_local(line.since)),
        ("holder", line.holder),
        ("reason", reason_of(line.reason)),
        ("step", step_after(line.reason)),
        ("payload", _destroyed(line)),
        ("kept-until", _kept_until(line)),
        ("holds", ", ".join(map(str, line.held_by))),
    ]


def _received(line: PacketLine) -> str:
    if line.received is None or line.transit_s is None:
        return say("packets.not-known-yet")
    span = spoken(duration(line.transit_s))
    return say("packets.received-after", at=utc_and_local(line.received), span=span)


def _state_and_lateness(row: PacketLine | Sending) -> str:
    state = say_of("print.states", row.state)
    return f"{state}, {say('packets.overdue')}" if row.overdue else state


def _destroyed(line: PacketLine) -> str:
    if line.act is None:
        return ""
    return say("packets.destroyed-under", act=line.act, at=line.destroyed)


def _kept_until(line: PacketLine) -> str:
    """Return end, status and basis of the term of a payload that is kept here."""
    if line.basis is None or line.act is not None:
        return ""
    end = line.keep_until
    return say(
        "packets.term-of",
        end=say("packets.for-ever") if end is None else utc_and_local(end),
        status=say_of("retention", line.term_status or ""),
        basis=plain(line.basis),
    )


def _facts_in(happening: Happening) -> str:
    """Return the facts that say something new, digests cut short."""
    is_whole = happening.what in {"answer", "quarantine"}
    facts = [
        f"{say_of('packets.facts', name)} {_value_of(name, value, is_whole=is_whole)}"
        for name, value in happening.facts.items()
        if value and (is_whole or name not in _SHOWN_ELSEWHERE)
    ]
    if step := step_after(happening.facts.get("reason")):
        facts.append(f"{say('packets.columns.step')}: {step}")
    return "\n".join(facts)


def _value_of(name: str, value: str, *, is_whole: bool) -> str:
    said = plain(say_of(_WORDS[name], value) if name in _WORDS else spoken(value))
    return said if is_whole or len(said) <= _LONG or " " in said else f"{said[:12]}…"


def overdue(rows: Sequence[Overdue]) -> Iterator[RenderableType]:
    """Draw `overdue`."""
    if not rows:
        yield say("packets.none.overdue")
        return
    late = ("age", "holder", "told", "resends", "next-resend")
    table = new_table(*columns("packet", "type", "to", "sent", *late))
    for row in rows:
        table.add_row(
            row.id,
            row.type_,
            row.to,
            utc_over_local(row.sent),
            spoken(duration(row.age_s)),
            row.holder,
            spoken(row.last_told or "-"),
            str(row.resends),
            utc_over_local(row.next_resend),
        )
    yield table


# ------------------------------------------------------------------ documents


def sending(result: Sending) -> Iterator[RenderableType]:
    """Draw what became of a document handed over."""
    pairs = [
        ("drop-id", result.drop_id),
        ("packet", result.packet),
        ("type", result.type_),
        ("to", result.to),
        ("state", _state_and_lateness(result)),
        ("since", utc_and_local(result.since) if result.since else ""),
        ("holder", result.holder),
        ("reason", reason_of(result.reason)),
        ("problem", plain(result.problem)),
        ("step", step_after(result.reason) or spoken(result.next_step or "")),
    ]
    yield facts_of(pairs)
    if result.known_before:
        yield say("packets.known-before")


def on_its_way(result: Sending) -> str:
    """Return one line about a packet that is waited for."""
    holder = f", {result.holder}" if result.holder else ""
    return f"{result.packet or result.drop_id}: {say_of('print.states', result.state)}{holder}"


def inbox(lines: Sequence[InboxLine]) -> Iterator[RenderableType]:
    """Draw `inbox list`."""
    if not lines:
        yield say("packets.none.inbox")
        return
    table = new_table(*columns("packet", "type", "from", "sent", "received", "system", "taken"))
    for line in lines:
        table.add_row(
            line.id,
            _type_of(line),
            line.from_,
            utc_over_local(line.sent),
            utc_over_local(line.received),
            line.system,
            f"{utc_over_local(line.taken)}\n{line.taken_by}" if line.taken else "",
        )
    yield table


def taken(documents: Sequence[TakenDocument]) -> Iterator[RenderableType]:
    """Draw `inbox take`; a document on standard output stands there alone."""
    if not documents:
        yield say("packets.none.inbox")
    for each in documents:
        if each.path is not None:
            facts = {"type": each.type_, "from": each.from_, "size": each.size}
            yield say("packets.taken", path=each.path, **facts)
