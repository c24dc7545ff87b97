"""Verification of streams (digests, chains, numbers) and of what is named by its digest."""

from hashlib import sha256
from typing import Any

from store.faults import Faults, Progress
from store.postgres.session import Connection

ROWS_AT_ONCE = 2000
DIGEST_NAMED_AT_ONCE = 200

_ENTRIES = """
SELECT e.*, p.frame_sha256, p.size AS frame_size
FROM entry AS e LEFT JOIN packet AS p ON p.frame = e.frame
WHERE (e.stream, e.epoch, e.number) > ($1, $2, $3)
ORDER BY e.stream, e.epoch, e.number LIMIT $4
"""

# How far custody notes reach beyond what a stream has.
_NOTES_BEYOND = """
WITH RECURSIVE streams (stream, epoch) AS (
    (SELECT stream, epoch FROM note ORDER BY stream, epoch LIMIT 1)
    UNION ALL
    SELECT n.stream, n.epoch FROM streams AS s CROSS JOIN LATERAL (
        SELECT stream, epoch FROM note AS n WHERE (n.stream, n.epoch) > (s.stream, s.epoch)
        ORDER BY n.stream, n.epoch LIMIT 1
    ) AS n
)
SELECT * FROM (
    SELECT s.stream, s.epoch,
        (SELECT max(up_to) FROM note WHERE stream = s.stream AND epoch = s.epoch) AS noted,
        COALESCE((SELECT max(number) FROM entry WHERE stream = s.stream AND epoch = s.epoch), 0)
            AS last
    FROM streams AS s
) AS ends WHERE noted > last
"""

_INTAKES = """
SELECT stream, epoch, first, last FROM intake WHERE (stream, epoch, last) > ($1, $2, $3)
ORDER BY stream, epoch, last LIMIT $4
"""

_LEARNED = "SELECT sha256, der FROM {} WHERE sha256 > $1 ORDER BY sha256 LIMIT $2"

_TOTALS = "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'entry'::regclass"


async def check_streams(connection: Connection, faults: Faults, on_progress: Progress) -> None:
    """Check every entry's digest and chain, and the numbers of entries, notes and intakes."""
    about = await connection.fetchval(_TOTALS)
    at: tuple[str, int, int] = ("", 0, 0)
    chain = bytes(32)
    while rows := await connection.fetch(_ENTRIES, *at, ROWS_AT_ONCE):
        for row in rows:
            if (row["stream"], row["epoch"]) != at[:2]:
                at, chain = (row["stream"], row["epoch"], 0), bytes(32)
            chain = _check_entry(faults, row, at[2] + 1, chain)
            at = (row["stream"], row["epoch"], row["number"])
        faults.counts["entry"] += len(rows)
        on_progress("streams", faults.counts["entry"], max(about, faults.counts["entry"]))
    for row in await connection.fetch(_NOTES_BEYOND):
        key = f"{row['stream']} epoch {row['epoch']} number {row['last'] + 1}"
        faults.add("entry", key, f"rows were deleted: a note reaches to {row['noted']}")
    await _check_intakes(connection, faults)


def _check_entry(faults: Faults, row: Any, expected: int, chain: bytes) -> bytes:  # noqa: ANN401
    """Check one entry; return the chain value to go on with."""
    key = f"{row['stream']} epoch {row['epoch']} number {row['number']}"
    if row["number"] != expected:
        first = f"{row['stream']} epoch {row['epoch']} number {expected}"
        faults.add("entry", first, f"rows were deleted: {row['number']} follows")
    if row["frame"] is None:
        digest: bytes | None = sha256(row["object"]).digest()
        size = len(row["object"])
    else:
        digest, size = row["frame_sha256"], row["frame_size"]
    if digest is None:
        faults.add("packet", f"frame {row['frame']}", f"the row was deleted: entry {key} names it")
    else:
        faults.expect(
            "entry", key, "sha256 is not that of its bytes", holds=digest == row["sha256"]
        )
        faults.expect("entry", key, "size is not that of its bytes", holds=size == row["size"])
    linked = sha256(chain + row["number"].to_bytes(8) + row["sha256"]).digest()
    is_next = row["number"] == expected
    faults.expect("entry", key, "chain is broken", holds=linked == row["chain"] or not is_next)
    stored: bytes = row["chain"]
    return stored


async def _check_intakes(connection: Connection, faults: Faults) -> None:
    at: tuple[str, int, int] = ("", 0, 0)
    while rows := await connection.fetch(_INTAKES, *at, ROWS_AT_ONCE):
        for row in rows:
            expected = at[2] + 1 if (row["stream"], row["epoch"]) == at[:2] else 1
            key = f"{row['stream']} epoch {row['epoch']} number {expected}"
            what = f"intakes were deleted: {row['first']} follows"
            faults.expect("intake", key, what, holds=row["first"] == expected)
            at = (row["stream"], row["epoch"], row["last"])
        faults.counts["intake"] += len(rows)


async def check_learned(connection: Connection, faults: Faults) -> None:
    """Check that certificates and CRLs are what their digests name."""
    for table in ("certificate", "crl"):
        after = b""
        while rows := await connection.fetch(_LEARNED.format(table), after, DIGEST_NAMED_AT_ONCE):
            for row in rows:
                after, der = row
                key = f"sha256 {after.hex()}"
                what = "its bytes are not those of its digest"
                faults.expect(table, key, what, holds=sha256(der).digest() == after)
            faults.counts[table] += len(rows)
