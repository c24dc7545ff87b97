"""What goes into an evidence folder: stored bytes, and what each of them is judged by.

Nothing here reads the record, the clock or a private key.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from schemas.moments import Instant
from schemas.records import PacketRow
from signing.keys import Signer

FORMAT: Final = "bbaj-evidence/1"
PACKET_FOLDER = "."
"""Where the packet's own frame lies: at the top."""


class Leaf(msgspec.Struct, frozen=True):
    """A leaf of the exporting node's journal."""

    index: int
    kind: str
    record: bytes

    @property
    def name(self) -> str:
        """Its file's name: `INDEX-KIND.txt`."""
        return f"{self.index}-{self.kind}.txt"


class FrameEvidence(msgspec.Struct, frozen=True):
    """One stored frame: `.` for the packet, else the name of the answer's folder."""

    folder: str
    packet: PacketRow
    raw: bytes | None
    """None where the payload is not here any more."""
    content: bytes | None
    """None where it cannot be opened."""
    leaves: list[Leaf]
    clear: bytes | None = None
    """Of an encrypted frame that can be opened: salt and content."""


class Cosignature(msgspec.Struct, frozen=True):
    """An Ed25519 cosignature of a checkpoint, and the certificate of the witness's key."""

    signed: bytes
    signature: bytes
    at_s: int
    """Seconds since 1970, as the witness says."""
    certificate: bytes


class LatticeCosignature(msgspec.Struct, frozen=True):
    """An ML-DSA-44 cosignature, which stock tools can't check yet."""

    signed: bytes
    signature: bytes
    vkey: str
    object: bytes
    """The `Cosigned` object that vouches for the verifier key."""
    certificate: bytes
    """Of the packet key that signed the object."""
    at: Instant
    """When the object was taken."""


class Stamp(msgspec.Struct, frozen=True):
    """An RFC 3161 time-stamp over a whole note."""

    note: str
    """The bytes stamped: perhaps an earlier form of the checkpoint's note."""
    token: bytes
    authority: str
    gen_time: Instant
    chain: list[bytes]
    """The authority's certificates (DER), its own first, without the root."""
    root: bytes


class CheckpointEvidence(msgspec.Struct, frozen=True):
    """A signed checkpoint with all that vouches for it, and the proofs under it."""

    size: int
    note: str
    """With all cosignature lines at hand."""
    origin: str
    at: Instant
    """When it was signed, by the node's clock."""
    certificate: bytes
    """Of the journal key that signed it."""
    proofs: Mapping[int, list[bytes]]
    """By leaf index."""
    witnesses: list[Cosignature | LatticeCosignature] = []
    stamps: list[Stamp] = []

    @property
    def moment(self) -> Instant:
        """When it is proven to have existed; else when it was signed, by its own word (20.6)."""
        stamped = [stamp.gen_time for stamp in self.stamps]
        return min([*stamped, *self.cosigned], default=self.at)

    @property
    def cosigned(self) -> list[Instant]:
        """The times of its Ed25519 cosignatures."""
        return [each.at_s * 1_000_000 for each in self.witnesses if isinstance(each, Cosignature)]


class Custody(msgspec.Struct, frozen=True):
    """A neighbour's custody note, and the entries of the stream that bind a frame to it."""

    note: bytes
    at: Instant
    """When it was taken."""
    before: bytes
    """The chain value before the first entry."""
    entries: list[tuple[int, bytes]]
    """Number and SHA-256, the frame's own first, the note's `up_to` last."""


class TrackedEvidence(msgspec.Struct, frozen=True):
    """A `Tracked` statement, and when it was taken."""

    object: bytes
    at: Instant


class Renewal(msgspec.Struct, frozen=True):
    """The head of the second log, hashed with SHA-512, with its time-stamp (clause 19.4)."""

    note: str
    origin: str
    size: int
    certificate: bytes
    """Of the journal key that signed it."""
    stamp: Stamp
    proofs: Mapping[int, list[bytes]]


class IssuingProof(msgspec.Struct, frozen=True):
    """That a certificate stands in the public log of its authority (clause 14.4)."""

    index: int
    proof: list[bytes]
    note: str
    """The log's head."""
    certificate: bytes
    """Of the journal key that signed the head."""
    at: Instant
    """When the head was taken."""


class Trust(msgspec.Struct, frozen=True):
    """Root, certificates by their SHA-256 in hex, and all revocation lists, in DER."""

    root: bytes
    certificates: Mapping[str, bytes]
    crls: list[bytes]
    issued: Mapping[str, IssuingProof] = {}
    """By the certificate's SHA-256."""


class Dossier(msgspec.Struct, frozen=True, kw_only=True):
    """All that goes into one evidence folder; the packet's frame comes first."""

    frames: list[FrameEvidence]
    trust: Trust
    by: str
    """The address of the node that exports."""
    exported: Instant
    signer: Signer
    """That node's packet key; seals the manifest."""
    records: list[Leaf] = []
    policies: list[bytes] = []
    checkpoints: list[CheckpointEvidence] = []
    """By size, rising."""
    custody: list[Custody] = []
    tracked: list[TrackedEvidence] = []
    renewals: list[Renewal] = []

    @property
    def packet(self) -> PacketRow:
        """The packet that the folder is about."""
        return self.frames[0].packet

    @property
    def leaves(self) -> list[Leaf]:
        """Every leaf of the folder."""
        return [*(leaf for frame in self.frames for leaf in frame.leaves), *self.records]

    @property
    def uncosigned(self) -> int:
        """How many leaves of the frames no witness has cosigned yet."""
        return self._frame_leaves_beyond(each.size for each in self.checkpoints if each.witnesses)

    @property
    def unstamped(self) -> int:
        """How many leaves of the frames no time-stamp covers yet."""
        stamped = [each.size for each in self.checkpoints if each.stamps]
        return self._frame_leaves_beyond([*stamped, *(each.size for each in self.renewals)])

    def _frame_leaves_beyond(self, sizes: Iterable[int]) -> int:
        largest = max(sizes, default=0)
        return sum(leaf.index >= largest for frame in self.frames for leaf in frame.leaves)

    def moment_of(self, frame: FrameEvidence) -> Instant:
        """Return when a frame is proven to have existed, else when it says it was sent (21.1)."""
        first = min((leaf.index for leaf in frame.leaves), default=None)
        over = [] if first is None else [each for each in self.checkpoints if each.size > first]
        stamped = [stamp.gen_time for each in over for stamp in each.stamps]
        cosigned = [at for each in over for at in each.cosigned]
        return min(stamped or cosigned, default=frame.packet.sent)


class Written(msgspec.Struct, frozen=True):
    """What an export wrote, and what it could not."""

    files: list[str]
    notes: list[str]
