"""Refused and held frames: listed, shown, and written out byte for byte."""

import re
from hashlib import sha256
from pathlib import Path

from nodes.cli.errors import FileFault
from nodes.cli.opening import reading
from nodes.cli.reports import quarantined
from nodes.cli.shapes import Quarantined, QuarantineEntry
from nodes.cli.shelf import Shelf
from nodes.config import Config
from nodes.errors import NotFound
from schemas.records import QuarantineRow
from signing.errors import BucketDamagedError
from store.reading import Reading

_FRAME = re.compile(r"[0-9]{1,18}")


async def list_quarantine(
    config: Config,
    *,
    state: str | None,
    neighbour: str | None,
    reason: str | None,
    after: int | None,
    limit: int,
) -> list[Quarantined]:
    """Return quarantined frames, newest first."""
    async with reading(config) as desk:
        rows = await desk.quarantine_list(state, neighbour, reason, after, limit)
    return [quarantined(row) for row in rows]


async def show_quarantine(config: Config, name: str, raw_path: Path | None) -> QuarantineEntry:
    """Return what is known of a frame, by its number or its packet id; write its bytes if asked.

    Raises NotFound, FileFault, or BucketDamagedError where the bytes are not those that came.
    """
    async with reading(config) as desk:
        rows = await _rows_of(desk, name)
        if not rows:
            raise NotFound(f"{name} is not in quarantine: `bbaj quarantine list` shows what is")
        if raw_path is not None:
            _write(raw_path, await _bytes_of(desk, Shelf(config), rows[0]))
    shown = [quarantined(row) for row in rows]
    return QuarantineEntry(rows=shown, raw=None if raw_path is None else str(raw_path))


async def _rows_of(desk: Reading, name: str) -> list[QuarantineRow]:
    if _FRAME.fullmatch(name):
        return await desk.quarantine_show(int(name))
    timeline = await desk.timeline(name)
    frames = {moment.frame for moment in timeline.moments if moment.what == "quarantine"}
    return [row for frame in sorted(frames) for row in await desk.quarantine_show(frame)]


async def _bytes_of(desk: Reading, shelf: Shelf, row: QuarantineRow) -> bytes:
    kept = await shelf.fetch(desk, row.frame)
    if kept.raw is None:
        raise NotFound(f"bytes of frame {row.frame} are not here: {kept.absent}")
    if sha256(kept.raw).digest() != row.sha256:
        raise BucketDamagedError(
            f"frame {row.frame}: its bytes are not those that came: run `bbaj store verify`"
        )
    return kept.raw


def _write(path: Path, data: bytes) -> None:
    try:
        with path.open("xb") as file:
            file.write(data)
    except OSError as error:
        raise FileFault(f"{path}: {error.strerror}: name a file that is not there yet") from error
