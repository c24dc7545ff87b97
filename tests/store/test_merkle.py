import base64
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.merkle import (
    EMPTY_ROOT,
    TILE_WIDTH,
    Tree,
    consistency_holds,
    consistency_proof,
    consistency_spans,
    cut_tile,
    edge_tiles,
    inclusion_holds,
    inclusion_proof,
    inclusion_spans,
    leaf_hash,
    node_hash,
    root_of,
    tiles_of,
)

LEAVES = [leaf_hash(str(number).encode()) for number in range(70_000)]


def grown(size):
    """Return a tree of `size` leaves, and what fetches its tiles."""
    tree = Tree()
    tiles = {(tile.level, tile.index): tile.hashes for tile in tree.extend(LEAVES[:size])}
    return tree, lambda level, index: tiles.get((level, index)) or tree.tile(level, index)


def definition(hashes):
    """RFC 6962, section 2.1, word for word."""
    if not hashes:
        return EMPTY_ROOT
    if len(hashes) == 1:
        return hashes[0]
    middle = 1
    while middle * 2 < len(hashes):
        middle *= 2
    return node_hash(definition(hashes[:middle]), definition(hashes[middle:]))


def decoded(text):
    return base64.b64decode(text) if text else b""


def vector_files(vectors, kind):
    found = sorted((vectors / "merkle" / kind).rglob("*.json"))
    assert found
    return [(file, json.loads(file.read_text("utf-8"))) for file in found]


def test_inclusion_vectors(vectors):
    """Inclusion proofs of another project hold, or fail, as its files say."""
    for file, vector in vector_files(vectors, "inclusion"):
        holds = inclusion_holds(
            vector["leafIdx"],
            vector["treeSize"],
            decoded(vector["leafHash"]),
            [decoded(item) for item in vector["proof"] or []],
            decoded(vector["root"]),
        )
        assert holds is not vector["wantErr"], file


def test_consistency_vectors(vectors):
    """Consistency proofs of another project hold, or fail, as its files say."""
    for file, vector in vector_files(vectors, "consistency"):
        holds = consistency_holds(
            vector["size1"],
            vector["size2"],
            decoded(vector["root1"]),
            decoded(vector["root2"]),
            [decoded(item) for item in vector["proof"] or []],
        )
        assert holds is not vector["wantErr"], file


def bundle_entries(raw):
    """Yield the entries of a tlog-tiles entry bundle."""
    while raw:
        size = int.from_bytes(raw[:2])
        yield raw[2 : 2 + size]
        raw = raw[2 + size :]


def test_tessera_log(vectors):
    """Roots and partial tiles of another project's log are made again from its entries."""
    log = vectors / "tessera" / "log"
    checkpoints = 0
    for file in sorted(log.glob("checkpoint.*")):
        _origin, size_text, root, *_ = file.read_text("utf-8").split("\n")
        size = int(size_text)
        tree = Tree()
        if size:
            entries = (log / "tile" / "entries" / "000.p" / size_text).read_bytes()
            tree.extend(leaf_hash(entry) for entry in bundle_entries(entries))
            assert tree.tile(0, 0) == (log / "tile" / "0" / "000.p" / size_text).read_bytes()
        assert tree.size == size
        assert tree.root() == base64.b64decode(root), file
        checkpoints += 1
    assert checkpoints == 16


@given(st.integers(0, 600))
def test_root_is_the_definition(size):
    """The root is the one that RFC 6962 defines."""
    assert grown(size)[0].root() == definition(LEAVES[:size])


@given(st.lists(st.integers(0, 300), max_size=6))
def test_batches_do_not_matter(batches):
    """A tree is the same in whatever groups its leaves came."""
    tree, tiles, at = Tree(), [], 0
    for width in batches:
        tiles += tree.extend(LEAVES[at : at + width])
        at += width
    once = Tree()
    assert once.extend(LEAVES[:at]) == tiles
    assert (tree.root(), tree.size) == (once.root(), once.size)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 65_535, 65_536, 65_537, 70_000])
def test_tiles_are_complete(size):
    """Each full tile comes once, in the hashes of its level."""
    tree = Tree()
    tiles = tree.extend(LEAVES[:size])
    assert len({(tile.level, tile.index) for tile in tiles}) == len(tiles)
    assert len(tiles) == size // TILE_WIDTH + size // TILE_WIDTH**2
    for tile in tiles:
        width = TILE_WIDTH**tile.level
        at = tile.index * width * TILE_WIDTH
        assert cut_tile(tile.hashes)[-1] == root_of(LEAVES[at + 255 * width : at + 256 * width])


@pytest.mark.parametrize("size", [0, 1, 3, 255, 256, 300, 65_535, 65_536, 66_000])
def test_loaded_tree_goes_on(size):
    """A tree loaded from its tiles grows as the one that made them."""
    tree, fetch = grown(size)
    asked = []
    loaded = Tree.load(
        size, lambda level, index: asked.append((level, index)) or fetch(level, index)
    )
    assert set(asked) <= {(level, index) for level, index, _width in edge_tiles(size)}
    more = LEAVES[size : size + 1000]
    assert loaded.extend(more) == tree.extend(more)
    assert loaded.root() == tree.root()


def test_copy_grows_alone():
    """What is added to a copy changes nothing in the tree it was made of."""
    tree, _ = grown(300)
    root = tree.root()
    tree.copy().extend(LEAVES[:5000])
    assert (tree.size, tree.root()) == (300, root)
    assert tree.tile(0, 1) == b"".join(LEAVES[256:300])


@given(st.data(), st.integers(1, 1200))
def test_inclusion_proofs(data, size):
    """Every leaf can be proved, no other leaf with its proof, nor it at another place."""
    tree, fetch = grown(size)
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, fetch)
    assert inclusion_holds(index, size, LEAVES[index], proof, tree.root())
    assert not inclusion_holds(index, size, LEAVES[index + 1], proof, tree.root())
    other = data.draw(st.integers(0, size + 3).filter(lambda at: at != index))
    assert not inclusion_holds(other, size, LEAVES[index], proof, tree.root())
    assert not inclusion_holds(index, size, LEAVES[index], [*proof, EMPTY_ROOT], tree.root())


@given(st.data(), st.integers(0, 1200))
def test_consistency_proofs(data, size):
    """Every earlier tree can be proved a beginning, and no other root with the proof."""
    tree, fetch = grown(size)
    old_size = data.draw(st.integers(0, size))
    old_root = root_of(LEAVES[:old_size])
    proof = consistency_proof(old_size, size, fetch)
    assert consistency_holds(old_size, size, old_root, tree.root(), proof)
    assert not consistency_holds(old_size, size, LEAVES[-1], tree.root(), proof)
    if old_size:
        assert not consistency_holds(old_size, size, old_root, LEAVES[-1], proof)
    if old_size < size:
        assert not consistency_holds(size, old_size, tree.root(), old_root, proof)


@given(st.integers(0, 69_999), st.integers(0, 69_999))
def test_proofs_read_few_tiles(one, other):
    """A proof in a tree of any size reads a handful of tiles, and those it said."""
    size = 70_000
    _tree, fetch = GROWN
    for spans in (inclusion_spans(one, size), consistency_spans(other, size)):
        assert len(spans) <= 18
        assert len(tiles_of(spans)) <= 8
    asked = set()
    inclusion_proof(one, size, lambda *at: asked.add(at) or fetch(*at))
    assert asked == tiles_of(inclusion_spans(one, size))


GROWN = grown(70_000)


def test_proofs_at_an_earlier_size():
    """A journal that has grown still proves what it was at an earlier size."""
    _tree, fetch = GROWN
    for size in (1, 300, 65_536, 65_600):
        root = root_of(LEAVES[:size])
        proof = inclusion_proof(size - 1, size, fetch)
        assert inclusion_holds(size - 1, size, LEAVES[size - 1], proof, root)


def test_pace():
    """Leaves are appended at 300,000 a second and more."""
    began = time.perf_counter()
    Tree().extend(LEAVES)
    assert len(LEAVES) / (time.perf_counter() - began) > 300_000
