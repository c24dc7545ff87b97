"""The rules a node decides by: its place in the tree, what it vouches for, and its limits."""

from collections.abc import Mapping

import msgspec

from exchange.core.registry import Registry
from schemas.answers import ALWAYS_ALLOWED, ANSWERS
from schemas.cards import CardFacts
from schemas.header import FAST_FLOWS, PART, Header
from schemas.limits import Limits
from schemas.objects import Lane
from schemas.reasons import Reason


class Finding(msgspec.Struct, frozen=True, gc=False):
    """A reason to refuse, with its detail in printable ASCII."""

    reason: Reason
    detail: str


class Rules(msgspec.Struct, frozen=True):
    """Everything `decide` may know besides state and event."""

    here: str
    registry: Registry
    limits: Limits
    types: frozenset[str]
    """The packet types of our code list."""
    systems: Mapping[str, tuple[str, ...]]
    """Local systems by name, each with the types that it receives; the first match takes all."""
    default_system: str = "default"
    classes: Mapping[str, str] = {}
    """The retention class of each type that has one of its own; others inherit theirs."""

    @property
    def neighbours(self) -> tuple[str, ...]:
        """The uplink first, then the children, as addresses."""
        uplink = self.registry.uplink
        return self.registry.children if uplink is None else (uplink, *self.registry.children)

    def system_for(self, type_name: str) -> str:
        """Return the local system whose inbox takes packets of this type."""
        for system, types in self.systems.items():
            if type_name in types:
                return system
        return self.default_system


def lane_of(header: Header) -> Lane:
    """Return the lane a frame travels in: `fast` for answers, results and orders, else `bulk`."""
    if header.type == PART:
        return "bulk"
    return "fast" if header.type in ANSWERS or header.flow in FAST_FLOWS else "bulk"


def find_standing_fault(header: Header, rules: Rules) -> Finding | None:
    """Judge standing, addresses and rights where this node is responsible for a party."""
    registry = rules.registry
    if registry.is_responsible_for(header.from_):
        card = registry.card(header.from_)
        fault = _find_sender_fault(header, None if card is None else card.facts)
        if fault is not None:
            return fault
    if header.to == rules.here:
        return None
    if registry.is_responsible_for(header.to):
        card = registry.card(header.to)
        fault = _find_recipient_fault(header.to, None if card is None else card.facts)
        if fault is not None:
            return fault
    if registry.next_hop(header.to) is None:
        return Finding(Reason.RECIPIENT_UNKNOWN, f"no way to {header.to}")
    return None


def find_class_fault(header: Header, rules: Rules) -> Finding | None:
    """Judge at the recipient whether a packet is kept as long as its type says (22.3)."""
    expected = rules.classes.get(header.type, header.class_)
    if header.class_ == expected:
        return None
    detail = f"{header.type} is of class {expected}, the header says {header.class_}"
    return Finding(Reason.CLASS_MISMATCH, detail)


def find_end(to: str, rules: Rules) -> Finding | None:
    """Return why a node that we answer for takes nothing any more; None where it may yet."""
    card = rules.registry.card(to)
    if card is None or card.facts.standing != "closed" or not rules.registry.is_responsible_for(to):
        return None
    return _find_recipient_fault(to, card.facts)


def _find_sender_fault(header: Header, card: CardFacts | None) -> Finding | None:
    if card is None or card.standing != "active":
        return Finding(Reason.SENDER_SUSPENDED, f"{header.from_} is not in active standing")
    if card.types and header.type not in card.types and header.type not in ALWAYS_ALLOWED:
        return Finding(Reason.TYPE_NOT_ALLOWED, f"{header.from_} may not send {header.type}")
    return None


def _find_recipient_fault(to: str, card: CardFacts | None) -> Finding | None:
    if card is None:
        return Finding(Reason.RECIPIENT_UNKNOWN, f"{to} has no card here")
    if card.standing == "closed" and card.successor is not None:
        return Finding(Reason.RECIPIENT_MOVED, f"successor {card.successor}")
    if card.standing == "closed":
        return Finding(Reason.RECIPIENT_UNKNOWN, f"{to} is closed")
    return None
