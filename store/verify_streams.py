"""Verification of streams: digests, chains, numbers."""

from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

from store.faults import Faults, Kind, Reached
from store.merkle import Span
from store.postgres.session import Connection
from store.scope import ALL_PARTS, Scope, joined, shares_of

ROWS_AT_ONCE = 2000

# One index probe for each stream (a loose index scan), then what is asked of it.
_STREAMS = """
WITH RECURSIVE streams (stream, epoch) AS (
    (SELECT stream, epoch FROM {table} ORDER BY stream, epoch LIMIT 1)
    UNION ALL
    SELECT n.stream, n.epoch FROM streams AS s CROSS JOIN LATERAL (
        SELECT stream, epoch FROM {table} AS n WHERE (n.stream, n.epoch) > (s.stream, s.epoch)
        ORDER BY n.stream, n.epoch LIMIT 1
    ) AS n
)
{ask}
"""

_LASTS = _STREAMS.format(
    table="entry",
    ask="""
SELECT s.stream, s.epoch,
    (SELECT max(number) FROM entry WHERE stream = s.stream AND epoch = s.epoch) AS last
FROM streams AS s ORDER BY s.stream, s.epoch
""",
)

_FIRST_NEW = """
SELECT stream, epoch, min(number) FROM entry WHERE frame >= $1 GROUP BY stream, epoch
"""

_ENTRIES = """
SELECT e.*, p.frame_sha256, p.size AS frame_size
FROM entry AS e LEFT JOIN packet AS p ON p.frame = e.frame
WHERE e.stream = $1 AND e.epoch = $2 AND e.number >= $3 AND e.number < $4
ORDER BY e.number LIMIT $5
"""

_CHAIN = "SELECT chain FROM entry WHERE stream = $1 AND epoch = $2 AND number = $3"

# How far custody notes reach beyond what a stream has.
_NOTES_BEYOND = _STREAMS.format(
    table="note",
    ask="""
SELECT * FROM (
    SELECT s.stream, s.epoch,
        (SELECT max(up_to) FROM note WHERE stream = s.stream AND epoch = s.epoch) AS noted,
        COALESCE((SELECT max(number) FROM entry WHERE stream = s.stream AND epoch = s.epoch), 0)
            AS last
    FROM streams AS s
) AS ends WHERE noted > last
""",
)

_INTAKES = """
SELECT stream, epoch, first, last, chain, digests FROM intake
WHERE (stream, epoch, last) > ($1, $2, $3)
ORDER BY stream, epoch, last LIMIT $4
"""

Stream = tuple[str, int]
"""Name and epoch."""


async def entry_spans(connection: Connection, scope: Scope) -> dict[Stream, tuple[Span, ...]]:
    """Return which numbers of each stream are to be looked at."""
    lasts = {(row[0], row[1]): row[2] for row in await connection.fetch(_LASTS)}
    if scope.parts == ALL_PARTS:
        return {stream: (Span(1, last + 1),) for stream, last in lasts.items()}
    found = await connection.fetch(_FIRST_NEW, scope.new_frames)
    news = {(row[0], row[1]): row[2] for row in found}
    spans = {}
    for stream, last in lasts.items():
        first_new = news.get(stream, last)
        old = [Span(span.first + 1, span.end + 1) for span in shares_of(scope.parts, last)]
        spans[stream] = joined([*old, Span(first_new, last + 1)])
    return spans


async def check_streams(
    connection: Connection,
    faults: Faults,
    spans: dict[Stream, tuple[Span, ...]],
    on_reached: Reached,
) -> None:
    """Check digests and chains of entries, and the numbers of entries, notes and intakes."""
    for stream, of_stream in spans.items():
        for span in of_stream:
            async for count, reached in _check_entries(connection, faults, stream, span):
                on_reached(count, reached)
    for row in await connection.fetch(_NOTES_BEYOND):
        key = f"{row['stream']} epoch {row['epoch']} number {row['last'] + 1}"
        what = f"rows were deleted: a note reaches to {row['noted']}"
        faults.add("entry", key, what, Kind.REMOVED)
    await _check_intakes(connection, faults)


async def _check_entries(
    connection: Connection, faults: Faults, stream: Stream, span: Span
) -> AsyncIterator[tuple[int, int]]:
    """Check entries of one stream; yield after each group how many it had, and its last number."""
    name = f"{stream[0]} epoch {stream[1]}"
    number, chain = span.first - 1, bytes(32)
    if number:
        # Where the one before is gone, whoever looks at its span says so.
        chain = await connection.fetchval(_CHAIN, *stream, number) or b""
    while rows := await connection.fetch(_ENTRIES, *stream, number + 1, span.end, ROWS_AT_ONCE):
        for row in rows:
            chain = _check_entry(faults, row, number + 1, chain)
            number = row["number"]
        faults.counts["entry"] += len(rows)
        yield len(rows), number
    if number + 1 < span.end:
        what = f"rows were deleted: {span.end} follows"
        faults.add("entry", f"{name} number {number + 1}", what, Kind.REMOVED)


def _check_entry(faults: Faults, row: Any, expected: int, chain: bytes) -> bytes:  # noqa: ANN401
    """Check one entry; return the chain value to go on with."""
    key = f"{row['stream']} epoch {row['epoch']} number {row['number']}"
    if row["number"] != expected:
        first = f"{row['stream']} epoch {row['epoch']} number {expected}"
        what = f"rows were deleted: {row['number']} follows"
        faults.add("entry", first, what, Kind.REMOVED)
    if row["frame"] is None:
        digest: bytes | None = sha256(row["object"]).digest()
        size = len(row["object"])
    else:
        digest, size = row["frame_sha256"], row["frame_size"]
    if digest is None:
        what = f"the row was deleted: entry {key} names it"
        faults.add("packet", f"frame {row['frame']}", what, Kind.REMOVED)
    else:
        what = "the row was changed: its sha256 is not that of its bytes"
        faults.expect("entry", key, what, holds=digest == row["sha256"])
        what = "the row was changed: its size is not that of its bytes"
        faults.expect("entry", key, what, holds=size == row["size"])
    if row["number"] == expected and chain:
        what = "the chain is broken: the row was changed or added, or rows were reordered"
        linked = sha256(chain + row["number"].to_bytes(8) + row["sha256"]).digest()
        faults.expect("entry", key, what, holds=linked == row["chain"])
    stored: bytes = row["chain"]
    return stored


async def _check_intakes(connection: Connection, faults: Faults) -> None:
    at: tuple[str, int, int] = ("", 0, 0)
    chain = bytes(32)
    while rows := await connection.fetch(_INTAKES, *at, ROWS_AT_ONCE):
        for row in rows:
            is_same = (row["stream"], row["epoch"]) == at[:2]
            expected = at[2] + 1 if is_same else 1
            key = f"{row['stream']} epoch {row['epoch']} number {expected}"
            what = f"intakes were deleted: {row['first']} follows"
            faults.expect("intake", key, what, Kind.REMOVED, holds=row["first"] == expected)
            if row["first"] == expected and row["digests"] is not None:
                what = "the row was changed: its chain is not that of its digests"
                linked = _linked(chain if is_same else bytes(32), row["first"], row["digests"])
                faults.expect("intake", key, what, holds=linked == row["chain"])
            at, chain = (row["stream"], row["epoch"], row["last"]), row["chain"]
        faults.counts["intake"] += len(rows)


def _linked(chain: bytes, first: int, digests: bytes) -> bytes:
    """Return the chain after entries from number `first` on, with these digests in a row."""
    for index in range(len(digests) // 32):
        entry = digests[index * 32 : (index + 1) * 32]
        chain = sha256(chain + (first + index).to_bytes(8) + entry).digest()
    return chain
