"""The second log on a real database: built from leaves in lots, proven whatever is kept of it."""

import hashlib

import asyncpg
import pytest

from store.errors import StoreFault
from store.merkle import RENEWED, TILE_WIDTH, Tree, inclusion_holds, root_of
from store.postgres.renewing import STEP
from store.reading import Reading

LEAVES = 2 * STEP + 700
_FILL = """
INSERT INTO leaf (index, kind, frame, record)
SELECT i, 'operator', NULL, convert_to('leaf ' || i, 'UTF8') FROM generate_series(0, $1 - 1) AS i
"""


def hashed(index):
    return hashlib.sha512(b"\x00leaf %d" % index).digest()


def definition(hashes):
    """RFC 6962, section 2.1, word for word, with SHA-512."""
    if len(hashes) == 1:
        return hashes[0]
    middle = 1
    while middle * 2 < len(hashes):
        middle *= 2
    left, right = definition(hashes[:middle]), definition(hashes[middle:])
    return hashlib.sha512(b"\x01" + left + right).digest()


@pytest.fixture(scope="module")
async def filled(module_record):
    connection = await asyncpg.connect(module_record.superuser)
    await connection.execute(_FILL, LEAVES)
    yield module_record, connection
    await connection.close()


async def keep(connection, tiles):
    rows = [(tile.level, tile.index, tile.hashes) for tile in tiles]
    await connection.copy_records_to_table("renewed_tile", records=rows)


@pytest.mark.parametrize("size", [1, 2, 3, 255, 256, 257, 700])
def test_the_tree_is_rfc_6962_with_sha_512(size):
    """What the second log hashes is what its clause says, for trees of any shape."""
    hashes = [hashed(index) for index in range(size)]
    assert root_of(hashes, RENEWED) == definition(hashes)
    assert RENEWED.leaf(b"leaf 0") == hashed(0)


async def test_it_grows_in_lots_and_goes_on_where_it_was_cut_off(filled):
    """Each lot is made once; proofs and roots hold at sizes before, between and behind them."""
    record, connection = filled
    tree = Tree(RENEWED)
    async with Reading(record.daemon) as desk:
        assert await desk.renewed_leaves() == 0
        small = await desk.renewed_root(300)
        assert small == root_of([hashed(index) for index in range(300)], RENEWED)
        lots = desk.grow_second_log(LEAVES)
        await keep(connection, await anext(lots))
        await lots.aclose()  # as a power cut would
        assert await desk.renewed_leaves() == STEP
        lots = [lot async for lot in desk.grow_second_log(LEAVES)]
        assert [[(tile.level, tile.index) for tile in lot] for lot in lots] == [[(1, 1)]]
        await keep(connection, lots[0])
        assert [lot async for lot in desk.grow_second_log(LEAVES)] == []

        tree.extend(hashed(index) for index in range(LEAVES))
        assert await desk.renewed_root(LEAVES) == tree.root()
        indexes = [0, TILE_WIDTH, STEP - 1, STEP, 2 * STEP - 1, 2 * STEP, LEAVES - 1]
        proofs = await desk.renewed_proofs(indexes, LEAVES)
        for index in indexes:
            holds = inclusion_holds(
                index, LEAVES, hashed(index), proofs[index], tree.root(), hashing=RENEWED
            )
            assert holds, index
        cut = await desk.renewed_proofs([5], STEP + 3)
        root = await desk.renewed_root(STEP + 3)
        assert inclusion_holds(5, STEP + 3, hashed(5), cut[5], root, hashing=RENEWED)


async def test_a_leaf_that_is_gone_is_named(record, superuser):
    """A journal with a hole has no second log: it says where, and what to do."""
    await superuser.execute(_FILL, 300)
    await superuser.execute("SET session_replication_role = replica")
    await superuser.execute("DELETE FROM leaf WHERE index = 17")
    async with Reading(record.daemon) as desk:
        with pytest.raises(StoreFault, match="255 of the 256 leaves from 0 on"):
            await desk.renewed_root(300)


async def test_what_is_kept_of_it_cannot_be_changed(record, superuser):
    """Its tables take rows and give none back, as those of the record do."""
    await superuser.execute(
        "INSERT INTO renewed_tile VALUES (1, 0, $1)", bytes(TILE_WIDTH * RENEWED.width)
    )
    for change in ("DELETE FROM renewed_tile", "UPDATE renewed_tile SET index = 1"):
        with pytest.raises(asyncpg.PostgresError, match="insert-only"):
            await superuser.execute(change)
