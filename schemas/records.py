"""Rows that cross the store's port. Digests are raw bytes here, instants microseconds.

Field order is column order: the PostgreSQL adapter copies rows as they stand. All tables that
these rows go to are insert-only, but for `OpenRow`, `HeldRow` and `PendingDrop`, which list what
is not finished yet and can be rebuilt from the rest.
"""

import msgspec

from schemas.leaves import LeafKind
from schemas.moments import Instant


class PacketRow(msgspec.Struct, frozen=True, gc=False):
    """One packet whose signature and payload digest have held: its head and what finds it.

    `frame` numbers every stored frame of the node, 1, 2, 3 …, quarantined ones included.
    """

    frame: int
    id: str
    sender: str
    recipient: str
    epoch: int
    seq: int | None
    type: str
    section: str
    class_: str
    flow: str
    period: str | None
    re: str | None
    sent: Instant
    received: Instant
    via: str
    """The neighbour it came from; our own address where we sealed it."""
    size: int
    """Of the whole frame, in bytes."""
    head_sha256: bytes
    frame_sha256: bytes
    head: bytes
    media_type: str
    coding: str


class PayloadRow(msgspec.Struct, frozen=True, gc=False):
    """A payload as it travelled (of a quarantined frame: all of its bytes), encrypted at rest.

    `bucket` is retention class and month of receipt, `R5-2026-11`: partition and key alike.
    The additional data of the encryption is the SHA-256 of the whole frame.
    """

    frame: int
    bucket: str
    sealed: bytes


class LeafRow(msgspec.Struct, frozen=True, gc=False):
    """One journal leaf; `record` is what is hashed (RFC 6962)."""

    index: int
    kind: LeafKind
    frame: int | None
    record: bytes


class EntryRow(msgspec.Struct, frozen=True, gc=False):
    """One place in an outgoing stream: a stored frame, or the bytes of an object.

    `stream` is `<neighbour>/fast`, `<neighbour>/bulk`, `inbox/<system>` or `status/<system>`.
    """

    stream: str
    epoch: int
    number: int
    frame: int | None
    object: bytes | None
    sha256: bytes
    chain: bytes
    size: int
    placed: Instant


class IntakeRow(msgspec.Struct, frozen=True, gc=False):
    """Entries `first` to `last` of a neighbour's stream were taken; `chain` is the value then."""

    stream: str
    epoch: int
    first: int
    last: int
    chain: bytes
    taken: Instant
    digests: bytes | None = None
    """SHA-256 of each of these entries, as the chain counts them; None where they were not kept."""


class NoteRow(msgspec.Struct, frozen=True, gc=False):
    """A custody note (or a local broker confirm) moved the cursor of an outgoing stream."""

    stream: str
    epoch: int
    up_to: int
    noted: Instant
    object: bytes | None


class QuarantineRow(msgspec.Struct, frozen=True, gc=False):
    """A frame that was refused, is or was held, or belongs to an incident; bytes in PayloadRow."""

    frame: int
    sha256: bytes
    state: str
    """`refused`, `held` or `incident`."""
    reason: str
    detail: str
    neighbour: str
    received: Instant
    size: int
    kept: bool
    """False past the link's quota: then there is no PayloadRow, digest and count only."""
    id: str | None
    sender: str | None
    recipient: str | None


class IncidentRow(msgspec.Struct, frozen=True, gc=False):
    """Something an operator must look at; `kind` is a constant snake_case name."""

    happened: Instant
    kind: str
    neighbour: str
    detail: str
    frame: int | None


class CertificateRow(msgspec.Struct, frozen=True, gc=False):
    """A certificate met on the network or in the configuration, DER."""

    sha256: bytes
    der: bytes
    learned: Instant


class CrlRow(msgspec.Struct, frozen=True, gc=False):
    """A revocation list, DER; all are kept."""

    sha256: bytes
    issuer: str
    number: int
    der: bytes
    learned: Instant


class DropOutcome(msgspec.Struct, frozen=True, gc=False):
    """What became of a drop: a packet (`frame`) or a fault that the local system must mend."""

    system: str
    drop_id: str
    frame: int | None
    fault: str | None
    decided: Instant


class OpenRow(msgspec.Struct, frozen=True, gc=False):
    """A packet that waits: a document for its receipt, a receipt for its closing.

    `about` is the frame of the packet exchanged, `frame` the one to send again.
    """

    frame: int
    about: int
    awaited: str
    """`receipt`, `closing`, or `room` at a neighbour that was busy."""
    since: Instant
    next_at: Instant
    attempts: int
    deadline: Instant | None
    """When it becomes overdue; None once it is, or where nothing becomes overdue."""


class HeldRow(msgspec.Struct, frozen=True, gc=False):
    """A frame taken into custody but not judged yet."""

    frame: int
    neighbour: str
    missing: str
    certificate: str
    since: Instant
    lane: str = "bulk"
    epoch: int = 1
    number: int = 0
    """Its place in the neighbour's stream, which a refusal names; 0 once that is forgotten."""


class PendingDrop(msgspec.Struct, frozen=True, gc=False):
    """A document handed over by command, its body encrypted at rest under `bucket`.

    The additional data of the encryption is `<system>/<drop_id>`.
    """

    system: str
    drop_id: str
    dropped: Instant
    type: str
    recipient: str
    section: str | None
    period: str | None
    title: str | None
    re: str | None
    media_type: str | None
    bucket: str
    sealed: bytes
    awaits: str | None = None
    """`card` while it waits for what its recipient's card says; `returned` while what was sealed
    before a loss may come back."""
    parts: int | None = None
    """How many parts wait beside it: then its body is their manifest."""


class DropPart(msgspec.Struct, frozen=True, gc=False):
    """A part that waits to be sealed; the additional data is `<system>/<drop_id>/<number>`."""

    system: str
    drop_id: str
    number: int
    bucket: str
    sealed: bytes


class PartRow(msgspec.Struct, frozen=True, gc=False):
    """A packet is part `number` of the file whose manifest has the id `of`."""

    frame: int
    sender: str
    epoch: int
    of: str
    number: int


class Whole(msgspec.Struct, frozen=True, gc=False):
    """How a manifest stands: where its payload is kept (None: nowhere), and its parts here."""

    bucket: str | None
    parts: int


class Released(msgspec.Struct, frozen=True, gc=False):
    """A packet's document was released to a local system's inbox."""

    frame: int
    system: str
    released: Instant


class LinkMark(msgspec.Struct, frozen=True, gc=False):
    """A link was suspended (a fork, a quota passed) or taken up again; the newest one counts."""

    neighbour: str
    at: Instant
    action: str
    """`suspended` or `lifted`."""
    why: str


class CardRow(msgspec.Struct, frozen=True, gc=False):
    """A card, as its issuer signed it; the highest number of an address counts."""

    address: str
    issuer: str
    number: int
    sha256: bytes
    object: bytes
    learned: Instant


class InstructionRow(msgspec.Struct, frozen=True, gc=False):
    """What an operator has told the node to do; `id` is a UUIDv7, `content` JSON of its kind."""

    id: str
    given: Instant
    who: str
    """The operator's pseudonymous id."""
    what: str
    content: bytes


class InstructionOutcome(msgspec.Struct, frozen=True, gc=False):
    """What became of an instruction; `content` is JSON of its kind."""

    id: str
    at: Instant
    state: str
    """`done` or `refused`."""
    content: bytes


class InvitationRow(msgspec.Struct, frozen=True, gc=False):
    """An invitation that this node has given."""

    id: str
    address: str
    made: Instant
    ends: Instant
    certificate: str
    """SHA-256 of its enrolment certificate, hex."""


class InvitationUse(msgspec.Struct, frozen=True, gc=False):
    """What became of an invitation: used up by one machine, withdrawn, or tried in vain."""

    id: str
    request: bytes
    """SHA-256 of the `Join` object's body: the same machine asking again is no second use."""
    at: Instant
    state: str
    """`taken` or `withdrawn`, one of them once; or `refused`."""
    detail: str
    """Of `taken`: SHA-256 of our request to the authority, hex. Else the reason."""


class RequestRow(msgspec.Struct, frozen=True, gc=False):
    """A signed `Request`: one of ours, or (at an authority) one that it has answered."""

    sha256: bytes
    issuer: str
    subject: str
    what: str
    made: Instant
    object: bytes


class GrantRow(msgspec.Struct, frozen=True, gc=False):
    """The signed answer to a request."""

    request: bytes
    outcome: str
    """`granted` or `refused`."""
    at: Instant
    object: bytes


class IssuedRow(msgspec.Struct, frozen=True, gc=False):
    """One entry of the log of what an authority has issued."""

    authority: str
    index: int
    entry: bytes
    certificate: bytes | None
    """SHA-256 of the certificate that the entry is."""


class IssuedHead(msgspec.Struct, frozen=True, gc=False):
    """A signed head of such a log."""

    authority: str
    size: int
    note: str
    at: Instant
    journal: str
    """SHA-256 of the certificate whose journal key signed it, hex."""


class IssuedCosignature(msgspec.Struct, frozen=True, gc=False):
    """A head of such a log that a witness has cosigned."""

    authority: str
    size: int
    witness: str
    at: Instant
    note: str
    """The head with two lines: of the authority's node, and of the witness."""
    journal: str
    """As in `IssuedHead`."""
    certificate: str
    """SHA-256 of the certificate of the witness key, hex."""


class AlarmRow(msgspec.Struct, frozen=True, gc=False):
    """An `Alarm` about what an authority issues: ours, or one from below."""

    sha256: bytes
    issuer: str
    authority: str
    what: str
    evidence: bytes
    """SHA-256 of the body: the same evidence raises no second alarm."""
    at: Instant
    object: bytes


class Certified(msgspec.Struct, frozen=True, gc=False):
    """What this node's authority has certified, and under which certificate that was asked for."""

    sha256: bytes
    serial: str
    """Hex."""
    address: str
    purpose: str
    asked_under: bytes | None
    """SHA-256 of the certificate whose key signed the request to renew; None at a joining."""
    at: Instant


class Revoked(msgspec.Struct, frozen=True, gc=False):
    """A certificate that this node's authority has revoked; entries are never taken back."""

    sha256: bytes
    reason: str
    at: Instant
    by: str
    """Who asked: an address, or an operator's pseudonymous id."""


class OwnKey(msgspec.Struct, frozen=True, gc=False):
    """A public key that this node made: a certificate of any other in our name is not ours."""

    sha256: bytes
    """Of its SubjectPublicKeyInfo, DER."""
    purpose: str
    made: Instant


class AccessRow(msgspec.Struct, frozen=True, gc=False):
    """One use of a command, allowed or refused by the policy on rights."""

    at: Instant
    who: str
    what: str
    allowed: bool


class WitnessedRow(msgspec.Struct, frozen=True, gc=False):
    """A checkpoint that a neighbour has shown of its journal, proven to extend the one before."""

    origin: str
    size: int
    root: bytes
    at: Instant
    note: str
    """As it was shown: signed by the journal's own key, perhaps cosigned."""
    address: str


class CosignatureRow(msgspec.Struct, frozen=True, gc=False):
    """A witness's cosignatures of a checkpoint of ours."""

    epoch: int
    size: int
    witness: str
    at: Instant
    lines: str
    """Signature lines of the note, each with its newline."""
    object: bytes
    """The signed `Cosigned` object that brought them."""


class TimestampRow(msgspec.Struct, frozen=True, gc=False):
    """An RFC 3161 time-stamp over a whole note of ours."""

    sha256: bytes
    authority: str
    """Its name in the configuration."""
    size: int
    note: str
    """What the imprint is of: the checkpoint with all signatures it had."""
    gen_time: Instant
    at: Instant
    token: bytes
    """TimeStampToken, DER."""


class RenewalRow(msgspec.Struct, frozen=True, gc=False):
    """The second log (SHA-512) had `size` leaves: its head, with a time-stamp over it."""

    sha256: bytes
    """Of the token."""
    authority: str
    size: int
    note: str
    """The second log's signed note, which the imprint is of."""
    gen_time: Instant
    at: Instant
    token: bytes


class RenewedTile(msgspec.Struct, frozen=True, gc=False):
    """256 SHA-512 hashes of the second log, of height 8 x `level`; level 0 is never kept."""

    level: int
    index: int
    hashes: bytes


class PolicyRow(msgspec.Struct, frozen=True, gc=False):
    """One version of a policy that the node decides by."""

    sha256: bytes
    name: str
    content: bytes
    learned: Instant


class RecoveryRow(msgspec.Struct, frozen=True, gc=False):
    """A node that we vouch for has lost leaves, and asks for a new epoch."""

    sha256: bytes
    address: str
    of_epoch: int
    leaves: int
    asked: Instant
    object: bytes
    """Its signed `Recover`."""


class ReturnedRow(msgspec.Struct, frozen=True, gc=False):
    """A neighbour has brought back all that we had sent it in an epoch that lost its end."""

    stream: str
    epoch: int
    last: int
    """So far had it taken that stream."""
    at: Instant
    object: bytes
    """The `Returned` that says so."""


class RebuiltRow(msgspec.Struct, frozen=True, gc=False):
    """Entries `first` to `last` of a neighbour's stream came back; none: that was its end."""

    stream: str
    epoch: int
    """Of the neighbour."""
    first: int
    last: int
    noted: int
    """So far do our notes reach that the neighbour keeps of this stream."""
    at: Instant
    kept: int
    """Packets that were kept."""
    objects: int
    """Entries that are no frames."""
    gaps: str
    """The others: a list of `Gap` in JSON."""
    note: bytes
    """Our last custody note that binds them; empty at the end."""


class OwnGap(msgspec.Struct, frozen=True, gc=False):
    """Numbers of packets of our own that no neighbour has brought back."""

    recipient: str
    epoch: int
    first: int
    last: int


class TrackedRow(msgspec.Struct, frozen=True, gc=False):
    """What a node on a packet's way has told us of it."""

    sha256: bytes
    sender: str
    packet_epoch: int
    packet: str
    issuer: str
    at: Instant
    object: bytes
    """Its signed `Tracked`."""


class LegalHold(msgspec.Struct, frozen=True, gc=False):
    """What may not be destroyed; of packet, organisation and period, all that are given must fit.

    A packet stands for what answers it, too; an organisation for what it has sent or is sent.
    """

    number: int
    at: Instant
    who: str
    packet: str | None
    organisation: str | None
    below: bool
    """Those below the organisation are held as well."""
    period: str | None
    """Whatever reports on a part of it; what names no period, by the day of its receipt."""
    dispute: str | None
    """The number of the dispute that it serves."""


class HoldLifted(msgspec.Struct, frozen=True, gc=False):
    """A legal hold that binds no more."""

    number: int
    at: Instant
    who: str


class KnownHold(msgspec.Struct, frozen=True, gc=False):
    """A legal hold, and its end where it has come."""

    hold: LegalHold
    lifted: HoldLifted | None


class DestroyedRow(msgspec.Struct, frozen=True, gc=False):
    """The payloads of a bucket were destroyed, under an act of ours."""

    bucket: str
    at: Instant
    act: str
    """Id of the act's packet."""
    proposal: str
    packets: int
    size: int
    """Bytes that the payloads took."""
    frames_sha256: bytes


class BucketContent(msgspec.Struct, frozen=True, gc=False):
    """What would be destroyed of a bucket now: all payloads but those under a legal hold."""

    packets: int
    size: int
    """Bytes that the payloads take, encrypted."""
    frames_sha256: bytes
    """Over the SHA-256 of each frame, in rising order."""
    held: int
    """Payloads under a legal hold."""


class StillNeeded(msgspec.Struct, frozen=True, gc=False):
    """How many payloads of a bucket the node has yet to use, by what for."""

    judged: int
    """Frames that wait to be judged."""
    sent: int
    """Entries of streams that nobody has taken yet."""
    answered: int
    """Exchanges that wait for a receipt, a closing or room."""
    sealed: int
    """Documents handed over and not sealed yet."""


class KeptApart(msgspec.Struct, frozen=True, gc=False):
    """A payload that is moved before its bucket is destroyed."""

    frame: int
    sha256: bytes
    """Of the whole frame."""
    sealed: bytes
    id: str | None
    """Id, sender and epoch of a packet; None of a quarantined frame."""
    sender: str | None
    epoch: int | None


class EpochRow(msgspec.Struct, frozen=True, gc=False):
    """An epoch of this node; the highest is running."""

    epoch: int
    address: str


class BackupRun(msgspec.Struct, frozen=True, gc=False):
    """A backup that was restored into a scratch server and verified there."""

    made: Instant
    """Of its snapshot."""
    verified: Instant
    name: str
    """Of its folder."""
    leaves: int
    bytes: int
    """Of all its files."""


class DiskSample(msgspec.Struct, frozen=True, gc=False):
    """How large the database was, and what room it had left."""

    at: Instant
    used: int
    free: int | None
    """None where nobody says: the database is elsewhere."""


class Changes(msgspec.Struct, gc=False):
    """Everything that one group of events causes: committed whole or not at all."""

    packets: list[PacketRow] = []
    payloads: list[PayloadRow] = []
    parts: list[PartRow] = []
    leaves: list[LeafRow] = []
    entries: list[EntryRow] = []
    intakes: list[IntakeRow] = []
    notes: list[NoteRow] = []
    quarantine: list[QuarantineRow] = []
    incidents: list[IncidentRow] = []
    certificates: list[CertificateRow] = []
    crls: list[CrlRow] = []
    drops: list[DropOutcome] = []
    waiting: list[PendingDrop] = []
    """Documents that cannot be sealed yet; one that is pending already is marked."""
    sealed_parts: list[tuple[str, str, int]] = []
    """System, drop id and number of parts that wait no more."""
    unwanted_parts: list[tuple[str, str]] = []
    """Drops whose parts will not be sealed: the manifest was refused."""
    released: list[Released] = []
    link_marks: list[LinkMark] = []
    cards: list[CardRow] = []
    outcomes: list[InstructionOutcome] = []
    invitations: list[InvitationRow] = []
    invitation_uses: list[InvitationUse] = []
    requests: list[RequestRow] = []
    grants: list[GrantRow] = []
    issued: list[IssuedRow] = []
    issued_heads: list[IssuedHead] = []
    issued_cosignatures: list[IssuedCosignature] = []
    alarms: list[AlarmRow] = []
    certified: list[Certified] = []
    revoked: list[Revoked] = []
    own_keys: list[OwnKey] = []
    witnessed: list[WitnessedRow] = []
    cosignatures: list[CosignatureRow] = []
    timestamps: list[TimestampRow] = []
    renewals: list[RenewalRow] = []
    renewed_tiles: list[RenewedTile] = []
    policies: list[PolicyRow] = []
    recoveries: list[RecoveryRow] = []
    epochs: list[EpochRow] = []
    tracked: list[TrackedRow] = []
    returned: list[ReturnedRow] = []
    rebuilt: list[RebuiltRow] = []
    legal_holds: list[LegalHold] = []
    lifted_holds: list[HoldLifted] = []
    destroyed: list[DestroyedRow] = []
    open: list[OpenRow] = []
    """Inserted, or put in the place of the row with the same `frame`."""
    closed: list[int] = []
    """Values of `about` whose open rows go, with what they awaited."""
    held: list[HeldRow] = []
    judged: list[int] = []
    """Frames of held rows that go."""


class SeqGap(msgspec.Struct, frozen=True, gc=False):
    """Numbers `first` to `last` of a sender's packets that are not here, and what lies round them.

    None before: the epoch begins with the gap.
    """

    sender: str
    recipient: str
    epoch: int
    first: int
    last: int
    sent_before: Instant | None
    frame_before: int | None
    sent_after: Instant
    received_after: Instant
    via: str


class ArchiveCount(msgspec.Struct, frozen=True, gc=False):
    """So many packets and bytes of frames of one section, region, type and period."""

    section: str
    region: str
    type: str
    period: str | None
    packets: int
    bytes: int
    senders: int


class StreamTail(msgspec.Struct, frozen=True, gc=False):
    """The end of a stream: its last number and the chain there."""

    number: int
    chain: bytes
    epoch: int = 1
    """Of who writes the stream: the neighbour's for an incoming one."""


class Position(msgspec.Struct, frozen=True, gc=False):
    """Where the record stands when the sequencer takes it over."""

    address: str
    epoch: int
    last_frame: int
    leaves: int
    outgoing: dict[str, StreamTail]
    cursors: dict[str, int]
    incoming: dict[str, StreamTail]
    last_leaf_at: Instant


class Committed(msgspec.Struct, frozen=True, gc=False):
    """The journal after a commit: number of leaves and RFC 6962 root."""

    leaves: int
    root: bytes
    quiet: int = 0
    """So many leaves at its end make no checkpoint due by themselves (clause 18.1)."""


class LeafMark(msgspec.Struct, frozen=True, gc=False):
    """One leaf of a packet's trail."""

    index: int
    kind: str
    record: bytes


class Trail(msgspec.Struct, frozen=True, gc=False):
    """What the record knows of one packet: its row and its leaves, oldest first."""

    packet: PacketRow
    marks: tuple[LeafMark, ...]


class StoredEntry(msgspec.Struct, frozen=True, gc=False):
    """An entry with what makes its bytes: `object`, or `head` and the sealed payload."""

    number: int
    frame: int | None
    sha256: bytes
    chain: bytes
    size: int
    object: bytes | None
    head: bytes | None
    bucket: str | None
    sealed: bytes | None
