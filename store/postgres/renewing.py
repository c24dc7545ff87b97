"""The second log, hashed with SHA-512: built from the leaves alone, never from payloads (19.4).

Its leaves' own hashes are not kept: 256 of them are made again from one range of leaves. The full
tiles above are kept, 16 KiB for each 65,536 leaves; what is at the right edge is made again too.
"""

from collections.abc import AsyncIterator, Iterable

from schemas.records import RenewalRow, RenewedTile
from store.merkle import (
    RENEWED,
    TILE_WIDTH,
    Tile,
    hashes_of,
    inclusion_spans,
    tiles_of,
)
from store.postgres.destruction import Destruction
from store.postgres.renewed_tiles import RenewedTiles

LEAVES_A_READ = 16 * TILE_WIDTH
STEP = TILE_WIDTH * TILE_WIDTH
"""So many leaves fill a tile that is kept."""

_TILES_LEFT = "SELECT count(*) FROM renewed_tile WHERE level = 1"


class Renewing(Destruction):
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
        tiles = await RenewedTiles(self._rows).tiles(wanted, size)
        return {
            index: hashes_of(each, lambda level, at: tiles[level, at], RENEWED)
            for index, each in spans.items()
        }

    async def renewed_root(self, size: int) -> bytes:
        """Return the second log's root at a size up to which its tiles are kept."""
        return (await RenewedTiles(self._rows).tree(size)).root()

    async def renewed_leaves(self) -> int:
        """Return up to which leaf the second log's tiles are kept."""
        found = await self._rows(_TILES_LEFT)
        return int(found[0][0]) * STEP

    async def grow_second_log(self, size: int) -> AsyncIterator[list[RenewedTile]]:
        """Yield the tiles that are not kept yet, up to `size` leaves; commit each lot in turn.

        Then `renewed_root` knows the root at `size`. What was committed is not made again.
        """
        begun, kept = await self.renewed_leaves(), RenewedTiles(self._rows)
        tree = await kept.tree(begun)
        for first in range(begun, size - STEP + 1, STEP):
            tiles: list[Tile] = []
            for at in range(first, first + STEP, LEAVES_A_READ):
                tiles += tree.extend(await kept.leaf_hashes(at, at + LEAVES_A_READ))
            yield [RenewedTile(each.level, each.index, each.hashes) for each in tiles if each.level]
