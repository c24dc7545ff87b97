"""Incremental verification: it begins where a witness vouches, and leaves nothing out for long."""

from functools import partial

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.record_rows import PARENT, unseal
from store.differences import Differences
from store.faults import Kind
from store.merkle import Span, leaf_hash
from store.postgres import Reader
from store.scope import (
    LEAVES_AT_ONCE,
    PARTS,
    WHOLE,
    Order,
    Scope,
    joined,
    parts_due,
    scope_of,
    width,
)
from store.verify import verify

BULK = f"{PARENT}/bulk"
FIRST_LEAVES_PART, LAST_LEAVES_PART = 13, 27
"""Of two groups of leaves."""


# ------------------------------------------------------------------ what is looked at


@given(st.integers(0, 10**7), st.integers(0, 10**6), st.integers(0, 10**6))
def test_all_parts_are_everything(size, more, frames):
    """The nights of one round look at every leaf, frame and entry between them, and at all new."""
    leaves = size + more
    orders = [Order(size, (part,)) for part in range(PARTS)]
    scopes = [scope_of(order, leaves, frames // 2, frames) for order in orders]
    assert joined([span for scope in scopes for span in scope.leaves]) == joined([Span(0, leaves)])
    assert joined([span for scope in scopes for span in scope.frames]) == joined(
        [Span(1, frames + 1)]
    )
    for scope in scopes:
        assert not leaves or scope.leaves[-1].end == leaves
        assert all(first % LEAVES_AT_ONCE == 0 for first, _ in scope.leaves)
        assert not size or min(first for first, _ in scope.leaves[-1:]) <= size


@given(st.none() | st.integers(0, 30_000), st.integers(0, 30_000))
def test_todays_part_is_always_due(last_day, today):
    """Whatever a file says of runs before, today's share is looked at."""
    due = parts_due(last_day, today)
    assert today % PARTS in due
    assert len(set(due)) == len(due) <= PARTS


def test_missed_nights_are_made_up_for():
    """After nights without a run the shares of those nights are due, too."""
    assert parts_due(100, 101) == (101 % PARTS,)
    assert set(parts_due(100, 104)) == {day % PARTS for day in (101, 102, 103, 104)}
    assert parts_due(None, 5) == parts_due(0, 5000) == tuple(range(PARTS))


def test_what_was_left_is_looked_at_besides():
    """A run that goes on adds what is due now to what the interrupted one had left."""
    left = Scope((Span(4096, 8192),), (Span(5, 9),), (3,), 7)
    scope = scope_of(Order(20_000, (4,), left), 30_000, 50, 60)
    assert Span(4096, 8192) in scope.leaves
    assert set(scope.parts) == {3, 4}
    assert scope.new_frames == 7
    assert width(scope.frames) >= width(left.frames) + 10


# ------------------------------------------------------------------ how leaves differ


def described(vouched, found):
    """Return what is said of one tile's leaves, given as letters."""
    differences = Differences()
    said = differences.of_tile(*([leaf_hash(each.encode()) for each in text] for text in (
        vouched, found)))  # fmt: skip
    return [(at, kind) for at, kind, _what in said]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ("abcdefgh", []),
        ("abXdefgh", [(2, Kind.CHANGED)]),
        ("aXcdeYgh", [(1, Kind.CHANGED), (5, Kind.CHANGED)]),
        ("abXcdefg", [(2, Kind.ADDED)]),
        ("abdefghi", [(2, Kind.REMOVED)]),
        ("abcdefgX", [(7, Kind.CHANGED)]),
        ("acbdefgh", [(1, Kind.REORDERED)]),
    ],
)
def test_differences(found, said):
    """Changed, added, removed and reordered rows are told apart, each at its place."""
    assert [each[1] for each in described("abcdefgh", found)] == [each[1] for each in said]
    if said and said[0][1] != Kind.REORDERED:
        assert described("abcdefgh", found) == said


def test_rows_pushed_into_the_next_tile_are_not_named():
    """One row that was added moves all behind it: only it is named, in however many tiles."""
    letters = [leaf_hash(bytes([number])) for number in range(24)]
    moved = [*letters[:3], leaf_hash(b"new"), *letters[3:-1]]
    differences = Differences()
    said = [
        (first + at, kind)
        for first in (0, 8, 16)
        for at, kind, _what in differences.of_tile(
            letters[first : first + 8], moved[first : first + 8]
        )
    ]
    assert said == [(3, Kind.ADDED)]


# ------------------------------------------------------------------ a real record


@pytest.fixture
async def tamper(long_record):
    """Lend a superuser's hands, which walk past the triggers."""
    connection = await asyncpg.connect(long_record.record.superuser)
    await connection.execute("SET session_replication_role = replica")
    yield connection.execute
    await connection.close()


@pytest.fixture
def check(long_record):
    """Verify incrementally, with what a witness vouches for."""
    witnessed = {long_record.shown: long_record.shown_root}
    return partial(verify, long_record.record.daemon, unseal, witnessed=witnessed)


def incremental(long_record, *parts):
    return Order(long_record.shown, parts)


async def test_incremental_run_looks_at_the_new_and_a_share(check, long_record):
    """What is new is looked at, and today's share of the old: nothing else."""
    found = await check(order=incremental(long_record, FIRST_LEAVES_PART))
    assert found.faults == []
    old = long_record.shown - long_record.shown % LEAVES_AT_ONCE
    assert found.counts["leaf"] == LEAVES_AT_ONCE + long_record.leaves - old
    assert found.counts["packet"] < long_record.last_frame
    assert (found.leaves, found.root) == (long_record.leaves, long_record.root)
    nights = [await check(order=incremental(long_record, part)) for part in range(0, PARTS, 9)]
    assert all(night.holds for night in nights)


async def test_old_leaf_is_found_when_its_share_is_due(check, long_record, tamper):
    """A row changed behind what a witness saw is found when its turn comes."""
    await tamper("UPDATE leaf SET record = overlay(record placing 'x' from 90) WHERE index = 100")
    assert (await check(order=incremental(long_record, LAST_LEAVES_PART))).holds
    found = await check(order=incremental(long_record, FIRST_LEAVES_PART))
    assert [str(fault) for fault in found.faults if fault.table == "leaf"] == [
        "leaf index 100: the record was changed: its hash is not that in tile level 0 index 0"
    ]


async def test_rewritten_tiles_are_found_every_night(check, long_record, tamper):
    """Whoever makes the tiles fit the changed row departs from what the witness has cosigned."""
    await tamper("UPDATE leaf SET record = overlay(record placing 'x' from 90) WHERE index = 0")
    await tamper(
        "UPDATE tile SET hashes = overlay(hashes placing "
        "(SELECT sha256('\\x00'::bytea || record) FROM leaf WHERE index = 0) from 1) "
        "WHERE level = 0 AND index = 0"
    )
    await tamper("DELETE FROM checkpoint")
    found = await check(order=incremental(long_record, LAST_LEAVES_PART))
    assert [fault.key for fault in found.faults] == [f"size {long_record.shown}"] * len(
        found.faults
    )
    assert found.faults[0].table == "witness"


async def test_root_at_the_very_beginning_is_checked(long_record, tamper):
    """Where a witness has cosigned the size that a run begins at, the tiles must give its root."""
    begin = long_record.shown - long_record.shown % LEAVES_AT_ONCE
    async with Reader(long_record.record.daemon) as reader:
        witnessed = {begin: await reader.root_at(begin)}
    check = partial(
        verify,
        long_record.record.daemon,
        unseal,
        witnessed=witnessed,
        order=Order(begin, (LAST_LEAVES_PART - 1,)),
    )
    assert (await check()).holds
    await tamper("DELETE FROM checkpoint")
    await tamper("UPDATE tile SET hashes = set_byte(hashes, 9, 0) WHERE level = 0 AND index = 3")
    found = await check()
    assert str(found.faults[0]).startswith(f"witness size {begin}: its root is not that")


async def test_share_leads_up_to_the_witness(check, long_record, tamper):
    """An old share is held against the witnessed root, not only against tiles beside it."""
    found = await verify(
        long_record.record.daemon,
        unseal,
        witnessed={long_record.shown: bytes(32)},
        order=incremental(long_record, FIRST_LEAVES_PART),
    )
    assert {str(fault).split(":")[0] for fault in found.faults} == {
        f"witness size {long_record.shown}"
    }
    assert len(found.faults) == 2


@pytest.mark.parametrize(
    ("statements", "named"),
    [
        (
            [
                "UPDATE leaf SET index = index + 1000000 WHERE index >= 2000",
                "INSERT INTO leaf SELECT 2000, kind, NULL, record || 'x' FROM leaf WHERE index = 7",
                "UPDATE leaf SET index = index - 999999 WHERE index >= 1000000",
            ],
            "leaf index 2000: the row was added: it is not in tile level 0 index 7",
        ),
        (
            [
                "DELETE FROM leaf WHERE index = 2000",
                "UPDATE leaf SET index = index + 1000000 WHERE index >= 2000",
                "UPDATE leaf SET index = index - 1000001 WHERE index >= 1000000",
            ],
            "leaf index 2000: a row was removed here, and those behind it moved up: it is in tile",
        ),
        (
            [
                "UPDATE leaf SET index = 1000000 WHERE index = 2000",
                "UPDATE leaf SET index = 2000 WHERE index = 2010",
                "UPDATE leaf SET index = 2010 WHERE index = 1000000",
            ],
            "the rows were reordered",
        ),
    ],
    ids=["added", "removed", "reordered"],
)
async def test_renumbered_leaves(check, tamper, statements, named):
    """Rows added, removed or swapped, all others renumbered to fit, are named where it happened."""
    for statement in statements:
        await tamper(statement)
    found = [str(fault) for fault in (await check()).faults]
    leaves = [fault for fault in found if fault.startswith("leaf index") and "cut" not in fault]
    assert any(named in fault for fault in leaves)
    assert len(leaves) <= 2, leaves


async def test_swapped_entries(check, long_record, tamper):
    """Entries of a stream whose numbers were swapped break its chain."""
    last = long_record.last_frame
    for was, is_now in ((last, 1_000_000), (last - 5, last), (1_000_000, last - 5)):
        await tamper(
            "UPDATE entry SET number = $2 WHERE stream = $3 AND number = $1", was, is_now, BULK
        )
    found = await check(order=incremental(long_record, 0))
    assert [fault.key.split()[-1] for fault in found.faults] == [
        str(number) for number in (last - 5, last - 4, last)
    ]
    assert "rows were reordered" in found.faults[0].what


async def test_old_entry_deleted(check, long_record, tamper):
    """An entry deleted from the old part of a stream is found when its share is due."""
    await tamper("DELETE FROM entry WHERE stream = $1 AND number = 30", BULK)
    assert (await check(order=incremental(long_record, 20))).holds
    found = await check(order=incremental(long_record, 0))
    assert [str(fault) for fault in found.faults] == [
        f"entry {BULK} epoch 1 number 30: rows were deleted: 31 follows"
    ]


async def test_new_packet_without_leaf(check, long_record, tamper):
    """A packet slipped in among the new ones is found the next night."""
    await tamper(
        "INSERT INTO packet SELECT 9999, id, 'kz.ghost', recipient, epoch, seq, type, section, "
        "class, flow, period, re, sent, received, via, size, head_sha256, frame_sha256, head, "
        "media_type, coding FROM packet WHERE frame = 1"
    )
    found = await check(order=incremental(long_record, 0))
    assert any("frame 9999" in str(f) and "the row was added" in str(f) for f in found.faults)


class PowerCutError(Exception):
    """The run is interrupted."""


async def test_interrupted_run_goes_on(check, long_record, tamper):
    """What an interrupted run had not looked at is looked at by the next one, and little else."""
    kept = []

    def cut_off(stage, done, total):
        if stage == "frames" and done < total:
            raise PowerCutError

    with pytest.raises(PowerCutError):
        await check(on_progress=cut_off, keep=kept.append)
    left = kept[-1]
    assert left.leaves == ()
    await tamper("UPDATE packet SET seq = 7777 WHERE frame = 1300")
    found = await check(order=Order(long_record.shown, (LAST_LEAVES_PART,), left))
    assert found.counts["leaf"] < long_record.leaves
    assert [fault.what for fault in found.faults] == ["its column seq is not what its header says"]


async def test_nothing_is_kept_once_a_fault_is_found(check, tamper):
    """A run that has found a fault is not gone on with: the next one finds it again."""
    kept = []
    await tamper("UPDATE leaf SET record = overlay(record placing 'x' from 90) WHERE index = 3")
    assert not (await check(order=WHOLE, keep=kept.append)).holds
    assert kept == []


async def test_missing_tiles_are_named(check, long_record, tamper):
    """Where tiles are gone that an incremental run builds on, it says so and goes on."""
    await tamper("DELETE FROM tile WHERE level = 0 AND index < 3")
    found = await check(order=incremental(long_record, LAST_LEAVES_PART))
    assert any(fault.table == "tile" for fault in found.faults)
    assert found.counts["packet"] > 0
