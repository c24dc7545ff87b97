"""Where each byte of a record lies on its disk: tables, indexes, and long values, by relation."""

import msgspec

from store.postgres.session import session

# Partitions count under the table that they are of. What the server itself needs is left out, and
# so is its write-ahead log, which does not grow with the record.
_USES = """
WITH own AS (
    SELECT c.oid, COALESCE(p.relname, c.relname) AS name, c.reltoastrelid AS toast
    FROM pg_class AS c
    LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid LEFT JOIN pg_class AS p ON p.oid = i.inhparent
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
), parts AS (
    SELECT name, 'table' AS part, pg_table_size(oid)
        - COALESCE(pg_total_relation_size(NULLIF(toast, 0)), 0) AS size FROM own
    UNION ALL
    SELECT name, 'long values', pg_total_relation_size(toast) FROM own WHERE toast <> 0
    UNION ALL
    SELECT own.name, 'index ' || COALESCE(p.relname, c.relname), pg_table_size(c.oid)
    FROM own JOIN pg_index AS x ON x.indrelid = own.oid JOIN pg_class AS c ON c.oid = x.indexrelid
    LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid LEFT JOIN pg_class AS p ON p.oid = i.inhparent
)
SELECT name, part, sum(size)::bigint AS size FROM parts GROUP BY name, part
HAVING sum(size) > 0 ORDER BY size DESC, name, part
"""

LEAST_SHOWN = 5.0
"""Bytes for each packet; what takes less comes together at the end."""


class DiskUse(msgspec.Struct, frozen=True):
    """What one part of a table takes, for each packet."""

    table: str
    part: str
    bytes_per_packet: float


class Disk(msgspec.Struct, frozen=True):
    """What a record of frames of one size takes."""

    frame_bytes: int
    packets: int
    bytes_per_packet: float
    factor: float
    """Against the bytes of the frames."""
    uses: list[DiskUse]
    """Largest first."""


async def weigh(owner_url: str, packets: int, frame_bytes: int) -> Disk:
    """Return where the bytes of a record lie."""
    async with session(owner_url, "bbaj bench") as connection:
        rows = [tuple(row) for row in await connection.fetch(_USES)]
    total = sum(size for _, _, size in rows) / packets
    uses = [DiskUse(name, part, round(size / packets, 1)) for name, part, size in rows]
    shown = [use for use in uses if use.bytes_per_packet >= LEAST_SHOWN]
    rest = total - sum(use.bytes_per_packet for use in shown)
    return Disk(
        frame_bytes=frame_bytes,
        packets=packets,
        bytes_per_packet=round(total, 1),
        factor=round(total / frame_bytes, 3),
        uses=[*shown, DiskUse("all others", "", round(rest, 1))],
    )
