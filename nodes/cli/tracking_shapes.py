"""What `--json` prints about tracking; as nodes.cli.shapes.

track    TrackReport
"""

from nodes.cli.shapes import Shape


class LeafTold(Shape, frozen=True, kw_only=True):
    """One thing that a node's journal says it did with the packet."""

    what: str
    """The kind of the leaf: sent, relayed, received, held, refused ..."""
    at: str
    index: int | None
    """In the node's journal; null where it is not proven."""
    checkpoint: int | None
    """The size of the node's checkpoint that proves it; null: it is the node's word so far."""
    reason: str | None
    detail: str | None


class NodeTold(Shape, frozen=True, kw_only=True):
    """What one node says; no leaves: it has never had the packet, or has not answered ever."""

    node: str
    answered: str | None
    """When it answered this time; null for this node itself, and where it did not."""
    leaves: list[LeafTold]


class TrackReport(Shape, frozen=True, kw_only=True):
    """A packet on its way, as the nodes there tell it."""

    id: str
    from_: str
    to: str
    epoch: int
    nodes: list[NodeTold]
    """This node first, where it has had the packet; then the others from the sender on."""
    silent: list[str]
    """Who has not answered in time; what it said before is shown all the same."""
    instruction: str
