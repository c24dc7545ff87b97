"""The header of a frame: the signed facts of one packet (docs/protocol.md clause 4)."""

from typing import Annotated, Any, Literal

import msgspec

from schemas import wire
from schemas.addresses import Address
from schemas.errors import FormatError
from schemas.limits import INTEGER_MAX
from schemas.moments import Instant, InstantText, parse_instant
from schemas.patterns import whole
from schemas.reasons import Reason

Sha256Hex = Annotated[str, msgspec.Meta(pattern=whole(r"[0-9a-f]{64}"))]
Sha512Hex = Annotated[str, msgspec.Meta(pattern=whole(r"[0-9a-f]{128}"))]
PACKET_ID_PATTERN = whole(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
PacketId = Annotated[str, msgspec.Meta(pattern=PACKET_ID_PATTERN)]
TypeName = Annotated[
    str,
    msgspec.Meta(
        pattern=whole(r"[a-z][a-z0-9]*(?:\.[a-z][a-z0-9]*)*/[1-9][0-9]{0,3}"), max_length=64
    ),
]
Count = Annotated[int, msgspec.Meta(ge=1, le=INTEGER_MAX)]
Size = Annotated[int, msgspec.Meta(ge=0, le=INTEGER_MAX)]
PeriodText = Annotated[
    str,
    msgspec.Meta(pattern=whole(r"[0-9]{4}(?:-(?:[0-9]{2}(?:-[0-9]{2})?|Q[1-4]))?")),
]
SectionCode = Annotated[str, msgspec.Meta(pattern=whole(r"(?:S[0-9]{2}|net)"))]
ClassCode = Annotated[str, msgspec.Meta(pattern=whole(r"[A-Z][A-Z0-9]{0,7}"))]
MediaType = Annotated[
    str,
    msgspec.Meta(pattern=whole(r"[a-z0-9]+/[a-z0-9][a-z0-9.+-]*"), max_length=100),
]
FlowCode = Literal["info", "admin", "oper", "tech", "result"]
FAST_FLOWS: tuple[FlowCode, ...] = ("result", "admin")
"""Packets of these flows travel in the lane `fast` (clause 7.1)."""
Coding = Literal[
    "salt",
    "salt+deflate",
    "salt+hpke",
    "salt+deflate+hpke",
    "salt+pad+hpke",
    "salt+deflate+pad+hpke",
]
"""The steps from content to payload, in their only order (clause 5)."""


class PayloadFacts(
    msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True
):
    """Digests and size (bytes) of the payload as it travels, and how it was made."""

    sha256: Sha256Hex
    sha512: Sha512Hex
    size: Size
    media_type: MediaType
    coding: Coding
    clear_sha256: Sha256Hex | None = None
    """Of salt and content; there exactly when the payload is encrypted."""

    @property
    def is_encrypted(self) -> bool:
        """Say whether the last step of `coding` is encryption."""
        return is_encrypted(self.coding)


PART = "part/1"
"""The type of the pieces of a large file: the one that bears `part`, and no `seq`."""


class Part(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Which piece of which large file a part is: `of` is the id of its manifest (clause 5.10)."""

    of: PacketId
    number: Count


class Header(
    msgspec.Struct,
    frozen=True,
    gc=False,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    rename={"from_": "from", "class_": "class"},
):
    """The signed facts of one packet, in the order in which they are encoded."""

    id: PacketId
    type: TypeName
    from_: Address
    to: Address
    sent: InstantText
    epoch: Count
    seq: Count | None = None
    period: PeriodText | None = None
    section: SectionCode
    class_: ClassCode
    flow: FlowCode
    re: PacketId | None = None
    certificate: Sha256Hex
    payload: PayloadFacts
    expires: InstantText | None = None
    part: Part | None = None
    ext: dict[str, Any] | None = None

    @property
    def sent_at(self) -> Instant:
        """The sender's claim of when it sealed, in microseconds since 1970."""
        return parse_instant(self.sent)


_decoder = msgspec.json.Decoder(Header)
_PAYLOAD = b',"payload":{'


def is_encrypted(coding: str) -> bool:
    """Say whether a coding ends in encryption."""
    return coding.endswith("+hpke")


def encode_header(header: Header) -> bytes:
    """Return the one encoding of `header`."""
    return wire.encode(header)


def encode_binding(header: Header) -> bytes:
    """Return the encoding of `header` without `payload`: what an encrypted payload is bound to.

    No string of a header has a quote in it, so the first place that looks like the field is it.
    """
    encoded = encode_header(header)
    start = encoded.index(_PAYLOAD)
    return encoded[:start] + encoded[encoded.index(b"}", start) + 1 :]


def decode_header(raw: bytes) -> Header:
    """Return the header whose one encoding `raw` is.

    Raises FormatError(format-invalid): every departure from clause 4, the first one named.
    """
    header = wire.decode(raw, _decoder)
    if (header.seq is None) == (header.part is None):
        raise FormatError(Reason.FORMAT_INVALID, "header needs one of seq and part")
    if (header.part is None) == (header.type == PART):
        raise FormatError(Reason.FORMAT_INVALID, f"header.part misfits {header.type}")
    if header.payload.is_encrypted != (header.payload.clear_sha256 is not None):
        raise FormatError(Reason.FORMAT_INVALID, "header.payload.clear_sha256 misfits coding")
    if header.from_ == header.to:
        raise FormatError(Reason.FORMAT_INVALID, "header has from equal to to")
    wire.check_moment("sent", header.sent)
    if header.expires is not None:
        wire.check_moment("expires", header.expires)
    if header.ext is not None:
        wire.check_ext(header.ext)
    return header
