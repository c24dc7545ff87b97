"""What `--json` prints about backups; as nodes.cli.shapes.

backup    BackupDone        restore    RestoreDone, with --keys-only KeysBack
"""

from nodes.cli.shapes import Shape


class BackupDone(Shape, frozen=True, kw_only=True):
    """A backup has its name."""

    folder: str
    made: str
    leaves: int
    """Of the journal at its moment."""
    root: str
    files: int
    bytes: int
    verified: bool
    """Restored into a scratch server and verified there; one that is not does not count."""
    buckets: int
    """At-rest keys in the escrow."""
    destroyed: int
    """Buckets that are destroyed, and so gone from the escrow, too."""
    keys: str


class KeysBack(Shape, frozen=True, kw_only=True):
    """Keys that were not there are."""

    buckets: list[str]
    encryption: list[str]
    destroyed: list[str]
    """Buckets that stay without a key: nothing of theirs opens, whatever a backup holds."""


class RestoreDone(Shape, frozen=True, kw_only=True):
    """A record stands where nothing was."""

    backup: str
    made: str
    epoch: int
    leaves: int
    keys: KeysBack
    signed: int | None
    """Leaves that were signed by the file beside the database; null without one."""
    stands_still: bool
    """The record lacks leaves that were signed."""
    next_step: str
