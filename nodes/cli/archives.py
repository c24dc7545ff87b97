"""`bbaj archive`: what the archive of record holds: counted, exported, and shown to anybody."""

import base64
import csv
import hashlib
import io
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from nodes.cli.archive_shapes import ArchiveCounts, CountLine, FormExport, PublicTable
from nodes.cli.completing import period_of
from nodes.cli.errors import UsageFault
from nodes.cli.files import new_file
from nodes.cli.opening import reading
from nodes.cli.registries import read_tree
from nodes.cli.shelf import Shelf
from nodes.clock import now
from nodes.config import Config
from nodes.disclosure import SMALLEST, TOTAL, Cell, Figures, suppressed, with_totals
from nodes.policies import open_calendar
from nodes.texts import text
from schemas.codes import Language, Names
from schemas.documents.faults import DocumentError
from schemas.documents.periods import texts_within
from schemas.documents.registry import JSON_MEDIA_TYPE, TYPES
from schemas.errors import FormatError
from schemas.moments import format_instant
from schemas.records import ArchiveCount, PacketRow
from signing.errors import BucketKeyMissingError
from store.reading import Reading

GROUPS = ("section", "region", "type", "period")
PAGE_PACKETS = 200
SECRET, PUBLIC = 0o600, 0o644
HIDDEN = "x"
"""What stands in a cell that is left out."""

Progress = Callable[[str, int, int], None]


# --- counts -----------------------------------------------------------------------------------


async def counts(config: Config, period: str | None, by: Iterable[str]) -> ArchiveCounts:
    """Return packets and bytes by some of GROUPS, of a period and all periods in it, or of all."""
    wanted = tuple(by) or GROUPS
    wrong = [each for each in wanted if each not in GROUPS]
    if wrong:
        raise UsageFault(f"--by {wrong[0]}: name some of {', '.join(GROUPS)}")
    if period is not None:
        period_of(period)
    async with reading(config) as desk:
        rows = await desk.archive_counts(None if period is None else texts_within(period))
    sums: dict[tuple[str | None, ...], list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        key = tuple(getattr(row, each) if each in wanted else None for each in GROUPS)
        sums[key][0] += row.packets
        sums[key][1] += row.bytes
    lines = [_count_line(key, *sums[key]) for key in sorted(sums, key=str)]
    return ArchiveCounts(
        owner=_owner(config),
        period=period,
        lines=lines,
        packets=sum(line.packets for line in lines),
        bytes=sum(line.bytes for line in lines),
    )


def _count_line(key: tuple[str | None, ...], packets: int, size: int) -> CountLine:
    section, region, type_, period = key
    return CountLine(
        section=section, region=region, type_=type_, period=period, packets=packets, bytes=size
    )


def _owner(config: Config) -> Names | None:
    return None if config.completeness.calendar is None else open_calendar(config).owner


# --- one form of one period, over all organisations -------------------------------------------


async def export(
    config: Config, type_: str, period: str, path: Path, on_progress: Progress
) -> FormExport:
    """Write every packet of a type about a period, a line of JSON each. Raises FileFault."""
    if type_ not in TYPES:
        raise UsageFault(f"--form {type_}: name one of {', '.join(sorted(TYPES))}")
    period_of(period)
    ranges, shelf = texts_within(period), Shelf(config)
    with new_file(path, SECRET) as file:
        sink = _Sink(file)
        async with reading(config) as desk:
            total, behind = await desk.forms_count(type_, ranges), 0
            while page := await desk.forms(type_, ranges, behind, PAGE_PACKETS):
                for packet in page:
                    sink.put(packet, await _content(shelf, desk, packet))
                behind = page[-1].frame
                on_progress("packets", sink.packets, total)
    return FormExport(
        path=str(path),
        type_=type_,
        period=period,
        packets=sink.packets,
        documents=sink.packets - sink.absent,
        absent=sink.absent,
        organisations=len(sink.senders),
        size=sink.size,
        sha256=sink.digest.hexdigest(),
    )


class _Sink:
    """Takes packets and what is known of their content, and counts."""

    def __init__(self, file: BinaryIO) -> None:
        self.packets = self.absent = self.size = 0
        self.senders: set[str] = set()
        self.digest = hashlib.sha256()
        self._file = file

    def put(self, packet: PacketRow, content: dict[str, Any]) -> None:
        """Write one line."""
        line = msgspec.json.encode(_facts(packet) | content) + b"\n"
        self._file.write(line)
        self.digest.update(line)
        self.packets += 1
        self.absent += "absent" in content
        self.size += len(line)
        self.senders.add(packet.sender)


def _facts(packet: PacketRow) -> dict[str, Any]:
    return {
        "id": packet.id,
        "type": packet.type,
        "from": packet.sender,
        "to": packet.recipient,
        "epoch": packet.epoch,
        "seq": packet.seq,
        "section": packet.section,
        "class": packet.class_,
        "period": packet.period,
        "sent": format_instant(packet.sent),
        "received": format_instant(packet.received),
        "frame_sha256": packet.frame_sha256.hex(),
        "media_type": packet.media_type,
    }


async def _content(shelf: Shelf, desk: Reading, packet: PacketRow) -> dict[str, Any]:
    """Return `document` (JSON as it was dropped), `content` (base64 of another), or `absent`."""
    try:
        kept = await shelf.fetch(desk, packet.frame)
        if kept.raw is None:
            return {"absent": kept.absent}
        document = shelf.document_of(kept.raw)
    except BucketKeyMissingError:
        return {"absent": "the key of its bucket is gone"}
    except (FormatError, DocumentError):
        return {"absent": f"only {packet.recipient} and {packet.sender} can open it"}
    if document.media_type == JSON_MEDIA_TYPE:
        try:
            return {"document": msgspec.Raw(msgspec.json.format(document.body, indent=-1))}
        except msgspec.DecodeError:
            pass  # kept as it is, like a file
    return {"content": base64.b64encode(document.body).decode(), "title": document.title}


# --- figures for anybody ----------------------------------------------------------------------


async def public(config: Config, period: str, path: Path) -> PublicTable:
    """Write how much was reported by region and type; small cells cannot be computed from it."""
    period_of(period)
    calendar = open_calendar(config)  # who owns the archive must stand in what it gives away
    async with reading(config) as desk:
        rows = await desk.archive_reported(texts_within(period), config.address)
    registry = (await read_tree(config)).registry
    katos = {card.facts.address: card.facts.kato for card in registry.cards()}
    whole = with_totals(_cells(rows))
    left_out = suppressed(whole)
    out = io.StringIO(newline="")
    for language in Language:
        owner = " ".join(calendar.owner.in_language(language).split())
        said = text("archive.public", language, owner=owner, node=config.address, period=period)
        rule = text("archive.rule", language, smallest=SMALLEST, hidden=HIDDEN)
        out.write(f"# {said}\r\n# {rule}\r\n")
    out.write(f"# {format_instant(now())}\r\n")
    table = csv.writer(out)
    table.writerow(["region", "kato", "type", "section", "documents", "organisations"])
    for (region, column), figures in sorted(whole.items()):
        type_, _, section = column.partition(" ")
        kato = katos.get(region)
        shown = [HIDDEN, HIDDEN] if (region, column) in left_out else _shown(column, figures)
        table.writerow([region, "" if kato is None else kato.code, type_, section, *shown])
    data = out.getvalue().encode()
    with new_file(path, PUBLIC) as file:
        file.write(data)
    return PublicTable(
        path=str(path),
        period=period,
        cells=len(whole),
        suppressed=len(left_out),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _cells(rows: Iterable[ArchiveCount]) -> dict[Cell, Figures]:
    return {
        (row.region, f"{row.type} {row.section}"): Figures(row.packets, row.senders) for row in rows
    }


def _shown(column: str, figures: Figures) -> list[object]:
    """Return what a cell says; one organisation stands in several columns, so no sum over them."""
    return [figures.documents, "" if column == TOTAL else figures.organisations]
