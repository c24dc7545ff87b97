"""Link objects by which a node that lost its record gets it back (docs/protocol.md clause 25)."""

from typing import Annotated, Literal

import msgspec

from schemas.header import Count, Size
from schemas.object_header import Body, Detail, ObjectHeader
from schemas.witnessing import Lane

PAGE_ENTRIES = 128
"""So many entries are brought at once, at most."""
DIGESTS_MAX = 65_536
"""Over so many entries a custody note may be shown to reach, at most."""

Why = Literal["destroyed", "lost"]
"""Why a neighbour has an entry no more: under an act, or it cannot say."""


class Absent(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """An entry that the issuer knows by its digest alone."""

    number: Count
    why: Why


class Rebuild(ObjectHeader, frozen=True, gc=False, kw_only=True):
    """Asks a neighbour for what it had placed for the issuer, behind entry `after`."""

    lane: Lane
    of_epoch: Count
    """Of the neighbour."""
    after: Size


class Rebuilt(ObjectHeader, frozen=True, gc=False, kw_only=True):
    """Brings entries `after` + 1 up to `through`; equal numbers: no note of ours goes further.

    The body is that of a bundle. Behind its certificates stand the custody notes by which the
    receiver had said that it took these entries (as `pack_pieces`), the SHA-256 of each entry from
    `after` + 1 up to the number in the last note, in one piece, and the entries themselves.
    """

    lane: Lane
    of_epoch: Count
    after: Size
    through: Size
    last: Size
    """So far do notes of the receiver reach in this stream."""
    absent: Annotated[tuple[Absent, ...], msgspec.Meta(max_length=PAGE_ENTRIES)] = ()
    why: Detail = ""
    """Why nothing more can be proven, where it is not that there is nothing more."""
    body: Body


class Gap(msgspec.Struct, frozen=True):
    """An entry of a neighbour's stream that has not come back, as `RebuiltRow` has it in JSON."""

    number: int
    why: str
    """`destroyed`, `lost` (the neighbour has it no more), `refused`, or why it does not hold."""
    sha256: str
