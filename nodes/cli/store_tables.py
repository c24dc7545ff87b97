"""What `bbaj store` and the export of the journal have done, as people read it."""

from collections.abc import Iterator

from rich.console import RenderableType

from nodes.cli.drawing import new_table
from nodes.cli.shapes import Rebuilding, Steps, StoreCheck, TilesExport
from nodes.cli.tables import plain


def steps(taken_: Steps) -> Iterator[RenderableType]:
    """Draw what a migration did."""
    yield from taken_.done or ["nothing was to do"]


def store_check(found: StoreCheck) -> Iterator[RenderableType]:
    """Draw `store verify`."""
    for fault in found.faults:
        yield f"{fault.table} {fault.key}: {plain(fault.what)}"
    if found.faults_found > len(found.faults):
        yield f"and {found.faults_found - len(found.faults)} more"
    table = new_table("rows", "of")
    for name, count in sorted(found.counts.items()):
        table.add_row(str(count), name)
    yield table
    signed = f"{found.checkpoint} signed" if found.checkpoint is not None else "no checkpoint yet"
    yield f"journal: {found.leaves} leaves ({signed}), root {found.root}"
    if found.cosigned is not None:
        yield f"cosigned up to {found.cosigned} leaves by {', '.join(found.witnesses)}"
    if found.begun_at:
        yield f"looked at all behind leaf {found.begun_at}, and at today's share of the rest"
    if found.resumed:
        yield f"went on with the run of {found.resumed}, which was interrupted"


def tiles_export(done: TilesExport) -> Iterator[RenderableType]:
    """Draw `journal export-tiles`."""
    yield f"{done.folder}: {done.origin} with {done.leaves} leaves"
    yield f"{done.files_written} files written; {done.leaves_kept} leaves were there already"
    by = ", ".join(done.cosigned_by)
    yield f"the checkpoint is cosigned by {by}" if by else "no witness has cosigned it yet"


def rebuilding(done: Rebuilding) -> Iterator[RenderableType]:
    """Draw `store rebuild`."""
    yield f"{done.documents} documents wait for a receipt, {done.receipts} receipts for a closing"
    yield f"{done.held} frames are held; {done.drops_removed} decided drops were removed"
