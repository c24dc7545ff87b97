"""What a printout is made of, in the reader's language and for no medium in particular."""

import msgspec

from schemas.codes import Language


class Fact(msgspec.Struct, frozen=True, gc=False):
    """A name and a value; `code` for what is compared letter by letter."""

    name: str
    value: str
    code: bool = False


class Facts(msgspec.Struct, frozen=True, tag=True):
    """Names and values, one below the other."""

    rows: tuple[Fact, ...]


class Table(msgspec.Struct, frozen=True, tag=True):
    """Rows under headings; a wide one has its page on its side."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    wide: bool = False
    aligned: int | None = None
    """The column whose cells have columns of their own, in letters of one width."""


class Prose(msgspec.Struct, frozen=True, tag=True):
    """Running text of the document itself, its line breaks kept."""

    text: str
    title: str = ""


class Listing(msgspec.Struct, frozen=True, tag=True):
    """Text letter by letter, as it stands in a file."""

    text: str


class Picture(msgspec.Struct, frozen=True, tag=True):
    """A picture of our own encoding, PNG."""

    png: bytes
    caption: str


class Notice(msgspec.Struct, frozen=True, tag=True):
    """Something that the reader must know before he reads on."""

    text: str


Block = Facts | Table | Prose | Listing | Picture | Notice


class Part(msgspec.Struct, frozen=True):
    """A part of a printout under its heading."""

    title: str
    blocks: tuple[Block, ...]


class Printout(msgspec.Struct, frozen=True, kw_only=True):
    """One packet, or quarantined frame, ready to be set."""

    language: Language
    title: str
    form: str
    """The form's name and number."""
    name: str
    """The packet's id, or the frame's number: by it the packet is found in the archive."""
    notices: tuple[Notice, ...]
    content: Part
    parts: tuple[Part, ...]
    code: str
    """What the QR code says."""
    check: str
    """How the code is compared with the archive."""


def facts(*rows: tuple[str, str | None] | Fact) -> Facts:
    """Return those that have a value."""
    made = [row if isinstance(row, Fact) else Fact(row[0], row[1] or "") for row in rows]
    return Facts(tuple(row for row in made if row.value))


def code(name: str, value: str | None) -> Fact:
    """Return a fact that is compared letter by letter."""
    return Fact(name, value or "", code=True)
