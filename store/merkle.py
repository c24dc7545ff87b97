"""The Merkle tree of RFC 6962 (hashing as RFC 9162, section 2.1), kept in tiles of 256 hashes.

Pure: no I/O, no clock. A tile is what C2SP tlog-tiles means by it: tile (level, index) holds up
to 256 hashes of height 8 x level, side by side from hash 256 x index on. Full tiles never change.
Whoever proves hands in a `Fetch`, which returns a tile's hashes; of the tile at the right edge
at least those that the tree of the size in question has.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256, sha512
from typing import Any, NamedTuple

import msgspec

HASH_BYTES = 32
TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
EMPTY_ROOT = sha256().digest()

Fetch = Callable[[int, int], bytes]
"""Returns the hashes of tile (level, index), joined."""


class Hashing(NamedTuple):
    """What a tree is hashed with: RFC 6962 with SHA-256, or a second log with SHA-512 (19.4)."""

    digest: Callable[[bytes], Any]
    """As in hashlib."""
    width: int
    """Of a hash, in bytes."""

    def leaf(self, record: bytes) -> bytes:
        """Return the hash of a leaf."""
        hashed: bytes = self.digest(b"\x00" + record).digest()
        return hashed

    def node(self, left: bytes, right: bytes) -> bytes:
        """Return the hash of an inner node."""
        hashed: bytes = self.digest(b"\x01" + left + right).digest()
        return hashed

    def cut(self, hashes: bytes) -> list[bytes]:
        """Return the hashes of a tile one by one."""
        return [hashes[at : at + self.width] for at in range(0, len(hashes), self.width)]


RFC6962 = Hashing(sha256, HASH_BYTES)
RENEWED = Hashing(sha512, 64)


class Tile(msgspec.Struct, frozen=True, gc=False):
    """256 hashes of height 8 x `level`, beginning with hash 256 x `index` of that height."""

    level: int
    index: int
    hashes: bytes


class Span(NamedTuple):
    """The leaves from `first` up to, not with, `end`."""

    first: int
    end: int


def leaf_hash(record: bytes) -> bytes:
    """Return the hash of a leaf."""
    return sha256(b"\x00" + record).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


def root_of(hashes: Sequence[bytes], hashing: Hashing = RFC6962) -> bytes:
    """Return the root over leaf hashes (or over the roots of complete subtrees of one height)."""
    tree = Tree(hashing)
    tree.extend(hashes)
    return tree.root()


def cut_tile(hashes: bytes) -> list[bytes]:
    """Return the hashes of a tile one by one."""
    return RFC6962.cut(hashes)


class Tree:
    """The right edge of a growing tree: enough to append, to give the root and to fill tiles."""

    __slots__ = ("_edge", "_hashing", "_subtrees", "size")

    def __init__(self, hashing: Hashing = RFC6962) -> None:
        self.size = 0
        self._hashing = hashing
        self._subtrees: list[bytes] = []
        """Roots of the complete subtrees that make up the tree, the largest first."""
        self._edge: list[list[bytes]] = [[]]
        """By level, the hashes of the tile that is not full yet."""

    @classmethod
    def load(cls, size: int, fetch: Fetch, hashing: Hashing = RFC6962) -> "Tree":
        """Return the tree of `size` leaves; reads only the tiles of `edge_tiles(size)`."""
        tree = cls(hashing)
        tree.size = size
        tree._edge = [
            hashing.cut(fetch(level, count // TILE_WIDTH))[: count % TILE_WIDTH]
            if count % TILE_WIDTH
            else []
            for level, count in enumerate(_counts(size))
        ] or [[]]
        tree._subtrees = [
            _subtree_root(first, height, fetch, hashing) for first, height in _subtrees(0, size)
        ]
        return tree

    def copy(self) -> "Tree":
        """Return a tree that grows independently of this one."""
        twin = Tree(self._hashing)
        twin.size = self.size
        twin._subtrees = self._subtrees.copy()
        twin._edge = [hashes.copy() for hashes in self._edge]
        return twin

    def extend(self, leaf_hashes: Iterable[bytes]) -> list[Tile]:
        """Append leaves; return the tiles that they filled."""
        filled: list[Tile] = []
        subtrees, edge, size = self._subtrees, self._edge, self.size
        digest = self._hashing.digest
        for added in leaf_hashes:
            node = added
            edge[0].append(node)
            level = height = 0
            carry = size
            while carry & 1:
                node = digest(b"\x01" + subtrees.pop() + node).digest()
                carry >>= 1
                height += 1
                if height == TILE_HEIGHT:
                    # The tile below is full, and `node` is the root over it.
                    filled.append(Tile(level, carry, b"".join(edge[level])))
                    edge[level] = []
                    level, height = level + 1, 0
                    if level == len(edge):
                        edge.append([])
                    edge[level].append(node)
            subtrees.append(node)
            size += 1
        self.size = size
        return filled

    def root(self) -> bytes:
        """Return the root; of the empty tree, the hash of nothing."""
        return _fold(self._subtrees, self._hashing)

    def tile(self, level: int, index: int) -> bytes | None:
        """Return the hashes of the tile at the right edge, None where that is another tile."""
        count = self.size >> (TILE_HEIGHT * level)
        if count % TILE_WIDTH == 0 or count // TILE_WIDTH != index:
            return None
        return b"".join(self._edge[level])


def edge_tiles(size: int) -> list[tuple[int, int, int]]:
    """Return level, index and width (hashes) of each tile that is begun and not full."""
    return [
        (level, count // TILE_WIDTH, count % TILE_WIDTH)
        for level, count in enumerate(_counts(size))
        if count % TILE_WIDTH
    ]


def tiles_of(spans: Iterable[Span]) -> set[tuple[int, int]]:
    """Return level and index of each tile that `hashes_of(spans, …)` reads."""
    return {
        _tile_of(first, height)
        for span in spans
        for first, height in _subtrees(span.first, span.end)
    }


def hashes_of(spans: Iterable[Span], fetch: Fetch, hashing: Hashing = RFC6962) -> list[bytes]:
    """Return the root over each span: the proof that `inclusion_spans` and the like describe."""
    return [
        _fold(
            [_subtree_root(first, height, fetch, hashing) for first, height in _subtrees(*span)],
            hashing,
        )
        for span in spans
    ]


def inclusion_spans(index: int, size: int) -> list[Span]:
    """Return what an inclusion proof consists of, the neighbour of the leaf first."""
    assert 0 <= index < size
    spans = []
    first, end = 0, size
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            spans.append(Span(middle, end))
            end = middle
        else:
            spans.append(Span(first, middle))
            first = middle
    return spans[::-1]


def consistency_spans(old_size: int, size: int) -> list[Span]:
    """Return what a proof consists of that the first `old_size` leaves are still the same."""
    assert 0 <= old_size <= size
    if old_size in {0, size}:
        return []
    spans = []
    first, end = 0, size
    while end != old_size:
        middle = first + _split(end - first)
        if old_size <= middle:
            spans.append(Span(middle, end))
            end = middle
        else:
            spans.append(Span(first, middle))
            first = middle
    if first > 0:
        # The old tree is no left subtree of the new one, so its last part must be given.
        spans.append(Span(first, end))
    return spans[::-1]


def inclusion_proof(index: int, size: int, fetch: Fetch) -> list[bytes]:
    """Return the proof that leaf `index` is in the tree of `size` leaves."""
    return hashes_of(inclusion_spans(index, size), fetch)


def consistency_proof(old_size: int, size: int, fetch: Fetch) -> list[bytes]:
    """Return the proof that the tree of `size` leaves extends the one of `old_size`."""
    return hashes_of(consistency_spans(old_size, size), fetch)


def inclusion_holds(
    index: int,
    size: int,
    leaf: bytes,
    proof: Sequence[bytes],
    root: bytes,
    *,
    hashing: Hashing = RFC6962,
) -> bool:
    """Say whether `proof` shows that the leaf of that hash is number `index` (RFC 9162 2.1.3.2)."""
    if not 0 <= index < size or not _are_hashes([leaf, root, *proof], hashing):
        return False
    node, at, last = leaf, index, size - 1
    for sibling in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            node = hashing.node(sibling, node)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = hashing.node(node, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and node == root


def consistency_holds(
    old_size: int, size: int, old_root: bytes, root: bytes, proof: Sequence[bytes]
) -> bool:
    """Say whether `proof` shows that one tree extends the other (RFC 9162 2.1.4.2).

    Every tree extends the empty one and itself; the proof of that is empty.
    """
    if not 0 <= old_size <= size or not _are_hashes([old_root, root, *proof]):
        return False
    if old_size == size:
        return not proof and old_root == root
    if old_size == 0:
        return not proof and old_root == EMPTY_ROOT
    path = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    if not path:
        return False
    at, last = old_size - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old_node = node = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old_node, node = node_hash(sibling, old_node), node_hash(sibling, node)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and old_node == old_root and node == root


def _are_hashes(values: Sequence[bytes], hashing: Hashing = RFC6962) -> bool:
    return all(len(value) == hashing.width for value in values)


def _split(width: int) -> int:
    """Return the largest power of two below `width`."""
    return 1 << (width - 1).bit_length() - 1


def _counts(size: int) -> Iterator[int]:
    """Yield, level by level, how many hashes the tree of `size` leaves has in its tiles."""
    while size:
        yield size
        size >>= TILE_HEIGHT


def _subtrees(first: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield first leaf and height of the complete subtrees that make up a span, left to right."""
    while first < end:
        height = (end - first).bit_length() - 1
        assert first & ((1 << height) - 1) == 0, f"span from {first} to {end} is not of one tree"
        yield first, height
        first += 1 << height


def _tile_of(first: int, height: int) -> tuple[int, int]:
    level = height // TILE_HEIGHT
    return level, first >> (TILE_HEIGHT * (level + 1))


def _subtree_root(first: int, height: int, fetch: Fetch, hashing: Hashing) -> bytes:
    level, index = _tile_of(first, height)
    at = (first >> (TILE_HEIGHT * level)) % TILE_WIDTH
    width = 1 << height % TILE_HEIGHT
    hashes = fetch(level, index)[at * hashing.width : (at + width) * hashing.width]
    assert len(hashes) == width * hashing.width, f"tile {level}/{index} lacks hash {at + width - 1}"
    return root_of(hashing.cut(hashes), hashing) if width > 1 else hashes


def _fold(subtrees: Sequence[bytes], hashing: Hashing) -> bytes:
    """Return the root over complete subtrees, the largest of which comes first."""
    if not subtrees:
        return bytes(hashing.digest(b"").digest())
    node = subtrees[-1]
    for left in subtrees[-2::-1]:
        node = hashing.node(left, node)
    return node
