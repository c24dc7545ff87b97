"""Proofs from a large journal: right for any leaf at any size, by a handful of reads."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.leaves import LeafKind
from schemas.records import Changes, LeafRow
from store.merkle import (
    consistency_holds,
    consistency_spans,
    inclusion_holds,
    inclusion_spans,
    leaf_hash,
    root_of,
    tiles_of,
)
from store.postgres import PostgresArchive, Reader

SIZE = 66_200
"""Three levels of tiles, all of them with an edge."""
RECORDS = [b"leaf %d" % number for number in range(SIZE)]
HASHES = [leaf_hash(record) for record in RECORDS]
SIZES = (1, 255, 256, 257, 40_000, 65_535, 65_536, 65_537, 66_047, SIZE)


class CountingReader(Reader):
    """Keeps the text of every query."""

    def __init__(self, url):
        super().__init__(url)
        self.queries = []

    def _note(self, logged):
        if "current_setting" not in logged.query:  # asyncpg asks for types on a new connection
            self.queries.append(logged.query)

    @contextlib.asynccontextmanager
    async def _reading(self):
        async with super()._reading() as connection:
            with connection.query_logger(self._note):
                yield connection


@pytest.fixture(scope="module")
async def large(module_record):
    """Fill a record with SIZE leaves; return its URL."""
    archive = PostgresArchive(module_record.daemon)
    await archive.open()
    rows = [LeafRow(at, LeafKind.OPERATOR, None, RECORDS[at]) for at in range(SIZE)]
    await archive.commit(Changes(leaves=rows))
    await archive.close()
    return module_record.daemon


@pytest.fixture
async def reader(large):
    async with CountingReader(large) as opened:
        opened.queries.clear()
        yield opened


@pytest.mark.parametrize("size", SIZES)
async def test_proofs_hold_at_every_size(reader, size):
    """What is proven holds against the root of that size, computed from the leaves alone."""
    root = root_of(HASHES[:size])
    assert await reader.root_at(size) == root
    for index in {0, size // 2, size - 1}:
        proof = await reader.inclusion_proof(index, size)
        assert inclusion_holds(index, size, HASHES[index], proof, root)
        old_root = root_of(HASHES[:index])
        proof = await reader.consistency_proof(index, size)
        assert consistency_holds(index, size, old_root, root, proof)


async def test_proof_takes_a_handful_of_queries(reader):
    """A reader that knows nothing yet asks once for full tiles, and once for each level's edge."""
    await reader.inclusion_proof(12_345, SIZE)
    assert len(reader.queries) <= 4
    reader.queries.clear()
    await reader.consistency_proof(12_345, SIZE)
    assert len(reader.queries) <= 2  # full tiles never change: their roots are known by now


async def test_known_roots_do_not_spoil_other_sizes(reader):
    """A reader that has proven at the end proves as well at earlier and at later sizes."""
    for size in (SIZE, 65_700, 40_000, SIZE, 66_047):
        proof = await reader.inclusion_proof(700, size)
        assert inclusion_holds(700, size, HASHES[700], proof, root_of(HASHES[:size]))


@given(st.integers(1, 10**12), st.data())
def test_proofs_are_logarithmic(size, data):
    """A proof in a journal of a million million leaves has at most 40 hashes, of few tiles."""
    index = data.draw(st.integers(0, size - 1))
    for spans in (inclusion_spans(index, size), consistency_spans(index, size)):
        assert len(spans) <= size.bit_length() + 1
        assert len(tiles_of(spans)) <= 3 * (1 + size.bit_length() // 8)
