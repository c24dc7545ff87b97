"""`bbaj search`: documents delivered here, by whom they are about and by words of permitted fields.

The index names candidates, and content decides: each is opened with this node's keys. Who is asked
for stands in no log, no error and no database: of a use only the command and a pseudonym are kept.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from enum import StrEnum
from pathlib import Path

import msgspec

from nodes.cli.errors import FileFault, UsageFault
from nodes.cli.exports import Batch, export
from nodes.cli.files import STANDARD_INPUT
from nodes.cli.lists import LOOKING_S, Query, frame_in
from nodes.cli.opening import reading
from nodes.cli.reports import packet_lines
from nodes.cli.shapes import Exported, FoundLine, FoundList, PacketLine
from nodes.cli.shelf import Shelf
from nodes.config import Config
from schemas.documents.faults import DocumentError
from schemas.documents.findable import Findable, findable_of
from schemas.errors import FormatError
from schemas.identifiers import check_iin
from schemas.kazakh import sort_key
from schemas.spellings import asked_stems, matches, words_of
from signing.errors import BucketDamagedError, BucketKeyMissingError
from signing.marks import Marks
from store.postgres.findings import Wanted
from store.reading import ListedPacket, Reading

CANDIDATES_AT_ONCE = 50
SORTED_MAX = 1_000
"""So many documents are sorted by title: all of them must be opened first."""


class Order(StrEnum):
    """What documents found are sorted by."""

    NEWEST = "newest"
    TITLE = "title"
    """In the order of the Kazakh alphabet."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for in documents; one of the two at least."""

    subject: str | None = None
    """An IIN or BIN."""
    text: str | None = None
    order: Order = Order.NEWEST

    def is_in(self, found: Findable) -> bool:
        """Say whether a document has it."""
        return (self.subject is None or self.subject in found.subjects) and (
            self.text is None or matches(self.text, found.texts)
        )

    def in_bucket(self, bucket: str, marks: Marks) -> Wanted:
        """Return the same as the index of one bucket has it."""
        subject = None if self.subject is None else marks.subject(self.subject)
        stems = [] if self.text is None else asked_stems(self.text)
        return Wanted(bucket, subject, [[marks.stem(stem) for stem in each] for each in stems])


class Hit(msgspec.Struct, frozen=True, gc=False):
    """A document that has what was asked for."""

    line: ListedPacket
    title: str | None


class Looked(msgspec.Struct):
    """How a search stands."""

    candidates: list[int]
    """Frames, newest first."""
    done: int = 0
    unopened: int = 0


def read_subject(file: Path | None) -> str:
    """Return the number that is looked for: the first line of a file, or of what is typed.

    Raises UsageFault, which never repeats it, and FileFault.
    """
    if file is None and sys.stdin.isatty():
        from getpass import getpass  # noqa: PLC0415 - only where somebody types

        number = getpass("IIN / BIN: ")
    else:
        number = _first_line(STANDARD_INPUT if file is None else file)
    problem = check_iin(number.strip())
    if problem:
        raise UsageFault(f"the number given is no IIN and no BIN: {problem}")
    return number.strip()


def asked_for(subject: str | None, text: str | None, order: Order) -> Asked:
    """Return what is looked for. Raises UsageFault where that is nothing."""
    if subject is None and not (text and words_of(text)):
        raise UsageFault("name what is looked for: --text WORDS, --subject or --subject-file FILE")
    return Asked(subject=subject, text=text or None, order=order)


async def search(config: Config, asked: Asked, query: Query) -> FoundList:
    """Return a page of what was found. Raises UsageFault."""
    shelf = Shelf(config)
    async with reading(config) as desk:
        looked = await _look_up(shelf, desk, asked)
        page = _newest if asked.order is Order.NEWEST else _by_title
        hits, after = await page(shelf, desk, looked, asked, query)
        return FoundList(
            packets=await _found_lines(config, desk, hits),
            next_after=after,
            unopened=looked.unopened,
            not_indexed=await desk.behind(),
        )


async def export_search(config: Config, asked: Asked, query: Query, file: Path) -> Exported:
    """Write all that was found into a new file, without titles. Raises UsageFault, FileFault."""
    shelf = Shelf(config)

    async def batches() -> AsyncGenerator[Batch, None]:
        async with reading(config) as desk:
            looked = await _look_up(shelf, desk, asked)
            async with aclosing(_hits(shelf, desk, looked, asked, query)) as run:
                async for hits in run:
                    lines: list[PacketLine] = [*await _found_lines(config, desk, hits)]
                    yield lines, looked.done, len(looked.candidates)

    return await export(batches(), file)


async def _look_up(shelf: Shelf, desk: Reading, asked: Asked) -> Looked:
    wanted = [asked.in_bucket(bucket, marks) for bucket, marks in shelf.marks().items()]
    return Looked(await desk.find(wanted))


async def _newest(
    shelf: Shelf, desk: Reading, looked: Looked, asked: Asked, query: Query
) -> tuple[list[Hit], str | None]:
    """Return a page in the order of time, and its cursor."""
    if query.after is not None:
        below = frame_in(query.after)
        looked.candidates = [frame for frame in looked.candidates if frame < below]
    found: list[Hit] = []
    until = asyncio.get_running_loop().time() + LOOKING_S
    async with aclosing(_hits(shelf, desk, looked, asked, query)) as run:
        async for hits in run:
            found += hits
            if len(found) >= query.limit:
                page = found[: query.limit]
                return page, str(page[-1].line.packet.frame)
            if asyncio.get_running_loop().time() > until:
                break
    is_end = looked.done == len(looked.candidates)
    return found, None if is_end else str(looked.candidates[looked.done - 1])


async def _by_title(
    shelf: Shelf, desk: Reading, looked: Looked, asked: Asked, query: Query
) -> tuple[list[Hit], str | None]:
    """Return a page in the order of titles: all that was found is opened first."""
    if len(looked.candidates) > SORTED_MAX:
        raise UsageFault(
            f"{len(looked.candidates)} documents may fit, and at most {SORTED_MAX} are sorted by "
            "title: look for more words, or in the order of time"
        )
    async with aclosing(_hits(shelf, desk, looked, asked, query)) as run:
        found = [hit async for hits in run for hit in hits]
    return page_by_title(found, query)


def page_by_title(found: Sequence[Hit], query: Query) -> tuple[list[Hit], str | None]:
    """Return a page of what was found in the order of titles, and its cursor. Raises UsageFault."""
    in_order = sorted(found, key=lambda hit: (sort_key(hit.title or ""), hit.line.packet.frame))
    first = 0
    if query.after is not None:
        frames = [hit.line.packet.frame for hit in in_order]
        if (last := frame_in(query.after)) not in frames:
            raise UsageFault(f"--after {query.after}: it is not among what is found now")
        first = frames.index(last) + 1
    page = in_order[first : first + query.limit]
    is_end = first + len(page) == len(in_order)
    return page, None if is_end else str(page[-1].line.packet.frame)


async def _hits(
    shelf: Shelf, desk: Reading, looked: Looked, asked: Asked, query: Query
) -> AsyncGenerator[list[Hit], None]:
    """Yield what content confirms, newest first, a part of the candidates at a time."""
    while looked.done < len(looked.candidates):
        frames = looked.candidates[looked.done : looked.done + CANDIDATES_AT_ONCE]
        lines = await desk.listed_among(frames, query.filters)
        looked.done += len(frames)
        yield [hit for line in lines if (hit := await _confirm(shelf, desk, looked, asked, line))]


async def _confirm(
    shelf: Shelf, desk: Reading, looked: Looked, asked: Asked, line: ListedPacket
) -> Hit | None:
    try:
        kept = await shelf.fetch(desk, line.packet.frame)
        if kept.raw is None:
            looked.unopened += 1
            return None
        found = findable_of(line.packet.type, shelf.content_of(kept.raw))
    except (BucketKeyMissingError, BucketDamagedError, FormatError, DocumentError):
        looked.unopened += 1
        return None
    return Hit(line, next(iter(found.texts), None)) if asked.is_in(found) else None


async def _found_lines(config: Config, desk: Reading, hits: Sequence[Hit]) -> list[FoundLine]:
    lines = await packet_lines(config, desk, [hit.line for hit in hits])
    return [
        FoundLine(**msgspec.structs.asdict(line), title=hit.title)
        for line, hit in zip(lines, hits, strict=True)
    ]


def _first_line(file: Path) -> str:
    try:
        if file == STANDARD_INPUT:
            return sys.stdin.readline()
        with file.open(encoding="ascii", errors="replace") as opened:
            return opened.readline()
    except OSError as error:
        raise FileFault(f"{file}: {error.strerror}: name a file that can be read") from error
