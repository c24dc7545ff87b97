"""The state of a packet at one node, from its leaves and its places in the outgoing streams.

Pure. `confirmed`, `expired`, `overdue`, `released` and `closed` leaves belong to the frame of the
document, not of the receipt or closing.
"""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from schemas.leaves import LeafKind, read_leaf
from schemas.moments import Instant, parse_instant
from schemas.records import LeafMark, PacketRow


class State(StrEnum):
    """Where a packet stands here: as its sender sees it, as its recipient, or as a relay."""

    SENT = "sent"
    IN_CUSTODY = "in custody"
    DELIVERED = "delivered"
    REFUSED = "refused"
    EXPIRED = "expired"
    RECEIVED = "received"
    RELEASED = "released"
    CLOSED = "closed"
    RELAYED = "relayed"


class Standing(msgspec.Struct, frozen=True, gc=False):
    """A packet's state here."""

    state: State
    since: Instant
    overdue: bool = False
    holder: str | None = None
    """Who was last known to have it in custody, as far as this node can tell."""
    reason: str | None = None


class Placement(msgspec.Struct, frozen=True, gc=False):
    """A frame's place in a stream, and when a custody note first covered it."""

    frame: int
    stream: str
    epoch: int
    number: int
    placed: Instant
    noted: Instant | None


def standing(
    owner: str, packet: PacketRow, marks: Iterable[LeafMark], places: Iterable[Placement]
) -> Standing:
    """Return a packet's state at the node `owner`, from its leaves and places."""
    leaves: dict[str, list[dict[str, str]]] = {}
    for mark in marks:
        leaves.setdefault(mark.kind, []).append(read_leaf(mark.record))
    if packet.sender == owner:
        return _as_sender(packet, leaves, list(places))
    kinds = [LeafKind.RELAYED, LeafKind.REFUSED]
    if packet.recipient == owner:
        kinds = [LeafKind.CLOSED, LeafKind.RELEASED, LeafKind.REFUSED]
    for kind in kinds:
        if kind in leaves:
            last = leaves[kind][-1]
            return Standing(State(kind), leaf_at(last), reason=last.get("reason"))
    return Standing(State.RECEIVED, packet.received)


def _as_sender(
    packet: PacketRow, leaves: dict[str, list[dict[str, str]]], places: list[Placement]
) -> Standing:
    confirmed = leaves.get(LeafKind.CONFIRMED, [])
    for leaf in confirmed:
        # The addressee's acceptance stands, whatever came before or comes after.
        if leaf.get("verdict") == "accepted":
            return Standing(State.DELIVERED, leaf_at(leaf), holder=packet.recipient)
    if confirmed:
        leaf = confirmed[-1]
        return Standing(State.REFUSED, leaf_at(leaf), reason=leaf.get("reason"))
    if LeafKind.EXPIRED in leaves:
        return Standing(State.EXPIRED, leaf_at(leaves[LeafKind.EXPIRED][-1]))
    overdue = LeafKind.OVERDUE in leaves
    noted = [place.noted for place in places if place.noted is not None]
    if noted:
        return Standing(State.IN_CUSTODY, min(noted), overdue, last_holder(places))
    return Standing(State.SENT, packet.received, overdue)


def last_holder(places: list[Placement]) -> str | None:
    """Return the neighbour that last gave a custody note for the frame."""
    noted = [place for place in places if place.noted is not None]
    if not noted:
        return None
    return max(noted, key=lambda place: place.noted or 0).stream.rsplit("/", 1)[0]


def leaf_at(leaf: dict[str, str]) -> Instant:
    """Return when a leaf was written."""
    return parse_instant(leaf["at"])
