"""What came back must be told as it came: a gap that is taken out of the pages is found."""

from hashlib import sha256

import msgspec
import pytest

from harness.record_rows import CERTIFICATE, HERE, PARENT, unseal
from schemas.objects import CustodyNote, StreamPosition, join_object, object_signed_bytes
from schemas.rebuilding import Gap
from schemas.records import InstructionOutcome, InstructionRow, RebuiltRow
from store.verify import verify

STREAM, ORDER = f"{PARENT}/bulk", "rebuild-1"
DIGESTS = [sha256(name).digest() for name in (b"one", b"two", b"three", b"four")]
GAP = Gap(2, "lost", DIGESTS[1].hex())


def note_of(up_to, chain, *, lane="bulk"):
    """Return a custody note, signed by nobody: who signed it was judged when it came."""
    header = CustodyNote(
        from_=HERE,
        to=PARENT,
        epoch=1,
        number=1,
        certificate=CERTIFICATE,
        position=StreamPosition(lane, 1, up_to, chain.hex(), up_to),
    )
    return join_object(object_signed_bytes(header), b"\0")


def page_of(intake, kept, *gaps, note=None):
    note = note or note_of(intake.last, intake.chain)
    said = msgspec.json.encode(gaps).decode()
    return RebuiltRow(STREAM, 1, intake.first, intake.last, 4, 9, kept, 0, said, note)


@pytest.fixture
async def rebuilt(archive, scribe):
    """Lend a record in which three entries of four have come back, on two pages, and the end."""
    order = InstructionRow(ORDER, 1, "op-1", "rebuild", b"{}")
    await archive.instruct(order)
    first, second = scribe.take(STREAM, *DIGESTS[:3]), scribe.take(STREAM, DIGESTS[3])
    end = RebuiltRow(STREAM, 1, 5, 4, 4, 9, 0, 0, "[]", b"")
    scribe.changes.rebuilt = [page_of(first, 2, GAP), page_of(second, 1), end]
    answer = {"packets": 3, "objects": 0, "gaps": 1, "own_gaps": 7}
    outcome = InstructionOutcome(ORDER, 9, "done", msgspec.json.encode(answer))
    scribe.changes.outcomes = [outcome]
    await archive.commit(scribe.renew())


async def faults(record):
    found = await verify(record.daemon, unseal)
    return [fault.what for fault in found.faults]


async def test_pages_that_are_whole_verify(rebuilt, record):
    """Gaps and all, they are what intakes, notes and the outcome say."""
    found = await verify(record.daemon, unseal)
    assert (found.faults, found.counts["rebuilt"]) == ([], 3)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("DELETE FROM rebuilt WHERE first = 1", "rows were deleted: 4 follows"),
        ("DELETE FROM rebuilt WHERE last < first", "the stream has no end"),
        (
            "DELETE FROM rebuilt",
            "they have 0 packets, 0 objects, 0 gaps, the order's end 3 packets",
        ),
        ("UPDATE rebuilt SET gaps = '[]' WHERE first = 1", "not as many as its numbers"),
        ("UPDATE rebuilt SET gaps = '[]', kept = 3 WHERE first = 1", "they have 4 packets"),
        ("UPDATE rebuilt SET gaps = '[{' WHERE first = 1", "its gaps cannot be read"),
        (
            "UPDATE rebuilt SET gaps = replace(gaps, '\"number\":2', '\"number\":3')",
            "gap 3 is not in its intake",
        ),
        ("UPDATE rebuilt SET last = 2, kept = 1 WHERE first = 1", "no intake has just these"),
        ("UPDATE rebuilt SET note = '' WHERE first = 4", "its note is not about these entries"),
        (
            "UPDATE rebuilt SET note = (SELECT note FROM rebuilt WHERE first = 1) WHERE first = 4",
            "its note is not about these entries",
        ),
        (
            "INSERT INTO rebuilt SELECT stream, 1, 9, 8, 4, 9, 0, 0, '[]', '' FROM rebuilt LIMIT 1",
            "the stream had ended before it",
        ),
    ],
)
async def test_what_was_changed_is_named(rebuilt, record, superuser, change, found):
    """Taken out, written over or put in: it does not fit any more."""
    await superuser.execute(f"ALTER TABLE rebuilt DISABLE TRIGGER ALL; {change}")
    assert found in " | ".join(await faults(record))


@pytest.mark.parametrize(
    ("note", "found"),
    [
        (note_of(3, bytes(32)), "a note names another chain at 3"),
        (note_of(2, bytes(32)), "its note is not about these entries"),
        (note_of(3, bytes(32), lane="fast"), "its note is not about these entries"),
    ],
)
async def test_a_note_about_anything_else_proves_nothing(rebuilt, record, superuser, note, found):
    """It bears the chain of the entries, and reaches as far as they do."""
    await superuser.execute("ALTER TABLE rebuilt DISABLE TRIGGER ALL")
    await superuser.execute("UPDATE rebuilt SET note = $1 WHERE first = 1", note)
    assert found in " | ".join(await faults(record))


async def test_pages_that_still_come_need_no_end(archive, scribe, record):
    """While the order is not done, what is here so far verifies."""
    page = page_of(scribe.take(STREAM, *DIGESTS), 3, GAP)
    scribe.changes.rebuilt = [page]
    await archive.commit(scribe.renew())
    assert await faults(record) == []


async def test_a_note_beyond_the_page_is_held_against_the_intake_that_ends_there(
    archive, scribe, record
):
    """A neighbour may keep the note of a later entry only; its chain is that of a later page."""
    first, second = scribe.take(STREAM, *DIGESTS[:2]), scribe.take(STREAM, *DIGESTS[2:])
    beyond = note_of(4, second.chain)
    scribe.changes.rebuilt = [page_of(first, 1, GAP, note=beyond), page_of(second, 2)]
    await archive.commit(scribe.renew())
    assert await faults(record) == []
