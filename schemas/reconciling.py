"""Link objects by which neighbours compare their streams (docs/protocol.md clause 24)."""

from typing import Annotated

import msgspec

from schemas.addresses import Address
from schemas.header import Count, Sha256Hex, Size
from schemas.object_header import ObjectHeader
from schemas.patterns import whole
from schemas.witnessing import Lane

MARKS_MAX = 32
"""So many streams are compared in one question: two ways, two lanes, eight epochs."""

_Nonce = Annotated[str, msgspec.Meta(pattern=whole(r"[0-9a-f]{32}"))]


class Mark(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """What one end holds of a stream: its chain after entry `number`, and its last number."""

    writer: Address
    lane: Lane
    epoch: Count
    """Of the writer."""
    number: Size
    chain: Sha256Hex
    last: Size


Marks = Annotated[tuple[Mark, ...], msgspec.Meta(min_length=1, max_length=MARKS_MAX)]


class Reconcile(ObjectHeader, frozen=True, gc=False, kw_only=True):
    """Asks a neighbour for its chains where the issuer says its own."""

    nonce: _Nonce
    marks: Marks


class Reconciled(ObjectHeader, frozen=True, gc=False, kw_only=True):
    """Answers the question with that nonce: a mark for each of its marks, in the same order.

    Each is at the highest number up to the one asked for at which the issuer knows its chain.
    """

    answers: _Nonce
    marks: Marks
