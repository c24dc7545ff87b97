"""What lists of packets are narrowed to, as conditions of SQL. Pure.

A subtree is an address and what begins with it and a dot. Text sorts by byte, and a dot is followed
by a slash, so it is one address and one range.
"""

import msgspec

from schemas.answers import UNANSWERED
from schemas.moments import Instant
from store.standing import Standing, State

DOCUMENTS = "p.type NOT IN ('receipt/1', 'closing/1') AND p.type <> 'part/1'"
"""What nothing answers is left out; answers as the indexes word it (0005_search.sql)."""

Span = tuple[str, str]
"""Addresses from the first one on, up to the second one, which is left out."""

_OF_SENDER = {State.SENT, State.IN_CUSTODY, State.DELIVERED, State.EXPIRED}
_OF_RECIPIENT = {State.RELEASED, State.CLOSED}


class Filters(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a list is narrowed to; None leaves a field open."""

    id: str | None = None
    sender: str | None = None
    recipient: str | None = None
    under: str | None = None
    """Sender or recipient is this address or lies below it."""
    sender_under: str | None = None
    """The sender is this address or lies below it."""
    recipient_under: str | None = None
    type_: str | None = None
    period: str | None = None
    section: str | None = None
    flow: str | None = None
    received_from: Instant | None = None
    received_until: Instant | None = None
    state: State | None = None
    reason: str | None = None
    """Why it was refused."""
    overdue: bool | None = None
    documents: bool = False
    """Neither receipts nor closings, nor parts of large files."""

    @property
    def only_documents(self) -> bool:
        """Whether nothing that fits is an answer or a part."""
        return self.documents if self.type_ is None else self.type_ not in UNANSWERED

    @property
    def is_judged(self) -> bool:
        """Whether a packet's standing says if it fits."""
        return any(each is not None for each in (self.state, self.reason, self.overdue))

    @property
    def has_rest(self) -> bool:
        """Whether more of a row is asked than addresses, type and period, which no index has."""
        rest = (self.section, self.flow, self.received_from, self.received_until)
        return any(each is not None for each in rest)

    @property
    def senders(self) -> list[Span] | None:
        """The addresses of senders that fit; None where any does."""
        if self.sender is not None:
            return [_one(self.sender)]
        return None if self.sender_under is None else subtree(self.sender_under)

    @property
    def recipients(self) -> list[Span] | None:
        """The addresses of recipients that fit; None where any does."""
        if self.recipient is not None:
            return [_one(self.recipient)]
        return None if self.recipient_under is None else subtree(self.recipient_under)

    def fits(self, standing: Standing) -> bool:
        """Say whether a packet's standing is what is asked for."""
        return (
            self.state in {None, standing.state}
            and self.reason in {None, standing.reason}
            and self.overdue in {None, standing.overdue}
        )

    def at(self, owner: str) -> "Filters":
        """Return the same for a node: some states only its own packets have, or those to it."""
        if self.state in _OF_SENDER and self.sender is None:
            return msgspec.structs.replace(self, sender=owner)
        if self.state in _OF_RECIPIENT and self.recipient is None:
            return msgspec.structs.replace(self, recipient=owner)
        return self


class Conditions:
    """Conditions on a packet `p`, and the values that they speak of."""

    def __init__(self, *values: object) -> None:
        """Begin with values that the query itself names, `$1` and so on."""
        self.values = list(values)
        self._texts: list[str] = []

    def add(self, text: str, *values: object) -> None:
        """Add a condition; each `{}` in it stands for a value."""
        first = len(self.values) + 1
        places = [f"${number}" for number in range(first, first + len(values))]
        self._texts.append(text.format(*places))
        self.values += values

    def __str__(self) -> str:
        return " AND ".join(["true", *self._texts])


def conditions(filters: Filters, *values: object) -> Conditions:
    """Return what the rows of packets say of a filter; `values` are those of the query itself."""
    found = Conditions(*values)
    if filters.only_documents:
        found.add(DOCUMENTS)
    for column, value in (
        ("id", filters.id),
        ("sender", filters.sender),
        ("recipient", filters.recipient),
        ("type", filters.type_),
        ("period", filters.period),
        ("section", filters.section),
        ("flow", filters.flow),
    ):
        if value is not None:
            found.add(f"p.{column} = {{}}", value)
    for column, root in (("sender", filters.sender_under), ("recipient", filters.recipient_under)):
        if root is not None:
            found.add(_within(column), *_bounds(root))
    if filters.under is not None:
        both = f"({_within('sender')} OR {_within('recipient')})"
        found.add(both, *_bounds(filters.under), *_bounds(filters.under))
    if filters.received_from is not None:
        found.add("p.received >= {}::bigint", filters.received_from)
    if filters.received_until is not None:
        found.add("p.received < {}::bigint", filters.received_until)
    return found


def subtree(root: str) -> list[Span]:
    """Return the addresses of a subtree."""
    return [_one(root), (f"{root}.", f"{root}/")]


def is_in(address: str, spans: list[Span] | None) -> bool:
    """Say whether an address lies in one of some spans; None has them all."""
    return spans is None or any(first <= address < end for first, end in spans)


def _one(address: str) -> Span:
    return address, f"{address} "  # a blank comes before all that an address may go on with


def _within(column: str) -> str:
    return f"(p.{column} = {{}} OR p.{column} >= {{}} AND p.{column} < {{}})"


def _bounds(root: str) -> tuple[str, str, str]:
    return root, f"{root}.", f"{root}/"
