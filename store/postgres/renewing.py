"""The second log, hashed with SHA-512: built from the leaves alone, never from payloads (19.4).

Its leaves' own hashes are not kept: 256 of them are made again from one range of leaves. The full
tiles above are kept, 16 KiB for each 65,536 leaves; what is at the right edge is made again too.
"""

from collections.abc import AsyncIterator, Iterable

from schemas.records import RenewalRow, RenewedTile
from store.errors import StoreFault
from store.merkle import (
    RENEWED,
    TILE_HEIGHT,
    TILE_WIDTH,
    Span,
    Tile,
    Tree,
    edge_tiles,
    hashes_of,
    inclusion_spans,
    root_of,
    tiles_of,
)
from store.postgres.notary import Notary

LEAVES_A_READ = 16 * TILE_WIDTH
STEP = TILE_WIDTH * TILE_WIDTH
"""So many leaves fill a tile that is kept."""

_LEAVES = "SELECT record FROM leaf WHERE index >= $1 AND index < $2 ORDER BY index"
_TILE = "SELECT hashes FROM renewed_tile WHERE level = $1 AND index = $2"
_TILES_LEFT = "SELECT count(*) FROM renewed_tile WHERE level = 1"


class Renewing(Notary):
    """Reads and makes what proves by SHA-512; a record without a renewal has nothing of it."""

    async def renewals(self, size: int = 0) -> list[RenewalRow]:
        """Return the second log's stamped heads of at least `size` leaves, oldest first."""
        return await self._where(RenewalRow, "size >= $1 ORDER BY gen_time, sha256", size)

    async def last_renewals(self, limit: int) -> list[RenewalRow]:
        """Return the second log's newest stamped heads, newest first."""
        return await self._where(RenewalRow, "true ORDER BY size DESC, at DESC LIMIT $1", limit)

    async def renewed_proofs(self, indexes: Iterable[int], size: int) -> dict[int, list[bytes]]:
        """Return the proofs that these leaves are among the second log's first `size`."""
        spans = {index: inclusion_spans(index, size) for index in indexes}
        wanted = tiles_of(span for each in spans.values() for span in each)
        tiles = await self._tiles(wanted, size)
        return {
            index: hashes_of(each, lambda level, at: tiles[level, at], RENEWED)
            for index, each in spans.items()
        }

    async def renewed_root(self, size: int) -> bytes:
        """Return the second log's root at a size up to which its tiles are kept."""
        return (await self._second_tree(size)).root()

    async def renewed_leaves(self) -> int:
        """Return up to which leaf the second log's tiles are kept."""
        found = await self._rows(_TILES_LEFT)
        return int(found[0][0]) * STEP

    async def grow_second_log(self, size: int) -> AsyncIterator[list[RenewedTile]]:
        """Yield the tiles that are not kept yet, up to `size` leaves; commit each lot in turn.

        Then `renewed_root` knows the root at `size`. What was committed is not made again.
        """
        begun = await self.renewed_leaves()
        tree = await self._second_tree(begun)
        for first in range(begun, size - STEP + 1, STEP):
            tiles: list[Tile] = []
            for at in range(first, first + STEP, LEAVES_A_READ):
                tiles += tree.extend(await self._leaf_hashes(at, at + LEAVES_A_READ))
            yield [RenewedTile(each.level, each.index, each.hashes) for each in tiles if each.level]

    async def _second_tree(self, size: int) -> Tree:
        edge = {(level, index) for level, index, _ in edge_tiles(size)}
        spans = tiles_of([Span(0, size)]) if size else set()
        tiles = await self._tiles(edge | spans, size)
        return Tree.load(size, lambda level, index: tiles[level, index], RENEWED)

    async def _tiles(
        self, wanted: Iterable[tuple[int, int]], size: int
    ) -> dict[tuple[int, int], bytes]:
        return {(level, at): await self._tile(level, at, size) for level, at in sorted(wanted)}

    async def _tile(self, level: int, index: int, size: int) -> bytes:
        """Return a tile's hashes, of one at the right edge those that `size` leaves give it."""
        first = index * TILE_WIDTH
        end = min(size >> (TILE_HEIGHT * level), first + TILE_WIDTH)
        if level == 0:
            return b"".join(await self._leaf_hashes(first, end))
        kept = await self._rows(_TILE, level, index)
        if kept:
            hashes: bytes = kept[0][0]
            return hashes[: (end - first) * RENEWED.width]
        return b"".join(
            [
                root_of(RENEWED.cut(await self._tile(level - 1, below, size)), RENEWED)
                for below in range(first, end)
            ]
        )

    async def _leaf_hashes(self, first: int, end: int) -> list[bytes]:
        found = await self._rows(_LEAVES, first, end)
        if len(found) != end - first:
            raise StoreFault(
                f"journal: {len(found)} of the {end - first} leaves from {first} on are there: "
                "run `bbaj store verify`"
            )
        return [RENEWED.leaf(row[0]) for row in found]
