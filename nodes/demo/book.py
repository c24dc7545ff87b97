"""The ledger's book: what its local systems dropped, took out and were told. Pure.

Documents are known by sender, recipient, type and SHA-256 of their bytes; packet ids only tell a
repeat from a double.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

import msgspec

from nodes.demo.messages import Tally

Key = tuple[str, str, str, str]
"""Sender, recipient, type and SHA-256 of the document."""

REFUSED = "refused"
FINAL = frozenset({"delivered", REFUSED, "fault"})
"""States after which a sender hears no more."""


class Dropped(msgspec.Struct, frozen=True):
    """A document handed to a node."""

    flow: str
    sender: str
    recipient: str
    type: str
    sha256: str
    drop_id: str

    @property
    def key(self) -> Key:
        """What the document is known by."""
        return self.sender, self.recipient, self.type, self.sha256


class Left(msgspec.Struct, frozen=True):
    """A document that left an inbox. `repeat`: it came marked as one that may have come before."""

    sender: str
    recipient: str
    type: str
    sha256: str
    packet: str
    repeat: bool

    @property
    def key(self) -> Key:
        """What the document is known by."""
        return self.sender, self.recipient, self.type, self.sha256


class Told(msgspec.Struct, frozen=True):
    """A status event about a drop."""

    sender: str
    drop_id: str
    state: str
    packet: str = ""
    reason: str = ""


class Book(msgspec.Struct):
    """Everything that the ledger's own systems did and saw."""

    dropped: list[Dropped] = []
    left: list[Left] = []
    told: list[Told] = []
    expected: list[Dropped] = []
    """Documents that others handed in: no status comes to us about them."""


def tally(book: Book, planned: Mapping[str, int]) -> dict[str, Tally]:
    """Return where each flow stands, by what its systems did and saw."""
    flows = {name: Tally(planned=count, refused={}) for name, count in planned.items()}
    told = states_by_drop(book.told)
    arrived = Counter({key: len(packets) for key, packets in packets_by_key(book.left).items()})
    for one in (*book.dropped, *book.expected):
        flow = flows.setdefault(one.flow, Tally(refused={}))
        flow.dropped += 1
        if arrived[one.key] > 0:
            arrived[one.key] -= 1
            flow.delivered += 1
        states = told.get((one.sender, one.drop_id), {})
        flow.overdue += "overdue" in states
        flow.told += bool(FINAL & states.keys()) or one in book.expected
        for state in (REFUSED, "fault"):
            if state in states:
                reason = states[state].reason or state
                flow.refused[reason] = flow.refused.get(reason, 0) + 1
    return flows


def states_by_drop(told: Iterable[Told]) -> dict[tuple[str, str], dict[str, Told]]:
    """Return the status events of each drop, by state."""
    states: dict[tuple[str, str], dict[str, Told]] = defaultdict(dict)
    for one in told:
        states[one.sender, one.drop_id][one.state] = one
    return states


def packets_by_key(left: Iterable[Left]) -> dict[Key, list[str]]:
    """Return the packets as which each document left, each packet once."""
    packets: dict[Key, list[str]] = defaultdict(list)
    for one in left:
        if one.packet not in packets[one.key]:
            packets[one.key].append(one.packet)
    return packets


def shown(key: Key) -> str:
    """Return a document's key as findings name it."""
    sender, recipient, type_, sha256 = key
    return f"{type_} from {sender} to {recipient} (sha256 {sha256[:16]})"
