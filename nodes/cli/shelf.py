"""What the record keeps encrypted: opened, and drops sealed, without any signing key."""

import os
from functools import cached_property
from pathlib import Path

import msgspec

from exchange.sealing import CONTENT_BYTES_MAX, read_payload
from nodes.cli.errors import WrongUser
from nodes.config import Config
from nodes.policies import open_retention
from nodes.wiring import load_encryption
from schemas.buckets import is_of_class
from schemas.documents.contents import Delivered, read_content
from schemas.frame import cut
from schemas.moments import Instant, format_instant
from schemas.records import DropPart, PacketRow, QuarantineRow
from schemas.retention import bucket_of
from signing.at_rest import AtRest
from signing.encryption import EncryptionKeyring
from signing.marks import PURPOSE, Marks
from signing.payload import clear_payload
from store.reading import Reading


class Kept(msgspec.Struct, frozen=True):
    """A stored frame: its rows, and its bytes as far as they are still here."""

    packet: PacketRow | None
    quarantined: QuarantineRow | None
    raw: bytes | None
    absent: str = ""
    """Why there are no bytes."""
    destroyed: bool = False
    """They were here once."""


class Shelf:
    """The at-rest and encryption keyrings of a node, as its commands use them."""

    def __init__(self, config: Config) -> None:
        """Use the key files of the node; encryption keys are loaded when first needed."""
        self._config = config
        self._folder = config.data / "at-rest"
        self._at_rest = AtRest(self._folder)

    def seal_body(
        self, system: str, drop_id: str, class_: str, now: Instant, body: bytes
    ) -> dict[str, object]:
        """Return bucket and sealed body of a drop, as the daemon opens them. Raises WrongUser."""
        check_user(self._folder)
        bucket = bucket_of(open_retention(self._config), class_, None, now)
        sealed = self._at_rest.seal(bucket, f"{system}/{drop_id}".encode(), body)
        return {"bucket": bucket, "sealed": sealed}

    def seal_part(
        self, system: str, drop_id: str, number: int, bucket: str, content: bytes
    ) -> DropPart:
        """Return a part of a drop as the daemon opens it, in the bucket of its manifest."""
        aad = f"{system}/{drop_id}/{number}".encode()
        sealed = self._at_rest.seal(bucket, aad, content)
        return DropPart(system, drop_id, number, bucket, sealed)

    def open_payload(self, bucket: str, digest: bytes, sealed: bytes) -> bytes:
        """Return bytes at rest. Raises BucketKeyMissingError or BucketDamagedError."""
        return self._at_rest.open(bucket, digest, sealed)

    def marks(self) -> dict[str, Marks]:
        """Return what content is found by in each bucket whose key is here."""
        buckets = self._at_rest.buckets()
        return {each: Marks(self._at_rest.derived_key(each, PURPOSE)) for each in buckets}

    async def fetch(self, desk: Reading, frame: int) -> Kept:
        """Return a stored frame. Raises BucketKeyMissingError or BucketDamagedError."""
        packet, quarantined, bucket, sealed = await desk.stored_frame(frame)
        if bucket is None or sealed is None:
            absent = await _why_absent(desk, frame) if bucket else "only its digest was kept"
            return Kept(packet, quarantined, None, absent, destroyed=bucket is not None)
        digest = packet.frame_sha256 if packet else quarantined.sha256 if quarantined else b""
        opened = self._at_rest.open(bucket, digest, sealed)
        if packet is not None and is_of_class(bucket, packet.class_):
            opened = packet.head + opened
        return Kept(packet, quarantined, opened)

    def content_of(self, raw: bytes) -> bytes:
        """Return the content of a whole frame. Raises FormatError where it can't be undone."""
        frame = cut(raw)
        keys = self._encryption if frame.header.payload.is_encrypted else None
        return read_payload(frame, keys)

    def clear_of(self, raw: bytes) -> bytes | None:
        """Return salt and content of an encrypted frame; None of a clear one.

        Raises FormatError where it can't be undone.
        """
        frame = cut(raw)
        if not frame.header.payload.is_encrypted:
            return None
        return clear_payload(frame.header, frame.payload, self._encryption, CONTENT_BYTES_MAX)

    def document_of(self, raw: bytes) -> Delivered:
        """Return the document in a whole frame. Raises FormatError or DocumentError."""
        header = cut(raw).header
        return read_content(header.type, self.content_of(raw), header.payload.media_type)

    @cached_property
    def _encryption(self) -> EncryptionKeyring:
        return load_encryption(self._config)


async def _why_absent(desk: Reading, frame: int) -> str:
    """Return under which act a payload was destroyed, or that none tells of it."""
    done = (await desk.destroyed_of([frame])).get(frame)
    if done is None:
        return "its payload is gone, and no act destroyed it: run `bbaj store verify`"
    return f"its payload was destroyed under act {done.act} on {format_instant(done.at)}"


def check_user(folder: Path) -> None:
    """Raise WrongUser where a key made here could not be read by the daemon's own user."""
    nearest = next(each for each in (folder, *folder.parents) if each.exists())
    owner = nearest.stat().st_uid
    if nearest in (folder, folder.parent) and owner != os.geteuid():
        raise WrongUser(
            f"{nearest} belongs to user {owner}, and this is user {os.geteuid()}: "
            "run the command as the daemon's user"
        )
