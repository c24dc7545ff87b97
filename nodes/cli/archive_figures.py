"""Draws what `bbaj bench archive` measured: figures beside their goals, and where the bytes lie."""

from collections.abc import Iterator

from rich.console import RenderableType

from nodes.bench.archive import ArchiveResult, Goal
from nodes.bench.archive_disk import Disk
from nodes.cli.drawing import facts_table, new_table

DRAWN_APART = {"disk", "verdicts"}


def drawn(measured: ArchiveResult) -> Iterator[RenderableType]:
    """Draw all of it."""
    judged = {each.name for each in measured.verdicts}
    names = [each for each in measured.__struct_fields__ if each not in judged | DRAWN_APART]
    yield facts_table((_words(name), f"{getattr(measured, name):,}") for name in names)
    yield ""
    table = new_table("figure", "measured", "goal", "verdict")
    for each in measured.verdicts:
        verdict = "reached" if each.reached else "missed"
        table.add_row(_words(each.name), f"{each.value:,}", _bounds(each.goal), verdict)
    yield table
    for disk in measured.disk:
        yield ""
        yield from _disk(disk)


def _disk(disk: Disk) -> Iterator[RenderableType]:
    yield (
        f"{disk.packets:,} frames of {disk.frame_bytes:,} bytes: {disk.bytes_per_packet:,} bytes "
        f"on the disk each, {disk.factor} times the frame"
    )
    table = new_table("table", "part", "bytes a packet")
    for use in disk.uses:
        table.add_row(use.table, use.part, f"{use.bytes_per_packet:,}")
    yield table


def _words(name: str) -> str:
    return name.replace("_", " ")


def _bounds(goal: Goal) -> str:
    bounds = (("at least", goal.least), ("at most", goal.most))
    return ", ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)
