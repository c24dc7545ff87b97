"""What `--json` prints about the central archive; as nodes.cli.shapes.

archive counts   ArchiveCounts      archive export   FormExport      archive public   PublicTable
"""

from nodes.cli.shapes import Shape
from schemas.codes import Names


class CountLine(Shape, frozen=True, kw_only=True):
    """Packets and bytes of one group; what the groups are not made by is null."""

    section: str | None
    region: str | None
    type_: str | None
    period: str | None
    packets: int
    bytes: int


class ArchiveCounts(Shape, frozen=True, kw_only=True):
    """What the archive of this node holds, receipts and closings left out."""

    owner: Names | None
    """Whom the archive belongs to, as its calendar says; null without one."""
    period: str | None
    lines: list[CountLine]
    packets: int
    bytes: int


class FormExport(Shape, frozen=True, kw_only=True):
    """A file of all documents of one type about one period."""

    path: str
    type_: str
    period: str
    packets: int
    documents: int
    absent: int
    """Packets whose content is not here, or is for another node to read; each has its line."""
    organisations: int
    size: int
    sha256: str


class PublicTable(Shape, frozen=True, kw_only=True):
    """A table of figures that anybody may see."""

    path: str
    period: str
    cells: int
    suppressed: int
    """Cells left out, totals among them."""
    sha256: str
