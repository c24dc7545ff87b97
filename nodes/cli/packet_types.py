"""`bbaj types`: the types of packets, for people and as JSON Schema for makers of local systems."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from rich.console import RenderableType

from nodes.cli.drawing import new_table
from nodes.cli.errors import FileFault
from nodes.cli.files import new_file
from nodes.cli.shapes import Shape
from nodes.cli.speaking import say
from nodes.config import spoken_language
from schemas.documents.periods import FORMS, PeriodKind
from schemas.documents.registry import TYPES, PacketType, export_json_schemas

SCHEMA_MODE = 0o644


class TypeLine(Shape, frozen=True, kw_only=True):
    """A type of packets."""

    type_: str
    names: dict[str, str]
    """By language."""
    droppable: bool
    """A local system may drop it; what is not, only nodes make."""
    personal: bool
    """Holds personal data: travels encrypted."""
    flow: str
    class_: str
    """Of retention."""
    sections: list[str]
    periods: list[str]
    """Forms of period that it may name; none: it names no period."""
    media_type: str
    schema: str | None
    """The file that its JSON Schema was written to."""


def describe(folder: Path | None) -> list[TypeLine]:
    """Return all types; write a JSON Schema of each into `folder`. Raises FileFault."""
    written = {} if folder is None else _write_schemas(folder)
    return [_line(one, written.get(one.name)) for one in TYPES.values()]


def _write_schemas(folder: Path) -> dict[str, str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileFault(f"{folder}: {error.strerror}: name a folder that can be made") from error
    written = {}
    for name, schema in export_json_schemas().items():
        path = folder / f"{name.replace('/', '-')}.schema.json"
        with new_file(path, SCHEMA_MODE) as file:
            file.write(msgspec.json.format(msgspec.json.encode(schema), indent=2) + b"\n")
        written[name] = str(path)
    return written


def _line(one: PacketType, schema: str | None) -> TypeLine:
    return TypeLine(
        type_=one.name,
        names={"kk": one.names.kk, "ru": one.names.ru, "en": one.names.en},
        droppable=one.droppable,
        personal=one.personal,
        flow=one.flow,
        class_=one.retention,
        sections=list(one.sections),
        periods=list(one.periods),
        media_type=one.media_type,
        schema=schema,
    )


def drawn(lines: Sequence[TypeLine]) -> Iterator[RenderableType]:
    """Draw `types`: those that local systems may drop, then those that nodes make."""
    names = ("type", "name", "flow", "class", "section", "periods", "personal")
    table = new_table(*(say(f"types.columns.{name}") for name in names))
    language = spoken_language()
    for line in sorted(lines, key=lambda each: not each.droppable):
        table.add_row(
            line.type_,
            line.names[language],
            line.flow,
            line.class_,
            line.sections[0] if len(line.sections) == 1 else "-",
            ", ".join(FORMS[PeriodKind(each)] for each in line.periods) or "-",
            say("types.personal") if line.personal else "-",
        )
    yield table
    for line in lines:
        if line.schema is not None:
            yield line.schema
