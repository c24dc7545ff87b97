"""Tracking as people read it."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from nodes.cli.drawing import new_table
from nodes.cli.moments import utc_over_local
from nodes.cli.tables import STYLES
from nodes.cli.tracking_shapes import LeafTold, NodeTold, TrackReport


def tracked(report: TrackReport) -> Iterator[RenderableType]:
    """Draw `track`."""
    yield f"{report.id}: {report.from_} -> {report.to}"
    table = new_table("node", "did", "when", "proven")
    for node in report.nodes:
        for leaf in node.leaves:
            done = leaf.what if leaf.reason is None else f"{leaf.what}: {leaf.reason}"
            style = STYLES.get(leaf.what, "")
            table.add_row(node.node, Text(done, style), utc_over_local(leaf.at), _proof(leaf))
        if not node.leaves:
            table.add_row(node.node, Text(_nothing(node), "dim"), "-", "-")
    yield table
    if report.silent:
        silent = ", ".join(report.silent)
        yield Text(f"no answer yet from {silent}: the same command asks again", "yellow")


def _proof(leaf: LeafTold) -> str:
    if leaf.checkpoint is None:
        return "not yet: its word alone"
    return f"leaf {leaf.index} under its checkpoint of {leaf.checkpoint}"


def _nothing(node: NodeTold) -> str:
    return "no answer" if node.answered is None else "has never had it"
