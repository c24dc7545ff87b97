"""`bbaj print` and `bbaj show --content`: opens what this node may read, and writes it down."""

import os
from collections.abc import Iterator
from pathlib import Path

from rich.console import RenderableType
from rich.padding import Padding

from nodes.cli.drawing import facts_table, new_table
from nodes.cli.errors import FileFault, UsageFault
from nodes.cli.opening import reading
from nodes.cli.shapes import Shape
from nodes.cli.shelf import Shelf
from nodes.clock import now
from nodes.config import Config
from nodes.printing.blocks import Block, Facts, Listing, Notice, Picture, Printout, Prose, Table
from nodes.printing.dossier import Absent, Dossier, Opened
from nodes.printing.gather import gather
from nodes.printing.printout import make_printout
from nodes.printing.speaker import Speaker, visible
from nodes.texts import text
from schemas.codes import Language
from schemas.errors import FormatError
from schemas.frame import cut
from signing.errors import BucketDamagedError, BucketKeyMissingError
from store.reading import Reading

SUFFIXES = (".pdf", ".html")


class Printed(Shape, frozen=True, kw_only=True):
    """A packet, or quarantined frame, that was printed."""

    id: str
    file: str
    language: str
    pages: int | None
    """Of a PDF; HTML has none before it is printed."""
    size: int


async def find(config: Config, name: str) -> Dossier:
    """Return what is known of a packet or quarantined frame. Raises NotFound."""
    shelf = Shelf(config)
    async with reading(config) as desk:

        async def open_frame(frame: int) -> Opened:
            return await opened(shelf, desk, frame)

        return await gather(desk, name, config.address, open_frame, now())


async def opened(shelf: Shelf, desk: Reading, frame: int) -> Opened:
    """Return as much of a frame as is here and this node's keys open."""
    try:
        kept = await shelf.fetch(desk, frame)
    except BucketKeyMissingError:
        return Opened(absent=Absent.KEY_GONE)
    except BucketDamagedError:
        return Opened(absent=Absent.DAMAGED)
    if kept.raw is None:
        return Opened(absent=Absent.DESTROYED if kept.destroyed else Absent.DIGEST_ONLY)
    if kept.packet is None:
        return Opened(kept.raw)
    try:
        return Opened(kept.raw, shelf.content_of(kept.raw))
    except FormatError:
        is_encrypted = cut(kept.raw).header.payload.is_encrypted
        return Opened(kept.raw, None, Absent.ENCRYPTED if is_encrypted else Absent.UNREADABLE)


async def write(config: Config, name: str, file: Path, language: Language) -> Printed:
    """Print what a name stands for into a new file. Raises UsageFault, NotFound, FileFault."""
    if file.suffix not in SUFFIXES:
        raise UsageFault(f"{file}: the name ends in neither {' nor '.join(SUFFIXES)}")
    sheet = make_printout(await find(config, name), Speaker(language))
    data, pages = typeset(sheet, as_pdf=file.suffix == ".pdf")
    save(file, data)
    return Printed(id=sheet.name, file=str(file), language=language, pages=pages, size=len(data))


def typeset(sheet: Printout, *, as_pdf: bool) -> tuple[bytes, int | None]:
    """Return a printout as bytes, and the number of its pages. Raises UsageFault."""
    from nodes.printing.page import make_page  # noqa: PLC0415 - the terminal needs no templates

    page = make_page(sheet)
    if not as_pdf:
        return page.encode(), None
    from nodes.printing.paper import PAGE_CHARACTERS_MAX, make_pdf  # noqa: PLC0415 - heavy

    if len(page) > PAGE_CHARACTERS_MAX:
        raise UsageFault(
            f"{sheet.name}: as a page it has {len(page)} characters, for a PDF at most "
            f"{PAGE_CHARACTERS_MAX}: name a file that ends in .html"
        )
    return make_pdf(page)


def save(file: Path, data: bytes) -> None:
    """Write a new file that only this user reads: it may name persons. Raises FileFault."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as target:
            target.write(data)
    except OSError as error:
        raise FileFault(f"{file}: {error.strerror}: name a file that is not there yet") from error


def told(printed: Printed, language: Language) -> Iterator[RenderableType]:
    """Draw `print`."""
    key = "print.done" if printed.pages is None else "print.done-pages"
    yield text(key, language, file=printed.file, pages=printed.pages)


async def content(config: Config, name: str, language: Language) -> Printout:
    """Return a packet's printout for the terminal. Raises NotFound."""
    return make_printout(await find(config, name), Speaker(language))


def drawn(sheet: Printout) -> Iterator[RenderableType]:
    """Draw `show --content`: the title, what must be known first, and the content."""
    yield ""
    yield f"{visible(sheet.title)} ({sheet.form})"
    for block in (*sheet.notices, *sheet.content.blocks):
        yield _draw(block)


def _draw(block: Block) -> RenderableType:
    match block:
        case Notice():
            return f"! {visible(block.text)}"
        case Facts():
            return facts_table((row.name, visible(row.value)) for row in block.rows)
        case Table():
            table = new_table(*block.heads)
            for row in block.rows:
                table.add_row(*map(visible, row))
            return table
        case Prose():
            return visible("\n".join(filter(None, (block.title, block.text))))
        case Listing():
            return Padding(visible(block.text), (0, 0, 0, 2))
        case Picture():
            return f"[{visible(block.caption)}]"
