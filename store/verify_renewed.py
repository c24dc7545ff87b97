"""Verification of the second log (clause 19.4): leaves -> its tiles -> its stamped heads."""

import binascii
from collections.abc import Sequence
from typing import Any

from store.errors import StoreFault
from store.faults import Faults, Kind
from store.merkle import RENEWED, TILE_HEIGHT, TILE_WIDTH, Tree, edge_tiles
from store.postgres.renewed_tiles import RenewedTiles
from store.postgres.session import Connection

_BOUNDS = """
WITH journal AS (SELECT COALESCE(max(index) + 1, 0) AS leaves FROM leaf)
SELECT leaves,
    COALESCE((
        SELECT max(index) + 1 FROM renewed_tile
        WHERE level = 1 AND index < leaves >> 16
    ), 0) << 16 AS kept,
    COALESCE((SELECT max(size) FROM renewal_token), 0) AS stamped
FROM journal
"""

# A shift by 63 leaves nothing of any size.
_BEYOND = """
SELECT level, index FROM renewed_tile
WHERE index < 0 OR index >= $1::bigint >> LEAST(8 * (level + 1), 63) ORDER BY level, index
"""

_HEADS = """
SELECT sha256, size, note FROM renewal_token WHERE size > $1 AND size <= $2 ORDER BY size
"""


class SecondLog:
    """Checks the second log along with the leaves; where a record has none, costs nothing."""

    def __init__(self, connection: Connection, faults: Faults, due: int) -> None:
        self._connection = connection
        self._faults = faults
        self._due = due
        """Every tile that these leaves fill must be kept; 0: there is no second log."""
        self._tiles = RenewedTiles(connection.fetch)
        self._tree = Tree(RENEWED)
        self._named: set[tuple[int, int]] = set()

    @classmethod
    async def begin(cls, connection: Connection, faults: Faults) -> "SecondLog":
        """Check that it reaches no further than the journal; return what checks the rest."""
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            bounds = await connection.fetchrow(_BOUNDS)
            leaves = bounds["leaves"]
            beyond = await connection.fetch(_BEYOND, leaves)
        what = f"the journal was cut: it has {leaves} leaves, a renewal vouches for"
        is_so = bounds["stamped"] <= leaves
        what = f"{what} {bounds['stamped']}"
        faults.expect("leaf", f"index {leaves}", what, Kind.CUT, holds=is_so)
        second = cls(connection, faults, max(bounds["kept"], bounds["stamped"]))
        for level, index in beyond:
            what = f"the row was added, or the journal was cut: {leaves} leaves do not fill it"
            second._name(level, index, what, Kind.ADDED)
        return second

    async def check(self, first: int, records: Sequence[bytes | None]) -> None:
        """Check what rests on these leaves, which begin at `first`; None: a leaf is gone.

        `first` is a multiple of 256. Without all the leaves nothing can be hashed anew.
        """
        present = [record for record in records if record is not None]
        if not self._due or len(present) < len(records) or not await self._stands_at(first):
            return
        end = first + len(present)
        heads = await self._connection.fetch(_HEADS, first, end)
        tiles = {}
        for size in sorted({*(head["size"] for head in heads), end}):
            leaves = map(RENEWED.leaf, present[self._tree.size - first : size - first])
            for tile in self._tree.extend(leaves):
                tiles[tile.level, tile.index] = tile.hashes
            self._check_heads([head for head in heads if head["size"] == size])
        for level, index, _ in edge_tiles(end):
            tiles[level, index] = self._tree.tile(level, index) or b""
        for (level, index), hashes in sorted(tiles.items()):
            if level:
                await self._check_tile(level, index, hashes)

    async def _stands_at(self, first: int) -> bool:
        """Say whether the tree of the leaves below `first` is at hand, by what is kept of it."""
        if self._tree.size != first:
            try:
                self._tree = await self._tiles.tree(first)
            except StoreFault:
                return False  # leaves are gone: whoever looks at their span says so
        return True

    def _check_heads(self, heads: Sequence[Any]) -> None:
        for head in heads:
            what = (
                f"its root of {head['size']} leaves is not that of the second log: "
                "leaves, tiles of it, or the row were changed"
            )
            holds = root_of_note(head["note"], head["size"]) == self._tree.root()
            self._faults.expect(
                "renewal_token", f"sha256 {head['sha256'].hex()}", what, holds=holds
            )

    async def _check_tile(self, level: int, index: int, hashes: bytes) -> None:
        """Compare the hashes made so far of a tile with those that are kept, and name it once."""
        kept = await self._tiles.kept(level, index)
        is_full = len(hashes) == TILE_WIDTH * RENEWED.width
        self._faults.counts["renewed_tile"] += is_full and kept is not None
        if (level, index) in self._named:
            return
        if kept is None:
            if (index + 1) << (TILE_HEIGHT * (level + 1)) <= self._due:
                self._name(level, index, "the row was deleted", Kind.REMOVED)
        elif (at := _first_difference(hashes, kept)) is not None:
            width = TILE_WIDTH**level
            first = (index * TILE_WIDTH + at) * width
            what = f"leaves {first} to {first + width - 1} do not hash to what it has of them: "
            self._name(level, index, what + "the row was changed, or they were")

    def _name(self, level: int, index: int, what: str, kind: Kind = Kind.CHANGED) -> None:
        self._named.add((level, index))
        self._faults.add("renewed_tile", f"level {level} index {index}", what, kind)


def _first_difference(hashes: bytes, kept: bytes) -> int | None:
    """Return which of the hashes is the first that is kept otherwise, None where none is."""
    pairs = zip(RENEWED.cut(hashes), RENEWED.cut(kept), strict=False)
    return next((at for at, (made, stored) in enumerate(pairs) if made != stored), None)


def root_of_note(note: str, size: int) -> bytes:
    """Return the root that a signed note names for `size`; nothing where it names none."""
    lines = note.split("\n", 3)
    if len(lines) < 4 or lines[1] != str(size):
        return b""
    try:
        return binascii.a2b_base64(lines[2], strict_mode=True)
    except binascii.Error:
        return b""
