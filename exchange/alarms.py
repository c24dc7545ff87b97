"""Alarms about what authorities issue, and about journals that have forked (clauses 14.6, 18.3).

An alarm is a signed statement with its evidence: raised once, kept, and carried up to the root; of
a forked journal to everybody. Each node that it passes keeps it and opens an incident of the same
kind, so operators see what the other node saw. Nothing answers it: it is sent again at each
greeting while it is young.
"""

from functools import partial
from typing import Literal

from exchange.batch import Batch
from exchange.gate import OpenedObject, sha256_of
from exchange.links import Link
from exchange.quotas import HourlyQuota
from exchange.signing_desk import body_of
from exchange.state import NodeState
from schemas.moments import DAY
from schemas.objects import cut_object
from schemas.records import AlarmRow
from schemas.statements import Alarm
from schemas.wire import printable

What = Literal["certificate-unasked", "certificate-unlogged", "log-forked", "journal-forked"]
INCIDENTS: dict[What, str] = {
    "certificate-unasked": "certificate_unasked",
    "certificate-unlogged": "certificate_unlogged",
    "log-forked": "log_forked",
    "journal-forked": "journal_forked",
}
TOLD_TO_ALL: frozenset[What] = frozenset({"journal-forked"})
"""These go to every neighbour but the one they came from; the others go up alone."""
REPEATED_US = 7 * DAY
REPEATED_MAX = 100
"""Alarms of so long ago, and so many, are sent again at each greeting of the uplink."""
ALARMS_PER_HOUR = 50
"""So many new ones are taken of one child in an hour; beyond that they are not kept."""


class Alarms:
    """What was found wrong here, and below."""

    def __init__(self, state: NodeState) -> None:
        """Share the node's state."""
        self._state = state
        self._raised: set[tuple[str, bytes]] = set()
        self._quota = HourlyQuota(ALARMS_PER_HOUR)

    async def open(self) -> None:
        """Take over what was raised before: the same evidence raises nothing again."""
        rows = await self._state.archive.alarms_of(self._state.rules.here)
        self._raised = {(row.what, row.evidence) for row in rows}

    def is_raised(self, what: What, evidence: bytes) -> bool:
        """Say whether this evidence (SHA-256) has raised an alarm of ours before."""
        return (what, evidence) in self._raised

    def alarm(  # noqa: PLR0917 - what an alarm says
        self, what: What, authority: str, detail: str, body: bytes, via: str, batch: Batch
    ) -> None:
        """Open an incident and tell those above, or everybody, once for the same evidence."""
        evidence = sha256_of(body)
        known = any(row.evidence == evidence for row in batch.changes.alarms)
        if known or self.is_raised(what, evidence):
            return
        header = Alarm(
            **self._state.gate.stamp(authority, batch.now),  # type: ignore[arg-type]
            what=what,
            detail=printable(detail),
            body=body_of(body),
        )
        raw = self._state.gate.sign(header, body)
        self._state.effects.raise_incident(INCIDENTS[what], via, printable(detail), batch)
        self._keep(header, raw, evidence, None, batch)
        batch.after_commit(partial(self._raised.add, (what, evidence)))

    async def take(self, opened: OpenedObject, link: Link, batch: Batch) -> None:
        """Take an alarm that a neighbour brings: keep it, open an incident, pass it on."""
        header = opened.header
        assert isinstance(header, Alarm), "the caller sorts them"
        digest = sha256_of(opened.raw)
        fresh = any(row.sha256 == digest for row in batch.changes.alarms)
        if fresh or await self._state.archive.alarm(digest) is not None:
            return
        if not self._is_on_its_way(header, link):
            detail = printable(f"alarm of {header.from_}: not by the way of {link.neighbour}")
            self._state.effects.raise_incident("statement_misrouted", link.neighbour, detail, batch)
            return
        if not self._has_room(link.neighbour, batch):
            return
        detail = printable(f"{header.from_} on {header.to}: {header.detail}")
        self._state.effects.raise_incident(INCIDENTS[header.what], link.neighbour, detail, batch)
        self._keep(header, opened.raw, sha256_of(opened.body), link, batch)

    def _is_on_its_way(self, header: Alarm, link: Link) -> bool:
        """Say whether a neighbour may bring an alarm: a child from below it, the uplink others."""
        if link.is_parent and header.what not in TOLD_TO_ALL:
            return False
        return self._state.registry.next_hop(header.from_) == link.neighbour

    def _has_room(self, neighbour: str, batch: Batch) -> bool:
        count = self._quota.take(neighbour, batch.now)
        if count == ALARMS_PER_HOUR:
            detail = f"more than {ALARMS_PER_HOUR} alarms within an hour"
            self._state.effects.raise_incident("alarms_limited", neighbour, detail, batch)
        return count < ALARMS_PER_HOUR

    def _keep(
        self, header: Alarm, raw: bytes, evidence: bytes, via: Link | None, batch: Batch
    ) -> None:
        row = AlarmRow(
            sha256_of(raw), header.from_, header.to, header.what, evidence, batch.now, raw
        )
        batch.changes.alarms.append(row)
        batch.after_commit(partial(self._pass_on, row.object, header, via))

    def _pass_on(self, raw: bytes, header: Alarm, via: Link | None) -> None:
        for link in self._state.links.values():
            if link is not via and _concerns(header, link):
                link.send_statement(raw, header.certificate)

    async def greet(self, link: Link, batch: Batch) -> None:
        """Send a neighbour what may not have reached it."""
        rows = await self._state.archive.alarms(batch.now - REPEATED_US, REPEATED_MAX)
        for row in reversed(rows):
            header = cut_object(row.object).header
            assert isinstance(header, Alarm), "nothing else is kept as one"
            came_from_there = self._state.registry.next_hop(header.from_) == link.neighbour
            if _concerns(header, link) and not came_from_there:
                send = partial(link.send_statement, row.object, header.certificate)
                batch.after_commit(send)


def _concerns(header: Alarm, link: Link) -> bool:
    """Say whether an alarm goes over a link, if it did not come over it."""
    return link.is_parent or header.what in TOLD_TO_ALL
