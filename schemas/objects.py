"""Link objects: signed things that neighbours exchange and that are not packets (clause 6).

    object = "BBAL" || u8 version || u8 kind || u8 algorithm || u16 header_length || header
             || u16 signature_length || signature || body

The signature covers everything before `signature_length`; the header names the body by its
SHA-256 and size, so a kind can never pass as another and a body never under another header.
"""

import struct
from enum import IntEnum
from typing import Annotated, Literal

import msgspec

from schemas import wire
from schemas.addresses import Address
from schemas.errors import FormatError
from schemas.header import Count, Sha256Hex, Size
from schemas.limits import HEADER_BYTES_MAX, MESSAGE_BYTES_MAX, SIGNATURE_BYTES_MAX
from schemas.moments import InstantText
from schemas.object_header import Body, Detail, ObjectHeader
from schemas.patterns import whole
from schemas.reasons import Reason
from schemas.rebuilding import Rebuild, Rebuilt
from schemas.reconciling import Reconcile, Reconciled
from schemas.statements import (
    Alarm,
    Card,
    Grant,
    Invitation,
    Join,
    Keys,
    Lacking,
    NoCard,
    Request,
    Statement,
    Track,
    Tracked,
    Welcome,
)
from schemas.witnessing import Checkpoint, Cosigned, JournalObject, Proven, Recover, Returned

MAGIC = b"BBAL"
VERSION = 1
NO_CHAIN = "0" * 64
"""The chain value of a stream from which nothing has been taken."""

_PREFIX = struct.Struct(">4sBBBH")
_LENGTH = struct.Struct(">H")

Lane = Literal["fast", "bulk"]
Nonce = Annotated[str, msgspec.Meta(pattern=whole(r"[0-9a-f]{32}"))]


class Kind(IntEnum):
    """What an object is."""

    BUNDLE = 1
    CUSTODY_NOTE = 2
    HELLO = 3
    REFUSAL = 4
    VOID = 5
    ASK = 6
    CERTIFICATE = 7
    CRL = 8
    CARD = 9
    KEYS = 10
    NO_CARD = 11
    REQUEST = 12
    GRANT = 13
    ISSUED = 14
    ALARM = 15
    INVITATION = 16
    JOIN = 17
    WELCOME = 18
    CARD_LIST = 19
    CHECKPOINT = 20
    COSIGNED = 21
    PROVEN = 22
    RECOVER = 23
    RETURNED = 24
    TRACK = 25
    TRACKED = 26
    REBUILD = 27
    REBUILT = 28
    RECONCILE = 29
    RECONCILED = 30
    LACKING = 31


class StreamPosition(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """How far one incoming stream is taken: everything up to `up_to`, and `seen` was settled."""

    lane: Lane
    epoch: Count
    up_to: Size
    chain: Sha256Hex
    seen: Size


class Bundle(ObjectHeader, frozen=True, gc=False, kw_only=True):
    """Entries `first` to `last` of one stream, in the body; `chain` is its value after `last`."""

    lane: Lane
    first: Count
    last: Count
    chain: Sha256Hex
    body: Body


class CustodyNote(ObjectHeader, frozen=True, gc=False, kw_only=True):
    """The issuer has committed everything up to `position.up_to` of the neighbour's stream."""

    position: StreamPosition
    hello: Nonce | None = None
    """The neighbour's latest nonce; only a note with it may lower a cursor."""


class Hello(ObjectHeader, frozen=True, gc=False, kw_only=True):
    """Begins each connection: who speaks, its clock, and what it has taken of our streams."""

    nonce: Nonce
    echo: Nonce | None = None
    clock: InstantText
    versions: list[int]
    positions: list[StreamPosition]
    placed: list[StreamPosition]
    """What the issuer has for the neighbour: `up_to` and `seen` are its last number, per lane."""


class Refusal(ObjectHeader, frozen=True, gc=False, kw_only=True):
    """A numbered entry of the fast stream back: entry `entry` of `lane` was refused."""

    lane: Lane
    of_epoch: Count
    entry: Count
    frame_sha256: Sha256Hex
    reason: Reason
    detail: Detail
    again_at: InstantText | None = None
    """Only with `busy`: when to come again."""


class Void(ObjectHeader, frozen=True, gc=False, kw_only=True):
    """Fills the number of an entry that was destroyed or had expired before it was taken."""

    lane: Lane
    entry: Count
    entry_sha256: Sha256Hex
    detail: Detail


class Ask(ObjectHeader, frozen=True, gc=False, kw_only=True):
    """Asks the neighbour for something that it may have, or may ask for in turn.

    A certificate by its SHA-256; all of its CRLs; the card of `address`; what the authority
    `address` has issued from entry `after` on; the leaf `after` of its journal in `of_epoch`, with
    its proof; or what the asker had sent it in `of_epoch` in `lane` behind entry `after`, from
    where an answer before has ended: `behind`.
    """

    what: Literal["certificate", "crls", "card", "issued", "leaf", "returned"]
    sha256: Sha256Hex | None = None
    address: Address | None = None
    after: Size | None = None
    of_epoch: Count | None = None
    lane: Lane | None = None
    behind: Size | None = None


class Certificate(ObjectHeader, frozen=True, gc=False, kw_only=True):
    """Brings certificates (DER, as `pack_pieces`) in the body; empty: none such."""

    answers: Sha256Hex | None = None
    body: Body


class Crl(ObjectHeader, frozen=True, gc=False, kw_only=True):
    """Brings one full CRL (DER) in the body."""

    body: Body


class CardList(ObjectHeader, frozen=True, gc=False, kw_only=True):
    """Says which cards the issuer holds of those it shares with the neighbour.

    The body has a line for each: address, number, SHA-256 of the card (docs/protocol.md 13.9).
    """

    body: Body


class Issued(ObjectHeader, frozen=True, gc=False, kw_only=True):
    """Brings entries `first` up to (not with) `last` of the log of what `authority` has issued.

    The body has, as `pack_pieces`: the log's signed head (a C2SP checkpoint of `size` entries),
    then the entries. What proves them is the head, whoever brings them: `journal` is the
    certificate of the authority's journal key, which signs it. A head that witnesses have cosigned
    comes with their lines, and without entries.
    """

    authority: Address
    journal: Sha256Hex
    first: Size
    last: Size
    size: Size
    witnesses: tuple[Sha256Hex, ...] = ()
    """The certificates of the witness keys whose lines stand in the head."""
    body: Body


AnyObject = (
    Bundle
    | CustodyNote
    | Hello
    | Refusal
    | Void
    | Ask
    | Certificate
    | Crl
    | CardList
    | Issued
    | Statement
    | Invitation
    | Join
    | Welcome
    | JournalObject
    | Rebuild
    | Rebuilt
    | Reconcile
    | Reconciled
)
WithBody = (
    Bundle
    | Certificate
    | Crl
    | Card
    | Keys
    | CardList
    | Request
    | Grant
    | Issued
    | Alarm
    | Invitation
    | Join
    | Welcome
    | Checkpoint
    | Cosigned
    | Proven
    | Returned
    | Tracked
    | Rebuilt
)
"""Kinds that name a body; nothing may follow the signature of the others."""

_TYPES: dict[Kind, type[AnyObject]] = {
    Kind.BUNDLE: Bundle,
    Kind.CUSTODY_NOTE: CustodyNote,
    Kind.HELLO: Hello,
    Kind.REFUSAL: Refusal,
    Kind.VOID: Void,
    Kind.ASK: Ask,
    Kind.CERTIFICATE: Certificate,
    Kind.CRL: Crl,
    Kind.CARD: Card,
    Kind.KEYS: Keys,
    Kind.NO_CARD: NoCard,
    Kind.REQUEST: Request,
    Kind.GRANT: Grant,
    Kind.ISSUED: Issued,
    Kind.ALARM: Alarm,
    Kind.INVITATION: Invitation,
    Kind.JOIN: Join,
    Kind.WELCOME: Welcome,
    Kind.CARD_LIST: CardList,
    Kind.CHECKPOINT: Checkpoint,
    Kind.COSIGNED: Cosigned,
    Kind.PROVEN: Proven,
    Kind.RECOVER: Recover,
    Kind.RETURNED: Returned,
    Kind.TRACK: Track,
    Kind.TRACKED: Tracked,
    Kind.REBUILD: Rebuild,
    Kind.REBUILT: Rebuilt,
    Kind.RECONCILE: Reconcile,
    Kind.RECONCILED: Reconciled,
    Kind.LACKING: Lacking,
}
_KINDS = {type_: kind for kind, type_ in _TYPES.items()}
_DECODERS = {kind: msgspec.json.Decoder(type_) for kind, type_ in _TYPES.items()}


class CutObject(msgspec.Struct, frozen=True, gc=False):
    """A link object cut into its pieces; the signature and body digest are not checked yet."""

    header: AnyObject
    signed: bytes
    signature: bytes
    body: bytes


def object_signed_bytes(header: AnyObject, algorithm: int = 1) -> bytes:
    """Return what the signature of a link object covers."""
    encoded = wire.encode(header)
    if len(encoded) > HEADER_BYTES_MAX:
        detail = f"header of {len(encoded)} bytes, limit {HEADER_BYTES_MAX}"
        raise FormatError(Reason.FORMAT_INVALID, detail)
    prefix = _PREFIX.pack(MAGIC, VERSION, _KINDS[type(header)], algorithm, len(encoded))
    return prefix + encoded


def join_object(signed: bytes, signature: bytes, body: bytes = b"") -> bytes:
    """Return a link object's exact bytes."""
    return b"".join((signed, _LENGTH.pack(len(signature)), signature, body))


def cut_object(raw: bytes) -> CutObject:
    """Cut a link object. Raises FormatError (`format-invalid`, `format-version`, `too-large`)."""
    if len(raw) > MESSAGE_BYTES_MAX:
        raise FormatError(Reason.TOO_LARGE, f"object of {len(raw)} bytes")
    if len(raw) < _PREFIX.size:
        raise FormatError(Reason.FORMAT_INVALID, f"object of {len(raw)} bytes has no prefix")
    magic, version, kind, algorithm, header_size = _PREFIX.unpack_from(raw)
    if magic != MAGIC:
        raise FormatError(Reason.FORMAT_INVALID, "object does not begin with BBAL")
    if version != VERSION:
        raise FormatError(Reason.FORMAT_VERSION, f"object version {version}, spoken: {VERSION}")
    if kind not in _DECODERS:
        raise FormatError(Reason.FORMAT_INVALID, f"object kind {kind} is unknown")
    if algorithm != 1:
        raise FormatError(Reason.ALGORITHM_NOT_ALLOWED, f"algorithm {algorithm}, allowed: 1")
    signed_size = _PREFIX.size + header_size
    if header_size > HEADER_BYTES_MAX or len(raw) < signed_size + _LENGTH.size:
        raise FormatError(
            Reason.FORMAT_INVALID, f"object header of {header_size} bytes does not fit"
        )
    (signature_size,) = _LENGTH.unpack_from(raw, signed_size)
    body_at = signed_size + _LENGTH.size + signature_size
    if not 0 < signature_size <= SIGNATURE_BYTES_MAX or len(raw) < body_at:
        raise FormatError(
            Reason.FORMAT_INVALID, f"signature of {signature_size} bytes does not fit"
        )
    header = wire.decode(raw[_PREFIX.size : signed_size], _DECODERS[Kind(kind)])
    _check_moments(header)
    signature = raw[signed_size + _LENGTH.size : body_at]
    return CutObject(header, raw[:signed_size], signature, raw[body_at:])


def _check_moments(header: AnyObject) -> None:
    match header:
        case Hello():
            wire.check_moment("clock", header.clock)
        case Refusal() if header.again_at is not None:
            wire.check_moment("again_at", header.again_at)
        case Invitation():
            wire.check_moment("ends", header.ends)
        case _:
            pass


def pack_pieces(pieces: list[bytes]) -> bytes:
    """Return `u16 count`, then each piece after its `u32 length`."""
    packed = [_LENGTH.pack(len(pieces))]
    for piece in pieces:
        packed += (len(piece).to_bytes(4), piece)
    return b"".join(packed)


def unpack_pieces(packed: bytes, at: int = 0) -> tuple[list[bytes], int]:
    """Return the pieces that begin at offset `at`, and the offset behind them.

    Raises FormatError(format-invalid) where a length does not fit.
    """
    if len(packed) < at + _LENGTH.size:
        raise FormatError(Reason.FORMAT_INVALID, "pieces: count is missing")
    (count,) = _LENGTH.unpack_from(packed, at)
    at += _LENGTH.size
    pieces = []
    for number in range(count):
        size = int.from_bytes(packed[at : at + 4])
        end = at + 4 + size
        if end > len(packed):
            raise FormatError(Reason.FORMAT_INVALID, f"piece {number} of {size} bytes does not fit")
        pieces.append(packed[at + 4 : end])
        at = end
    return pieces, at


def pack_bundle_body(certificates: list[bytes], entries: list[bytes]) -> bytes:
    """Return a bundle's body: the certificates it brings (DER), then its entries."""
    return pack_pieces(certificates) + pack_pieces(entries)


def unpack_bundle_body(body: bytes) -> tuple[list[bytes], list[bytes]]:
    """Return certificates and entries. Raises FormatError where lengths do not add up."""
    certificates, at = unpack_pieces(body)
    entries, end = unpack_pieces(body, at)
    if end != len(body):
        raise FormatError(Reason.FORMAT_INVALID, f"{len(body) - end} bytes behind the last entry")
    return certificates, entries
