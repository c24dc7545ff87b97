"""What the service needs from outside, worded in its own terms. Each docstring says who retries."""

from collections.abc import Callable, Sequence
from typing import Protocol

from schemas.moments import Instant
from schemas.records import (
    CertificateRow,
    Changes,
    Committed,
    CrlRow,
    DropOutcome,
    HeldRow,
    LinkMark,
    OpenRow,
    PacketRow,
    PendingDrop,
    Position,
    QuarantineRow,
    StoredEntry,
    Trail,
)

Name = tuple[str, int, str]
"""What a packet is known by: sender, epoch, id."""
Number = tuple[str, str, int, int]
"""Sender, recipient, epoch and seq."""
Clock = Callable[[], Instant]


class Archive(Protocol):
    """The record. The sequencer alone commits; reads see its commits.

    Errors: Retryable (the caller backs off and calls again), OutcomeUnknown (drop all state and
    `open` again: the commit may have happened), Fatal (the daemon stops).
    """

    async def open(self, *, wait: bool = False) -> Position:
        """Take over as the one writer; with `wait`, stand by until the present one ends."""

    async def commit(self, changes: Changes) -> Committed:
        """Make everything durable or nothing; on return it survives a power cut."""

    async def known(self, names: Sequence[Name]) -> dict[Name, Trail]:
        """Return the trails of those packets that are in the memory of ids."""

    async def numbers_known(self, numbers: Sequence[Number]) -> dict[Number, bytes]:
        """Return the SHA-256 of the head that holds each number."""

    async def refused_before(self, digests: Sequence[bytes]) -> dict[bytes, QuarantineRow]:
        """Return what was refused before, by the SHA-256 of the whole bytes."""

    async def last_seq(self, recipient: str, sender: str, epoch: int) -> int:
        """Return the last number used towards a recipient; 0 where none was."""

    async def trail_of_frame(self, frames: Sequence[int]) -> dict[int, Trail]:
        """Return packets and their leaves by frame number."""

    async def answers_to(self, ids: Sequence[str]) -> list[PacketRow]:
        """Return the packets whose `re` is one of these ids, oldest first."""

    async def places_of(self, frames: Sequence[int]) -> dict[int, list[tuple[str, int, Instant]]]:
        """Return where frames stand in outgoing streams: stream, number, when placed."""

    async def entries(
        self, stream: str, epoch: int, after: int, count_max: int, bytes_max: int
    ) -> list[StoredEntry]:
        """Return entries beyond `after` in one range read; at least one where there is one."""

    async def chain_at(self, stream: str, epoch: int, number: int) -> bytes | None:
        """Return the chain value of an outgoing stream after a number; None where never placed."""

    async def open_due(self, now: Instant, limit: int) -> list[OpenRow]:
        """Return open rows whose next action or deadline has come."""

    async def open_count(self) -> int:
        """Return how many packets wait for an answer."""

    async def held_all(self) -> list[HeldRow]:
        """Return what is held."""

    async def held_bytes(self, neighbour: str) -> int:
        """Return how many bytes are held of a neighbour's frames."""

    async def stored_frame(
        self, frame: int
    ) -> tuple[PacketRow | None, QuarantineRow | None, str | None, bytes | None]:
        """Return a stored frame: its row, bucket, and the bytes at rest (payload or whole).

        Bucket and bytes are None where only the digest was kept, or the payload was destroyed.
        """

    async def drops_of(self, frames: Sequence[int]) -> dict[int, DropOutcome]:
        """Return which drops became these frames."""

    async def drop_outcome(self, system: str, drop_id: str) -> DropOutcome | None:
        """Return what became of a drop; None where it is new."""

    async def drop(self, document: PendingDrop) -> DropOutcome | bool:
        """Keep a document to be sealed later; harmless where the same drop is there already."""

    async def pending_drops(self, limit: int) -> list[PendingDrop]:
        """Return documents handed over by command and not sealed yet, oldest first."""

    async def link_marks(self) -> dict[str, LinkMark]:
        """Return the newest mark of each link that was ever suspended."""

    def wake_on_drop(self, wake: Callable[[], None]) -> None:
        """Call `wake` whenever a command hands over a document."""

    async def certificates(self) -> list[CertificateRow]:
        """Return every certificate met so far."""

    async def crls(self) -> list[CrlRow]:
        """Return the newest revocation list of each issuer."""

    async def add_checkpoint(self, size: int, at: Instant, note: str) -> None:
        """Keep a signed checkpoint."""

    async def last_checkpoint(self) -> tuple[int, Instant, str] | None:
        """Return size, time and note of the newest checkpoint."""


class Observer(Protocol):
    """Telemetry: told what happened, once it is durable. Never fails, never waits."""

    def committed(self, changes: Changes, took_us: int) -> None:
        """Take note of a group that was committed."""

    def noticed(self, event: str, *, level: str = "info", **facts: object) -> None:
        """Something worth a log line; `event` is a constant snake_case name."""
