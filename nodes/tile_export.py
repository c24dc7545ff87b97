"""Writes the journal into a folder as C2SP tlog-tiles, for public tools to audit (clause 10.3).

    checkpoint  policy.txt  tile/0/x001/x234/067  tile/entries/x001/x234/067  ….p/13

Tiles are computed from the leaves, not copied from the record's. Full ones that stand in the folder
are left; the checkpoint comes last, so that the folder never promises what it has not. Whatever
interrupts an export, the next one goes on.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from nodes.errors import JudgementFailed
from nodes.whole_files import replace_file
from schemas.errors import FormatError
from signing.note_text import split_note
from signing.notes import Checkpoint, read_checkpoint
from store.merkle import TILE_WIDTH, Tree, edge_tiles, leaf_hash
from store.tiles import ENTRIES, entry_bundle, tile_path

LEAVES_AT_ONCE = 16 * TILE_WIDTH


class Journal(Protocol):
    """What the export reads."""

    async def tree_at(self, size: int) -> Tree:
        """Return the journal's tree when it had `size` leaves."""

    async def leaf_records(self, first: int, end: int) -> list[bytes]:
        """Return the leaves from `first` up to, not with, `end`."""


class Head(msgspec.Struct, frozen=True):
    """The checkpoint to be exported, with its cosignatures, and who may be believed about it."""

    note: str
    policy: str

    @property
    def checkpoint(self) -> Checkpoint:
        """What the note says."""
        return read_checkpoint(split_note(self.note)[0])


class Exported(msgspec.Struct, frozen=True):
    """What an export did."""

    leaves: int
    files_written: int
    leaves_kept: int
    """Of so many leaves the folder had the tiles already."""


async def export_tiles(
    journal: Journal, folder: Path, head: Head, on_progress: Callable[[str, int, int], None]
) -> Exported:
    """Bring a folder up to a checkpoint.

    Raises JudgementFailed where the leaves are not those of the checkpoint, or the folder has the
    tiles of another journal or of another history of this one; OSError.
    """
    checkpoint = head.checkpoint
    shown = await _check_folder(journal, folder, checkpoint)
    kept = _standing(folder, checkpoint.size)
    export = _Export(folder, await journal.tree_at(kept))
    for first in range(kept, checkpoint.size, LEAVES_AT_ONCE):
        end = min(first + LEAVES_AT_ONCE, checkpoint.size)
        export.add(await journal.leaf_records(first, end))
        on_progress("tiles", end, checkpoint.size)
    export.add_edge()
    if export.tree.root() != checkpoint.root:
        export.undo()
        raise JudgementFailed(
            f"the leaves are not those of the checkpoint over {checkpoint.size}: "
            "run `bbaj store verify`; the folder's checkpoint stays as it was"
        )
    export.write("policy.txt", head.policy.encode())
    export.write("checkpoint", head.note.encode())
    _remove_outgrown(folder, shown)
    return Exported(checkpoint.size, len(export.written), kept)


async def _check_folder(journal: Journal, folder: Path, checkpoint: Checkpoint) -> int:
    """Return the size that the folder shows, 0 where it is new. Raises JudgementFailed."""
    try:
        note = (folder / "checkpoint").read_text(encoding="utf-8")
        shown = read_checkpoint(split_note(note)[0])
    except FileNotFoundError:
        return 0
    except (FormatError, UnicodeDecodeError) as error:
        raise JudgementFailed(f"{folder}/checkpoint is none: name another folder") from error
    if shown.origin != checkpoint.origin:
        raise JudgementFailed(
            f"{folder} has the journal {shown.origin}: name another folder for {checkpoint.origin}"
        )
    if shown.size > checkpoint.size:
        raise JudgementFailed(
            f"{folder} shows {shown.size} leaves, this journal has {checkpoint.size} signed: "
            "an older database was restored, or the folder is another node's"
        )
    if (await journal.tree_at(shown.size)).root() != shown.root:
        raise JudgementFailed(
            f"{folder} shows another history of the first {shown.size} leaves: keep it as a proof, "
            "and run `bbaj store verify`"
        )
    return shown.size


def _standing(folder: Path, size: int) -> int:
    """Return of how many leaves, up to `size`, all full tiles stand in the folder."""
    for index in range(size // TILE_WIDTH):
        if not all((folder / path).exists() for path in _filled_by(index)):
            return index * TILE_WIDTH
    return size - size % TILE_WIDTH


def _filled_by(index: int) -> list[str]:
    """Return the files that are full once the leaves of tile `index` are there."""
    paths = [tile_path(ENTRIES, index), tile_path(0, index)]
    level = 1
    while (index + 1) % TILE_WIDTH == 0:
        index //= TILE_WIDTH
        paths.append(tile_path(level, index))
        level += 1
    return paths


def _remove_outgrown(folder: Path, size: int) -> None:
    """Remove tiles that were not full at a size, and are by now."""
    edges: list[tuple[int | str, int, int]] = [*edge_tiles(size)]
    edges += [(ENTRIES, index, width) for level, index, width in edge_tiles(size) if level == 0]
    for level, index, width in edges:
        partial = folder / tile_path(level, index, width)
        if (folder / tile_path(level, index)).exists():
            partial.unlink(missing_ok=True)
            if partial.parent.is_dir() and not any(partial.parent.iterdir()):
                partial.parent.rmdir()


class _Export:
    """Writes what leaves fill."""

    def __init__(self, folder: Path, tree: Tree) -> None:
        self._folder = folder
        self.tree = tree
        self.written: list[Path] = []
        self._rest: list[bytes] = []
        """The last leaves, which fill no bundle."""

    def add(self, records: list[bytes]) -> None:
        """Add the next leaves, and write the tiles that they fill."""
        first, remainder = divmod(self.tree.size, TILE_WIDTH)
        assert remainder == 0, "only the last leaves may fill no tile"
        for tile in self.tree.extend([leaf_hash(record) for record in records]):
            self._write_new(tile_path(tile.level, tile.index), tile.hashes)
        full = len(records) - len(records) % TILE_WIDTH
        for at in range(0, full, TILE_WIDTH):
            bundle = entry_bundle(records[at : at + TILE_WIDTH])
            self._write_new(tile_path(ENTRIES, first + at // TILE_WIDTH), bundle)
        self._rest = records[full:]

    def add_edge(self) -> None:
        """Write the tiles that are not full."""
        for level, index, width in edge_tiles(self.tree.size):
            self.write(tile_path(level, index, width), self.tree.tile(level, index) or b"")
            if level == 0:
                self.write(tile_path(ENTRIES, index, width), entry_bundle(self._rest))

    def _write_new(self, path: str, data: bytes) -> None:
        if not (self._folder / path).exists():
            self.write(path, data)

    def write(self, path: str, data: bytes) -> None:
        """Write a file of the folder in one step."""
        whole = self._folder / path
        whole.parent.mkdir(parents=True, exist_ok=True)
        replace_file(whole, data)
        self.written.append(whole)

    def undo(self) -> None:
        """Remove what was written."""
        for path in self.written:
            path.unlink()
