"""Verification of the journal: leaves -> tiles -> roots of the checkpoints, and the second log."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from schemas.leaves import opening_of
from schemas.records import LeafMark
from store.differences import Differences
from store.errors import StoreFault
from store.faults import Faults, Kind, Reached
from store.merkle import (
    HASH_BYTES,
    TILE_WIDTH,
    Span,
    Tile,
    Tree,
    consistency_holds,
    consistency_spans,
    cut_tile,
    hashes_of,
    leaf_hash,
    tiles_of,
)
from store.postgres.position import load_tiles, load_tree
from store.postgres.rows import read_marks
from store.postgres.session import Connection
from store.reading_ahead import Reader, in_lots
from store.scope import LEAVES_AT_ONCE
from store.verify_named import check_present
from store.verify_renewed import SecondLog, root_of_note

_BOUNDS = """
SELECT COALESCE((SELECT max(index) + 1 FROM leaf), 0) AS leaves,
       COALESCE((SELECT max(size) FROM checkpoint), 0) AS signed,
       COALESCE((SELECT max(index) + 1 FROM tile WHERE level = 0), 0) AS tiles
"""

_LEAVES = """
SELECT index, kind, record FROM leaf WHERE index >= $1 AND index < $2 ORDER BY index
"""

_CHECKPOINTS = """
SELECT size, note FROM checkpoint WHERE size >= $1 AND size <= $2 ORDER BY size
"""

_NEWEST_CHECKPOINT = "SELECT size, note FROM checkpoint WHERE size <= $1 ORDER BY size DESC LIMIT 1"

_TILE = "SELECT hashes FROM tile WHERE level = $1 AND index = $2"

_TILES = "SELECT index, hashes FROM tile WHERE level = $1 AND index BETWEEN $2 AND $3"


async def check_ends(connection: Connection, faults: Faults, vouched: Mapping[int, bytes]) -> int:
    """Check that the journal is as long as others say; return how many leaves it has."""
    bounds = await connection.fetchrow(_BOUNDS)
    leaves: int = bounds["leaves"]
    for size, table in ((bounds["signed"], "checkpoint"), (max(vouched, default=0), "witness")):
        what = f"the journal was cut: it has {leaves} leaves, a {table} vouches for {size}"
        faults.expect("leaf", f"index {leaves}", what, Kind.CUT, holds=size <= leaves)
    what = f"the journal was cut: it has {leaves} leaves, tiles stand for more"
    is_so = bounds["tiles"] * TILE_WIDTH <= leaves
    faults.expect("leaf", f"index {leaves}", what, Kind.CUT, holds=is_so)
    return leaves


async def check_journal(
    reader: Reader,
    faults: Faults,
    vouched: Mapping[int, bytes],
    spans: Sequence[Span],
    on_reached: Reached,
) -> None:
    """Check the leaves of spans, and the tiles, checkpoints and renewals that end among them.

    Where a span ends before the journal does, its leaves are led up to the newest root that others
    vouch for.
    """
    connection = reader.connection
    leaves = await connection.fetchval("SELECT COALESCE(max(index) + 1, 0) FROM leaf")
    second = await SecondLog.begin(connection, faults)

    async def fetch(first: int, end: int) -> list[Any]:
        rows: list[Any] = await reader.ahead.fetch(_LEAVES, first, end)
        return rows

    for span in spans:
        try:
            tree = await load_tree(connection, span.first)
        except StoreFault as error:
            faults.add("tile", f"below leaf {span.first}", str(error), Kind.REMOVED)
            continue
        journal = _Journal(connection, faults, vouched, tree, second)
        await journal.check_start()
        async with aclosing(in_lots([span], LEAVES_AT_ONCE, fetch)) as lots:
            async for first, end, rows in lots:
                await journal.check(first, end, rows)
                on_reached(end - first, end)
        if span.end < leaves:
            await journal.lead_up(leaves)


class _Journal:
    def __init__(
        self,
        connection: Connection,
        faults: Faults,
        vouched: Mapping[int, bytes],
        tree: Tree,
        second: SecondLog,
    ) -> None:
        self.connection = connection
        self.faults = faults
        self.vouched = vouched
        self.tree = tree
        self.second = second
        self.differences = Differences()
        self.sound = tree.size
        """Up to here the roots have held."""

    async def check_start(self) -> None:
        """Check the tree that the tiles give, where somebody vouches for that very size."""
        size = self.tree.size
        for name, root in (await self._roots(size, size)).get(size, []):
            self._expect_root(name, size, holds=root == self.tree.root())

    async def check(self, first: int, end: int, found: Iterable[Any]) -> None:
        """Check leaves `first` to `end`, and the tiles and checkpoints that end among them."""
        rows = {leaf.index: leaf for leaf in read_marks(found)}
        hashes = await self._check_rows(rows, first, end)
        roots = await self._roots(first + 1, end)
        tiles: list[Tile] = []
        for size in sorted({*roots, end}):
            tiles += self.tree.extend(hashes[self.tree.size - first : size - first])
            for name, root in roots.get(size, []):
                self._expect_root(name, size, holds=root == self.tree.root())
        await self._check_tiles(tiles)
        records = [rows[at].record if at in rows else None for at in range(first, end)]
        await self.second.check(first, records)

    async def lead_up(self, leaves: int) -> None:
        """Check that the tree up to here is the beginning of the newest one vouched for."""
        known = [size for size in self.vouched if self.tree.size <= size <= leaves]
        if known:
            name, size, root = "witness", max(known), self.vouched[max(known)]
        else:
            row = await self.connection.fetchrow(_NEWEST_CHECKPOINT, leaves)
            if row is None or row["size"] < self.tree.size:
                return
            name, size, root = "checkpoint", row["size"], root_of_note(row["note"], row["size"])
        spans = consistency_spans(self.tree.size, size)
        try:
            tiles = await load_tiles(self.connection, tiles_of(spans), size)
            proof = hashes_of(spans, lambda level, index: tiles[level, index])
        except StoreFault as error:
            self.faults.add("tile", f"behind leaf {self.tree.size}", str(error), Kind.REMOVED)
            return
        holds = consistency_holds(self.tree.size, size, self.tree.root(), root, proof)
        self._expect_root(name, size, holds=holds)

    def _expect_root(self, name: str, size: int, *, holds: bool) -> None:
        last = min(self.tree.size, size) - 1
        where = f"in leaves {self.sound} to {last}" if self.sound <= last else "in the tiles"
        what = f"its root is not that of the leaves: something was changed {where}, or the root was"
        self.faults.expect(name, f"size {size}", what, holds=holds)
        if holds:
            self.sound = self.tree.size

    async def _check_rows(self, found: Mapping[int, LeafMark], first: int, end: int) -> list[bytes]:
        """Check the rows of leaves, and those that they name; return their hashes."""
        hashes = []
        kinds = {leaf.kind: opening_of(leaf.kind) for leaf in found.values()}
        for index in range(first, end):
            leaf = found.get(index)
            if leaf is None:
                self.faults.add("leaf", f"index {index}", "the row was deleted", Kind.REMOVED)
                hashes.append(await self._from_tile(index))
                continue
            if not leaf.record.startswith(kinds[leaf.kind]):
                what = "its column kind is not that of the record"
                self.faults.add("leaf", f"index {index}", what)
            hashes.append(leaf_hash(leaf.record))
        self.faults.counts["leaf"] += len(found)
        await check_present(self.connection, self.faults, found.values())
        return hashes

    async def _from_tile(self, index: int) -> bytes:
        """Return the hash of a leaf that is gone, so that the rest can be checked."""
        hashes = await self.connection.fetchval(_TILE, 0, index // TILE_WIDTH)
        at = index % TILE_WIDTH * HASH_BYTES
        return hashes[at : at + HASH_BYTES] if hashes else bytes(HASH_BYTES)

    async def _roots(self, first: int, end: int) -> dict[int, list[tuple[str, bytes]]]:
        """Return the roots that checkpoints and witnesses give for sizes `first` to `end`."""
        roots: dict[int, list[tuple[str, bytes]]] = {}
        for size, note in await self.connection.fetch(_CHECKPOINTS, first, end):
            self.faults.counts["checkpoint"] += 1
            roots.setdefault(size, []).append(("checkpoint", root_of_note(note, size)))
        for size in self.vouched:
            if first <= size <= end:
                roots.setdefault(size, []).append(("witness", self.vouched[size]))
        return roots

    async def _check_tiles(self, tiles: Sequence[Tile]) -> None:
        """Compare tiles, which follow each other at each level, with those stored."""
        levels: dict[int, list[Tile]] = {}
        for tile in tiles:
            levels.setdefault(tile.level, []).append(tile)
        for level, filled in levels.items():
            span = (filled[0].index, filled[-1].index)
            rows = await self.connection.fetch(_TILES, level, *span)
            stored: dict[int, bytes] = {row["index"]: row["hashes"] for row in rows}
            for tile in filled:
                self._check_tile(tile, stored.get(tile.index))

    def _check_tile(self, tile: Tile, stored: bytes | None) -> None:
        self.faults.counts["tile"] += 1
        if stored == tile.hashes:
            return
        key = f"level {tile.level} index {tile.index}"
        if stored is None:
            self.faults.add("tile", key, "the row was deleted", Kind.REMOVED)
            return
        if tile.level > 0:
            self.faults.add("tile", key, "its hashes are not those of the tiles below")
            return
        for at, kind, what in self.differences.of_tile(cut_tile(stored), cut_tile(tile.hashes)):
            index = tile.index * TILE_WIDTH + at
            self.faults.add("leaf", f"index {index}", f"{what} tile {key}", kind)
