"""Reads the documents that commands are given."""

import sys
from pathlib import Path

from exchange.sealing import CONTENT_BYTES_MAX
from nodes.cli.errors import DocumentFault, FileFault

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
