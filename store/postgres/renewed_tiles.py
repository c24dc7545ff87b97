"""The second log's tiles (clause 19.4): read where they are kept, else made from the leaves."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from store.errors import StoreFault
from store.merkle import (
    RENEWED,
    TILE_HEIGHT,
    TILE_WIDTH,
    Span,
    Tree,
    edge_tiles,
    root_of,
    tiles_of,
)
from store.packing import unpack

_LEAVES = "SELECT record FROM leaf WHERE index >= $1 AND index < $2 ORDER BY index"
_TILE = "SELECT hashes FROM renewed_tile WHERE level = $1 AND index = $2"

Rows = Callable[..., Awaitable[Any]]
"""Asks the database: the query, then its values; returns rows."""


class RenewedTiles:
    """Reads by the rows of whoever lends a connection; raises StoreFault where leaves are gone."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def tree(self, size: int) -> Tree:
        """Return the second log's tree of the first `size` leaves."""
        edge = {(level, index) for level, index, _ in edge_tiles(size)}
        spans = tiles_of([Span(0, size)]) if size else set()
        tiles = await self.tiles(edge | spans, size)
        return Tree.load(size, lambda level, index: tiles[level, index], RENEWED)

    async def tiles(
        self, wanted: Iterable[tuple[int, int]], size: int
    ) -> dict[tuple[int, int], bytes]:
        """Return tiles by level and index, each with the hashes that `size` leaves give it."""
        return {(level, at): await self._tile(level, at, size) for level, at in sorted(wanted)}

    async def kept(self, level: int, index: int) -> bytes | None:
        """Return the hashes of a full tile as the record keeps it, None where it keeps none."""
        found = await self._rows(_TILE, level, index)
        return found[0][0] if found else None

    async def leaf_hashes(self, first: int, end: int) -> list[bytes]:
        """Return the SHA-512 hashes of the leaves from `first` up to, not with, `end`."""
        found = await self._rows(_LEAVES, first, end)
        if len(found) != end - first:
            raise StoreFault(
                f"journal: {len(found)} of the {end - first} leaves from {first} on are there: "
                "run `bbaj store verify`"
            )
        return [RENEWED.leaf(unpack(row[0])) for row in found]

    async def _tile(self, level: int, index: int, size: int) -> bytes:
        first = index * TILE_WIDTH
        end = min(size >> (TILE_HEIGHT * level), first + TILE_WIDTH)
        if level == 0:
            return b"".join(await self.leaf_hashes(first, end))
        kept = await self.kept(level, index)
        if kept is not None:
            return kept[: (end - first) * RENEWED.width]
        return b"".join(
            [
                root_of(RENEWED.cut(await self._tile(level - 1, below, size)), RENEWED)
                for below in range(first, end)
            ]
        )
