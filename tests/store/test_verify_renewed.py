"""The second log verified on a real database: each way to touch its rows is named."""

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from hashlib import sha256, sha512

import asyncpg
import pytest

from harness.record_rows import unseal
from store.merkle import RENEWED, Tree, leaf_hash
from store.postgres.renewing import STEP
from store.scope import LEAVES_AT_ONCE, PARTS, Order
from store.verify import verify

LEAVES = 2 * STEP + 700
WITNESSED = 2 * STEP
SECOND = "level 1 index 1"
LAST_PART = PARTS - 1

_FILL = """
INSERT INTO leaf (index, kind, frame, record)
SELECT i, 'operator', NULL, convert_to(E'bbaj-leaf/1\\nkind operator\\nid ' || i, 'UTF8')
FROM generate_series(0, $1 - 1) AS i
"""


def record_of(index):
    return b"bbaj-leaf/1\nkind operator\nid %d" % index


@dataclass(frozen=True)
class Renewed:
    """A record with a second log, two of whose tiles are kept."""

    url: str
    superuser: asyncpg.Connection
    witnessed: bytes
    """The journal's root (SHA-256) at WITNESSED."""

    def verify(self, *parts, **options):
        """All of it, or as a nightly run: what is new, and parts of the rest."""
        if parts:
            options["order"] = Order(WITNESSED, parts)
        return verify(self.url, unseal, witnessed={WITNESSED: self.witnessed}, **options)

    async def faults(self, *parts):
        return [str(fault) for fault in (await self.verify(*parts)).faults]


def head_row(size, root):
    """Return a head and its time-stamp, which is but the digest that one has within."""
    note = f"here/1/sha-512\n{size}\n{base64.b64encode(root).decode()}\n\nsignature\n"
    token = sha512(note.encode()).digest()
    return (sha256(token).digest(), "tsa", size, note, 1, 1, token)


@pytest.fixture(scope="module")
async def filled(module_record) -> AsyncIterator[tuple[str, asyncpg.Connection, bytes]]:
    connection = await asyncpg.connect(module_record.superuser)
    await connection.execute("SET session_replication_role = replica")
    await connection.execute(_FILL, LEAVES)
    tree, second = Tree(), Tree(RENEWED)
    tiles = tree.extend(leaf_hash(record_of(index)) for index in range(WITNESSED))
    witnessed = tree.root()
    tiles += tree.extend(leaf_hash(record_of(index)) for index in range(WITNESSED, LEAVES))
    renewed = [each for each in second.extend(hashes_of(0, STEP + 5)) if each.level]
    heads = [head_row(STEP + 5, second.root())]
    renewed += [each for each in second.extend(hashes_of(STEP + 5, LEAVES)) if each.level]
    heads.append(head_row(LEAVES, second.root()))
    for table, found in (("tile", tiles), ("renewed_tile", renewed)):
        rows = [(each.level, each.index, each.hashes) for each in found]
        await connection.copy_records_to_table(table, records=rows)
    await connection.copy_records_to_table("renewal_token", records=heads)
    yield module_record.daemon, connection, witnessed
    await connection.close()


def hashes_of(first, end):
    return [RENEWED.leaf(record_of(index)) for index in range(first, end)]


@pytest.fixture
async def renewed(filled) -> AsyncIterator[Renewed]:
    """Lend the record; what a test has done to it is undone."""
    url, connection, witnessed = filled
    await connection.execute(
        "CREATE TEMP TABLE tiles_before AS SELECT * FROM renewed_tile;"
        "CREATE TEMP TABLE heads_before AS SELECT * FROM renewal_token;"
        "CREATE TEMP TABLE leaf_before AS SELECT * FROM leaf WHERE index = 70000"
    )
    yield Renewed(url, connection, witnessed)
    await connection.execute(
        "DELETE FROM renewed_tile; INSERT INTO renewed_tile SELECT * FROM tiles_before;"
        "DELETE FROM renewal_token; INSERT INTO renewal_token SELECT * FROM heads_before;"
        "DELETE FROM leaf WHERE index = 70000; INSERT INTO leaf SELECT * FROM leaf_before;"
        "DROP TABLE tiles_before, heads_before, leaf_before"
    )


def part_of(leaf):
    """Return the part of what a witness has seen that this leaf is in."""
    count = WITNESSED // LEAVES_AT_ONCE
    group = leaf // LEAVES_AT_ONCE
    return next(part for part in range(PARTS) if group < count * (part + 1) // PARTS)


async def test_an_untouched_second_log_holds(renewed):
    """Both tiles and both heads are made again from the leaves, and nothing is found."""
    stages = []
    found = await renewed.verify(on_progress=lambda *told: stages.append(told))
    assert found.faults == []
    assert found.counts["renewed_tile"] == found.counts["renewal_token"] == 2
    assert stages[0] == ("journal", LEAVES_AT_ONCE, LEAVES)


async def test_every_night_holds_and_all_of_them_see_every_tile(renewed):
    """A nightly run begins in the middle of a tile and compares what it has hashed of it."""
    at = "hashes = set_byte(hashes, {}, 255 - get_byte(hashes, {}))"
    assert await renewed.faults(3) == []
    for leaf in (10 * LEAVES_AT_ONCE, STEP + 300):
        tile, place = divmod(leaf, STEP)
        change = at.format(place // 256 * 64, place // 256 * 64)
        await renewed.superuser.execute(f"UPDATE renewed_tile SET {change} WHERE index = {tile}")  # noqa: S608 - numbers
        other = part_of(leaf) + 2
        assert [each for each in await renewed.faults(other) if f"index {tile}:" in each] == []
        first = leaf - leaf % 256
        assert (
            f"renewed_tile level 1 index {tile}: leaves {first} to {first + 255} do not hash to "
            "what it has of them: the row was changed, or they were"
        ) in await renewed.faults(part_of(leaf))


async def test_a_removed_tile_is_named(renewed):
    """A row below the newest head must be there; the one behind it is named for itself."""
    await renewed.superuser.execute("DELETE FROM renewed_tile WHERE index = 1")
    said = [f"renewed_tile {SECOND}: the row was deleted"]
    assert await renewed.faults() == said
    assert await renewed.faults(part_of(STEP + 7)) == said


async def test_a_removed_tile_without_a_head_is_named_by_those_behind_it(renewed):
    """Where no head was stamped yet, a gap tells."""
    await renewed.superuser.execute("DELETE FROM renewal_token")
    await renewed.superuser.execute("DELETE FROM renewed_tile WHERE index = 0")
    assert await renewed.faults() == ["renewed_tile level 1 index 0: the row was deleted"]


@pytest.mark.parametrize(
    ("level", "index"),
    [
        (1, 2),
        *(
            pytest.param(*place, marks=pytest.mark.slow)
            for place in [(1, -1), (2, 0), (9, 0), (32767, 7)]
        ),
    ],
)
async def test_an_added_tile_is_named(renewed, level, index):
    """A row that the journal has no leaves for is named, by every run."""
    await renewed.superuser.execute(
        "INSERT INTO renewed_tile SELECT $1, $2, hashes FROM renewed_tile WHERE index = 1",
        level,
        index,
    )
    for parts in ((), (LAST_PART,)):
        assert (await renewed.faults(*parts))[0] == (
            f"renewed_tile level {level} index {index}: the row was added, or the journal was "
            f"cut: {LEAVES} leaves do not fill it"
        )


async def test_a_changed_head_is_named(renewed):
    """A head's root must be that of the leaves, whatever time-stamp was made to fit it."""
    forged = head_row(LEAVES, bytes(64))
    await renewed.superuser.execute("DELETE FROM renewal_token WHERE size = $1", LEAVES)
    await renewed.superuser.copy_records_to_table("renewal_token", records=[forged])
    [said] = await renewed.faults(LAST_PART)
    assert said == (
        f"renewal_token sha256 {forged[0].hex()}: its root of {LEAVES} leaves is not that of the "
        "second log: leaves, tiles of it, or the row were changed"
    )


async def test_a_head_beyond_the_journal_is_named(renewed):
    """A renewal vouches for the journal's length."""
    beyond = head_row(LEAVES + 1, bytes(64))
    await renewed.superuser.copy_records_to_table("renewal_token", records=[beyond])
    [said] = await renewed.faults(LAST_PART)
    assert said == (
        f"leaf index {LEAVES}: the journal was cut: it has {LEAVES} leaves, "
        f"a renewal vouches for {LEAVES + 1}"
    )


async def test_a_missing_leaf_is_named_once_and_the_rest_is_checked(renewed):
    """Without a leaf its part of the second log cannot be made again; the others are."""
    await renewed.superuser.execute("DELETE FROM leaf WHERE index = 70000")
    await renewed.superuser.execute(
        "UPDATE renewed_tile SET hashes = set_byte(hashes, 9, 255 - get_byte(hashes, 9)) "
        "WHERE index = 0"
    )
    said = await renewed.faults()
    assert said[0].startswith("renewed_tile level 1 index 0: leaves 0 to 255")
    assert "leaf index 70000: the row was deleted" in said
    assert not any(SECOND in each for each in said)


async def test_a_changed_leaf_is_named_by_both_logs(renewed):
    """Whoever makes the first log fit a changed leaf has still the second one against him."""
    await renewed.superuser.execute("UPDATE leaf SET record = record || 'x' WHERE index = 70000")
    said = await renewed.faults()
    assert "leaf index 70000: the record was changed" in " ".join(said)
    assert f"renewed_tile {SECOND}: leaves 69888 to 70143 do not hash" in " ".join(said)
