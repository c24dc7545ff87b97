"""Files too large for one packet: handed over and taken out in parts, a few in memory at a time."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import msgspec

from exchange.dropped import Drop
from nodes.cli.errors import DocumentFault, FileFault
from nodes.cli.files import STANDARD_INPUT
from nodes.cli.opening import reading
from nodes.cli.shelf import Shelf
from nodes.config import Config
from nodes.errors import NotFound
from schemas.documents.common import SourceRef
from schemas.documents.contents import OCTETS, UNTITLED
from schemas.documents.faults import DocumentError
from schemas.documents.registry import DOCUMENT_FILE
from schemas.limits import PART_CONTENT_BYTES, PAYLOAD_BYTES_MAX, WHOLE_BYTES_MAX
from schemas.manifest import DIGEST_BYTES, ManifestFacts, decode_manifest, encode_manifest, piece_of
from schemas.records import DropPart, PacketRow
from store.reading import Reading

ONE_PACKET_BYTES = PAYLOAD_BYTES_MAX - 64 * 1024
"""A larger file goes in parts: facts, padding and wrapped keys take the rest of a packet."""

Advance = Callable[[int, int], None]
"""Told how many parts are done, and how many there are."""


def goes_in_parts(path: Path, type_name: str) -> bool:
    """Say whether a file is sent in parts. Raises FileFault; standard input never is."""
    if type_name != DOCUMENT_FILE or path == STANDARD_INPUT:
        return False
    try:
        return path.stat().st_size > ONE_PACKET_BYTES
    except OSError as error:
        raise FileFault(f"{path}: {error.strerror}: name a file that can be read") from error


def with_manifest(drop: Drop, path: Path, issuer: str) -> Drop:
    """Return a drop whose body is the manifest of a file, which is read once.

    Its id, where none is given, is the digest of all that is handed over. Raises FileFault and
    DocumentFault.
    """
    digests = b"".join(piece_of(content).sha256 for content in _pieces(path))
    size = path.stat().st_size
    if size > WHOLE_BYTES_MAX:
        raise DocumentFault(f"body: {size} bytes, limit {WHOLE_BYTES_MAX}: split the document")
    given = [drop.type, drop.to, drop.section, drop.period, drop.title, drop.re, drop.media_type]
    digest = hashlib.sha256(msgspec.json.encode([*given, size]) + b"\n" + digests).hexdigest()
    drop_id = drop.drop_id or f"sha256-{digest}"
    try:
        facts = ManifestFacts(
            title=drop.title or UNTITLED,
            media_type=drop.media_type or OCTETS,
            source_ref=SourceRef(kind="register", issuer=issuer, number=drop_id[:100]),
            size=size,
        )
        body = encode_manifest(facts, digests)
    except DocumentError as error:
        raise DocumentFault(str(error)) from error
    parts = len(digests) // DIGEST_BYTES
    return msgspec.structs.replace(drop, drop_id=drop_id, body=body, parts=parts)


async def parts_of(
    drop: Drop, path: Path, advance: Advance, bucket: str, shelf: Shelf
) -> AsyncIterator[DropPart]:
    """Yield a file's parts for the record. Raises DocumentFault where it has changed meanwhile."""
    manifest = decode_manifest(drop.body)
    number = 0
    for number, content in enumerate(_pieces(path), 1):
        piece = piece_of(content)
        if not manifest.names(number, piece.sha256, piece.size):
            break
        yield shelf.seal_part(drop.system, drop.drop_id, number, bucket, content)
        advance(number, manifest.parts)
    else:
        if number == manifest.parts:
            return
    raise DocumentFault(f"{path}: changed while it was read: send it once it is at rest")


def manifest_again(drop: Drop, content: bytes) -> Drop:
    """Return a drop whose body is a manifest that went out before."""
    manifest = decode_manifest(content)
    facts = manifest.facts
    return msgspec.structs.replace(
        drop, body=content, title=facts.title, media_type=facts.media_type, parts=manifest.parts
    )


async def parts_again(
    drop: Drop, packet: PacketRow, config: Config, bucket: str, shelf: Shelf
) -> AsyncIterator[DropPart]:
    """Yield the parts of a file that went out before. Raises NotFound where one is not here."""
    async with reading(config) as desk:
        number = 0
        async for content in contents_of(desk, shelf, packet):
            number += 1
            yield shelf.seal_part(drop.system, drop.drop_id, number, bucket, content)
    if number != drop.parts:
        raise NotFound(
            f"{number} of {drop.parts} parts of {packet.id} are here, the rest was never sealed: "
            "`bbaj send` the file again, under another --drop-id"
        )


async def contents_of(desk: Reading, shelf: Shelf, packet: PacketRow) -> AsyncIterator[bytes]:
    """Yield the content of each part of a file that is here. Raises NotFound."""
    parts = await desk.parts_of((packet.sender, packet.epoch, packet.id))
    for frame in parts.values():
        kept = await shelf.fetch(desk, frame)
        if kept.raw is None:
            raise NotFound(f"a part of {packet.id} is not here: {kept.absent}")
        yield shelf.content_of(kept.raw)


def _pieces(path: Path) -> Iterator[bytes]:
    """Yield a file, cut. Raises FileFault."""
    try:
        with path.open("rb") as file:
            while content := file.read(PART_CONTENT_BYTES):
                yield content
    except OSError as error:
        raise FileFault(f"{path}: {error.strerror}: name a file that can be read") from error
