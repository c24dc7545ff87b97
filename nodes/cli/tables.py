"""Shapes as people read them. Texts of others are shown with control characters taken out."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from nodes.cli.drawing import facts_table as _facts
from nodes.cli.drawing import new_table as _table
from nodes.cli.moments import duration, utc_and_local, utc_over_local
from nodes.cli.shapes import (
    Check,
    EvidenceFile,
    Exit,
    Happening,
    InboxLine,
    Incident,
    LinkStanding,
    NodeCheck,
    Overdue,
    PacketLine,
    PacketList,
    Quarantined,
    QuarantineEntry,
    Sending,
    Story,
    TakenDocument,
    Topology,
)

STYLES = {
    "delivered": "green",
    "closed": "green",
    "released": "green",
    "ok": "green",
    "refused": "red",
    "expired": "red",
    "fault": "red",
    "incident": "red",
    "held": "yellow",
    "warning": "yellow",
    "overdue": "yellow",
    "skipped": "dim",
}

_CONTROL = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F)], "?")


def plain(text: str | None) -> str:
    """Return a text of others on one line, without what would steer a terminal."""
    return (text or "").translate(_CONTROL)


def packets(page: PacketList) -> Iterator[RenderableType]:
    """Draw `list`."""
    if not page.packets:
        yield "no packet fits"
    else:
        yield _packet_table(page.packets)
    if page.next_after is not None:
        yield f"more: --after {page.next_after}"


def _packet_table(lines: Iterable[PacketLine]) -> Table:
    table = _table("packet", "type", "from", "to", "sent", "received", "state")
    for line in lines:
        table.add_row(
            line.id,
            line.type_ + (f"\n{line.period}" if line.period else ""),
            line.from_ + (f"\n{plain(line.from_name)}" if line.from_name else ""),
            line.to,
            utc_over_local(line.sent),
            utc_over_local(line.received) if line.received else "-",
            _state_of(line),
        )
    return table


def _state_of(line: PacketLine) -> Text:
    text = Text(line.state, STYLES.get(line.state, ""))
    if line.overdue:
        text.append("\noverdue", STYLES["overdue"])
    if line.holder and line.state == "in custody":
        text.append(f"\n{line.holder}", "dim")
    if line.reason:
        text.append(f"\n{line.reason}", "red")
    if line.destroyed:
        text.append(f"\ndestroyed {line.destroyed[:10]}", "dim")
    return text


def story(told: Story) -> Iterator[RenderableType]:
    """Draw `show`."""
    for line in told.packets:
        yield _facts(_packet_facts(line))
        yield ""
    if told.happenings:
        table = _table("when", "what", "where", "leaf", "facts")
        for happening in told.happenings:
            table.add_row(
                utc_over_local(happening.at),
                Text(happening.what, STYLES.get(happening.what, "")),
                happening.where,
                "" if happening.leaf is None else str(happening.leaf),
                _facts_of(happening),
            )
        yield table
    for title, lines in (("answers", told.answers), ("answers to", told.answered)):
        if lines:
            yield f"\n{title}"
            yield _packet_table(lines)


def _packet_facts(line: PacketLine) -> list[tuple[str, str]]:
    received = "not known yet"
    if line.received is not None and line.transit_s is not None:
        after = duration(line.transit_s)
        received = f"{utc_and_local(line.received)}, {after} after it was sent, by two clocks"
    pairs = [
        ("packet", line.id),
        ("type", f"{line.type_}, section {line.section}, class {line.class_}, flow {line.flow}"),
        ("from, to", f"{line.from_} -> {line.to}"),
        ("number", f"{line.seq or '-'} of epoch {line.epoch}"),
        ("period", line.period or ""),
        ("answers", line.re or ""),
        ("sent", utc_and_local(line.sent)),
        ("received", received),
        ("kept here", utc_and_local(line.kept)),
        ("via", line.via),
        ("size", f"{line.size} bytes, frame {line.frame}"),
        ("state", line.state + (", overdue" if line.overdue else "")),
        ("since", utc_and_local(line.since)),
        ("holder", line.holder or ""),
        ("reason", line.reason or ""),
        ("next step", line.next_step or ""),
        ("payload", f"destroyed under act {line.act} on {line.destroyed}" if line.act else ""),
        ("kept until", "" if line.act else _kept_until(line)),
        ("legal holds", ", ".join(map(str, line.held_by))),
    ]
    return [pair for pair in pairs if pair[1]]


def _kept_until(line: PacketLine) -> str:
    """Return end, status and basis of the term of a payload that is kept here."""
    if line.basis is None:
        return ""
    end = "for ever" if line.keep_until is None else utc_and_local(line.keep_until)
    return f"{end}, term {line.term_status}: {plain(line.basis)}"


_SHOWN_ELSEWHERE = frozenset({"kind", "at", "id", "type", "from", "to", "sent", "via", "epoch"})
_LONG = 24


def _facts_of(happening: Happening) -> str:
    """Return the facts that say something new, digests cut short."""
    facts = [
        f"{key} {plain(value) if len(value) <= _LONG or ' ' in value else value[:12] + '…'}"
        for key, value in happening.facts.items()
        if key not in _SHOWN_ELSEWHERE and value
    ]
    if happening.what in {"answer", "quarantine"}:
        facts = [f"{key} {plain(value)}" for key, value in happening.facts.items() if value]
    if happening.next_step:
        facts.append(f"next step: {happening.next_step}")
    return "\n".join(facts)


def sending(result: Sending) -> Iterator[RenderableType]:
    """Draw what became of a document handed over."""
    pairs = [
        ("drop id", result.drop_id),
        ("packet", result.packet or ""),
        ("type", result.type_),
        ("to", result.to),
        ("state", result.state + (", overdue" if result.overdue else "")),
        ("", "known before: nothing was handed over again" if result.known_before else ""),
        ("since", utc_and_local(result.since) if result.since else ""),
        ("holder", result.holder or ""),
        ("reason", result.reason or ""),
        ("problem", plain(result.problem)),
        ("next step", result.next_step or ""),
    ]
    yield _facts([pair for pair in pairs if pair[1]])


def on_its_way(result: Sending) -> str:
    """Return one line about a packet that is waited for."""
    holder = f" of {result.holder}" if result.holder else ""
    return f"{result.packet or result.drop_id}: {result.state}{holder}"


def inbox(lines: Sequence[InboxLine]) -> Iterator[RenderableType]:
    """Draw `inbox list`."""
    if not lines:
        yield "no document waits"
        return
    table = _table("packet", "type", "from", "sent", "received", "system", "taken")
    for line in lines:
        table.add_row(
            line.id,
            line.type_ + (f"\n{line.period}" if line.period else ""),
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
        yield "no document waits"
    for document in documents:
        if document.path is not None:
            yield f"{document.path}  {document.type_} from {document.from_}, {document.size} bytes"


def quarantine(rows: Sequence[Quarantined]) -> Iterator[RenderableType]:
    """Draw `quarantine list`."""
    if not rows:
        yield "nothing is in quarantine"
        return
    table = _table("frame", "received", "from link", "state", "reason", "packet", "next step")
    for row in rows:
        table.add_row(
            str(row.frame),
            utc_over_local(row.received),
            row.neighbour,
            Text(row.state, STYLES.get(row.state, "")),
            f"{row.reason}\n{plain(row.detail)}",
            row.id or "-",
            row.next_step or "",
        )
    yield table


def quarantine_entry(entry: QuarantineEntry) -> Iterator[RenderableType]:
    """Draw `quarantine show`."""
    for row in entry.rows:
        pairs = [
            (
                "frame",
                f"{row.frame}, {row.size} bytes{'' if row.kept else ', only its digest kept'}",
            ),
            ("sha256", row.sha256),
            ("received", utc_and_local(row.received)),
            ("from link", row.neighbour),
            ("state", row.state),
            ("reason", f"{row.reason}: {plain(row.detail)}"),
            ("packet", f"{row.id} {row.from_} -> {row.to}" if row.id else ""),
            ("next step", row.next_step or ""),
        ]
        yield _facts([pair for pair in pairs if pair[1]])
    if entry.raw:
        yield f"bytes written to {entry.raw}"


def incidents(rows: Sequence[Incident]) -> Iterator[RenderableType]:
    """Draw `incidents`."""
    if not rows:
        yield "no incident"
        return
    table = _table("when", "kind", "neighbour", "detail", "frame")
    for row in rows:
        frame = "" if row.frame is None else str(row.frame)
        table.add_row(utc_over_local(row.at), row.kind, row.neighbour, plain(row.detail), frame)
    yield table


def links(rows: Sequence[LinkStanding]) -> Iterator[RenderableType]:
    """Draw `link list`."""
    table = _table("neighbour", "link", "since", "why")
    for row in rows:
        since = "" if row.since is None else utc_over_local(row.since)
        table.add_row(row.neighbour, row.state, since, plain(row.why))
    yield table


def overdue(rows: Sequence[Overdue]) -> Iterator[RenderableType]:
    """Draw `overdue`."""
    if not rows:
        yield "nothing is overdue"
        return
    table = _table(
        "packet", "type", "to", "sent", "age", "holder", "last told", "resends", "next resend"
    )
    for row in rows:
        table.add_row(
            row.id,
            row.type_,
            row.to,
            utc_over_local(row.sent),
            duration(row.age_s),
            row.holder,
            row.last_told or "-",
            str(row.resends),
            utc_over_local(row.next_resend),
        )
    yield table


def evidence(file: EvidenceFile) -> Iterator[RenderableType]:
    """Draw `evidence export`."""
    yield f"{len(file.files)} files in {file.folder}; read VERIFY.md there"
    yield f"journal: {file.leaves_proven} of {file.leaves} leaves are under a checkpoint"
    yield (
        f"vouched for by {file.cosigned} cosignatures, {file.stamps} time-stamps, "
        f"{file.custody} custody notes, {file.tracked} statements"
    )
    for note in file.notes:
        yield f"note: {plain(note)}"


def node_check(found: NodeCheck) -> Iterator[RenderableType]:
    """Draw `node check`."""
    yield from _checks(found.checks)


def _checks(checks: Iterable[Check]) -> Iterator[RenderableType]:
    table = _table("", "what", "found")
    for check in checks:
        table.add_row(Text(check.state, STYLES[check.state]), check.name, plain(check.detail))
    yield table


def topology(shown: Topology) -> Iterator[RenderableType]:
    """Draw `topology`."""
    base = min(node.address.count(".") for node in shown.tree)
    for node in shown.tree:
        indent = "  " * (node.address.count(".") - base)
        marks = [node.tier or "tier unknown", node.standing, "this node" if node.here else ""]
        text = ", ".join(mark for mark in marks if mark and mark != "active")
        yield Text(f"{indent}{node.address}  ({text})", "bold" if node.here else "")
    for system in shown.systems:
        yield f"local system {system}: queues outbound.{system}, inbox.{system}, status.{system}"
    if shown.broker is None:
        yield "no broker of its own: it needs none without children and AMQP systems"
        return
    if shown.unanswered is not None:
        yield f"broker {shown.broker} cannot be compared"
        return
    done = "applied; " if shown.applied else ""
    if not shown.differences:
        yield f"{done}broker {shown.broker} is as planned"
        return
    yield f"{done}broker {shown.broker} departs from the plan:"
    yield from (f"  {plain(difference)}" for difference in shown.differences)


def figures(measured: msgspec.Struct) -> Iterator[RenderableType]:
    """Draw what a benchmark measured, name by name."""
    facts: dict[str, object] = msgspec.structs.asdict(measured)
    yield _facts((name.replace("_", " "), _figure(value)) for name, value in facts.items())


def _figure(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
        case int():
            return f"{value:,}"
        case list():
            return "\n".join(_figure(each) for each in value)
        case dict():
            return ", ".join(f"{name} {_figure(each)}" for name, each in value.items())
        case _:
            return str(value)


def exits(rows: Sequence[Exit]) -> Iterator[RenderableType]:
    """Draw `exits`."""
    table = _table("code", "name", "meaning", "what to do")
    for row in rows:
        table.add_row(str(row.code), row.name, row.meaning, row.next_step)
    yield table
