"""What the demo and its ledger process say to each other: JSON lines over a pipe."""

from typing import Any

import msgspec

from nodes.demo.places import Flow


class Box(msgspec.Struct, frozen=True):
    """Where a local system drops and takes: by AMQP, or by the node's record."""

    address: str
    system: str
    url: str | None
    """None: there is no broker."""
    config: str


class Plan(msgspec.Struct, frozen=True):
    """What the ledger is started with."""

    boxes: list[Box]
    stores: dict[str, str]
    """Configuration file of each node whose store is judged."""
    tiers: dict[str, str]
    district: str
    """The node in whose quarantine the rogue's frames belong."""
    folder: str
    """Where summary, book and evidence go."""
    proves: bool = False
    """Whether a packet of each flow is exported as evidence, and checked."""


class Send(msgspec.Struct, frozen=True, tag_field="do", tag="send"):
    """Drop the documents of a flow, at its pace."""

    flow: Flow


class Expect(msgspec.Struct, frozen=True, tag_field="do", tag="expect"):
    """Somebody else hands in a document that will leave an inbox."""

    flow: str
    sender: str
    recipient: str
    type: str
    sha256: str


class Return(msgspec.Struct, frozen=True, tag_field="do", tag="return"):
    """Have a recipient return the first document of a flow for its content."""

    flow: str
    of: str


class RogueCase(msgspec.Struct, frozen=True):
    """One frame of the rogue, what must become of it, and the answer that came."""

    case: str
    frame_sha256: str
    reason: str
    """Why it must be refused; empty: it must be taken as known, and answered again."""
    answer: str
    """`receipt`, `refusal entry`, or empty where none came."""
    answered_reason: str
    packet: str = ""
    """Id, where the frame must be released once."""


class Judge(msgspec.Struct, frozen=True, tag_field="do", tag="judge"):
    """Judge what was seen, write the summary, and end."""

    rogue: list[RogueCase]
    facts: dict[str, Any]
    """What only the demo knows: times and faults; goes into the summary as it is."""


Command = Send | Expect | Return | Judge


class Tally(msgspec.Struct):
    """Where a flow stands, as its local systems see it."""

    planned: int = 0
    dropped: int = 0
    delivered: int = 0
    refused: dict[str, int] = {}
    overdue: int = 0
    resent: int = 0
    told: int = 0
    """Dropped documents whose sender has heard the end."""

    @property
    def settled(self) -> bool:
        """Whether everything planned has arrived or been refused, and its sender knows."""
        done = self.delivered + sum(self.refused.values())
        return self.planned == self.dropped == self.told == done


class Progress(msgspec.Struct, frozen=True, tag_field="event", tag="progress"):
    """All flows, whenever one has moved."""

    flows: dict[str, Tally]


class Proven(msgspec.Struct, frozen=True, tag_field="event", tag="proven"):
    """The evidence of one more flow is exported and checked."""

    flow: str
    holds: bool
    done: int
    planned: int


class Judged(msgspec.Struct, frozen=True, tag_field="event", tag="judged"):
    """The judgement; the process ends after it."""

    passed: bool
    findings: list[str]
    summary: dict[str, Any]


Event = Progress | Proven | Judged
