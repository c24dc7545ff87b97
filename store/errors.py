"""What the store raises on purpose.

    Retryable
    ├── RecordConflict      the record has newer rows than the caller had loaded: load, decide again
    ├── LockHeld            another daemon commits here
    ├── PartitionMissing    no payload partition for a bucket: run the command that the text names
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
    """There is no payload partition for the bucket; nothing of the commit is stored."""

    def __init__(self, bucket: str) -> None:
        super().__init__(
            f"no payload partition for bucket {bucket}: run `bbaj store partitions`, "
            "which makes those of the coming months"
        )
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
    "LockHeld",
    "OutcomeUnknown",
    "PartitionMissing",
    "RecordConflict",
    "StoreFault",
    "StoreMisfit",
    "StoreUnavailable",
]
