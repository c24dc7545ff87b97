"""Files and folders that are whole or not there, and durable once they are."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from signing.keys import sync_folder


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Give a draft folder that takes its name only once everything in it is durable."""
    draft = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700, parents=True)
    yield draft
    sync_folder(draft)
    draft.rename(folder)
    sync_folder(folder.parent)


def replace_file(path: Path, data: bytes) -> None:
    """Write a file in one step, durable on return."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    sync_folder(path.parent)
