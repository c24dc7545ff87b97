"""Tracking as people read it, in the language spoken here."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from nodes.cli.drawing import STYLES, new_table
from nodes.cli.moments import utc_over_local
from nodes.cli.speaking import say, say_of
from nodes.cli.tracking_shapes import LeafTold, NodeTold, TrackReport


def tracked(report: TrackReport) -> Iterator[RenderableType]:
    """Draw `track`."""
    yield f"{report.id}: {report.from_} -> {report.to}"
    table = new_table(*(say(f"tracking.{name}") for name in ("node", "did", "when", "proven")))
    for node in report.nodes:
        for leaf in node.leaves:
            style = STYLES.get(leaf.what, "")
            table.add_row(node.node, Text(_did(leaf), style), utc_over_local(leaf.at), _proof(leaf))
        if not node.leaves:
            table.add_row(node.node, Text(_nothing(node), "dim"), "-", "-")
    yield table
    if report.silent:
        yield Text(say("tracking.silent", nodes=", ".join(report.silent)), "yellow")


def _did(leaf: LeafTold) -> str:
    done = say_of("packets.events", leaf.what)
    return done if leaf.reason is None else f"{done}: {leaf.reason}"


def _proof(leaf: LeafTold) -> str:
    if leaf.checkpoint is None:
        return say("tracking.unproven")
    return say("tracking.proven-by", index=leaf.index, size=leaf.checkpoint)


def _nothing(node: NodeTold) -> str:
    return say("tracking.no-answer" if node.answered is None else "tracking.never-had")
