"""Tracking: the nodes on a packet's way say what became of it, when asked (protocol clause 18.6).

    asker    Track to each end --> node --> node --> end
             Tracked <------------ each: leaves about the packet, proven

Only the packet's two ends and those above them may ask. Both kinds are statements: they pass hop
by hop unchanged. Nothing of a question is kept: who still wants to know asks again.
"""

from collections.abc import Iterable
from functools import partial
from typing import Annotated

import msgspec

from exchange.batch import Batch
from exchange.gate import OpenedObject, sha256_of
from exchange.instructions import Declined, Done
from exchange.links import Link
from exchange.quotas import HourlyQuota
from exchange.signing_desk import body_of
from exchange.state import NodeState
from exchange.testimony import Claim, check_claims, is_about, read_claims, testify
from schemas.addresses import Address
from schemas.errors import FormatError
from schemas.header import Count, PacketId
from schemas.leaves import LeafKind, read_leaf
from schemas.moments import Instant, format_instant
from schemas.objects import cut_object
from schemas.records import InstructionRow, LeafMark, PacketRow, TrackedRow
from schemas.statements import Track, Tracked
from schemas.wire import printable

ASKS_PER_HOUR = 1_000
"""So many questions of one neighbour are taken within an hour, and so many of ours asked."""
ANSWERS_PER_HOUR = 10_000
KEPT_MAX = 100
"""So many answers of one node about one packet are kept: a sound one has fewer things to say."""
REMEMBERED_MAX = 1_000
"""So many packets asked for are remembered; beyond that all are forgotten."""

Name = tuple[str, int, str]
"""Sender, epoch and id of a packet."""


class TrackOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Content of `track`: a packet by its name and other end, and how long to wait for answers."""

    sender: Address
    packet_epoch: Count
    packet: PacketId
    recipient: Address
    wait_us: Annotated[int, msgspec.Meta(ge=0)]


class Tracking(msgspec.Struct, frozen=True):
    """What has come of an instruction: who was asked, and when each answered."""

    asked: list[str]
    """The nodes of the way as we know it, from the sender on, without ourselves."""
    answered: dict[str, str]


class _Asked(msgspec.Struct):
    recipient: str
    answered: dict[str, Instant] = {}


class Tracker:
    """Asks, answers, passes on, and keeps what comes."""

    def __init__(self, state: NodeState) -> None:
        """Share the node's state."""
        self._state = state
        self._registry = state.registry
        self._asks = HourlyQuota(ASKS_PER_HOUR)
        self._answers = HourlyQuota(ANSWERS_PER_HOUR)
        self._asked: dict[Name, _Asked] = {}
        self._ordered: dict[str, Instant] = {}

    # --- asking -------------------------------------------------------------------------------

    def ask_about(self, packet: PacketRow, batch: Batch) -> None:
        """Ask what became of a packet of ours that is overdue."""
        if self._asks.take(self._state.rules.here, batch.now) < ASKS_PER_HOUR:
            name = (packet.sender, packet.epoch, packet.id)
            self._ask(name, packet.recipient, batch)

    async def track(self, row: InstructionRow, batch: Batch) -> Done | Declined | None:
        """Carry out `track`: ask, and wait until all have answered or the time is over."""
        order = msgspec.json.decode(row.content, type=TrackOrder)
        name = (order.sender, order.packet_epoch, order.packet)
        here = self._state.rules.here
        if self._state.loss is not None:
            return Declined("the journal has lost its end: recover it first")
        if not self._may_ask(here, (order.sender, order.recipient)):
            return Declined(f"{here} is no end of {order.packet}, and above none: it may not ask")
        since = self._ordered.get(row.id)
        if since is None:
            self._ordered[row.id] = batch.now
            self._ask(name, order.recipient, batch)
            return None
        way = [each for each in self._registry.way(order.sender, order.recipient) if each != here]
        asked = self._asked.get(name)
        times = {} if asked is None else asked.answered
        answered = {each: times[each] for each in way if times.get(each, 0) >= since}
        if len(answered) < len(way) and 0 <= batch.now - since < order.wait_us:
            return None
        batch.after_commit(partial(self._ordered.pop, row.id, None))
        said = {each: format_instant(at) for each, at in answered.items()}
        return Done(Tracking(way, said), detail=order.packet)

    def _ask(self, name: Name, recipient: str, batch: Batch) -> None:
        """Send a question towards each end that is not ourselves."""
        if len(self._asked) >= REMEMBERED_MAX:
            self._asked.clear()
        self._asked.setdefault(name, _Asked(recipient))
        sender, epoch, packet = name
        for end in sorted({sender, recipient} - {self._state.rules.here}):
            header = Track(
                **self._state.gate.stamp(end, batch.now),  # type: ignore[arg-type]
                sender=sender,
                packet_epoch=epoch,
                packet=packet,
            )
            batch.after_commit(partial(self._pass_on, self._state.gate.sign(header), header))

    # --- what neighbours bring ----------------------------------------------------------------

    async def take(self, opened: OpenedObject, link: Link, batch: Batch) -> None:
        """Take a question, or an answer, that a neighbour brings."""
        header = opened.header
        assert isinstance(header, Track | Tracked), "the dialogue sorts them"
        if self._state.loss is not None or not self._has_room(header, link, batch):
            return
        grace_us = self._state.rules.limits.hold_limit_us
        ends = (header.from_, header.to)
        if not self._registry.allows(link.neighbour, *ends, batch.now, grace_us):
            self._misrouted(header, f"not by the way of {link.neighbour}", link, batch)
        elif isinstance(header, Track):
            await self._take_question(header, opened.raw, link, batch)
        elif header.to == self._state.rules.here:
            await self._settle(header, opened, link, batch)
        else:
            batch.after_commit(partial(self._pass_on, opened.raw, header))

    async def _take_question(self, asked: Track, raw: bytes, link: Link, batch: Batch) -> None:
        """Answer who may ask, and let the question go on."""
        marks = await self._marks(asked)
        ends = (asked.sender, _recipient_in(marks) or asked.to)
        if asked.to not in ends or not self._may_ask(asked.from_, ends):
            detail = f"{asked.from_} asks for {asked.packet} of {asked.sender}, and may not"
            self._raise("tracking_refused", detail, link, batch)
            return
        if marks or self._registry.is_on_way(self._state.rules.here, *ends):
            await self._answer(asked, marks, batch)
        if asked.to != self._state.rules.here:
            batch.after_commit(partial(self._pass_on, raw, asked))

    async def _answer(self, asked: Track, marks: list[LeafMark], batch: Batch) -> None:
        body, journal = await testify(self._state, marks)
        header = Tracked(
            **self._state.gate.stamp(asked.from_, batch.now),  # type: ignore[arg-type]
            sender=asked.sender,
            packet_epoch=asked.packet_epoch,
            packet=asked.packet,
            journal=journal,
            body=body_of(body),
        )
        batch.after_commit(partial(self._pass_on, self._state.gate.sign(header, body), header))

    def _may_ask(self, asker: str, ends: Iterable[str]) -> bool:
        return any(self._registry.is_below(end, asker) for end in ends)

    async def _marks(self, asked: Track | Tracked) -> list[LeafMark]:
        """Return our leaves about the packet; those of a frame that proved nothing name none."""
        found = await self._state.archive.leaves_about(asked.sender, asked.packet)
        return [mark for mark in found if is_about(mark.record, asked)]

    def _pass_on(self, raw: bytes, header: Track | Tracked) -> None:
        hop = self._registry.next_hop(header.to)
        link = None if hop is None else self._state.links.get(hop)
        if link is None:
            return
        journal = header.journal if isinstance(header, Tracked) else None
        link.send_statement(raw, header.certificate, *([] if journal is None else [journal]))

    # --- what was asked for -------------------------------------------------------------------

    async def _settle(self, said: Tracked, opened: OpenedObject, link: Link, batch: Batch) -> None:
        """Keep what a node says of a packet that we have asked for, where it is news."""
        name = (said.sender, said.packet_epoch, said.packet)
        marks, asked = await self._marks(said), self._asked.get(name)
        recipient = asked.recipient if asked is not None else _recipient_in(marks)
        if recipient is None or not self._registry.is_on_way(said.from_, said.sender, recipient):
            self._misrouted(said, "it was not asked", link, batch)
            return
        try:
            head = _head_in(marks)
            claims = check_claims(self._state, said, opened.body, head, batch.now)
        except FormatError as error:
            detail = printable(f"{said.from_} on {said.packet}: {error.detail}")
            frame = self._state.effects.keep_raw(opened.raw, link.neighbour, detail, batch)
            self._raise("tracking_disproven", detail, link, batch, frame)
            return
        if asked is not None:
            batch.after_commit(partial(self._note, asked, said.from_, batch.now))
        row = TrackedRow(sha256_of(opened.raw), *name, said.from_, batch.now, opened.raw)
        if not await self._is_known(row, _gist(claims), batch):
            batch.changes.tracked.append(row)

    def _note(self, asked: _Asked, node: str, now: Instant) -> None:
        """Remember that a node has answered; who waits for it looks again."""
        asked.answered[node] = now
        self._state.wake()

    async def _is_known(self, said: TrackedRow, gist: list[object], batch: Batch) -> bool:
        """Say whether a node has said this last: under a newer checkpoint it is no news.

        Nor is what it has said before, come once more, nor anything beyond KEPT_MAX.
        """
        rows = [*await self._state.archive.tracked([said.packet]), *batch.changes.tracked]
        before = [row for row in rows if _of(row) == _of(said)]
        if any(row.sha256 == said.sha256 for row in before) or len(before) >= KEPT_MAX:
            return True
        return bool(before) and _gist(read_claims(cut_object(before[-1].object).body)) == gist

    # --- what stands in the way ---------------------------------------------------------------

    def _has_room(self, header: Track | Tracked, link: Link, batch: Batch) -> bool:
        """Count what a neighbour brings; of more than its due nothing is taken."""
        quota = self._asks if isinstance(header, Track) else self._answers
        count = quota.take(link.neighbour, batch.now)
        if count == quota.most:
            kind = "questions" if isinstance(header, Track) else "answers"
            detail = f"more than {quota.most} {kind} about packets within an hour"
            self._raise("tracking_limited", detail, link, batch)
        return count < quota.most

    def _misrouted(self, header: Track | Tracked, why: str, link: Link, batch: Batch) -> None:
        kind = type(header).__name__.lower()
        detail = f"{kind} of {header.from_} to {header.to}: {why}"
        self._raise("statement_misrouted", detail, link, batch)

    def _raise(self, kind: str, detail: str, link: Link, batch: Batch, frame: int = 0) -> None:
        effects = self._state.effects
        effects.raise_incident(kind, link.neighbour, printable(detail), batch, frame)


def _of(row: TrackedRow) -> tuple[str, int, str, str]:
    """Return the packet that an answer is about, and whose it is."""
    return (row.sender, row.packet_epoch, row.packet, row.issuer)


def _recipient_in(marks: Iterable[LeafMark]) -> str | None:
    """Return the recipient that leaves about a packet name."""
    leaves = [read_leaf(mark.record) for mark in marks]
    return next((leaf["to"] for leaf in leaves if "to" in leaf), None)


def _head_in(marks: Iterable[LeafMark]) -> str | None:
    """Return the SHA-256 of the head that leaves about an accepted packet name, in hex."""
    leaves = [read_leaf(mark.record) for mark in marks if mark.kind != LeafKind.REFUSED]
    return next((leaf["head-sha256"] for leaf in leaves if "head-sha256" in leaf), None)


def _gist(claims: Iterable[Claim]) -> list[object]:
    """Return what is said, whichever checkpoint proves it."""
    return [(claim.record, claim.proof is not None) for claim in claims]
