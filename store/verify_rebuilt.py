"""Verification of what came back of a lost record (clause 25.5): no gap is left out of the report.

Each page has the entries of one intake, whose digests the stream's chain binds; its gaps are among
them, and its note is about them. Pages of a stream follow on each other up to its end, and all of
them together are what the outcome of the order says.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from schemas.errors import FormatError
from schemas.objects import CustodyNote, StreamPosition, cut_object
from schemas.rebuilding import Gap
from store.faults import Faults, Kind
from store.postgres.session import Connection

TABLE = "rebuilt"
ROWS_AT_ONCE = 200

_PAGES = """
SELECT r.*, i.digests FROM rebuilt AS r
LEFT JOIN intake AS i ON i.stream = r.stream AND i.epoch = r.epoch AND i.last = r.last
    AND i.first = r.first
WHERE (r.stream, r.epoch, r.first) > ($1, $2, $3)
ORDER BY r.stream, r.epoch, r.first LIMIT $4
"""

_CHAINS = """
SELECT i.stream, i.epoch, i.last, i.chain
FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS n (stream, epoch, last)
JOIN intake AS i ON i.stream = n.stream AND i.epoch = n.epoch AND i.last = n.last
"""

_OUTCOME = """
SELECT o.content FROM instruction AS i JOIN instruction_outcome AS o ON o.id = i.id
WHERE i.what = 'rebuild' AND o.state = 'done' ORDER BY o.at LIMIT 1
"""

_gaps = msgspec.json.Decoder(list[Gap])


class _Sums(msgspec.Struct):
    """What all pages have; the outcome of the order names the same."""

    packets: int = 0
    objects: int = 0
    gaps: int = 0


class _Place(msgspec.Struct):
    """How far the pages of a stream go, and whether its end is among them."""

    stream: str
    epoch: int
    last: int = 0
    is_whole: bool = False


async def check_rebuilt(connection: Connection, faults: Faults) -> None:
    """Check all pages, as they stand at one moment."""
    places, sums = list[_Place](), _Sums()
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        at: tuple[str, int, int] = ("", 0, 0)
        while rows := await connection.fetch(_PAGES, *at, ROWS_AT_ONCE):
            for row in rows:
                _follow(faults, row, places)
                _check_page(faults, row, sums)
            await _check_notes(connection, faults, rows)
            faults.counts[TABLE] += len(rows)
            at = (rows[-1]["stream"], rows[-1]["epoch"], rows[-1]["first"])
        outcome = await connection.fetchval(_OUTCOME)
    if outcome is not None:
        _check_outcome(faults, outcome, places, sums)


def _follow(faults: Faults, row: Any, places: list[_Place]) -> None:  # noqa: ANN401 - Record
    """Check that a page follows on the one before."""
    if not places or (places[-1].stream, places[-1].epoch) != (row["stream"], row["epoch"]):
        places.append(_Place(row["stream"], row["epoch"]))
    place = places[-1]
    if row["first"] != place.last + 1:
        key = _key(place.stream, place.epoch, place.last + 1)
        faults.add(TABLE, key, f"rows were deleted: {row['first']} follows", Kind.REMOVED)
    what = "the row was added: the stream had ended before it"
    faults.expect(TABLE, _key_of(row), what, Kind.ADDED, holds=not place.is_whole)
    place.last = row["last"]
    place.is_whole |= row["last"] < row["first"]


def _check_page(faults: Faults, row: Any, sums: _Sums) -> None:  # noqa: ANN401 - Record
    """Check a page's counts and gaps against the digests of its intake."""
    key, count = _key_of(row), row["last"] - row["first"] + 1
    sums.packets += row["kept"]
    sums.objects += row["objects"]
    sums.gaps += count - row["kept"] - row["objects"]
    try:
        gaps = _gaps.decode(row["gaps"])
    except msgspec.DecodeError:
        faults.add(TABLE, key, "the row was changed: its gaps cannot be read", Kind.UNREADABLE)
        return
    what = "the row was changed: what came and what is missing are not as many as its numbers"
    faults.expect(TABLE, key, what, holds=row["kept"] + row["objects"] + len(gaps) == count)
    if not count:
        return
    if row["digests"] is None:
        what = "the row was changed or added: no intake has just these entries"
        faults.add(TABLE, key, what, Kind.ADDED)
        return
    for gap in gaps:
        offset = 32 * (gap.number - row["first"])
        digest = row["digests"][offset : offset + 32] if offset >= 0 else b""
        what = f"the row was changed: gap {gap.number} is not in its intake"
        faults.expect(TABLE, key, what, holds=digest.hex() == gap.sha256)


async def _check_notes(connection: Connection, faults: Faults, rows: Sequence[Any]) -> None:
    """Check that the note of each page is about its entries, and bears their chain."""
    noted: list[tuple[str, int, int]] = []
    said: list[str] = []
    for row in rows:
        position = _position(row) if row["last"] >= row["first"] else None
        if position is not None:
            noted.append((row["stream"], row["epoch"], position.up_to))
            said.append(position.chain)
        elif row["last"] >= row["first"]:
            what = "the row was changed: its note is not about these entries"
            faults.add(TABLE, _key_of(row), what)
    found = await connection.fetch(_CHAINS, *map(list, zip(*noted, strict=True))) if noted else []
    chains = {tuple(row)[:3]: row["chain"].hex() for row in found}
    for place, chain in zip(noted, said, strict=True):
        # A later bundle may have gone beyond the note's number: then no intake ends there.
        what = f"the row was changed: a note names another chain at {place[2]} than the intake"
        key = f"{place[0]} epoch {place[1]}"
        faults.expect(TABLE, key, what, holds=chains.get(place, chain) == chain)


def _position(row: Any) -> StreamPosition | None:  # noqa: ANN401 - Record
    """Return how far a page's note goes; None where it is none, or about something else."""
    neighbour, _, lane = row["stream"].rpartition("/")
    try:
        note = cut_object(row["note"]).header
    except FormatError:
        return None
    if not isinstance(note, CustodyNote) or note.position.up_to < row["last"]:
        return None
    about = (note.to, note.position.lane, note.position.epoch)
    return note.position if about == (neighbour, lane, row["epoch"]) else None


def _check_outcome(faults: Faults, outcome: bytes, places: Sequence[_Place], sums: _Sums) -> None:
    """Check that all pages are there that the order has brought."""
    for place in places:
        key = _key(place.stream, place.epoch, place.last + 1)
        what = "rows were deleted: the order is done, and the stream has no end"
        faults.expect(TABLE, key, what, Kind.REMOVED, holds=place.is_whole)
    told = msgspec.json.decode(outcome, type=_Sums)
    what = f"rows were changed or deleted: they have {_words(sums)}, the order's end {_words(told)}"
    faults.expect(TABLE, "all pages", what, holds=sums == told)


def _words(sums: _Sums) -> str:
    return f"{sums.packets} packets, {sums.objects} objects, {sums.gaps} gaps"


def _key_of(row: Any) -> str:  # noqa: ANN401 - Record
    return _key(row["stream"], row["epoch"], row["first"])


def _key(stream: str, epoch: int, number: int) -> str:
    return f"{stream} epoch {epoch} number {number}"
