"""Places stored frames and objects of ours in outgoing streams; opens incidents.

`Effects` is what all others call. Everything lands in one `Batch`.
"""

from collections.abc import Iterable

import msgspec

from exchange.answering import Answering, lane_of_packet
from exchange.batch import Batch, stream_to
from exchange.core.rules import Rules
from exchange.core.steps import PlaceLater, ReportStatus
from exchange.gate import Gate, sha256_of
from exchange.ports import Archive
from schemas.reasons import NEXT_STEP, Reason
from schemas.records import IncidentRow, OpenRow, PacketRow


class Placing:
    """Gives what goes out its place, with the archive's memory."""

    def __init__(self, *, gate: Gate, archive: Archive, rules: Rules) -> None:
        """Hold what placing needs."""
        self.answering = Answering(gate=gate, archive=archive, rules=rules)
        self.cursors: dict[str, int] = {}
        """What the neighbours have taken, by stream; kept up by the service."""
        self._gate = gate
        self._archive = archive
        self._rules = rules

    async def place_again(self, packet: PacketRow, batch: Batch, *, swept: bool = False) -> bool:
        """Place a stored frame again and say whether; not while an earlier place is unacknowledged.

        Outside the sweep, which keeps its own time, also not within one resend interval.
        """
        hop = self._rules.registry.next_hop(packet.recipient)
        if hop is None:
            return False
        if any(row.frame == packet.frame for row in batch.changes.entries):
            return False
        stream = stream_to(hop, lane_of_packet(packet))
        places = (await self._archive.places_of([packet.frame])).get(packet.frame, [])
        before = [(number, placed) for name, number, placed in places if name == stream]
        if before:
            number, placed = max(before)
            recent = batch.now - placed < self._rules.limits.resend_first_us
            if number > self.cursors.get(stream, 0) or (recent and not swept):
                return False
        batch.place(stream, packet.frame_sha256, packet.size, frame=packet.frame)
        return True

    def place_later(self, effect: PlaceLater, batch: Batch) -> None:
        """Note when to come again; a document of ours is resent anyway, until its receipt comes."""
        frame = effect.packet.frame
        if effect.packet.sender != self._rules.here:
            row = OpenRow(frame, frame, "room", batch.now, effect.at, 0, None)
            batch.open(row)

    def place_object(self, stream: str, raw: bytes, batch: Batch) -> None:
        """Place an object of ours into a numbered stream."""
        batch.place(stream, sha256_of(raw), len(raw), object_=raw)

    async def load_drops(self, packets: Iterable[PacketRow], batch: Batch) -> None:
        """Fetch which drops packets of ours are of, where the batch does not know yet."""
        ours = {packet.frame for packet in packets if packet.sender == self._rules.here}
        unknown = list(ours - batch.dropped.keys())
        if unknown:
            found = await self._archive.drops_of(unknown)
            batch.dropped.update({frame: found.get(frame) for frame in unknown})

    async def report_status(self, effect: ReportStatus, batch: Batch) -> None:
        """Place a status event for the local system that dropped the packet, if one did."""
        await self.load_drops([effect.packet], batch)
        drop = batch.dropped.get(effect.packet.frame)
        if drop is None:
            return
        event = {
            "drop_id": drop.drop_id,
            "packet": effect.packet.id,
            "state": effect.state,
            "at": batch.at,
            "type": effect.packet.type,
            "to": effect.packet.recipient,
        }
        if effect.reason:
            event |= {
                "reason": effect.reason,
                "detail": effect.detail,
                "next_step": NEXT_STEP[Reason(effect.reason)],
            }
        self.place_object(f"status/{drop.system}", msgspec.json.encode(event), batch)

    def raise_incident(
        self, kind: str, neighbour: str, detail: str, batch: Batch, frame: int = 0
    ) -> None:
        """Open an incident."""
        row = IncidentRow(batch.now, kind, neighbour, detail, frame or None)
        batch.changes.incidents.append(row)
