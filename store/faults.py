"""What a verification gathers: faults, each named by table and key, and counts."""

from collections import Counter
from collections.abc import Callable
from enum import StrEnum

import msgspec

FAULTS_KEPT_MAX = 1000
"""More are only counted."""

OpenPayload = Callable[[str, bytes, bytes], bytes]
"""Decrypts `sealed` under a bucket's key with its additional data.

Raises an error of ours, or ValueError, where it can't: that is a fault of the row.
"""

Progress = Callable[[str, int, int], None]
"""Told the stage, how much of it is done, and how much there is."""

Reached = Callable[[int, int], None]
"""Told how many rows were looked at since the last time, and up to which one."""


class Kind(StrEnum):
    """What has happened to a row, as an operator is told."""

    CHANGED = "changed"
    """It is not what others vouch for; they, or it, were changed."""
    REMOVED = "removed"
    ADDED = "added"
    """Nothing vouches for it."""
    REORDERED = "reordered"
    """It has changed places with others."""
    CUT = "cut"
    """The journal ends before others say."""
    UNREADABLE = "unreadable"
    STANDS = "stands"
    """It is there, though it was destroyed."""
    UNPROVEN = "unproven"
    """A signature does not count."""


class Fault(msgspec.Struct, frozen=True, gc=False):
    """One thing that does not fit: in which table, which row, and what is wrong."""

    table: str
    key: str
    what: str
    kind: Kind = Kind.CHANGED

    def __str__(self) -> str:
        return f"{self.table} {self.key}: {self.what}"


class Faults:
    """Gathers while a verification runs."""

    def __init__(self) -> None:
        self.found = 0
        self.kept: list[Fault] = []
        self.counts: Counter[str] = Counter()

    def add(self, table: str, key: str, what: str, kind: Kind = Kind.CHANGED) -> None:
        """Note a fault."""
        self.found += 1
        if len(self.kept) < FAULTS_KEPT_MAX:
            self.kept.append(Fault(table, key, what, kind))

    def expect(
        self, table: str, key: str, what: str, kind: Kind = Kind.CHANGED, *, holds: bool
    ) -> None:
        """Note a fault unless it holds."""
        if not holds:
            self.add(table, key, what, kind)
