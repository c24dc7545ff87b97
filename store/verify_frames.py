"""Verification of stored frames: packets and quarantine against their leaves, and back."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from functools import partial
from hashlib import sha256, sha512
from typing import Any

from schemas.errors import FormatError
from schemas.header import Header
from schemas.leaves import LeafKind, read_leaf
from schemas.records import PacketRow, QuarantineRow
from store.faults import Faults, Kind, Reached
from store.merkle import Span
from store.packing import unpack
from store.postgres.rows import read_all
from store.postgres.session import Connection
from store.reading_ahead import Reader, in_lots
from store.scope import FRAMES_AT_ONCE
from store.verify_payloads import PayloadCheck, StoredFrames, StoredLeaf, header_of

FIRST_LEAVES = frozenset(
    {LeafKind.SENT, LeafKind.RELAYED, LeafKind.RECEIVED, LeafKind.REFUSED, LeafKind.HELD}
)
"""Every packet has one of these: its verdict here."""

_LAST_FRAME = """
SELECT GREATEST(
    (SELECT max(frame) FROM packet), (SELECT max(frame) FROM quarantine),
    (SELECT max(frame) FROM kept), (SELECT max(frame) FROM released),
    (SELECT max(frame) FROM leaf WHERE frame IS NOT NULL), 0)
"""

_LAST_FRAME_BELOW = """
SELECT COALESCE(max(frame), 0) FROM (
    SELECT frame FROM leaf WHERE index < $1 AND frame IS NOT NULL ORDER BY index DESC LIMIT 1000
) AS last
"""

_RANGE = "SELECT * FROM {} WHERE frame >= $1 AND frame < $2 ORDER BY frame"

_LEAVES = """
SELECT frame, index, record FROM leaf
WHERE frame IS NOT NULL AND frame >= $1 AND frame < $2 ORDER BY index
"""

_OUTCOMES = """
SELECT frame, system, drop_id FROM drop_outcome
WHERE frame IS NOT NULL AND frame >= $1 AND frame < $2
"""


async def frame_bounds(connection: Connection, size: int) -> tuple[int, int]:
    """Return the last frame that has its first leaf below `size`, and the last of all.

    The first is given with room: what one group of a sequencer holds comes in no certain order.
    """
    below = await connection.fetchval(_LAST_FRAME_BELOW, size)
    return max(below - FRAMES_AT_ONCE, 0), await connection.fetchval(_LAST_FRAME)


async def check_frames(
    reader: Reader,
    faults: Faults,
    payloads: PayloadCheck,
    spans: Sequence[Span],
    on_reached: Reached,
) -> None:
    """Check heads, payloads and quarantined bytes against their leaves, and the leaves' rows."""
    load = partial(_load, reader.ahead)
    async with aclosing(in_lots(spans, FRAMES_AT_ONCE, load)) as lots:
        async for first, end, frames in lots:
            _check_rows(faults, frames)
            await payloads.check(frames)
            on_reached(end - first, end)


async def _load(connection: Connection, first: int, end: int) -> StoredFrames:
    async def rows_of(table: str) -> list[Any]:
        rows: list[Any] = await connection.fetch(_RANGE.format(table), first, end)
        return rows

    quarantine: dict[int, list[QuarantineRow]] = {}
    for row in read_all(QuarantineRow, await rows_of("quarantine")):
        quarantine.setdefault(row.frame, []).append(row)
    leaves: dict[int, list[StoredLeaf]] = {}
    for frame, index, record in await connection.fetch(_LEAVES, first, end):
        leaves.setdefault(frame, []).append(StoredLeaf(index, _facts(unpack(record))))
    outcomes = await connection.fetch(_OUTCOMES, first, end)
    return StoredFrames(
        packets={row.frame: row for row in read_all(PacketRow, await rows_of("packet"))},
        quarantine=quarantine,
        leaves=leaves,
        released={row["frame"] for row in await rows_of("released")},
        kept=[(row["frame"], row["bucket"]) for row in await rows_of("kept")],
        outcomes=[(row[0], row[1], row[2]) for row in outcomes],
    )


def _facts(record: bytes) -> dict[str, str]:
    try:
        return read_leaf(record)
    except (FormatError, ValueError):
        return {}


def _check_rows(faults: Faults, frames: StoredFrames) -> None:
    for row in frames.packets.values():
        _check_packet(faults, row, frames.leaves.get(row.frame, []))
    for rows in frames.quarantine.values():
        for quarantined in rows:
            _check_quarantined(faults, quarantined, frames.leaves.get(quarantined.frame, []))
    for frame, leaves in frames.leaves.items():
        if frame not in frames.packets and frame not in frames.quarantine:
            _name_deleted(faults, frame, leaves[0])
    for frame, system, drop_id in frames.outcomes:
        what = f"the row was deleted: drop {drop_id} of {system} became it"
        is_there = frame in frames.packets
        faults.expect("packet", f"frame {frame}", what, Kind.REMOVED, holds=is_there)
    _check_releases(faults, frames)
    faults.counts["packet"] += len(frames.packets)
    faults.counts["quarantine"] += sum(map(len, frames.quarantine.values()))
    faults.counts["released"] += len(frames.released)


def _name_deleted(faults: Faults, frame: int, leaf: StoredLeaf) -> None:
    facts = leaf.facts
    kind, name = facts.get("kind", "?"), facts.get("id", "")
    table = "packet" if name and "head-sha256" in facts else "quarantine"
    who = f", packet {name} of {facts.get('from', '?')}" if name else ""
    what = f"the row was deleted: leaf {leaf.index} ({kind}) names it{who}"
    faults.add(table, f"frame {frame}", what, Kind.REMOVED)


def _check_releases(faults: Faults, frames: StoredFrames) -> None:
    leaves: Counter[int] = Counter()
    for frame, of_frame in frames.leaves.items():
        leaves[frame] = sum(leaf.facts.get("kind") == LeafKind.RELEASED for leaf in of_frame)
    for frame in frames.released | {frame for frame, count in leaves.items() if count}:
        row, key, count = frames.packets.get(frame), f"frame {frame}", leaves[frame]
        name = f"packet {row.id} of {row.sender}" if row else "a packet that is gone"
        if count > 1:
            indexes = ", ".join(
                str(leaf.index)
                for leaf in frames.leaves[frame]
                if leaf.facts.get("kind") == LeafKind.RELEASED
            )
            what = f"released {count} times (leaves {indexes}): {name}"
            faults.add("released", key, what, Kind.ADDED)
        elif count == 0:
            faults.add("released", key, f"has no released leaf: {name}", Kind.ADDED)
        elif frame not in frames.released:
            faults.add("released", key, f"the row was deleted: {name}", Kind.REMOVED)


def _check_packet(faults: Faults, row: PacketRow, leaves: list[StoredLeaf]) -> None:
    key = f"frame {row.frame} packet {row.id} of {row.sender}"
    head_sha256, head_sha512 = sha256(row.head).digest(), sha512(row.head).hexdigest()
    what = "its head is not that of head_sha256"
    faults.expect("packet", key, what, holds=head_sha256 == row.head_sha256)
    kinds = {leaf.facts.get("kind") for leaf in leaves}
    what = (
        "the row was added, or its leaf removed: "
        "it has no leaf of its verdict (sent, relayed, received, refused, held)"
    )
    is_told = not kinds.isdisjoint(FIRST_LEAVES)
    faults.expect("packet", key, what, Kind.ADDED, holds=is_told)
    for leaf in leaves:
        claims = {
            "id": row.id,
            "from": row.sender,
            "to": row.recipient,
            "head-sha256": head_sha256.hex(),
            "head-sha512": head_sha512,
            "frame-sha256": row.frame_sha256.hex(),
        }
        for field, value in claims.items():
            what = f"its {field} is not that of leaf {leaf.index}"
            faults.expect("packet", key, what, holds=leaf.facts.get(field, value) == value)
    header = header_of(row.head)
    if header is None:
        faults.add("packet", key, "its head holds no header")
        return
    for column in _differing(row, header):
        faults.add("packet", key, f"its column {column} is not what its header says")


def _differing(row: PacketRow, header: Header) -> Iterator[str]:
    payload = header.payload
    said = {
        "id": header.id,
        "sender": header.from_,
        "recipient": header.to,
        "epoch": header.epoch,
        "seq": header.seq,
        "type": header.type,
        "section": header.section,
        "class_": header.class_,
        "flow": header.flow,
        "period": header.period,
        "re": header.re,
        "sent": header.sent_at,
        "size": len(row.head) + payload.size,
        "media_type": payload.media_type,
        "coding": payload.coding,
    }
    for column, value in said.items():
        if getattr(row, column) != value:
            yield column.rstrip("_")


def _check_quarantined(faults: Faults, row: QuarantineRow, leaves: list[StoredLeaf]) -> None:
    key = f"frame {row.frame} sha256 {row.sha256.hex()}"
    if row.state in {"refused", "held"}:
        kinds = {leaf.facts.get("kind") for leaf in leaves}
        what = f"the row was added, or its leaf removed: it has no leaf of kind {row.state}"
        faults.expect("quarantine", key, what, Kind.ADDED, holds=row.state in kinds)
    for leaf in leaves:
        value = leaf.facts.get("frame-sha256", row.sha256.hex())
        what = f"its sha256 is not that of leaf {leaf.index}"
        faults.expect("quarantine", key, what, holds=value == row.sha256.hex())
