"""Lists as files: JSON Lines or CSV, as large as the record, in flat memory.

A file holds what lists show of packets: addresses, types, times, states. Never content, nor a
title, nor anything that names a person. It takes its name once it is whole.
"""

import csv
import io
import os
import secrets
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec

from nodes.cli.errors import FileFault, UsageFault
from nodes.cli.lists import Query, lines_of, parts
from nodes.cli.opening import reading
from nodes.cli.progress import progress
from nodes.cli.shapes import Exported, PacketLine
from nodes.config import Config
from signing.keys import sync_folder

JSON_LINES, CSV = ".jsonl", ".csv"

COLUMNS = tuple(field.encode_name for field in msgspec.structs.fields(PacketLine))

_BYTE_ORDER_MARK = "\ufeff".encode()
"""Without it spreadsheets take Kazakh letters for something else."""
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

Batch = tuple[list[PacketLine], int, int]
"""Some lines, and how much of how much of the list is behind them."""


async def export_list(config: Config, query: Query, file: Path) -> Exported:
    """Write a whole list into a new file. Raises UsageFault, FileFault."""

    async def batches() -> AsyncGenerator[Batch, None]:
        async with reading(config) as desk, aclosing(parts(config, desk, query)) as run:
            async for part in run:
                yield await lines_of(config, desk, part, part.packets), part.done, part.total

    return await export(batches(), file)


async def export(batches: AsyncGenerator[Batch, None], file: Path) -> Exported:
    """Write lines into a new file as they come. Raises UsageFault, FileFault."""
    check_target(file)
    packets = 0
    with _new_file(file) as target, progress() as advance:
        if file.suffix == CSV:
            target.write(_BYTE_ORDER_MARK + _row(COLUMNS))
        async for lines, done, total in batches:
            for line in lines:
                target.write(encode_line(line, file.suffix))
            packets += len(lines)
            advance("packets", done, total)
    return Exported(file=str(file), packets=packets)


def check_target(file: Path) -> None:
    """Raise UsageFault or FileFault where a list cannot be written to a file of that name."""
    if file.suffix not in {JSON_LINES, CSV}:
        raise UsageFault(f"--export {file}: the name ends in neither {JSON_LINES} nor {CSV}")
    if file.exists():
        raise FileFault(f"{file}: is there already: name a file that is not")


def encode_line(line: PacketLine, suffix: str) -> bytes:
    """Return a line of a file, its end included; fields of other shapes are left out."""
    values = msgspec.to_builtins(line)
    if suffix == JSON_LINES:
        return msgspec.json.encode({name: values[name] for name in COLUMNS}) + b"\n"
    return _row(_cell(values[name]) for name in COLUMNS)


def _cell(value: object) -> object:
    """Return a value as a spreadsheet may show it: no text of others becomes a formula."""
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return f"'{value}"
    return value


def _row(cells: Iterable[object]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()


@contextmanager
def _new_file(file: Path) -> Iterator[BinaryIO]:
    """Give a draft that only this user reads; it takes the file's name once it is durable."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}.new")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as target:
            yield target
            target.flush()
            os.fsync(target.fileno())
        os.link(draft, file)  # where one of that name has come meanwhile, it stays
        sync_folder(file.parent)
    except OSError as error:
        raise FileFault(f"{file}: {error.strerror}: name a file that can be written") from error
    finally:
        draft.unlink(missing_ok=True)
