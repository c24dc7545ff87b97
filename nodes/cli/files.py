"""Reads the documents that commands are given, and writes files that are whole or not there."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from exchange.sealing import CONTENT_BYTES_MAX
from nodes.cli.errors import DocumentFault, FileFault
from signing.keys import sync_folder

STANDARD_INPUT = Path("-")


def read_document(path: Path) -> bytes:
    """Return a document's bytes. Raises FileFault, or DocumentFault where it is too large."""
    try:
        if path == STANDARD_INPUT:
            body = sys.stdin.buffer.read(CONTENT_BYTES_MAX + 1)
        else:
            with path.open("rb") as file:
                body = file.read(CONTENT_BYTES_MAX + 1)
    except OSError as error:
        raise FileFault(f"{path}: {error.strerror}: name a file that can be read") from error
    if len(body) > CONTENT_BYTES_MAX:
        raise DocumentFault(f"{path}: over {CONTENT_BYTES_MAX} bytes: split the document")
    return body


@contextmanager
def new_file(path: Path, mode: int) -> Iterator[BinaryIO]:
    """Give a draft that becomes the file once it is durable; a file that is there stays.

    Raises FileFault; whatever fails leaves no draft behind.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        if path.exists():
            raise FileExistsError(None, "is there already")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
        sync_folder(path.parent)
    except OSError as error:
        raise FileFault(
            f"{path}: {error.strerror}: name a new file in a folder with room"
        ) from error
    finally:
        draft.unlink(missing_ok=True)
