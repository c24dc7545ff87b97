"""Verification of what is named by its digest: certificates, revocation lists, time-stamps ..."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from hashlib import sha256, sha512

from schemas.errors import FormatError
from schemas.leaves import LeafKind, read_leaf
from schemas.records import LeafMark
from store.faults import Faults, Kind
from store.postgres.session import Connection
from store.scope import joined, shares_of

ROWS_AT_ONCE = 200

CONTENTS = {
    "certificate": "der",
    "crl": "der",
    "timestamp_token": "token",
    "renewal_token": "token",
    "policy": "content",
    "request": "object",
    "alarm": "object",
    "recovery": "object",
}
"""By table, the column whose digest is the key."""

NOTES = {"timestamp_token": "note", "renewal_token": "note"}
"""By table, the column that the imprint of a time-stamp is of: its SHA-512 stands in the token."""

TABLES_OF_LEAVES: dict[str, str] = {
    LeafKind.CERTIFICATE: "certificate",
    LeafKind.CRL: "crl",
    LeafKind.TIMESTAMP: "timestamp_token",
    LeafKind.RENEWAL: "renewal_token",
}
"""The kinds of leaves that name a row: it must be there for ever."""

_ROWS = """
SELECT sha256, {column}, {note} FROM {table} WHERE sha256 > $1 AND sha256 < $2
ORDER BY sha256 LIMIT $3
"""

_ABSENT = """
SELECT n.sha256 FROM unnest($1::bytea[]) AS n (sha256)
WHERE NOT EXISTS (SELECT FROM {table} AS t WHERE t.sha256 = n.sha256)
"""

_END_OF_DIGESTS = b"\xff" * 33


async def check_named(connection: Connection, faults: Faults, parts: Sequence[int]) -> None:
    """Check that rows are what their digests name, in some parts of all digests."""
    for first, end in joined(shares_of(parts, 256)):
        after = bytes([first]) if first else b""
        until = bytes([end]) if end < 256 else _END_OF_DIGESTS
        for table, column in CONTENTS.items():
            await _check_table(connection, faults, (table, column), (after, until))


async def _check_table(
    connection: Connection, faults: Faults, where: tuple[str, str], between: tuple[bytes, bytes]
) -> None:
    table, column = where
    after, until = between
    query = _ROWS.format(table=table, column=column, note=NOTES.get(table, "NULL"))
    while rows := await connection.fetch(query, after, until, ROWS_AT_ONCE):
        for row in rows:
            after, content, note = row
            key = f"sha256 {after.hex()}"
            what = "the row was changed: its bytes are not those of its digest"
            faults.expect(table, key, what, holds=sha256(content).digest() == after)
            what = "the row was changed: its time-stamp is not of its note"
            is_of = note is None or sha512(note.encode()).digest() in content
            faults.expect(table, key, what, holds=is_of)
        faults.counts[table] += len(rows)


async def check_present(connection: Connection, faults: Faults, leaves: Iterable[LeafMark]) -> None:
    """Check that the rows are there which leaves name."""
    named: defaultdict[str, dict[bytes, str]] = defaultdict(dict)
    for leaf in leaves:
        table = TABLES_OF_LEAVES.get(leaf.kind)
        if table is None:
            continue
        digest = _digest_of(leaf.record)
        if digest is not None:
            named[table][digest] = f"the row was deleted: leaf {leaf.index} ({leaf.kind}) names it"
    for table, digests in named.items():
        for row in await connection.fetch(_ABSENT.format(table=table), list(digests)):
            faults.add(table, f"sha256 {row[0].hex()}", digests[row[0]], Kind.REMOVED)


def _digest_of(record: bytes) -> bytes | None:
    try:
        return bytes.fromhex(read_leaf(record)["sha256"])
    except (FormatError, KeyError, ValueError):
        return None  # a leaf that was changed is named by its hash
