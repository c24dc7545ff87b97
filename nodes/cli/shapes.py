"""What `--json` prints: exactly one of these for each command, or an array of them.

Moments are text in UTC with six digits and `Z`, digests lower-case hex, absent values null. Fields
are only ever added. Human output shows the same values.

    list                 PacketList           show              Story
    search               FoundList            list, search --export   Exported
    overdue              [Overdue]            incidents         [Incident]
    quarantine list      [Quarantined]        quarantine show   QuarantineEntry
    send ping return resend   Sending         inbox list        [InboxLine]
    inbox take           [TakenDocument]      evidence export   EvidenceFile
    node check           NodeCheck            topology          Topology
    store migrate        Steps                store partitions  Steps
    store verify         StoreCheck           store rebuild     Rebuilding
    journal export-tiles TilesExport
    journal stamps       [StampLine]          journal stamp renew   StampsDone
    print                Printed (nodes.cli.printouts)
    retention, hold      in nodes.cli.retaining_shapes and destructions
    show --content       Printout (nodes.printing.blocks)
    retention propose list   [ProposalLine]       retention approve show   ProposalLine
    retention act        ActDone (nodes.cli.destructions)
    exits                [Exit]               an error (on standard error)   Failure
    types                [TypeLine] (nodes.cli.packet_types)
"""

from typing import Literal

import msgspec

from store.faults import Kind


class Shape(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={"from_": "from", "type_": "type", "class_": "class"},
):
    """Base of all shapes: `from_` and the like lose their underscore."""


class PacketLine(Shape, frozen=True, kw_only=True):
    """One packet with its state at this node."""

    id: str
    type_: str
    from_: str
    to: str
    epoch: int
    seq: int | None
    section: str
    class_: str
    flow: str
    period: str | None
    re: str | None
    sent: str
    """When its sender says that it sealed it."""
    received: str | None
    """When this node received it; of our own packets, when the addressee says that it did."""
    transit_s: float | None
    """Received less sent; their clocks are two nodes'."""
    kept: str
    """When this node committed it."""
    via: str
    size: int
    state: str
    since: str
    overdue: bool
    holder: str | None
    """Who is known to hold it, as far as this node can tell."""
    reason: str | None
    next_step: str | None
    frame: int
    from_name: str | None = None
    """What its sender's card calls it, in a list sorted by that."""
    destroyed: str | None = None
    """When its payload was destroyed at the end of its term; head and leaves stay."""
    act: str | None = None
    """Id of the act under which it was."""
    bucket: str | None = None
    """Where its payload is kept, or was."""
    keep_until: str | None = None
    """When the term of its class ends; null: never."""
    basis: str | None = None
    """What the term rests on."""
    term_status: str | None = None
    """`approved` or `proposed`: only an approved term ever ends."""
    held_by: list[int] = []
    """Numbers of the legal holds that it is under."""


class PacketList(Shape, frozen=True, kw_only=True):
    """Packets in order; `next_after` goes into `--after` for more, null at the end."""

    packets: list[PacketLine]
    next_after: str | None


class FoundLine(PacketLine, frozen=True, kw_only=True):
    """A packet delivered here whose document has what was looked for."""

    title: str | None
    """The first permitted field of the document, mostly its title."""


class FoundList(Shape, frozen=True, kw_only=True):
    """Documents found; `next_after` as in PacketList."""

    packets: list[FoundLine]
    next_after: str | None
    unopened: int
    """So many that may fit could not be opened: their payload or its key is gone or damaged."""
    not_indexed: int
    """So many frames at the end of the record the index has not looked at yet."""


class Exported(Shape, frozen=True, kw_only=True):
    """A list in a file."""

    file: str
    packets: int


class Happening(Shape, frozen=True, kw_only=True):
    """One thing that happened to a packet: a journal leaf, a place in a stream, a custody note."""

    at: str
    what: str
    where: str
    """A neighbour or stream; or another node that has told us what it did."""
    frame: int | None
    leaf: int | None
    """Index of the journal leaf, where it is one."""
    facts: dict[str, str]
    next_step: str | None


class Story(Shape, frozen=True, kw_only=True):
    """All that the record has under one packet id, in order of time."""

    packets: list[PacketLine]
    happenings: list[Happening]
    answers: list[PacketLine]
    answered: list[PacketLine]


class Overdue(Shape, frozen=True, kw_only=True):
    """A packet of ours without a receipt past its deadline."""

    id: str
    type_: str
    to: str
    sent: str
    since: str
    age_s: int
    holder: str
    resends: int
    next_resend: str
    last_told: str | None
    """What happened to it last by the words of the nodes on its way, where they have answered."""


class Incident(Shape, frozen=True, kw_only=True):
    """Something that an operator must look at."""

    at: str
    kind: str
    neighbour: str
    detail: str
    frame: int | None


class LinkStanding(Shape, frozen=True, kw_only=True):
    """A neighbour, and whether its link is in use."""

    neighbour: str
    state: str
    """`in use` or `suspended`."""
    since: str | None
    why: str


class Quarantined(Shape, frozen=True, kw_only=True):
    """A frame that was refused, is or was held, or belongs to an incident."""

    frame: int
    state: str
    reason: str
    detail: str
    next_step: str | None
    neighbour: str
    received: str
    size: int
    sha256: str
    kept: bool
    """Whether its bytes are kept; past the link's quota only the digest is."""
    id: str | None
    from_: str | None
    to: str | None


class QuarantineEntry(Shape, frozen=True, kw_only=True):
    """One quarantined frame, all that became of it, and where its bytes were written."""

    rows: list[Quarantined]
    raw: str | None


class Sending(Shape, frozen=True, kw_only=True):
    """A document handed over by command, and what has become of it so far."""

    drop_id: str
    state: str
    """handed over, fault, or the packet's state."""
    known_before: bool
    """The same drop had come before; nothing was handed over again."""
    type_: str
    to: str
    packet: str | None
    sent: str | None
    since: str | None
    overdue: bool
    holder: str | None
    reason: str | None
    problem: str | None
    """With `fault`: the field, and what is wrong with it."""
    next_step: str | None


class InboxLine(Shape, frozen=True, kw_only=True):
    """A document that was released at this node."""

    id: str
    type_: str
    from_: str
    section: str
    period: str | None
    re: str | None
    sent: str
    received: str
    released: str
    system: str
    taken: str | None
    taken_by: str | None
    size: int


class TakenDocument(Shape, frozen=True, kw_only=True):
    """A document taken out of the inbox, and where it was written; null for standard output."""

    id: str
    type_: str
    from_: str
    section: str
    period: str | None
    re: str | None
    sent: str
    received: str
    title: str | None
    media_type: str
    sha256: str
    size: int
    path: str | None


class EvidenceFile(Shape, frozen=True, kw_only=True):
    """An evidence folder as it was written."""

    packet: str
    folder: str
    files: list[str]
    frames: list[str]
    """The packet, then its receipts and closings, by subfolder; `.` is the packet."""
    leaves: int
    leaves_proven: int
    """Leaves that a checkpoint covers."""
    checkpoints: list[int]
    """By size."""
    cosigned: int
    stamps: int
    custody: int
    tracked: int
    """How many cosignatures, time-stamps, custody notes and statements of nodes are in it."""
    leaves_uncosigned: int
    leaves_unstamped: int
    """Leaves of the frames for which no witness, or no time-stamp, vouches yet."""
    notes: list[str]
    """What could not be exported, and why."""


class Check(Shape, frozen=True, kw_only=True):
    """One thing that was looked at."""

    name: str
    state: Literal["ok", "warning", "fault", "skipped"]
    detail: str


class NodeCheck(Shape, frozen=True, kw_only=True):
    """What a look at the node found; `holds` unless there is a fault."""

    address: str | None
    holds: bool
    checks: list[Check]


class TreeNode(Shape, frozen=True, kw_only=True):
    """One body of the tree as this node knows it."""

    address: str
    tier: str | None
    standing: str
    here: bool


class Topology(Shape, frozen=True, kw_only=True):
    """The tree round this node, and where its broker departs from the plan."""

    tree: list[TreeNode]
    systems: list[str]
    broker: str | None
    applied: bool
    unanswered: str | None
    """Why the broker could not be compared."""
    differences: list[str]


class Steps(Shape, frozen=True, kw_only=True):
    """What was done, in order; empty where nothing was to do."""

    done: list[str]


class StoreFaultLine(Shape, frozen=True, kw_only=True):
    """One thing in the record that does not fit."""

    table: str
    key: str
    kind: Kind
    """What happened: changed, removed, added, reordered ..."""
    what: str


class StoreCheck(Shape, frozen=True, kw_only=True):
    """What a verification of the whole record saw."""

    holds: bool
    faults_found: int
    faults: list[StoreFaultLine]
    counts: dict[str, int]
    leaves: int
    root: str
    """Base64, as a checkpoint writes it."""
    checkpoint: int | None
    """Size of the newest signed checkpoint, whose signature was checked too."""
    cosigned: int | None = None
    """Size of the newest checkpoint that a witness has cosigned, as judged again."""
    witnesses: list[str] = []
    """Whose cosignatures counted."""
    begun_at: int = 0
    """Everything behind so many leaves was looked at; 0: the whole record."""
    resumed: str | None = None
    """When the interrupted run began that this one went on with."""


class TilesExport(Shape, frozen=True, kw_only=True):
    """A folder of tiles, brought up to a checkpoint."""

    folder: str
    origin: str
    leaves: int
    leaves_kept: int
    """Of so many leaves the folder had all full tiles already."""
    files_written: int
    cosigned_by: list[str]


class Rebuilding(Shape, frozen=True, kw_only=True):
    """Rows of the derived tables after a rebuild."""

    documents: int
    receipts: int
    held: int
    drops_removed: int


class Exit(Shape, frozen=True, kw_only=True):
    """One exit code."""

    code: int
    name: str
    meaning: str
    next_step: str


class Failure(Shape, frozen=True, kw_only=True):
    """Why a command ended with another exit code than 0."""

    exit_code: int
    name: str
    errors: list[str]
    next_step: str
