"""Alarms about what authorities issue: raised once, kept, and carried up to the root (clause 14.6).

An alarm is a signed statement with its evidence. Each node that it passes keeps it and opens an
incident of the same kind, so the parent's operator and the republic's see what the node below saw.
Nothing answers it: it is sent again at each greeting of the uplink while it is young.
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

What = Literal["certificate-unasked", "certificate-unlogged", "log-forked"]
INCIDENTS: dict[What, str] = {
    "certificate-unasked": "certificate_unasked",
    "certificate-unlogged": "certificate_unlogged",
    "log-forked": "log_forked",
}
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
        """Open an incident and tell everybody above, once for the same evidence."""
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
        self._keep(header, raw, evidence, batch)
        batch.after_commit(partial(self._raised.add, (what, evidence)))

    async def take(self, opened: OpenedObject, link: Link, batch: Batch) -> None:
        """Take an alarm that a child brings: keep it, open an incident, pass it up."""
        header = opened.header
        assert isinstance(header, Alarm), "the caller sorts them"
        digest = sha256_of(opened.raw)
        fresh = any(row.sha256 == digest for row in batch.changes.alarms)
        if fresh or await self._state.archive.alarm(digest) is not None:
            return
        registry = self._state.registry
        if link.is_parent or not registry.is_below(header.from_, link.neighbour):
            detail = printable(f"alarm of {header.from_}: not by the way of {link.neighbour}")
            self._state.effects.raise_incident("statement_misrouted", link.neighbour, detail, batch)
            return
        if not self._has_room(link.neighbour, batch):
            return
        detail = printable(f"{header.from_} on {header.to}: {header.detail}")
        self._state.effects.raise_incident(INCIDENTS[header.what], link.neighbour, detail, batch)
        self._keep(header, opened.raw, sha256_of(opened.body), batch)

    def _has_room(self, neighbour: str, batch: Batch) -> bool:
        count = self._quota.take(neighbour, batch.now)
        if count == ALARMS_PER_HOUR:
            detail = f"more than {ALARMS_PER_HOUR} alarms within an hour"
            self._state.effects.raise_incident("alarms_limited", neighbour, detail, batch)
        return count < ALARMS_PER_HOUR

    def _keep(self, header: Alarm, raw: bytes, evidence: bytes, batch: Batch) -> None:
        row = AlarmRow(
            sha256_of(raw), header.from_, header.to, header.what, evidence, batch.now, raw
        )
        batch.changes.alarms.append(row)
        batch.after_commit(partial(self._send_up, row.object, header.certificate))

    def _send_up(self, raw: bytes, fingerprint: str) -> None:
        uplink = self._state.registry.uplink
        link = None if uplink is None else self._state.links.get(uplink)
        if link is not None:
            link.send_statement(raw, fingerprint)

    async def greet(self, link: Link, batch: Batch) -> None:
        """Send the uplink what may not have reached it."""
        if not link.is_parent:
            return
        rows = await self._state.archive.alarms(batch.now - REPEATED_US, REPEATED_MAX)
        for row in reversed(rows):
            fingerprint = cut_object(row.object).header.certificate
            batch.after_commit(partial(link.send_statement, row.object, fingerprint))
