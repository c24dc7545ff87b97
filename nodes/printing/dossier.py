"""What a printout is made from: the record's words about one packet, or one quarantined frame."""

from enum import StrEnum

import msgspec

from schemas.answers import Closing, Receipt
from schemas.codes import Names
from schemas.header import Header
from schemas.moments import Instant
from schemas.records import IncidentRow, PacketRow, QuarantineRow
from store.reading import ListedPacket, Moment


class Absent(StrEnum):
    """Why a content cannot be shown."""

    DESTROYED = "destroyed"
    DIGEST_ONLY = "digest-only"
    KEY_GONE = "key-gone"
    ENCRYPTED = "encrypted"
    DAMAGED = "damaged"
    UNREADABLE = "unreadable"


class Opened(msgspec.Struct, frozen=True):
    """As much of a stored frame as is here: its bytes, and its content where it may be read."""

    raw: bytes | None = None
    content: bytes | None = None
    absent: Absent | None = None


class Answer(msgspec.Struct, frozen=True):
    """A receipt, or a closing, about the packet; `said` is None where it cannot be read."""

    packet: PacketRow
    said: Receipt | Closing | None


class Signer(msgspec.Struct, frozen=True, kw_only=True):
    """Whose certificate the header names; the rest is None where the record does not have it."""

    sha256: str
    subject: str | None = None
    issuer: str | None = None
    since: Instant | None = None
    until: Instant | None = None


class Vouched(msgspec.Struct, frozen=True, kw_only=True):
    """The first checkpoint over a leaf, with who has cosigned and time-stamped it."""

    size: int
    at: Instant
    origin: str
    root: str
    cosigned: tuple[tuple[str, Instant], ...]
    stamped: tuple[tuple[str, Instant], ...]


class LeafAt(msgspec.Struct, frozen=True):
    """A leaf of the journal about the frame."""

    index: int
    kind: str
    sha256: str
    """Its hash in the journal's tree (RFC 6962)."""


class Dossier(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known here; `packet` is None for a frame that is in quarantine alone."""

    here: str
    printed: Instant
    packet: ListedPacket | None
    header: Header | None
    """As signed; of a quarantined frame what it claims, if that can be read."""
    quarantined: tuple[QuarantineRow, ...]
    opened: Opened
    names: dict[str, Names]
    """Of the nodes concerned, by address, as far as their cards say."""
    happened: tuple[Moment, ...]
    answers: tuple[Answer, ...]
    received_there: Instant | None
    """When the addressee says that it received it; of a packet that came to us, our own word."""
    doubts: tuple[IncidentRow, ...]
    """When our clock was known to disagree with the parent's about that time."""
    offsets: tuple[tuple[str, str, int], ...]
    """Address, day and milliseconds: off its parent's clock, as a node has said of itself."""
    signer: Signer | None
    leaf: LeafAt | None
    vouched: Vouched | None
