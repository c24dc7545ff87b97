"""What the store raises on purpose.

    Retryable
    ├── RecordConflict      the record has newer rows than the caller had loaded: load, decide again
    ├── LockHeld            another daemon commits here
    ├── PartitionMissing    the partition of a bucket was taken away since the archive was opened
    ├── BucketDestroyed     a bucket was destroyed, and takes nothing any more: load, seal again
    └── StoreUnavailable    PostgreSQL cannot be reached, or lacks room
    Fatal
    ├── StoreMisfit         schema, address or settings are not what this program needs
    └── StoreFault          PostgreSQL refused what should hold: a bug of ours, or damage
    OutcomeUnknown          as it stands in schemas.errors: call `open` again

But for OutcomeUnknown, nothing of the call that raises one is stored.
"""

from schemas.errors import Fatal, OutcomeUnknown, Retryable


class RecordConflict(Retryable):
    """A row with that key is there already; nothing of the commit is."""


class LockHeld(Retryable):
    """Another daemon holds the sequencer's lock of this database."""


class PartitionMissing(Retryable):
    """There is no payload partition for the bucket any more; nothing of the commit is stored."""

    def __init__(self, bucket: str) -> None:
        super().__init__(
            f"no payload partition for bucket {bucket}: it was there when the record was opened; "
            "who took it away? It is made anew unless it was destroyed"
        )
        self.bucket = bucket


class BucketDestroyed(Retryable):
    """The bucket was destroyed; nothing of the commit is stored, and nothing will be."""

    def __init__(self, bucket: str) -> None:
        super().__init__(f"bucket {bucket} was destroyed: its payloads go into the next generation")
        self.bucket = bucket


class StoreUnavailable(Retryable):
    """PostgreSQL cannot be reached, or lacks room; nothing of the call is stored."""


class StoreMisfit(Fatal):
    """Schema, address or settings of the database are not what this program needs."""

    exit_code = 78


class StoreFault(Fatal):
    """PostgreSQL refused what should hold: a bug of ours, or damage."""

    exit_code = 65


__all__ = [
    "BucketDestroyed",
    "LockHeld",
    "OutcomeUnknown",
    "PartitionMissing",
    "RecordConflict",
    "StoreFault",
    "StoreMisfit",
    "StoreUnavailable",
]
