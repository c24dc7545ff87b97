"""Parts that were lost on their way: asked for by their recipient, placed again by their sender.

    B, a manifest once more, parts lacking: Lacking --> hop by hop --> A: those parts once more

Streams keep their order: what A has placed before the manifest and B does not have once that has
come will not come any more. Nothing of this is kept: after a crash the next manifest asks again.
"""

from collections.abc import Iterable
from functools import partial

from exchange.batch import Batch, stream_to
from exchange.core.confirmation import verdict_of
from exchange.core.steps import AskParts
from exchange.core.wholes import lacking_of
from exchange.gate import OpenedObject
from exchange.links import Link
from exchange.part_sending import PARTS_A_GROUP, has_room
from exchange.quotas import HourlyQuota
from exchange.state import NodeState
from schemas.manifest import is_manifest
from schemas.moments import Instant
from schemas.records import PacketRow
from schemas.statements import Lacking
from schemas.wire import printable

ASKS_PER_HOUR = 1_000
"""So many asks of one neighbour are taken within an hour."""


class PartAsks:
    """Asks for parts, passes asks on, and repeats what was asked for."""

    def __init__(self, state: NodeState) -> None:
        """Share the node's state."""
        self._state = state
        self._asks = HourlyQuota(ASKS_PER_HOUR)
        self._asked: dict[int, list[int]] = {}
        """Frames of parts that go out again, by that of their manifest."""

    @property
    def is_busy(self) -> bool:
        """Say whether parts wait to be placed again."""
        return bool(self._asked)

    async def ask(self, wanted: AskParts, batch: Batch) -> None:
        """Ask a manifest's sender for the parts that are not here."""
        packet = wanted.packet
        name = (packet.sender, packet.epoch, packet.id)
        here = set(await self._state.archive.parts_of(name))
        here |= {
            row.number for row in batch.changes.parts if (row.sender, row.epoch, row.of) == name
        }
        header = Lacking(
            **self._state.gate.stamp(packet.sender, batch.now),  # type: ignore[arg-type]
            packet_epoch=packet.epoch,
            packet=packet.id,
            parts=lacking_of(wanted.parts, here),
        )
        batch.after_commit(partial(self._pass_on, self._state.gate.sign(header), header))

    async def take(self, opened: OpenedObject, link: Link, batch: Batch) -> None:
        """Take an ask that a neighbour brings: it is for us, or goes on."""
        header = opened.header
        assert isinstance(header, Lacking), "the dialogue sorts them"
        if self._state.loss is not None or not self._has_room(link, batch):
            return
        grace_us = self._state.rules.limits.hold_limit_us
        ends = (header.from_, header.to)
        if not self._state.registry.allows(link.neighbour, *ends, batch.now, grace_us):
            self._misrouted(header, f"not by the way of {link.neighbour}", link, batch)
        elif header.to != self._state.rules.here:
            batch.after_commit(partial(self._pass_on, opened.raw, header))
        else:
            await self._take_ours(header, link, batch)

    async def _take_ours(self, asked: Lacking, link: Link, batch: Batch) -> None:
        """Have the parts placed again that its recipient asks for, while it has not answered."""
        name = (asked.to, asked.packet_epoch, asked.packet)
        trail = (await self._state.archive.known([name])).get(name)
        if (
            trail is None
            or trail.packet.recipient != asked.from_
            or not is_manifest(trail.packet.type, trail.packet.media_type)
        ):
            self._misrouted(asked, f"{asked.packet} is no file in parts for it", link, batch)
        elif not verdict_of(trail):
            lost = await self._lost(trail.packet, asked)
            if lost:
                batch.after_commit(partial(self._asked.__setitem__, trail.packet.frame, lost))
                batch.after_commit(self._state.wake)

    async def _lost(self, manifest: PacketRow, asked: Lacking) -> list[int]:
        """Return the frames of parts asked for that were placed before their manifest was."""
        name = (manifest.sender, manifest.epoch, manifest.id)
        parts = await self._state.archive.parts_of(name)
        frames = [frame for number, frame in parts.items() if asked.names(number)]
        places = await self._state.archive.places_of([manifest.frame, *frames])
        since = _latest(places.get(manifest.frame, ()))
        return [frame for frame in frames if _latest(places.get(frame, ())) < since]

    async def go_on(self, batch: Batch) -> None:
        """Place some parts again of the first file of each way that has room."""
        full: set[str] = set()
        for manifest, frames in tuple(self._asked.items()):
            trails = await self._state.archive.trail_of_frame([manifest, *frames[:PARTS_A_GROUP]])
            packet = trails[manifest].packet
            hop = self._state.registry.next_hop(packet.recipient)
            if hop is None or verdict_of(trails[manifest]):
                batch.after_commit(partial(self._asked.pop, manifest, None))
            elif hop not in full:
                full.add(hop)
                if has_room(stream_to(hop, "bulk"), batch, self._state.effects.cursors):
                    await self._repeat(
                        manifest, [trails[each].packet for each in frames[:PARTS_A_GROUP]], batch
                    )

    async def _repeat(self, manifest: int, parts: list[PacketRow], batch: Batch) -> None:
        """Place parts again, and forget them once that is committed."""
        for part in parts:
            await self._state.effects.place_again(part, batch, swept=True)
        left = self._asked[manifest][len(parts) :]
        if left:
            batch.after_commit(partial(self._asked.__setitem__, manifest, left))
        else:
            batch.after_commit(partial(self._asked.pop, manifest, None))

    def _pass_on(self, raw: bytes, header: Lacking) -> None:
        hop = self._state.registry.next_hop(header.to)
        link = None if hop is None else self._state.links.get(hop)
        if link is not None:
            link.send_statement(raw, header.certificate)

    def _has_room(self, link: Link, batch: Batch) -> bool:
        """Count what a neighbour brings; of more than its due nothing is taken."""
        count = self._asks.take(link.neighbour, batch.now)
        if count == self._asks.most:
            detail = f"more than {self._asks.most} asks for parts within an hour"
            self._state.effects.raise_incident("part_asks_limited", link.neighbour, detail, batch)
        return count < self._asks.most

    def _misrouted(self, header: Lacking, why: str, link: Link, batch: Batch) -> None:
        detail = printable(f"lacking of {header.from_} to {header.to}: {why}")
        self._state.effects.raise_incident("statement_misrouted", link.neighbour, detail, batch)


def _latest(places: Iterable[tuple[str, int, Instant]]) -> tuple[int, int]:
    """Return when a frame was placed last, and its number then; both 0: not in this epoch."""
    return max(((placed, number) for _, number, placed in places), default=(0, 0))
