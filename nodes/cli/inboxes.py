"""Documents released at this node: listed, and taken out exactly once.

A document is written to a draft, then marked as taken in the record, and only then gets its name.
The mark bears the draft's token, so whatever a crash leaves behind is finished, or removed, by the
next command that works in the folder.
"""

import os
import re
import secrets
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path

import msgspec

from nodes.cli import large
from nodes.cli.errors import FileFault, UsageFault
from nodes.cli.opening import find, reading
from nodes.cli.output import write_bytes
from nodes.cli.shapes import InboxLine, TakenDocument
from nodes.cli.shelf import Shelf
from nodes.clock import now
from nodes.config import Config
from nodes.errors import NotFound
from schemas.documents.contents import Delivered
from schemas.manifest import is_manifest
from schemas.moments import format_instant
from schemas.records import PacketRow
from signing.keys import sync_folder
from store.postgres.desk import InboxItem
from store.reading import Reading

PAGE_ITEMS = 1000
SUFFIXES = {
    "application/json": ".json",
    "application/pdf": ".pdf",
    "application/xml": ".xml",
    "application/zip": ".zip",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "text/csv": ".csv",
    "text/plain": ".txt",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
}
"""File names end by these, `.bin` otherwise."""

_DRAFT = re.compile(r"\.(?P<frame>[0-9]+)\.(?P<token>[0-9a-f]{16})\.(?P<name>.+)\.taking")


class Taking(msgspec.Struct, frozen=True, kw_only=True):
    """What to take, and where to put it."""

    packet: str | None = None
    """None: the oldest one."""
    system: str | None = None
    every: bool = False
    again: bool = False
    """Also one that was taken before."""
    folder: Path | None = None
    """None: standard output."""


async def list_inbox(
    config: Config, system: str | None, *, include_taken: bool, limit: int
) -> list[InboxLine]:
    """Return what was released, oldest first."""
    async with reading(config) as desk:
        items = await desk.inbox(system, include_taken=include_taken, limit=limit)
    return [_line(item) for item in items]


async def take(config: Config, taking: Taking) -> list[TakenDocument]:
    """Take documents out; each one once. Raises NotFound where none is there to take."""
    if taking.every and (taking.packet or taking.folder is None):
        raise UsageFault("--all takes whatever is there, into the folder that --to names")
    shelf = Shelf(config)
    taken: list[TakenDocument] = []
    async with reading(config) as desk:
        if taking.folder is not None:
            await _finish_drafts(desk, taking.folder)
        async for item in _wanted(desk, config, taking):
            document = await _take_one(desk, shelf, item, taking)
            if document is not None:
                taken.append(document)
                if not taking.every:
                    break
    if not taken and not taking.every:
        raise NotFound("no document waits in the inbox: `bbaj inbox list --taken` shows more")
    return taken


async def _wanted(desk: Reading, config: Config, taking: Taking) -> AsyncIterator[InboxItem]:
    """Yield what may be taken: the one named, or all that waits, oldest first."""
    if taking.packet is not None:
        yield await _named(desk, config, taking, taking.packet)
        return
    after = 0
    while page := await desk.inbox(taking.system, after_frame=after, limit=PAGE_ITEMS):
        for item in page:
            yield item
        after = page[-1].packet.frame


async def _named(desk: Reading, config: Config, taking: Taking, packet_id: str) -> InboxItem:
    packet = (await find(desk, packet_id, recipient=config.address)).packet
    item = await _item_of(desk, packet.frame)
    if item is None:
        raise NotFound(f"packet {packet_id} was not released here: see `bbaj show {packet_id}`")
    if item.taken is not None and not taking.again:
        raise NotFound(
            f"packet {packet_id} was taken at {format_instant(item.taken)} by {item.by}: "
            "--again writes it once more"
        )
    return item


async def _item_of(desk: Reading, frame: int) -> InboxItem | None:
    items = await desk.inbox(include_taken=True, after_frame=frame - 1, limit=1)
    return items[0] if items and items[0].packet.frame == frame else None


async def _take_one(
    desk: Reading, shelf: Shelf, item: InboxItem, taking: Taking
) -> TakenDocument | None:
    """Take one document; None where another command was faster, or nothing is left of it."""
    kept = await shelf.fetch(desk, item.packet.frame)
    if kept.raw is None:
        if taking.packet is None:
            return None
        raise NotFound(f"content of {item.packet.id} is not here: {kept.absent}")
    document = shelf.document_of(kept.raw)
    contents = _contents(desk, shelf, item.packet, document)
    name = item.packet.id + SUFFIXES.get(document.media_type, ".bin")
    token = secrets.token_hex(8)
    if taking.folder is None:
        if not await _mark(desk, item, token):
            return None
        return _taken(item, document, await _hash_while(contents, write_bytes), None)
    draft = taking.folder / f".{item.packet.frame}.{token}.{name}.taking"
    written = await _write(draft, contents)
    if not await _mark(desk, item, token):
        draft.unlink()
        return None
    return _taken(item, document, written, _name(draft, taking.folder / name))


async def _mark(desk: Reading, item: InboxItem, token: str) -> bool:
    """Mark a document as taken, by a pseudonym; one taken before stays as it is marked."""
    if item.taken is not None:
        return True
    return await desk.take(item.packet.frame, f"uid-{os.getuid()} {token}", now())


async def _finish_drafts(desk: Reading, folder: Path) -> None:
    """Finish what a crash left behind: a draft whose token is in the record is the document."""
    for draft in _drafts_in(folder):
        match = _DRAFT.fullmatch(draft.name)
        if match is None:
            continue
        item = await _item_of(desk, int(match["frame"]))
        if item is not None and item.by is not None and item.by.endswith(match["token"]):
            _name(draft, folder / match["name"])
        elif _is_old(draft):
            draft.unlink(missing_ok=True)


def _drafts_in(folder: Path) -> list[Path]:
    return sorted(folder.glob(".*.taking"))


def _is_old(draft: Path) -> bool:
    """Say whether no running command can still be about to mark it."""
    return now() / 1e6 - draft.stat().st_mtime > 3600


async def _contents(
    desk: Reading, shelf: Shelf, packet: PacketRow, document: Delivered
) -> AsyncIterator[bytes]:
    """Yield a document piece by piece: a large file came in parts."""
    if not is_manifest(packet.type, packet.media_type):
        yield document.body
        return
    async for content in large.contents_of(desk, shelf, packet):
        yield content


async def _hash_while(
    contents: AsyncIterator[bytes], write: Callable[[bytes], object]
) -> tuple[str, int]:
    """Write a document; return SHA-256 and size."""
    digest, size = sha256(), 0
    async for content in contents:
        write(content)
        digest.update(content)
        size += len(content)
    return digest.hexdigest(), size


async def _write(path: Path, contents: AsyncIterator[bytes]) -> tuple[str, int]:
    """Write a document to a new file, durably; return SHA-256 and size."""
    try:
        with path.open("xb") as file:
            written = await _hash_while(contents, file.write)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise FileFault(f"{path}: {error.strerror}: name a folder that can be written") from error
    return written


def _name(draft: Path, path: Path) -> str:
    draft.replace(path)
    sync_folder(path.parent)
    return str(path)


def _line(item: InboxItem) -> InboxLine:
    packet = item.packet
    return InboxLine(
        id=packet.id,
        type_=packet.type,
        from_=packet.sender,
        section=packet.section,
        period=packet.period,
        re=packet.re,
        sent=format_instant(packet.sent),
        received=format_instant(packet.received),
        released=format_instant(item.released.released),
        system=item.released.system,
        taken=None if item.taken is None else format_instant(item.taken),
        taken_by=item.by,
        size=packet.size,
    )


def _taken(
    item: InboxItem, document: Delivered, written: tuple[str, int], path: str | None
) -> TakenDocument:
    digest, size = written
    line = _line(item)
    return TakenDocument(
        id=line.id,
        type_=line.type_,
        from_=line.from_,
        section=line.section,
        period=line.period,
        re=line.re,
        sent=line.sent,
        received=line.received,
        title=document.title,
        media_type=document.media_type,
        sha256=digest,
        size=size,
        path=path,
    )
