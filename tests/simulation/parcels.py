"""A message of a line as anybody can read it: header, entries, and what answers say."""

from hashlib import sha256

import msgspec

from schemas.answers import RECEIPT, Receipt, decode_receipt
from schemas.errors import FormatError
from schemas.frame import Frame, cut
from schemas.objects import (
    MAGIC,
    AnyObject,
    Bundle,
    Void,
    cut_object,
    unpack_bundle_body,
)
from schemas.witnessing import Checkpoint
from signing.notes import checkpoint_of
from signing.payload import open_payload
from signing.proofs import read_request

CONTENT_MAX = 1 << 20


class Head(msgspec.Struct, frozen=True):
    """A signed head of a journal."""

    origin: str
    size: int
    root: bytes


class Parcel(msgspec.Struct, frozen=True):
    """One message, read without any key."""

    raw: bytes
    header: AnyObject
    digests: list[bytes] = []
    """Of a bundle: what the chain counts of each entry."""
    frames: list[Frame] = []
    frame_digests: frozenset[bytes] = frozenset()
    head: Head | None = None


def open_parcel(raw: bytes) -> Parcel | None:
    """Return a message read, or None where it is none."""
    try:
        whole = cut_object(raw)
        if isinstance(whole.header, Bundle):
            return _open_bundle(raw, whole.header, whole.body)
        if isinstance(whole.header, Checkpoint):
            found = checkpoint_of(read_request(whole.body).note)
            return Parcel(raw, whole.header, head=Head(found.origin, found.size, found.root))
        return Parcel(raw, whole.header)
    except FormatError:
        return None


def _open_bundle(raw: bytes, header: Bundle, body: bytes) -> Parcel:
    _, entries = unpack_bundle_body(body)
    digests, frames, of_frames = [], [], set()
    for entry in entries:
        digests.append(_counted(entry))
        if entry[:4] != MAGIC:
            frames.append(cut(entry))
            of_frames.add(digests[-1])
    return Parcel(raw, header, digests, frames, frozenset(of_frames))


def _counted(entry: bytes) -> bytes:
    if entry[:4] == MAGIC:
        header = cut_object(entry).header
        if isinstance(header, Void):
            return bytes.fromhex(header.entry_sha256)
    return sha256(entry).digest()


def receipt_in(frame: Frame) -> Receipt | None:
    """Return the receipt that a frame is, or None where it is none, or damaged."""
    if frame.header.type != RECEIPT:
        return None
    coding = frame.header.payload.coding
    try:
        return decode_receipt(open_payload(frame.payload, coding, CONTENT_MAX))
    except FormatError:
        return None
