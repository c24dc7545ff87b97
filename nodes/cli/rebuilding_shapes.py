"""What `bbaj rebuild --json` prints; as nodes.cli.shapes."""

from nodes.cli.shapes import Shape


class StreamBack(Shape, frozen=True, kw_only=True):
    """How much of a neighbour's stream has come back."""

    neighbour: str
    lane: str
    epoch: int
    came: int
    """Up to this number."""
    noted: int
    """So far had this node said that it took it."""
    is_whole: bool


class GapBack(Shape, frozen=True, kw_only=True):
    """An entry of a neighbour's stream that has not come back."""

    neighbour: str
    lane: str
    epoch: int
    number: int
    why: str
    """`destroyed`, `lost` at the neighbour, `refused: …` by this node before, or what is wrong."""
    sha256: str


class OwnGapBack(Shape, frozen=True, kw_only=True):
    """Packets that this node had sent, and that no neighbour has brought back."""

    recipient: str
    epoch: int
    first: int
    last: int


class RebuildReport(Shape, frozen=True, kw_only=True):
    """What has come back of a record that was lost, and what has not."""

    is_done: bool
    packets: int
    objects: int
    """Entries that are no packets: refusals and voids."""
    streams: list[StreamBack]
    gaps: list[GapBack]
    own_gaps: list[OwnGapBack]
    own_whole: list[str]
    """Streams from which all that this node had sent has come back, each with its epoch."""
    silent: list[str]
    """Neighbours that have brought nothing of theirs yet."""
