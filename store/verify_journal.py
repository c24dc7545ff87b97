"""Verification of the journal: leaves -> tiles -> roots of the checkpoints."""

import binascii
from collections.abc import Mapping

from store.faults import Faults, Progress
from store.merkle import HASH_BYTES, TILE_WIDTH, Tile, Tree, leaf_hash
from store.postgres.session import Connection

LEAVES_AT_ONCE = 16 * TILE_WIDTH

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

_TILE = "SELECT hashes FROM tile WHERE level = $1 AND index = $2"


async def check_journal(
    connection: Connection, faults: Faults, on_progress: Progress, witnessed: Mapping[int, bytes]
) -> bytes:
    """Check leaves, tiles and checkpoints; return the root over all leaves."""
    bounds = await connection.fetchrow(_BOUNDS)
    leaves = bounds["leaves"]
    for size, table in ((bounds["signed"], "checkpoint"), (max(witnessed, default=0), "witness")):
        what = f"the journal was cut: it has {leaves} leaves, a {table} vouches for {size}"
        faults.expect("leaf", f"index {leaves}", what, holds=size <= leaves)
    what = f"the journal was cut: it has {leaves} leaves, tiles stand for more"
    faults.expect("leaf", f"index {leaves}", what, holds=bounds["tiles"] * TILE_WIDTH <= leaves)
    journal = _Journal(connection, faults, witnessed)
    for first in range(0, leaves, LEAVES_AT_ONCE):
        end = min(first + LEAVES_AT_ONCE, leaves)
        await journal.check(first, end)
        on_progress("journal", end, leaves)
    return journal.tree.root()


class _Journal:
    def __init__(
        self, connection: Connection, faults: Faults, witnessed: Mapping[int, bytes]
    ) -> None:
        self.connection = connection
        self.faults = faults
        self.witnessed = witnessed
        self.tree = Tree()

    async def check(self, first: int, end: int) -> None:
        """Check leaves `first` to `end`, and the tiles and checkpoints that end among them."""
        hashes = await self._hashes(first, end)
        roots = await self._roots(first + 1, end)
        tiles: list[Tile] = []
        for size in sorted({*roots, end}):
            tiles += self.tree.extend(hashes[self.tree.size - first : size - first])
            for name, root in roots.get(size, []):
                what = "its root is not that of the leaves"
                self.faults.expect(name, f"size {size}", what, holds=root == self.tree.root())
        for tile in tiles:
            await self._check_tile(tile)

    async def _hashes(self, first: int, end: int) -> list[bytes]:
        found = {row["index"]: row for row in await self.connection.fetch(_LEAVES, first, end)}
        hashes = []
        for index in range(first, end):
            row = found.get(index)
            if row is None:
                self.faults.add("leaf", f"index {index}", "the row was deleted")
                hashes.append(await self._from_tile(index))
                continue
            what = "its column kind is not that of the record"
            is_so = row["record"].split(b"\n", 2)[1:2] == [b"kind " + row["kind"].encode()]
            self.faults.expect("leaf", f"index {index}", what, holds=is_so)
            hashes.append(leaf_hash(row["record"]))
        self.faults.counts["leaf"] += len(found)
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
            roots.setdefault(size, []).append(("checkpoint", _root_of_note(note, size)))
        for size in self.witnessed:
            if first <= size <= end:
                roots.setdefault(size, []).append(("witness", self.witnessed[size]))
        return roots

    async def _check_tile(self, tile: Tile) -> None:
        self.faults.counts["tile"] += 1
        stored = await self.connection.fetchval(_TILE, tile.level, tile.index)
        if stored == tile.hashes:
            return
        key = f"level {tile.level} index {tile.index}"
        if stored is None:
            self.faults.add("tile", key, "the row was deleted")
            return
        if tile.level > 0:
            self.faults.add("tile", key, "its hashes are not those of the tiles below")
            return
        for at in range(0, len(tile.hashes), HASH_BYTES):
            if stored[at : at + HASH_BYTES] != tile.hashes[at : at + HASH_BYTES]:
                index = tile.index * TILE_WIDTH + at // HASH_BYTES
                self.faults.add("leaf", f"index {index}", f"its hash is not that in tile {key}")


def _root_of_note(note: str, size: int) -> bytes:
    """Return the root that a checkpoint names for `size`; nothing where it names none."""
    lines = note.split("\n", 3)
    if len(lines) < 4 or lines[1] != str(size):
        return b""
    try:
        return binascii.a2b_base64(lines[2], strict_mode=True)
    except binascii.Error:
        return b""
