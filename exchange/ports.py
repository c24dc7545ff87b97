"""What the service needs from outside, worded in its own terms. Each docstring says who retries."""

from collections.abc import Callable, Sequence
from typing import Protocol

from schemas.moments import Instant
from schemas.records import (
    AlarmRow,
    CardRow,
    CertificateRow,
    Certified,
    Changes,
    Committed,
    CrlRow,
    DropOutcome,
    GrantRow,
    HeldRow,
    InstructionRow,
    InvitationRow,
    InvitationUse,
    IssuedHead,
    IssuedRow,
    LinkMark,
    OpenRow,
    OwnKey,
    PacketRow,
    PendingDrop,
    Position,
    QuarantineRow,
    RequestRow,
    Revoked,
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

    async def pending_drops(self, limit: int, ready: Sequence[str] = ()) -> list[PendingDrop]:
        """Return documents handed over and not decided yet, oldest first.

        Those that wait for their recipient's card are left out unless it is among `ready`.
        """

    async def awaited_recipients(self) -> list[str]:
        """Return the addresses whose cards documents wait for."""

    async def link_marks(self) -> dict[str, LinkMark]:
        """Return the newest mark of each link that was ever suspended."""

    def wake_on_drop(self, wake: Callable[[], None]) -> None:
        """Call `wake` whenever a command hands over a document."""

    async def certificates(self) -> list[CertificateRow]:
        """Return every certificate met so far."""

    async def crls(self) -> list[CrlRow]:
        """Return the newest revocation list of each issuer."""

    async def cards(self) -> list[CardRow]:
        """Return the newest card of each address."""

    async def cards_of(self, addresses: Sequence[str]) -> list[CardRow]:
        """Return every card ever kept of these addresses."""

    async def refused_cards(self, limit: int) -> list[bytes]:
        """Return the SHA-256 of the newest cards and key statements refused, newest first."""

    async def pending_instructions(self, limit: int) -> list[InstructionRow]:
        """Return instructions without an outcome, oldest first."""

    async def instruct(self, instruction: InstructionRow) -> None:
        """Keep an instruction for the next sweep; the same one again is harmless."""

    async def last_instruction(self, what: str) -> InstructionRow | None:
        """Return the newest instruction of a kind; None where there was none."""

    async def invitations(self) -> list[InvitationRow]:
        """Return every invitation given, oldest first."""

    async def invitation(self, id_: str) -> InvitationRow | None:
        """Return an invitation; None where none has this id."""

    async def invitation_uses(self, id_: str) -> list[InvitationUse]:
        """Return the attempts to use an invitation, oldest first."""

    async def request(self, sha256: bytes) -> RequestRow | None:
        """Return a request; None where it is not known."""

    async def requests_of(self, subject: str, since: Instant) -> list[RequestRow]:
        """Return the requests about an address made at `since` or later, oldest first."""

    async def open_requests(self) -> list[RequestRow]:
        """Return the requests that have no answer yet, oldest first."""

    async def grant(self, request: bytes) -> GrantRow | None:
        """Return the answer to a request; None where there is none."""

    async def issued(self, authority: str, after: int, limit: int) -> list[IssuedRow]:
        """Return entries of an authority's log from index `after` on."""

    async def issued_heads(self) -> dict[str, IssuedHead]:
        """Return the newest head of each log that is kept here."""

    async def in_issued(self, certificates: Sequence[bytes]) -> set[bytes]:
        """Return which certificates (SHA-256) stand in a log that is kept here."""

    async def alarms(self, since: Instant, limit: int) -> list[AlarmRow]:
        """Return the newest alarms raised here or below at `since` or later, newest first."""

    async def alarms_of(self, issuer: str) -> list[AlarmRow]:
        """Return the alarms that a node has raised, oldest first."""

    async def alarm(self, sha256: bytes) -> AlarmRow | None:
        """Return an alarm by the SHA-256 of its object; None where it is not known."""

    async def crl_digests(self) -> set[bytes]:
        """Return the SHA-256 of every revocation list ever kept here."""

    async def certified(self, address: str | None = None) -> list[Certified]:
        """Return what our authority has certified, of one address or of all, oldest first."""

    async def revoked(self) -> list[Revoked]:
        """Return what our authority has revoked, oldest first."""

    async def own_keys(self) -> list[OwnKey]:
        """Return the public keys that this node has made."""

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
