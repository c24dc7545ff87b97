"""Reads where the record stands: index-ordered reads of single rows, whatever its age."""

from collections.abc import Iterable
from typing import Any

from schemas.leaves import read_leaf
from schemas.moments import Instant, parse_instant
from schemas.records import Position, StreamTail
from store.errors import StoreFault, StoreMisfit
from store.merkle import TILE_WIDTH, Span, Tree, cut_tile, edge_tiles, leaf_hash, root_of
from store.migrations import SCHEMA_VERSION
from store.packing import unpack
from store.postgres.session import Connection

_IDENTITY = "SELECT address, epoch FROM identity ORDER BY epoch DESC LIMIT 1"

_LAST_FRAME = """
SELECT GREATEST(
    (SELECT max(frame) FROM packet), (SELECT max(frame) FROM quarantine),
    (SELECT max(frame) FROM kept), 0)
"""

_LAST_LEAF = "SELECT index, record FROM leaf ORDER BY index DESC LIMIT 1"

# One index probe for each stream (a loose index scan), then one for its last row.
_STREAMS = """
WITH RECURSIVE streams (stream) AS (
    (SELECT stream FROM {table} ORDER BY stream LIMIT 1)
    UNION ALL
    SELECT (SELECT t.stream FROM {table} AS t WHERE t.stream > s.stream ORDER BY t.stream LIMIT 1)
    FROM streams AS s WHERE s.stream IS NOT NULL
)
SELECT s.stream, last.* FROM streams AS s CROSS JOIN LATERAL ({last}) AS last
WHERE s.stream IS NOT NULL
"""

OUTGOING = _STREAMS.format(
    table="entry",
    last="SELECT number, chain, epoch FROM entry WHERE stream = s.stream AND epoch = $1 "
    "ORDER BY number DESC LIMIT 1",
)
"""The last entry of each outgoing stream of epoch $1."""

CURSORS = _STREAMS.format(
    table="note",
    last="SELECT up_to, noted FROM note WHERE stream = s.stream AND epoch = $1 "
    "ORDER BY place DESC LIMIT 1",
)
"""The newest note of each outgoing stream of epoch $1."""

INCOMING = _STREAMS.format(
    table="intake",
    last="SELECT last, chain, epoch FROM intake WHERE stream = s.stream "
    "ORDER BY epoch DESC, last DESC LIMIT 1",
)
"""The newest intake of each incoming stream, in the neighbour's newest epoch."""

_FULL_TILES = """
SELECT t.level, t.index, t.hashes
FROM unnest($1::smallint[], $2::bigint[]) AS w (level, index)
JOIN tile AS t ON t.level = w.level AND t.index = w.index
"""

_TILES_BELOW = """
SELECT hashes FROM tile WHERE level = $1 AND index >= $2 AND index < $3 ORDER BY index
"""

_LEAVES = "SELECT record FROM leaf WHERE index >= $1 AND index < $2 ORDER BY index"

_SETTINGS = "SELECT current_setting('synchronous_commit')"

_VERSION = "SELECT max(version) FROM schema_version"


class EdgeRoots:
    """Roots of the full tiles below the tiles at the right edge: hashed once, they never change."""

    def __init__(self) -> None:
        self._of_tile: dict[int, tuple[int, list[bytes]]] = {}
        """By level, the index of the tile that was not full, and its hashes so far."""

    def of(self, level: int, index: int) -> list[bytes]:
        """Return the hashes known of a tile, for whoever reads on to extend."""
        if self._of_tile.get(level, (-1, []))[0] != index:
            self._of_tile[level] = index, []
        return self._of_tile[level][1]


async def check_database(connection: Connection) -> None:
    """Raise StoreMisfit where schema or settings are not what a sequencer needs."""
    if await connection.fetchval("SELECT to_regclass('schema_version')") is None:
        raise StoreMisfit("the database has no bbaj schema: run `bbaj store migrate`")
    version = await connection.fetchval(_VERSION)
    if version != SCHEMA_VERSION:
        raise StoreMisfit(
            f"schema version {version}, this program needs {SCHEMA_VERSION}: "
            "run `bbaj store migrate` with the program of the newer version"
        )
    setting = await connection.fetchval(_SETTINGS)
    if setting not in {"on", "remote_apply"}:
        raise StoreMisfit(f"synchronous_commit is {setting}: set it to on for the daemon's role")


async def load_position(connection: Connection) -> tuple[Position, Tree]:
    """Return where the record stands, and the journal's tree. Raises StoreMisfit."""
    identity = await connection.fetchrow(_IDENTITY)
    if identity is None:
        raise StoreMisfit("the database belongs to no address: run `bbaj store migrate`")
    epoch = identity["epoch"]
    last = await connection.fetchrow(_LAST_LEAF)
    leaves = last["index"] + 1 if last else 0
    outgoing = _tails(await connection.fetch(OUTGOING, epoch))
    notes = await connection.fetch(CURSORS, epoch)
    position = Position(
        address=identity["address"],
        epoch=epoch,
        last_frame=await connection.fetchval(_LAST_FRAME),
        leaves=leaves,
        outgoing=outgoing,
        cursors=dict.fromkeys(outgoing, 0) | {row["stream"]: row["up_to"] for row in notes},
        incoming=_tails(await connection.fetch(INCOMING)),
        last_leaf_at=_leaf_at(unpack(last["record"])) if last else 0,
    )
    return position, await load_tree(connection, leaves)


async def load_tree(connection: Connection, size: int, known: EdgeRoots | None = None) -> Tree:
    """Return the tree over the first `size` leaves; `known` as for `load_tiles`."""
    wanted = {(level, index) for level, index, _width in edge_tiles(size)}
    tiles = await load_tiles(connection, wanted, size, known)
    return Tree.load(size, lambda level, index: tiles[level, index])


async def load_tiles(
    connection: Connection,
    wanted: Iterable[tuple[int, int]],
    size: int,
    known: EdgeRoots | None = None,
) -> dict[tuple[int, int], bytes]:
    """Return the tiles (level, index); of the ones not full yet what `size` leaves give them.

    With `known`, what it holds of the record's full tiles is believed, and it learns the rest.
    """
    known = known or EdgeRoots()
    pairs = list(wanted)
    levels, indexes = [level for level, _ in pairs], [index for _, index in pairs]
    found = await connection.fetch(_FULL_TILES, levels, indexes)
    tiles = {(row["level"], row["index"]): row["hashes"] for row in found}
    for level, index in pairs:
        if (level, index) not in tiles:
            first = index * TILE_WIDTH
            span = Span(first, min(size >> (8 * level), first + TILE_WIDTH))
            if level == 0:
                hashes = await _leaf_hashes(connection, span)
            else:
                hashes = await _roots_below(connection, level, span, known.of(level, index))
            tiles[level, index] = b"".join(hashes)
    return tiles


async def _leaf_hashes(connection: Connection, span: Span) -> list[bytes]:
    found = await connection.fetch(_LEAVES, *span)
    hashes = [leaf_hash(unpack(row["record"])) for row in found]
    _expect_all(0, span, hashes)
    return hashes


async def _roots_below(
    connection: Connection, level: int, span: Span, known: list[bytes]
) -> list[bytes]:
    """Return the roots of full tiles of the level below; those that were not known become so."""
    at = len(known)
    if at < span.end - span.first:
        new = Span(span.first + at, span.end)
        found = await connection.fetch(_TILES_BELOW, level - 1, *new)
        hashes = [root_of(cut_tile(row["hashes"])) for row in found]
        _expect_all(level, new, hashes)
        known[at:] = hashes  # never twice: another read may have come to the same meanwhile
    return known[: span.end - span.first]


def _expect_all(level: int, span: Span, hashes: list[bytes]) -> None:
    if len(hashes) != span.end - span.first:
        raise StoreFault(
            f"journal: tile {level}/{span.first // TILE_WIDTH} has {len(hashes)} of "
            f"{span.end - span.first} hashes: run `bbaj store verify`"
        )


def _tails(found: list[Any]) -> dict[str, StreamTail]:
    return {stream: StreamTail(number, chain, epoch) for stream, number, chain, epoch in found}


def _leaf_at(record: bytes) -> Instant:
    return parse_instant(read_leaf(record)["at"])
