"""One group of events on its way to one commit: numbers are given out, rows collected.

Numbers (frames, leaves, stream places, packet sequence) come from `Tails`, which the sequencer
alone owns. A batch works on an overlay; only a commit that succeeded is adopted. So a crash or a
failed commit leaves no trace, and two frames of one packet in one batch see each other.
"""

from collections.abc import Callable

import msgspec

from exchange.core.registry import KnownCard
from exchange.core.streams import CHAIN_START, Incoming, chain_after
from exchange.ports import DropName, Name, Number, PartName
from schemas.header import Header, Part
from schemas.leaves import LeafKind, leaf_record
from schemas.moments import Instant, format_instant
from schemas.objects import Lane
from schemas.records import (
    Changes,
    DropOutcome,
    EntryRow,
    LeafMark,
    LeafRow,
    OpenRow,
    PacketRow,
    PartRow,
    Position,
    QuarantineRow,
    StreamTail,
    Trail,
    Whole,
)

_NOTHING_YET = StreamTail(0, CHAIN_START)


class Offer(msgspec.Struct, frozen=True, gc=False):
    """A placed entry for the link that carries it; `raw` is None where it must be read again."""

    row: EntryRow
    raw: bytes | None
    certificate: str
    """Fingerprint of the frame's signer; empty for objects."""


class Tails:
    """Where every numbering of the node stands after the last commit."""

    def __init__(self, position: Position) -> None:
        """Take over the record's position."""
        self.epoch = position.epoch
        self.frame = position.last_frame
        self.leaf = position.leaves
        self.streams: dict[str, StreamTail] = dict(position.outgoing)
        self.seqs: dict[str, int] = {}
        self.incoming: dict[str, Incoming] = {
            stream: Incoming(tail.number, tail.chain, tail.number, tail.epoch)
            for stream, tail in position.incoming.items()
        }


class Batch:
    """Rows, numbers and knowledge of one group of events at one moment."""

    def __init__(self, tails: Tails, now: Instant) -> None:
        """Begin behind the tails."""
        self.now = now
        self.at = format_instant(now)
        self.epoch = tails.epoch
        self.changes = Changes()
        self.frame = tails.frame
        self.leaf = tails.leaf
        self.streams = dict(tails.streams)
        self.seqs = dict(tails.seqs)
        self.incoming = dict(tails.incoming)
        self.trails: dict[Name, Trail] = {}
        self.numbers: dict[Number, bytes] = {}
        self.parts: dict[PartName, bytes] = {}
        """SHA-256 of the heads of parts."""
        self.wholes: dict[Name, Whole] = {}
        """Manifests in the record, beside what this batch adds."""
        self.given_up: set[Name] = set()
        """Manifests that were refused here."""
        self.refused: dict[bytes, QuarantineRow] = {}
        self.cards: dict[str, KnownCard] = {}
        """Kept in this batch, by address; they count from its commit on."""
        self.dropped: dict[int, DropOutcome | None] = {}
        """The drops that frames in the record are of; None where a frame is of none."""
        self.decided: set[DropName] = set()
        """The drops that this batch decides."""
        self.offers: dict[str, list[Offer]] = {}
        self._tails = tails
        self._opened: set[int] = set()
        self._after: list[Callable[[], object]] = []

    def after_commit(self, action: Callable[[], object]) -> None:
        """Do something once this batch is committed and adopted: it must neither wait nor fail."""
        self._after.append(action)

    def follow_up(self) -> None:
        """Do what was to be done after the commit, in order."""
        after, self._after = self._after, []
        for action in after:
            action()

    def adopt(self) -> None:
        """Make this batch's numbers the node's: its commit has succeeded."""
        self._tails.frame = self.frame
        self._tails.leaf = self.leaf
        self._tails.streams = self.streams
        self._tails.seqs = self.seqs
        self._tails.incoming = self.incoming

    def is_empty(self) -> bool:
        """Say whether there is nothing to commit."""
        return not any(getattr(self.changes, name) for name in self.changes.__struct_fields__)

    def open(self, row: OpenRow) -> None:
        """Let a packet wait for its answer from this commit on."""
        self.changes.open.append(row)
        self._opened.add(row.about)

    def close(self, about: int) -> None:
        """End what waits for an answer about a frame, be it opened before or in this batch.

        A commit removes rows before it puts any: one of this batch would outlive its own end.
        """
        self.changes.closed.append(about)
        if about in self._opened:
            self._opened.discard(about)
            self.changes.open = [row for row in self.changes.open if row.about != about]

    def decide_drop(self, outcome: DropOutcome) -> None:
        """Say what becomes of a drop."""
        self.changes.drops.append(outcome)
        self.decided.add((outcome.system, outcome.drop_id))
        if outcome.frame is not None:
            self.dropped[outcome.frame] = outcome

    def next_frame(self) -> int:
        """Give out a frame number."""
        self.frame += 1
        return self.frame

    def next_seq(self, recipient: str) -> int:
        """Give out a packet number towards a recipient; its tail has been loaded."""
        self.seqs[recipient] += 1
        return self.seqs[recipient]

    def append_leaf(self, kind: LeafKind, frame: int | None, **fields: str) -> int:
        """Append a leaf and return its index."""
        index = self.leaf
        record = leaf_record(kind, at=self.at, **fields)
        self.changes.leaves.append(LeafRow(index, kind, frame, record))
        self.leaf = index + 1
        return index

    def place(  # noqa: PLR0913 - an entry's columns
        self,
        stream: str,
        sha256: bytes,
        size: int,
        *,
        frame: int | None = None,
        raw: bytes | None = None,
        object_: bytes | None = None,
        certificate: str = "",
    ) -> int:
        """Place an entry at the end of an outgoing stream and return its number."""
        tail = self.streams.get(stream, _NOTHING_YET)
        number = tail.number + 1
        chain = chain_after(tail.chain, number, sha256)
        row = EntryRow(stream, self.epoch, number, frame, object_, sha256, chain, size, self.now)
        self.changes.entries.append(row)
        self.streams[stream] = StreamTail(number, chain)
        offer = Offer(row, raw if raw is not None else object_, certificate)
        self.offers.setdefault(stream, []).append(offer)
        return number

    def keep_trail(self, packet: PacketRow, kind: LeafKind, index: int) -> None:
        """Let later events of this batch see a packet and its first leaf."""
        mark = LeafMark(index, kind, self.changes.leaves[-1].record)
        self.trails[packet.sender, packet.epoch, packet.id] = Trail(packet, (mark,))
        if packet.seq is not None:
            key = (packet.sender, packet.recipient, packet.epoch, packet.seq)
            self.numbers[key] = packet.head_sha256

    def keep_part(self, packet: PacketRow, part: Part | None) -> None:
        """Let a part be found by its number; nothing of any other packet."""
        if part is None:
            return
        row = PartRow(packet.frame, packet.sender, packet.epoch, part.of, part.number)
        self.changes.parts.append(row)
        self.parts[row.sender, row.epoch, row.of, row.number] = packet.head_sha256

    def mark_packet(self, packet: PacketRow, kind: LeafKind, **fields: str) -> int:
        """Append a leaf about a stored packet, seen by later events of this batch."""
        index = self.append_leaf(kind, packet.frame, **packet_name(packet), **fields)
        self._see(packet, kind, index)
        return index

    def refuse_packet(self, packet: PacketRow, reason: str, detail: str) -> None:
        """Append the leaf of a stored packet that is refused after all."""
        named = packet_name(packet)
        del named["head_sha256"]
        index = self.append_leaf(
            LeafKind.REFUSED,
            packet.frame,
            **named,
            seq="" if packet.seq is None else str(packet.seq),
            sent=format_instant(packet.sent),
            via=packet.via,
            size=str(packet.size),
            frame_sha256=packet.frame_sha256.hex(),
            verdict="refused",
            reason=reason,
            detail=detail,
        )
        self._see(packet, LeafKind.REFUSED, index)

    def _see(self, packet: PacketRow, kind: LeafKind, index: int) -> None:
        """Let later events of this batch see a leaf about a packet."""
        name = (packet.sender, packet.epoch, packet.id)
        known = self.trails.get(name, Trail(packet, ()))
        mark = LeafMark(index, kind, self.changes.leaves[-1].record)
        self.trails[name] = Trail(known.packet, (*known.marks, mark))


def packet_name(packet: PacketRow) -> dict[str, str]:
    """Return the leaf fields that name a stored packet."""
    return {
        "id": packet.id,
        "type": packet.type,
        "from_": packet.sender,
        "to": packet.recipient,
        "epoch": str(packet.epoch),
        "head_sha256": packet.head_sha256.hex(),
    }


def header_facts(header: Header) -> dict[str, str]:
    """Return the leaf fields that a header fills."""
    return {
        "id": header.id,
        "type": header.type,
        "from_": header.from_,
        "to": header.to,
        "epoch": str(header.epoch),
        "seq": "" if header.seq is None else str(header.seq),
        "sent": header.sent,
    }


def stream_to(neighbour: str, lane: Lane) -> str:
    """Return the name of a link's stream in the record."""
    return f"{neighbour}/{lane}"
