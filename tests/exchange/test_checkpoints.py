"""Checkpoints: the size is kept beside the database before it is signed, and never shrinks."""

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from exchange.checkpoints import Checkpoints, grown
from exchange.signed_size import SignedSize, SizeFileDamaged
from harness.drafts import DISTRICT, NOW
from harness.pki import make_network
from harness.service_node import new_record
from schemas.leaves import LeafKind
from schemas.limits import Limits
from schemas.moments import HOUR, SECOND
from schemas.records import Changes, Committed, LeafRow
from signing.notes import open_note, origin, read_checkpoint, vkey
from store.postgres import PostgresArchive

ORIGIN = origin(DISTRICT, 1)


class WatchedRecord(PostgresArchive):
    """A record that looks at the size file before it keeps a note, and may fail at it."""

    size_file = None
    broken = False
    size_on_disk = ""

    async def add_checkpoint(self, size, at, note):
        """Keep a note, unless broken."""
        self.size_on_disk = self.size_file.read_text()
        if self.broken:
            raise ZeroDivisionError("a fault of ours")
        await super().add_checkpoint(size, at, note)


@pytest.fixture(scope="module")
async def archive(server):
    record = await new_record(server, "checkpoints", DISTRICT, WatchedRecord)
    await record.open()
    yield record
    await record.close()


@pytest.fixture(scope="module")
def identity():
    return make_network([DISTRICT], NOW).nodes[DISTRICT]


class Desk:
    """What a daemon puts together at each start; sizes count from where the record stands."""

    def __init__(self, identity, archive, folder, base):
        self.now = NOW
        self.base = base
        self.archive = archive
        self.size_file = folder / "journal.size"
        self._signer = identity.journal

    def begin(self, epoch=1):
        """Return checkpoints as after a start of the daemon."""
        return Checkpoints(
            origin=origin(DISTRICT, epoch),
            signer=self._signer,
            archive=self.archive,
            clock=lambda: self.now,
            limits=Limits(checkpoint_due_us=10 * SECOND),
            size_file=self.size_file,
        )

    async def sign(self, checkpoints, leaves, *, at_once=True, quiet=0):
        journal = Committed(self.base + leaves, bytes([leaves]) * 32, quiet)
        return await checkpoints.sign_due(journal, at_once=at_once)

    async def last(self):
        """Return the size of the newest note, from our base."""
        newest = await self.archive.last_checkpoint()
        return 0 if newest is None else newest[0] - self.base


@pytest.fixture
async def desk(identity, archive, tmp_path):
    newest = await archive.last_checkpoint()
    archive.broken = False
    found = Desk(identity, archive, tmp_path, 0 if newest is None else newest[0])
    archive.size_file = found.size_file
    return found


async def test_a_checkpoint_is_due_some_time_after_a_leaf(desk):
    """Nothing is signed before its time, and one note covers all that came meanwhile."""
    checkpoints = desk.begin()
    signed = []
    for wait, leaves in ((0, 3), (9 * SECOND, 5), (SECOND, 6), (0, 6), (60 * SECOND, 6)):
        desk.now += wait
        signed.append(await desk.sign(checkpoints, leaves, at_once=False))
    assert signed == [False, False, True, False, False]
    assert await desk.last() == 6


async def test_what_witnesses_add_is_signed_once_a_day(desk):
    """Leaves that follow from checkpoints make none due; after a day they are signed, too."""
    checkpoints = desk.begin()
    await desk.sign(checkpoints, 3)
    signed = []
    for wait, leaves, quiet in (
        (HOUR, 4, 1), (HOUR, 6, 3), (21 * HOUR, 6, 3), (HOUR, 6, 3), (10 * SECOND, 6, 3),
        (HOUR, 7, 1), (HOUR, 9, 1), (10 * SECOND, 9, 1),
    ):  # fmt: skip
        desk.now += wait
        signed.append(await desk.sign(checkpoints, leaves, at_once=False, quiet=quiet))
    assert signed == [False, False, False, False, True, False, False, True]


async def test_a_start_does_not_bring_the_day_forward(desk):
    """When the last checkpoint was signed is read from the record."""
    await desk.sign(desk.begin(), 3)
    desk.now += 23 * HOUR
    checkpoints = desk.begin()
    await checkpoints.check(desk.base + 5)
    assert not await desk.sign(checkpoints, 5, quiet=2)
    desk.now += HOUR
    assert await desk.sign(checkpoints, 5, quiet=2)


@pytest.mark.parametrize(
    ("before", "kinds", "quiet"),
    [
        (None, ["witnessed", "witnessed"], 2),
        (None, ["received", "witnessed"], 1),
        (3, [], 3),
        (3, ["timestamp", "witnessed"], 5),
        (3, ["witnessed", "custody"], 0),
    ],
)
def test_quiet_leaves_are_counted_from_the_last_that_counts(before, kinds, quiet):
    """Over groups of leaves: so many at the journal's end are of witnesses and time-stamps."""
    stood = None if before is None else Committed(10, bytes(32), before)
    rows = [LeafRow(10 + at, LeafKind(kind), None, b"") for at, kind in enumerate(kinds)]
    after = grown(stood, Committed(10 + len(rows), bytes(32)), Changes(leaves=rows))
    assert (after.leaves, after.quiet) == (10 + len(rows), quiet)


async def test_at_once_waits_for_nothing(desk):
    """When the daemon stops, what is committed is signed."""
    assert await desk.sign(desk.begin(), 3)
    assert await desk.last() == 3


async def test_nothing_new_is_not_signed(desk):
    """No checkpoint without a leaf: not at the start, not after a note of that size."""
    checkpoints = desk.begin()
    assert not await checkpoints.sign_due(None, at_once=True)
    assert await desk.sign(checkpoints, 3)
    assert not await desk.sign(checkpoints, 3)


async def test_the_note_is_the_journals(desk, identity):
    """A signed note has origin, size and root, and opens under the node's journal key."""
    await desk.sign(desk.begin(), 7)
    _, _, note = await desk.archive.last_checkpoint()
    public = identity.journal_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    checkpoint = read_checkpoint(open_note(note, [vkey(ORIGIN, public)]).text)
    assert (checkpoint.origin, checkpoint.size) == (ORIGIN, desk.base + 7)
    assert checkpoint.root == bytes([7]) * 32


async def test_the_size_is_on_disk_before_the_note_is_kept(desk):
    """A crash between the two leaves the larger size in the file, never in the database alone."""
    await desk.sign(desk.begin(), 7)
    assert desk.archive.size_on_disk == f"1 {desk.base + 7}\n"


async def test_a_note_that_was_not_kept_still_binds(desk):
    """The size was about to be signed: a smaller journal afterwards has lost data."""
    desk.archive.broken = True
    with pytest.raises(ZeroDivisionError):
        await desk.sign(desk.begin(), 7)
    assert await desk.begin().check(desk.base + 6) == SignedSize(1, desk.base + 7)


@pytest.mark.parametrize(("in_file", "in_record"), [(9, 3), (3, 9), (9, 9), (None, 9), (9, None)])
async def test_a_smaller_journal_than_was_signed_is_lost(desk, in_file, in_record):
    """File and database are both asked, and the larger size counts."""
    if in_record is not None:
        await desk.sign(desk.begin(), in_record)
        desk.size_file.unlink()
    if in_file is not None:
        desk.size_file.write_text(f"{desk.base + in_file}\n")
    assert await desk.begin().check(desk.base + 9) is None
    assert await desk.begin().check(desk.base + 8) == SignedSize(1, desk.base + 9)


async def test_what_was_signed_is_not_signed_again_after_a_start(desk):
    """The size found at the start is where signing goes on from."""
    await desk.sign(desk.begin(), 7)
    checkpoints = desk.begin()
    await checkpoints.check(desk.base + 7)
    assert not await desk.sign(checkpoints, 7)
    assert await desk.sign(checkpoints, 8)


async def test_the_size_file_is_replaced_whole(desk):
    """No half-written size is ever left under the file's name."""
    checkpoints = desk.begin()
    for leaves in (5, 9, 10):
        await desk.sign(checkpoints, leaves)
    assert desk.size_file.read_text() == f"1 {desk.base + 10}\n"
    assert [path.name for path in desk.size_file.parent.iterdir()] == ["journal.size"]


async def test_an_epoch_that_has_ended_binds_no_more(desk):
    """Its size is replaced at the start of the next one; nothing of that is lost."""
    desk.size_file.write_text(f"1 {desk.base + 500}\n")
    assert await desk.begin(epoch=2).check(desk.base + 9) is None
    assert desk.size_file.read_text() == f"2 {desk.base + 9}\n"


async def test_a_later_epoch_in_the_file_is_a_loss(desk):
    """A record of the epoch before lacks the later one, however many leaves it has."""
    desk.size_file.write_text(f"2 {desk.base + 9}\n")
    assert await desk.begin().check(desk.base + 500) == SignedSize(2, desk.base + 9)


@pytest.mark.parametrize("damage", ["", "ten\n", "-1\n", "1 2 3\n", "0 7\n", "7\n8\n", "\u0660"])
async def test_a_damaged_size_file_ends_the_start(desk, damage):
    """What it says cannot be guessed: the message names the file and what to do."""
    desk.size_file.write_text(damage, encoding="utf-8")
    with pytest.raises(SizeFileDamaged, match=r"journal\.size.*restore it") as damaged:
        await desk.begin().check(desk.base + 9)
    assert damaged.value.exit_code == 76
