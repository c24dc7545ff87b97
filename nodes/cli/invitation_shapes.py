"""What `--json` prints about joining; as nodes.cli.shapes.

invite                      [InvitationMade]  invitation list       [InvitationLine]
invitation withdraw         Withdrawn         join                  JoinDone
remove                      Removed
"""

from typing import Literal

from nodes.cli.shapes import Shape

InvitationState = Literal["open", "used", "withdrawn", "ended", "unknown"]


class InvitationMade(Shape, frozen=True, kw_only=True):
    """An invitation; its text is a secret until it is used."""

    address: str
    invitation: str
    ends: str
    new: bool
    """The address had no card before; false where a machine is replaced or asked for again."""
    text: str


class InvitationLine(Shape, frozen=True, kw_only=True):
    """An invitation as the record has it; `unknown`: somebody came with one of no record here."""

    invitation: str
    address: str | None
    made: str | None
    ends: str | None
    state: InvitationState
    at: str | None
    """When it was used or withdrawn."""
    refused: int
    """How often it was tried in vain; `bbaj incidents` says why."""


class Withdrawn(Shape, frozen=True, kw_only=True):
    """An invitation that nobody can use any more."""

    invitation: str
    address: str
    at: str
    instruction: str


class JoinDone(Shape, frozen=True, kw_only=True):
    """A machine that has become a node."""

    address: str
    tier: str
    parent: str
    config: str
    """To be named to `bbaj node run --config`."""
    root_sha256: str
    """The network's root; compare it with what others have."""
    again: bool
    """It had joined before; nothing was changed."""
    replaces: bool
    """The address had a machine before: its database and data folder belong to this one now."""
    took_s: float


class Removed(Shape, frozen=True, kw_only=True):
    """A child that is closed."""

    address: str
    standing: str
    successor: str | None
    waiting: int
    """Entries that it had not taken."""
    at: str
    broker: list[str]
    revoked: str
    """The authority's word on its certificates."""
