"""Statements: signed objects that pass hop by hop unchanged, whoever brings them (clause 6).

A link object counts only from the neighbour that signed it; a statement counts for what its
issuer may say, over whichever link it came. `from` is the issuer, `to` whom it is about or for.
"""

from bisect import bisect_right
from typing import Annotated, Literal

import msgspec

from schemas.addresses import Address, Label
from schemas.header import Count, PacketId, Sha256Hex
from schemas.moments import InstantText
from schemas.object_header import Body, Detail, ObjectHeader
from schemas.witnessing import Recover


class Card(ObjectHeader, frozen=True, gc=False, kw_only=True):
    """What a parent (`from`) vouches for about a node (`to`); the body is a `CardFacts`.

    The root's own card is the one whose two ends are equal.
    """

    body: Body


class Keys(ObjectHeader, frozen=True, gc=False, kw_only=True):
    """What a node says of its own keys, for its card; the body is a `KeyFacts`, ends are equal."""

    body: Body


class NoCard(ObjectHeader, frozen=True, gc=False, kw_only=True):
    """The node responsible for `address` (`from`) knows no such node; `to` is who asked."""

    address: Address


class Request(ObjectHeader, frozen=True, gc=False, kw_only=True):
    """Asks an authority (`to`) for certificates of `subject`, or to revoke them.

    `join`: a parent, for its child's first certificates, or for those of a machine that replaces
    it. `renew`: a node, for itself, signed with the key that ends. `enrol`: a parent, for the
    certificate of an invitation. `revoke`: a parent for its child, or a node for itself.
    The body has certificate requests (DER, as `pack_pieces`), or the text of a `Revocation`.
    """

    subject: Address
    what: Literal["join", "renew", "enrol", "revoke"]
    body: Body


class Grant(ObjectHeader, frozen=True, gc=False, kw_only=True):
    """An authority's answer to the request with SHA-256 `request`, for its issuer (`to`).

    The body has the certificates (DER, as `pack_pieces`), in the order of the requests; a refused
    one has none, and says why.
    """

    subject: Address
    request: Sha256Hex
    outcome: Literal["granted", "refused"]
    detail: Detail = ""
    body: Body


class Alarm(ObjectHeader, frozen=True, gc=False, kw_only=True):
    """What a node found wrong in what authority `to` issues; goes up to the root.

    The body is the evidence: a certificate (DER), or two heads of a log (as `pack_pieces`). Of
    `journal-forked`, `to` is whose journal it is, and the heads are two signed checkpoints.
    """

    what: Literal["certificate-unasked", "certificate-unlogged", "log-forked", "journal-forked"]
    detail: Detail
    body: Body


class Invitation(ObjectHeader, frozen=True, gc=False, kw_only=True):
    """A parent (`from`) invites a machine to become the node `to`.

    The body is that of `schemas.invitations.pack_invitation`.
    """

    invitation: Label
    ends: InstantText
    body: Body


class Join(ObjectHeader, frozen=True, gc=False, kw_only=True):
    """A machine (`from`) asks its parent (`to`) for the certificates that make it a node.

    Signed with the enrolment key; `certificate` is the enrolment certificate's. The body has
    certificate requests (DER, as `pack_pieces`) of packet, journal, link and perhaps witness key.
    """

    invitation: Label
    body: Body


class Welcome(ObjectHeader, frozen=True, gc=False, kw_only=True):
    """The parent's answer to a `Join`: taken, refused (with `reason`), or ready.

    The body of `ready` has the certificates (DER, as `pack_pieces`) in the order of the requests,
    then those of the authorities and of the ancestors. Else it is empty.
    """

    invitation: Label
    request: Sha256Hex
    state: Literal["taken", "refused", "ready"]
    reason: Detail = ""
    body: Body


class Track(ObjectHeader, frozen=True, gc=False, kw_only=True):
    """Asks the nodes on a packet's way, from the asker to its end `to`, what became of it.

    Goes hop by hop unchanged; each node of the way that it comes to answers with a `Tracked`.
    """

    sender: Address
    packet_epoch: Count
    packet: PacketId


class Tracked(ObjectHeader, frozen=True, gc=False, kw_only=True):
    """What the journal of a node on the way (`from`) says of a packet, for who asked (`to`).

    The body has, as `pack_pieces`, a C2SP tlog-proof with the leaf as `extra` for each leaf under
    a checkpoint, or the bare leaf where none covers it yet; no pieces: it has never had it.
    """

    sender: Address
    packet_epoch: Count
    packet: PacketId
    journal: Sha256Hex | None = None
    """The certificate of the journal key that has signed the checkpoints; None without any."""
    body: Body


LACKING_MAX = 256
"""So many ranges of parts are asked for at once; the rest once these have come."""

NumberRange = tuple[Count, Count]
"""The first and the last of numbers that follow each other."""


class Lacking(ObjectHeader, frozen=True, gc=False, kw_only=True):
    """Asks the sender (`to`) of a manifest for parts of it that the recipient (`from`) lacks."""

    packet_epoch: Count
    packet: PacketId
    parts: Annotated[tuple[NumberRange, ...], msgspec.Meta(min_length=1, max_length=LACKING_MAX)]
    """Ranges of part numbers, rising."""

    def names(self, number: int) -> bool:
        """Say whether a part is asked for."""
        at = bisect_right(self.parts, number, key=_first) - 1
        return at >= 0 and number <= self.parts[at][1]


def _first(numbers: NumberRange) -> int:
    return numbers[0]


class Revocation(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The body of a request to revoke: one certificate, or all that are in force of the subject."""

    reason: str
    """As RFC 5280 names it."""
    sha256: Sha256Hex | None = None


Statement = Card | Keys | NoCard | Request | Grant | Alarm | Track | Tracked | Lacking | Recover
"""What counts whoever brings it; relayed byte for byte."""
