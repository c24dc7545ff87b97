"""What the service needs from outside, worded in its own terms. Each docstring says who retries."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Protocol

from schemas.moments import Instant
from schemas.records import (
    AlarmRow,
    BucketContent,
    CardRow,
    CertificateRow,
    Certified,
    Changes,
    Committed,
    CosignatureRow,
    CrlRow,
    DestroyedRow,
    DropOutcome,
    DropPart,
    EntryRow,
    GrantRow,
    HeldRow,
    InstructionOutcome,
    InstructionRow,
    IntakeRow,
    InvitationRow,
    InvitationUse,
    IssuedCosignature,
    IssuedHead,
    IssuedRow,
    KeptApart,
    KnownHold,
    LeafMark,
    LinkMark,
    NoteRow,
    OpenRow,
    OwnGap,
    OwnKey,
    PacketRow,
    PendingDrop,
    PolicyRow,
    Position,
    QuarantineRow,
    RebuiltRow,
    RecoveryRow,
    RenewalRow,
    RenewedTile,
    RequestRow,
    ReturnedRow,
    Revoked,
    StillNeeded,
    StoredEntry,
    TimestampRow,
    TrackedRow,
    Trail,
    Whole,
    WitnessedRow,
)

Name = tuple[str, int, str]
"""What a packet is known by: sender, epoch, id."""
Number = tuple[str, str, int, int]
"""Sender, recipient, epoch and seq."""
DropName = tuple[str, str]
"""A drop's name: the local system, and the id that it gave."""
PartName = tuple[str, int, str, int]
"""Sender, epoch, id of the manifest, number."""
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

    async def parts_known(self, names: Sequence[PartName]) -> dict[PartName, bytes]:
        """Return the SHA-256 of the head of each part that is here."""

    async def wholes(self, names: Sequence[Name]) -> dict[Name, Whole]:
        """Return how manifests stand, known ones or not."""

    async def parts_of(self, name: Name) -> dict[int, int]:
        """Return the frames of a manifest's parts that are here by their numbers, which rise."""

    async def drops_in_parts(self) -> list[DropOutcome]:
        """Return the drops whose manifests are sealed while parts of them still wait."""

    async def drop_parts(self, system: str, drop_id: str, limit: int) -> list[DropPart]:
        """Return the next parts of a drop that wait to be sealed."""

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

    async def payloads_of(self, frames: Sequence[int]) -> dict[int, tuple[str, bytes]]:
        """Return bucket and payload at rest of packets, by frame; what is gone is left out."""

    async def drops_of(self, frames: Sequence[int]) -> dict[int, DropOutcome]:
        """Return which drops became these frames."""

    async def drop_outcomes(self, names: Sequence[DropName]) -> dict[DropName, DropOutcome]:
        """Return what became of drops; a new one is left out."""

    async def drop(self, document: PendingDrop) -> DropOutcome | bool:
        """Keep a document to be sealed later; harmless where the same drop is there already."""

    async def pending_drops(self, limit: int, ready: Sequence[str] = ()) -> list[PendingDrop]:
        """Return documents handed over and not decided yet, oldest first.

        Those that wait for something are left out unless their recipient is among `ready`.
        """

    async def awaited_recipients(self) -> list[tuple[str, str]]:
        """Return the recipients of documents that wait, each with what they wait for."""

    async def unclaimed(
        self, sender: str, recipient: str, type_name: str, before: int, limit: int
    ) -> list[PacketRow]:
        """Return packets of ours of epochs before one that no drop became, the newest first."""

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

    async def instruction_outcome(self, id_: str) -> InstructionOutcome | None:
        """Return what became of an instruction; None while it waits."""

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

    async def issued_head_from(self, authority: str, size: int) -> IssuedHead | None:
        """Return the first head kept of a log with at least `size` entries; None where none is."""

    async def issued_cosigned(self) -> list[IssuedCosignature]:
        """Return the newest head of each log that each of its witnesses has cosigned."""

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

    async def checkpoint_from(self, size: int) -> tuple[int, Instant, str] | None:
        """Return size, time and note of our first checkpoint of at least `size` leaves."""

    async def root_at(self, size: int) -> bytes:
        """Return the journal's root when it had `size` leaves."""

    async def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        """Return the proof that leaf `index` is among the first `size`."""

    async def consistency_proof(self, old_size: int, size: int) -> list[bytes]:
        """Return the proof that the journal of `size` leaves extends the one of `old_size`."""

    async def leaves_at(self, indexes: Sequence[int]) -> dict[int, bytes]:
        """Return the records of leaves by index; what is not there is left out."""

    async def witnessed_newest(self) -> list[WitnessedRow]:
        """Return the newest checkpoint shown to us of each journal."""

    async def witnessed_at(self, origin: str, size: int) -> WitnessedRow | None:
        """Return the checkpoint of just this size that was shown of a journal, or None."""

    async def witnessed_last(self, origin: str) -> WitnessedRow | None:
        """Return the largest checkpoint shown to us of a journal; None where there is none."""

    async def cosignatures(self, epoch: int, size: int) -> list[CosignatureRow]:
        """Return the cosignatures of a checkpoint of ours."""

    async def last_cosigned(self, epoch: int) -> list[CosignatureRow]:
        """Return the newest cosignature of each witness in an epoch of ours."""

    async def newest_cosigned(self, epoch: int) -> int:
        """Return the size of our newest checkpoint that is cosigned; 0 where none is."""

    async def incident_since(self, kind: str, neighbour: str, since: Instant) -> bool:
        """Say whether an incident of a kind about a neighbour was opened at `since` or later."""

    async def instructions_of(self, what: str) -> list[InstructionRow]:
        """Return every instruction of a kind, oldest first."""

    async def last_renewals(self, limit: int) -> list[RenewalRow]:
        """Return the second log's newest stamped heads, newest first."""

    def grow_second_log(self, size: int) -> AsyncIterator[list[RenewedTile]]:
        """Yield the second log's tiles that are not kept yet; each lot is committed in turn."""

    async def renewed_root(self, size: int) -> bytes:
        """Return the second log's root at a size up to which its tiles are kept."""

    async def newest_timestamps(self) -> dict[str, TimestampRow]:
        """Return the newest time-stamp of each authority, by its name."""

    async def policies(self) -> list[PolicyRow]:
        """Return every version of every policy, oldest first."""

    async def recoveries(self) -> list[RecoveryRow]:
        """Return who has asked for a new epoch, oldest first; ourselves, too."""

    async def returned(self) -> list[ReturnedRow]:
        """Return from which streams of ours everything has come back, in which epoch."""

    async def rebuilt(self) -> list[RebuiltRow]:
        """Return the newest page of each stream that has come back, or that comes back."""

    async def rebuilt_sums(self) -> tuple[int, int, int]:
        """Return how many packets, other entries and entries that came not all pages have."""

    async def own_gaps(self, here: str, epoch: int) -> list[OwnGap]:
        """Return which numbers of our own packets of epochs before `epoch` are not here."""

    async def notes_beyond(
        self, stream: str, epoch: int, after: int, reach: int
    ) -> tuple[list[NoteRow], int]:
        """Return the custody notes kept of a stream beyond `after`, and how far any of them goes.

        The first one at each number up to `reach`; where none is, the next one beyond.
        """

    async def entry_digests(self, stream: str, epoch: int, after: int, up_to: int) -> list[bytes]:
        """Return the SHA-256 of the entries placed behind `after` and up to `up_to`, in order."""

    async def has_sent(self, sender: str, type_: str, period: str) -> bool:
        """Say whether a packet of a sender, type and period was ever kept here."""

    async def has_packets(self) -> bool:
        """Say whether any packet was ever kept here."""

    async def last_number(self, stream: str, epoch: int) -> int:
        """Return the last number placed in an outgoing stream in an epoch; 0 where none was."""

    async def entries_waiting(self, stream: str, epoch: int, after: int) -> list[EntryRow]:
        """Return what an outgoing stream has beyond `after`, without the bytes of its frames."""

    async def taken_of(self, stream: str, epoch: int, after: int) -> tuple[int, Instant | None]:
        """Return how far an incoming stream was taken in an epoch, and since when beyond `after`.

        The time is that of the first intake that went beyond; None where none did.
        """

    async def intakes_about(self, stream: str, epoch: int, number: int) -> list[IntakeRow]:
        """Return the intake that covers a number, and the last one that ended before or there."""

    async def sealed_by(  # noqa: PLR0917 - what narrows the read
        self, sender: str, epoch: int, lane: str, since: Instant, behind: int, limit: int
    ) -> list[PacketRow]:
        """Return the packets that a neighbour has sealed and sent us itself in an epoch and lane.

        Those that were kept at `since` or later, behind a frame number, in their order.
        """

    async def leaves_about(self, sender: str, packet: str) -> list[LeafMark]:
        """Return our leaves about a sender's frames of one id, oldest first."""

    async def tracked(self, packets: Sequence[str]) -> list[TrackedRow]:
        """Return what nodes have told us of packets, by their ids, oldest first."""

    async def legal_holds(self) -> list[KnownHold]:
        """Return every legal hold there ever was, in the order of their numbers."""

    async def bucket_content(self, bucket: str) -> BucketContent:
        """Return what would be destroyed of a bucket now; reads all of its rows."""

    async def kept_apart(
        self, bucket: str, since: Instant, into: str, limit: int
    ) -> list[KeptApart]:
        """Return payloads that are not to be destroyed with a bucket, and not in `into` yet.

        They are under a legal hold, or came after `since`.
        """

    async def still_needed(self, bucket: str, cursors: Mapping[str, int]) -> StillNeeded:
        """Return what the node has yet to do with a bucket; `cursors` as the streams have them."""

    async def payload_buckets(self) -> set[str]:
        """Return the buckets that have a partition."""

    async def drop_bucket(self, bucket: str) -> bool:
        """Drop the partitions of a bucket that was destroyed; False where they are gone.

        Retryable while readers are in the way: the caller comes again in a moment.
        """

    async def done_instructions(self, what: str) -> list[tuple[InstructionRow, InstructionOutcome]]:
        """Return the instructions of a kind that were carried out, oldest first."""

    async def destroyed(self) -> list[DestroyedRow]:
        """Return the buckets that were destroyed, oldest first."""

    async def acts_not_done(self, sender: str) -> list[PacketRow]:
        """Return the acts of `sender` by which nothing was destroyed here yet, oldest first."""


class Observer(Protocol):
    """Telemetry: told what happened, once it is durable. Never fails, never waits."""

    def committed(self, changes: Changes, took_us: int) -> None:
        """Take note of a group that was committed."""

    def came_again(self, neighbour: str, entries: int) -> None:
        """Take note of entries that a neighbour has sent though they had been taken."""

    def noticed(self, event: str, *, level: str = "info", **facts: object) -> None:
        """Something worth a log line; `event` is a constant snake_case name."""
