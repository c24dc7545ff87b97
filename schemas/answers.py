"""Contents of the network's own packets: receipt, closing and ping (docs/protocol.md clause 8)."""

from typing import Literal

import msgspec

from schemas import wire
from schemas.addresses import Address
from schemas.header import PART, Count, PacketId, Sha256Hex, Size
from schemas.moments import InstantText
from schemas.object_header import Detail
from schemas.reasons import Reason

RECEIPT = "receipt/1"
CLOSING = "closing/1"
PING = "ping/1"
ARCHIVE_ACT = "archive.act/1"
ARCHIVE_COMPLETENESS = "archive.completeness/1"
ARCHIVE_STATE = "archive.state/1"
ANSWERS = frozenset({RECEIPT, CLOSING})
"""Types that answer a packet; nothing answers them."""
UNANSWERED = ANSWERS | {PART}
"""Types that no receipt answers, not even a refusal."""
ALWAYS_ALLOWED = UNANSWERED | {ARCHIVE_ACT, ARCHIVE_COMPLETENESS, ARCHIVE_STATE}
"""Types that a node may send whatever its card allows: what the protocol asks of it."""
FOR_NODES = frozenset({PING, ARCHIVE_ACT, ARCHIVE_COMPLETENESS, ARCHIVE_STATE})
"""Types that are kept and answered, and released to no local system."""


class PacketName(
    msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, rename={"from_": "from"}
):
    """What an accepted packet is known by, beside the SHA-256 of its head."""

    from_: Address
    epoch: Count
    id: PacketId


class Receipt(
    msgspec.Struct,
    frozen=True,
    gc=False,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """A node's verdict on one packet; only the addressee's `accepted` delivers (clause 8.2)."""

    packet: PacketName
    head_sha256: Sha256Hex
    frame_sha256: Sha256Hex
    verdict: Literal["accepted", "refused"]
    reason: Reason | None = None
    detail: Detail = ""
    refused_by: Address | None = None
    """The node that refused, where another one speaks for it."""
    received: InstantText
    epoch: Count
    index: Size
    """Epoch and index of the leaf in the issuer's own journal."""


class Closing(msgspec.Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """The sender's statement that it holds and has authenticated the receipt."""

    packet: PacketName
    receipt: PacketName
    receipt_head_sha256: Sha256Hex
    confirmed: InstantText


class Ping(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Goes through all tiers, is answered by a receipt, and is released to nobody."""

    note: Detail = ""


_receipts = msgspec.json.Decoder(Receipt)
_closings = msgspec.json.Decoder(Closing)


def decode_receipt(content: bytes) -> Receipt:
    """Return the receipt whose one encoding a content is. Raises FormatError(format-invalid)."""
    receipt = wire.decode(content, _receipts)
    wire.check_moment("received", receipt.received)
    return receipt


def decode_closing(content: bytes) -> Closing:
    """Return the closing whose one encoding a content is. Raises FormatError(format-invalid)."""
    closing = wire.decode(content, _closings)
    wire.check_moment("confirmed", closing.confirmed)
    return closing
