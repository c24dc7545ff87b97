"""What `bbaj store` and the export of the journal have done, in the language spoken here."""

from collections.abc import Iterator

from rich.console import RenderableType

from nodes.cli.drawing import new_table, plain
from nodes.cli.moments import utc_and_local
from nodes.cli.shapes import Rebuilding, Steps, StoreCheck, StoreFaultLine, TilesExport
from nodes.cli.speaking import say, say_of


def steps(taken_: Steps) -> Iterator[RenderableType]:
    """Draw what a migration did."""
    yield from taken_.done or [say("store.nothing")]


def store_check(found: StoreCheck) -> Iterator[RenderableType]:
    """Draw `store verify`."""
    for fault in found.faults:
        yield _fault(fault)
    if found.faults_found > len(found.faults):
        yield say("store.more", count=found.faults_found - len(found.faults))
    table = new_table(say("store.rows"), say("store.of"))
    for name, count in sorted(found.counts.items()):
        table.add_row(str(count), _table(name))
    yield table
    leaves = {"leaves": found.leaves, "root": found.root}
    if found.checkpoint is None:
        yield say("store.journal-unsigned", **leaves)
    else:
        yield say("store.journal", size=found.checkpoint, **leaves)
    if found.cosigned is not None:
        yield say("store.cosigned", size=found.cosigned, witnesses=", ".join(found.witnesses))
    if found.begun_at:
        yield say("store.begun", leaf=found.begun_at)
    if found.resumed:
        yield say("store.resumed", at=utc_and_local(found.resumed))


def _fault(fault: StoreFaultLine) -> str:
    """Return what happened to which row in words, then what a maintainer needs, in English."""
    where = f"{_table(fault.table)} ({fault.table} {fault.key})"
    kind = say_of("store.kinds", fault.kind)
    return say("store.fault", where=where, kind=kind, what=plain(fault.what))


def _table(name: str) -> str:
    return say_of("store.tables", name)


def tiles_export(done: TilesExport) -> Iterator[RenderableType]:
    """Draw `journal export-tiles`."""
    yield say("tiles.written", folder=done.folder, origin=done.origin, leaves=done.leaves)
    yield say("tiles.files", files=done.files_written, kept=done.leaves_kept)
    names = ", ".join(done.cosigned_by)
    yield say("tiles.cosigned", names=names) if names else say("tiles.unsigned")


def rebuilding(done: Rebuilding) -> Iterator[RenderableType]:
    """Draw `store rebuild`."""
    yield say("store.rebuilt-sent", documents=done.documents, receipts=done.receipts)
    yield say("store.rebuilt-held", held=done.held, drops=done.drops_removed)
