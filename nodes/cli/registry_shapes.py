"""What `--json` prints about children, instructions, rights and health; as nodes.cli.shapes.

child list                  [ChildCard]       child show            ChildStory
child suspend reinstate describe move adopt close                   ChildDone
revoke                      RevokingDone      instructions          [InstructionLine]
access list                 [AccessLine]      doctor                Examination
"""

from typing import Any, Literal

from nodes.cli.shapes import Shape


class ChildCard(Shape, frozen=True, kw_only=True):
    """What is vouched for about one node, by its newest card."""

    address: str
    tier: str
    standing: str
    since: str
    names: dict[str, str] | None
    kato: str | None
    kato_edition: str | None
    bin_: str | None
    uplink: str | None
    """The neighbour it hangs under; null for the root."""
    former: str | None
    successor: str | None
    types: list[str]
    """Types that it may send; empty: all."""
    encryption_key: str | None
    """SHA-256 of the key to encrypt to; null until the node has stated its keys."""
    vouched_by: str
    number: int


class CardVersion(Shape, frozen=True, kw_only=True):
    """One card of an address, as it came to be known."""

    number: int
    learned: str
    standing: str
    uplink: str | None
    sha256: str


class ChildStory(Shape, frozen=True, kw_only=True):
    """The newest card of an address, and all that came before it, oldest first."""

    card: ChildCard
    versions: list[CardVersion]


class ChildDone(Shape, frozen=True, kw_only=True):
    """What the daemon did about a child, and what was done at the broker."""

    address: str
    standing: str
    changed: bool
    """False where the card said so already; no new one was signed."""
    waiting: int
    """Entries that the child has not taken yet."""
    at: str
    instruction: str
    broker: list[str]
    """What was done at our broker, and what stays there."""


class RevokingDone(Shape, frozen=True, kw_only=True):
    """The authority has revoked."""

    address: str
    request: str
    detail: str
    at: str
    instruction: str
    broker: list[str]
    """What was done at our broker; empty where the certificates are no child's of ours."""


class InstructionLine(Shape, frozen=True, kw_only=True):
    """An instruction to the daemon, and what became of it."""

    id: str
    given: str
    who: str
    """The operator's pseudonymous id."""
    what: str
    state: Literal["waiting", "done", "refused"]
    at: str | None
    answer: Any


class AccessLine(Shape, frozen=True, kw_only=True):
    """One use of a command."""

    at: str
    who: str
    what: str
    allowed: bool


class Finding(Shape, frozen=True, kw_only=True):
    """One thing that the doctor looked at."""

    name: str
    state: Literal["ok", "warn", "fail"]
    found: str
    what_to_do: str | None
    """Null where all is well."""


class Examination(Shape, frozen=True, kw_only=True):
    """All that the doctor looked at; `healthy` where all of it is ok."""

    address: str | None
    healthy: bool
    findings: list[Finding]
