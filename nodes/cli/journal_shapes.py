"""What `--json` prints about journals; as nodes.cli.shapes.

journal show                JournalStory
"""

from nodes.cli.shapes import Shape


class WitnessLine(Shape, frozen=True, kw_only=True):
    """The newest checkpoint of ours that one witness has cosigned."""

    witness: str
    size: int
    at: str
    """When its cosignature came here."""
    is_newest: bool
    """It is our newest checkpoint."""


class NeighbourJournal(Shape, frozen=True, kw_only=True):
    """The newest checkpoint that a neighbour has shown us of its journal."""

    address: str
    origin: str
    size: int
    root: str
    shown: str


class JournalStory(Shape, frozen=True, kw_only=True):
    """This node's journal, who vouches for it, and the journals that it watches."""

    address: str
    epoch: int
    origin: str
    leaves: int
    """As many as are committed."""
    size: int
    """Of the newest signed checkpoint; 0: none is signed."""
    signed: str | None
    checkpoint: str | None
    """The signed note."""
    witnesses: list[WitnessLine]
    witnesses_needed: int
    witnessed: int
    """So many leaves are under a checkpoint that enough witnesses have cosigned."""
    waits_s: float | None
    """For so long the oldest checkpoint beyond has waited for them; null: none does."""
    neighbours: list[NeighbourJournal]
