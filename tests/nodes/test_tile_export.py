"""Exported tiles: laid out as other logs' are, and what an auditor recomputes from them."""

import shutil
from pathlib import Path

import pytest

from harness.tile_audit import audit, files_of, index_path
from nodes.errors import JudgementFailed
from nodes.tile_export import Head, export_tiles
from signing.notes import Checkpoint
from store.merkle import Tree, leaf_hash
from store.tiles import tile_path

ORIGIN = "burabay.akmola.kz.bbaj.internal/1"
TESSERA = Path(__file__).resolve().parents[3] / "shared/vectors/tessera/log"
RECORDS = [b"bbaj-leaf/1\nkind operator\nwhat %d\n" % number for number in range(70_000)]


class Leaves:
    """A journal in memory."""

    def __init__(self, records):
        self.records = records
        self.read = 0

    async def tree_at(self, size):
        tree = Tree()
        tree.extend([leaf_hash(record) for record in self.records[:size]])
        return tree

    async def leaf_records(self, first, end):
        self.read += end - first
        return self.records[first:end]


async def head_of(records, size, origin=ORIGIN):
    root = (await Leaves(records).tree_at(size)).root()
    return Head(
        f"{Checkpoint(origin, size, root).text}\n\u2014 {origin} AAAAAAAA\n", "quorum none\n"
    )


async def export(folder, size, records=RECORDS, told=lambda *_: None, **head):
    journal = Leaves(records)
    done = await export_tiles(journal, folder, await head_of(records, size, **head), told)
    return done, journal.read


# ------------------------------------------------------------------ one export


@pytest.mark.parametrize("size", [1, 255, 256, 257, 4096, 4097, 70_000])
async def test_auditor_recomputes_the_folder(tmp_path, size):
    """Entries give the tiles, tiles the root of the checkpoint; no file lacks or is too many."""
    done, _ = await export(tmp_path / "log", size)
    assert audit(tmp_path / "log") == (size, set(files_of(tmp_path / "log")))
    assert (done.leaves, done.leaves_kept) == (size, 0)


@pytest.mark.parametrize("index", [0, 7, 999, 1000, 1_234_067, 10**12])
def test_paths(index):
    """Indexes are cut into groups of three digits, as the specification's example is."""
    assert tile_path(3, index) == f"tile/3/{index_path(index)}"
    assert tile_path("entries", 1_234_067, 7) == "tile/entries/x001/x234/067.p/7"


@pytest.mark.skipif(not TESSERA.is_dir(), reason="no vectors here: ../shared/vectors is absent")
@pytest.mark.parametrize("size", range(1, 16))
async def test_layout_is_that_of_another_log(tmp_path, size):
    """The entries of Tessera's test log are exported to the very files that Tessera wrote."""
    theirs = TESSERA / f"tile/entries/000.p/{size}"
    bundle, records = theirs.read_bytes() if theirs.exists() else b"", []
    while bundle:
        length = int.from_bytes(bundle[:2])
        records.append(bundle[2 : 2 + length])
        bundle = bundle[2 + length :]
    await export(tmp_path, size, records)
    ours = files_of(tmp_path)
    for path in (f"tile/entries/000.p/{size}", f"tile/0/000.p/{size}"):
        assert ours[path] == (TESSERA / path).read_bytes()
    text = (TESSERA / f"checkpoint.{size}").read_text()
    assert ours["checkpoint"].decode().split("\n")[1:3] == text.split("\n")[1:3]


# ------------------------------------------------------------------ again and again


async def test_next_export_goes_on(tmp_path):
    """What stands is neither read nor written again; what has outgrown its partial tile goes."""
    await export(tmp_path, 5000)
    before = files_of(tmp_path)
    stamps = {path: (tmp_path / path).stat().st_ino for path in before}
    done, read = await export(tmp_path, 6000)
    shown_before = {"tile/1/000.p/19"}  # a level that has no full tile yet keeps what it has shown
    assert audit(tmp_path) == (6000, set(files_of(tmp_path)) - shown_before)
    assert done.leaves_kept == 4864
    assert read == 6000 - 4864
    kept = set(before) & set(files_of(tmp_path)) - {"checkpoint", "policy.txt", *shown_before}
    assert len(kept) == 2 * 19
    assert all((tmp_path / path).stat().st_ino == stamps[path] for path in kept)


async def test_same_export_again_changes_nothing(tmp_path):
    """An export of the same checkpoint leaves the same folder."""
    await export(tmp_path, 3000)
    before = files_of(tmp_path)
    await export(tmp_path, 3000)
    assert files_of(tmp_path) == before


async def test_partial_tiles_of_a_shown_checkpoint_stay(tmp_path):
    """Whoever holds the checkpoint before still finds its tiles, until full ones are there."""
    await export(tmp_path, 3000)
    await export(tmp_path, 3010)
    assert (tmp_path / tile_path(0, 11, 3000 % 256)).exists()
    await export(tmp_path, 3100)
    assert not (tmp_path / tile_path(0, 11, 3010 % 256)).exists()


class PowerCutError(Exception):
    """The export is interrupted."""


async def test_interrupted_export_goes_on(tmp_path):
    """After an interruption the folder has no checkpoint yet, and the next export finishes it."""

    def cut_off(_stage, done, _total):
        if done >= 8192:
            raise PowerCutError

    with pytest.raises(PowerCutError):
        await export(tmp_path, 20_000, told=cut_off)
    assert not (tmp_path / "checkpoint").exists()
    done, _ = await export(tmp_path, 20_000)
    assert done.leaves_kept == 8192
    assert audit(tmp_path)[0] == 20_000


@pytest.mark.parametrize(
    ("lost", "size"), [("tile/0/003", 3000), ("tile/entries/007", 3000), ("tile/1/000", 66_000)]
)
async def test_lost_file_is_written_again(tmp_path, lost, size):
    """A full tile that is gone from the folder comes back with the next export."""
    await export(tmp_path, size)
    (tmp_path / lost).unlink()
    await export(tmp_path, size)
    assert audit(tmp_path)[0] == size


async def test_other_journal_is_not_mixed_in(tmp_path):
    """A folder belongs to one journal: another epoch needs another one."""
    await export(tmp_path, 300)
    with pytest.raises(JudgementFailed, match="name another folder"):
        await export(tmp_path, 300, origin=ORIGIN.replace("/1", "/2"))


async def test_older_journal_is_refused(tmp_path):
    """A folder that shows more than the journal has says that data were lost."""
    await export(tmp_path, 300)
    with pytest.raises(JudgementFailed, match="an older database was restored"):
        await export(tmp_path, 299)


async def test_rewritten_journal_is_refused(tmp_path):
    """A journal that is no continuation of what the folder shows is not exported over it."""
    await export(tmp_path, 300)
    before = files_of(tmp_path)
    other = [*RECORDS[:100], b"rewritten", *RECORDS[101:]]
    with pytest.raises(JudgementFailed, match="shows another history"):
        await export(tmp_path, 400, other)
    assert files_of(tmp_path) == before


async def test_leaves_that_are_not_the_checkpoints(tmp_path):
    """Where leaves do not give the signed root, nothing of them stays, nor does a checkpoint."""
    head = await head_of(RECORDS, 1000)
    journal = Leaves([*RECORDS[:300], b"changed", *RECORDS[301:]])
    with pytest.raises(JudgementFailed, match="store verify"):
        await export_tiles(journal, tmp_path, head, lambda *_: None)
    assert files_of(tmp_path) == {}


async def test_strange_checkpoint_in_the_folder(tmp_path):
    """A folder with something else under that name is left alone."""
    (tmp_path / "checkpoint").write_text("a photograph")
    with pytest.raises(JudgementFailed, match="name another folder"):
        await export(tmp_path, 10)
    shutil.rmtree(tmp_path)
