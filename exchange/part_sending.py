"""Seals the parts of files whose manifests are on their way, a few in each group (clause 5.10).

Parts wait in the record, and leave it as they are sealed. So many of them are on their way to the
neighbour at most: memory stays flat, and whatever else the lane has goes before the rest.
"""

from collections.abc import Mapping

import msgspec

from exchange.answering import Answering, draft_payload, header_of
from exchange.batch import Batch, stream_to
from exchange.core.confirmation import verdict_of
from exchange.core.rules import Rules
from exchange.drops import Cards
from exchange.gate import Gate
from exchange.identity import new_packet_id
from exchange.ports import Archive
from schemas.documents.registry import TYPES
from schemas.header import PART, Part
from schemas.records import DropOutcome, DropPart, Trail
from signing.encryption import public_bytes

PARTS_A_GROUP = 4
PARTS_AHEAD = 16
"""A lane with so many entries that the neighbour has not taken gets no more parts."""


class PartSender:
    """The files that are being sent, one after the other."""

    def __init__(
        self,
        *,
        answering: Answering,
        cursors: dict[str, int],
        archive: Archive,
        rules: Rules,
        gate: Gate,
        cards: Cards,
    ) -> None:
        """Hold the parts; `cursors` say what the neighbours have taken."""
        self._answering = answering
        self._cursors = cursors
        self._archive = archive
        self._rules = rules
        self._gate = gate
        self._cards = cards
        self._sending: list[DropOutcome] = []

    async def open(self) -> None:
        """Take up what the life before has left."""
        self._sending = await self._archive.drops_in_parts()

    def begin(self, drop: DropOutcome) -> None:
        """Send the parts of a manifest whose commit has succeeded."""
        self._sending.append(drop)

    @property
    def is_busy(self) -> bool:
        """Say whether parts wait."""
        return bool(self._sending)

    async def go_on(self, batch: Batch) -> None:
        """Seal the next parts of the oldest file of each way that has room."""
        full: set[str] = set()
        for drop in tuple(self._sending):
            assert drop.frame is not None, "only what became a packet is sent"
            trail = (await self._archive.trail_of_frame([drop.frame]))[drop.frame]
            hop = self._rules.registry.next_hop(trail.packet.recipient)
            if hop is None or hop in full:
                continue
            full.add(hop)
            await self._send_some(drop, trail, stream_to(hop, "bulk"), batch)

    async def _send_some(self, drop: DropOutcome, trail: Trail, stream: str, batch: Batch) -> None:
        if verdict_of(trail) == "refused":
            batch.changes.unwanted_parts.append((drop.system, drop.drop_id))
            batch.after_commit(lambda: self._sending.remove(drop))
            return
        key = self._cards.encryption_key(trail.packet.recipient, batch)
        if key is None or not has_room(stream, batch, self._cursors):
            return
        parts = await self._archive.drop_parts(drop.system, drop.drop_id, PARTS_A_GROUP)
        _, _, bucket, _ = await self._archive.stored_frame(trail.packet.frame)
        for part in parts:
            self._seal(part, trail, public_bytes(key), bucket, batch)
        if len(parts) < PARTS_A_GROUP:
            batch.after_commit(lambda: self._sending.remove(drop))

    def _seal(
        self, part: DropPart, trail: Trail, reader: bytes, bucket: str | None, batch: Batch
    ) -> None:
        manifest = header_of(trail.packet)
        aad = f"{part.system}/{part.drop_id}/{part.number}".encode()
        draft = msgspec.structs.replace(
            manifest,
            id=new_packet_id(batch.now),
            type=PART,
            sent=batch.at,
            seq=None,
            re=None,
            certificate=self._gate.fingerprint,
            payload=draft_payload(TYPES[PART].media_type),
            part=Part(manifest.id, part.number),
        )
        content = self._gate.open_rest(part.bucket, aad, part.sealed)
        self._answering.send_packet(draft, content, batch, reader, bucket)
        batch.changes.sealed_parts.append((part.system, part.drop_id, part.number))


def has_room(stream: str, batch: Batch, cursors: Mapping[str, int]) -> bool:
    """Say whether so little of a lane is on its way to the neighbour that parts may follow."""
    tail = batch.streams.get(stream)
    return (0 if tail is None else tail.number) - cursors.get(stream, 0) < PARTS_AHEAD
