"""Legal holds and their leaves must tell the same: a hold taken away lets evidence be destroyed."""

import pytest

from harness.record_rows import unseal
from schemas.leaves import LeafKind
from schemas.records import HoldLifted, LegalHold
from store.verify import verify

HOLD = LegalHold(1, 1, "op-1", None, "kz.akmola", True, "2026-Q4", "17-b")


async def set_hold(archive, scribe):
    """Commit the hold with its leaf."""
    scribe.leaf(
        LeafKind.LEGAL_HOLD, None, number="1", verdict="set", organisation="kz.akmola",
        below="yes", period="2026-Q4", dispute="17-b", who="op-1",
    )  # fmt: skip
    scribe.changes.legal_holds = [HOLD]
    await archive.commit(scribe.renew())


@pytest.fixture
async def held(archive, scribe):
    """Lend a record with one hold, set and lifted."""
    await set_hold(archive, scribe)
    scribe.leaf(LeafKind.LEGAL_HOLD, None, number="1", verdict="lifted", who="op-2")
    scribe.changes.lifted_holds = [HoldLifted(1, 2, "op-2")]
    await archive.commit(scribe.renew())


async def faults(record):
    found = await verify(record.daemon, unseal)
    return [str(fault) for fault in found.faults]


async def test_holds_that_are_whole_verify(held, record):
    """Rows and leaves are counted, and agree."""
    found = await verify(record.daemon, unseal)
    assert (found.faults, found.counts["legal_hold"], found.counts["legal_hold_lifted"]) == (
        [],
        1,
        1,
    )


async def test_a_hold_that_was_changed(held, record, superuser):
    """Each field is that of the leaf."""
    await superuser.execute(
        "ALTER TABLE legal_hold DISABLE TRIGGER ALL; UPDATE legal_hold SET below = false"
    )
    assert await faults(record) == ["legal_hold hold 1: its below is not that of leaf 0"]


async def test_a_hold_that_was_taken_away(held, record, superuser):
    """The leaves still name it, and its end."""
    await superuser.execute(
        "ALTER TABLE legal_hold_lifted DISABLE TRIGGER ALL; DELETE FROM legal_hold_lifted"
    )
    what = "the row was deleted: leaf 1 (legal-hold) names it"
    assert await faults(record) == [f"legal_hold_lifted hold 1: {what}"]


async def test_an_end_that_was_added(archive, scribe, record, superuser):
    """Nobody lifts a hold past the journal."""
    await set_hold(archive, scribe)
    await superuser.execute("INSERT INTO legal_hold_lifted VALUES (1, 2, 'op-2')")
    what = "the row was added: no leaf says so"
    assert await faults(record) == [f"legal_hold_lifted hold 1: {what}"]
