"""The journal as C2SP tlog-tiles lays it out: where each tile stands, and how entries are bundled.

Pure. A tile that is not full yet has its width behind its name; it is another file once it grows.
"""

from collections.abc import Iterable

from store.merkle import TILE_WIDTH

ENTRIES = "entries"
"""Stands in the place of a level: the leaves themselves, as many as hashes in a tile of level 0."""


def tile_path(level: int | str, index: int, width: int = TILE_WIDTH) -> str:
    """Return where a tile stands: `tile/0/x001/x234/067`, and `….p/13` with 13 hashes so far."""
    assert 1 <= width <= TILE_WIDTH, f"width {width}"
    digits = f"{index:03}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    parts = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    name = "/".join([*(f"x{part}" for part in parts[:-1]), parts[-1]])
    partial = "" if width == TILE_WIDTH else f".p/{width}"
    return f"tile/{level}/{name}{partial}"


def entry_bundle(records: Iterable[bytes]) -> bytes:
    """Return leaves as a bundle: each behind its length, two bytes."""
    return b"".join(len(record).to_bytes(2) + record for record in records)
