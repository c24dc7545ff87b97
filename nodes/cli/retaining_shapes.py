"""What `--json` prints of retention and legal holds.

retention classes    PolicyShown          retention due     DueList
hold list            [HoldLine]           hold set, lift    HoldsDone
"""

from typing import Literal

from nodes.cli.shapes import Shape

TermStatus = Literal["approved", "proposed"]


class ClassLine(Shape, frozen=True, kw_only=True):
    """One class of the policy."""

    class_: str
    name: str
    """In the language spoken here."""
    term: str
    """`P5Y`, `P18M`, or `PERM` for ever."""
    starts: str
    basis: str
    status: TermStatus
    """Only an approved term ever ends."""


class PolicyShown(Shape, frozen=True, kw_only=True):
    """The policy on retention in force."""

    version: int
    sha256: str
    since: str | None
    """When the node journaled it; null: it has not yet."""
    classes: list[ClassLine]


class DueLine(Shape, frozen=True, kw_only=True):
    """A bucket whose term is over, or will be."""

    bucket: str
    class_: str
    due: str
    """From this moment on it may be destroyed."""
    basis: str
    packets: int
    """Payloads, quarantined frames included."""
    size: int
    """Bytes that they take, encrypted."""
    held: int
    """Of these, under a legal hold."""
    sections: dict[str, int]
    """Payloads by section; under empty text those in quarantine."""


class DueList(Shape, frozen=True, kw_only=True):
    """Buckets that are due at a moment, the longest due first; nothing is destroyed by this."""

    until: str
    buckets: list[DueLine]
    never: list[str]
    """Classes that have a term, but no approved one."""


class HoldLine(Shape, frozen=True, kw_only=True):
    """A legal hold."""

    number: int
    since: str
    who: str
    packet: str | None
    organisation: str | None
    below: bool
    period: str | None
    dispute: str | None
    lifted: str | None
    lifted_by: str | None


class HoldsDone(Shape, frozen=True, kw_only=True):
    """Holds that now stand, or no longer do."""

    at: str
    numbers: list[int]
