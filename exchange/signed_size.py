"""The last signed size, kept beside the database: what tells a restored copy of it (clause 18.4).

The file has one line, `EPOCH SIZE`; one of before epochs has the size alone, of epoch 1.
"""

import os
import re
from pathlib import Path

import msgspec

from schemas.errors import Fatal, Retryable
from signing.keys import sync_folder

SIZE_FILE = "journal.size"
"""Its name in the data folder."""
LOST_NEXT_STEP = "restore the newest database, or run `bbaj journal recover`"

_LINE = re.compile(r"(?:([1-9][0-9]{0,17}) )?(0|[1-9][0-9]{0,17})\n?")


class SizeFileDamaged(Fatal):
    """The file of the signed size cannot be read: it cannot be said whether data are missing."""

    exit_code = 76


class SizeUnwritable(Retryable):
    """The signed size cannot be written now: nothing is signed until there is room."""


class SignedSize(msgspec.Struct, frozen=True, order=True):
    """How far a journal was signed, in its newest epoch."""

    epoch: int
    size: int


class SizeFile:
    """The file of one node, replaced whole each time."""

    def __init__(self, path: Path) -> None:
        """Work on `path`; its folder is there."""
        self._path = path

    def read(self) -> SignedSize | None:
        """Return what was signed; None without a file. Raises SizeFileDamaged."""
        try:
            text = self._path.read_text(encoding="ascii")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise self._damaged(str(error)) from error
        line = _LINE.fullmatch(text)
        if line is None:
            raise self._damaged("it has not one line, epoch and size")
        return SignedSize(int(line[1] or 1), int(line[2]))

    def _damaged(self, why: str) -> SizeFileDamaged:
        return SizeFileDamaged(
            f"{self._path}: {why}: restore it from the backup, or remove it once you know that the "
            "database is the newest one"
        )

    def write(self, signed: SignedSize) -> None:
        """Keep what is about to be signed. Raises SizeUnwritable."""
        try:
            self._replace(signed)
        except OSError as error:
            detail = f"{self._path}: {error.strerror}: make room, or let this user write it"
            raise SizeUnwritable(detail) from error

    def _replace(self, signed: SignedSize) -> None:
        draft = self._path.with_suffix(".new")
        with draft.open("w", encoding="ascii") as file:
            file.write(f"{signed.epoch} {signed.size}\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
        sync_folder(self._path.parent)
