"""The rules a node decides by: its place in the tree, what it vouches for, and its limits."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from schemas.addresses import Address, Label, child_towards, is_within, label_of, parent_of
from schemas.answers import ANSWERS
from schemas.codes import Tier
from schemas.header import Header
from schemas.limits import Limits
from schemas.objects import Lane
from schemas.reasons import Reason

Standing = Literal["active", "suspended", "closed"]


class Child(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """What a parent vouches for about one child; the seed of its card."""

    label: Label
    standing: Standing = "active"
    successor: Address | None = None
    """Where packets for a closed child should go: the reason `recipient-moved` names it."""
    types: tuple[str, ...] = ()
    """Types that the child may send; empty: all."""
    tier: Tier | None = None


class Finding(msgspec.Struct, frozen=True, gc=False):
    """A reason to refuse, with its detail in printable ASCII."""

    reason: Reason
    detail: str


class Rules(msgspec.Struct, frozen=True):
    """Everything `decide` may know besides state and event."""

    here: str
    children: Mapping[str, Child]
    """By label."""
    limits: Limits
    types: frozenset[str]
    """The packet types of our code list."""
    systems: Mapping[str, tuple[str, ...]]
    """Local systems by name, each with the types that it receives; the first match takes all."""
    default_system: str = "default"

    @property
    def neighbours(self) -> tuple[str, ...]:
        """Parent first, then the children, as addresses."""
        parent = parent_of(self.here)
        below = tuple(f"{self.here}.{label}" for label in self.children)
        return below if parent is None else (parent, *below)

    def next_hop(self, to: str) -> str | None:
        """Return the neighbour towards `to`; None where there is none (or it is ourselves)."""
        if is_within(to, self.here):
            hop = child_towards(self.here, to) if to != self.here else None
            return hop if hop is not None and label_of(hop) in self.children else None
        return parent_of(self.here)

    def system_for(self, type_name: str) -> str:
        """Return the local system whose inbox takes packets of this type."""
        for system, types in self.systems.items():
            if type_name in types:
                return system
        return self.default_system


def lane_of(header: Header) -> Lane:
    """Return the lane a frame travels in: `fast` for answers and results, else `bulk`."""
    return "fast" if header.type in ANSWERS or header.flow == "result" else "bulk"


def find_standing_fault(header: Header, rules: Rules) -> Finding | None:
    """Judge standing, addresses and rights where this node is responsible for a party."""
    if parent_of(header.from_) == rules.here:
        fault = _find_sender_fault(header, rules.children.get(label_of(header.from_)))
        if fault is not None:
            return fault
    if header.to == rules.here:
        return None
    if rules.next_hop(header.to) is None:
        return Finding(Reason.RECIPIENT_UNKNOWN, f"no way to {header.to}")
    if parent_of(header.to) == rules.here:
        child = rules.children[label_of(header.to)]
        if child.standing == "closed" and child.successor is not None:
            return Finding(Reason.RECIPIENT_MOVED, f"successor {child.successor}")
        if child.standing == "closed":
            return Finding(Reason.RECIPIENT_UNKNOWN, f"{header.to} is closed")
    return None


def _find_sender_fault(header: Header, child: Child | None) -> Finding | None:
    if child is None or child.standing != "active":
        return Finding(Reason.SENDER_SUSPENDED, f"{header.from_} is not in active standing")
    if child.types and header.type not in child.types and header.type not in ANSWERS:
        return Finding(Reason.TYPE_NOT_ALLOWED, f"{header.from_} may not send {header.type}")
    return None
