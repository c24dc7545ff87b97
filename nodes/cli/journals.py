"""The node's journal as commands show it: how far it is signed and witnessed, and by whom."""

import base64

from exchange.cosignatures import ROOT_WITNESSES, witnessed_size
from nodes.cli.journal_shapes import JournalStory, NeighbourJournal, WitnessLine
from nodes.cli.opening import reading
from nodes.clock import now
from nodes.config import Config
from schemas.addresses import parent_of
from schemas.moments import DAY, SECOND, Instant, format_instant
from schemas.records import CosignatureRow, WitnessedRow
from signing.notes import checkpoint_of, origin
from store.reading import Reading

OLD_US = DAY
"""A checkpoint that waits for its witnesses for so long wants somebody to look."""


async def show_journal(config: Config) -> JournalStory:
    """Return what the record says of our journal, and of those of the neighbours."""
    async with reading(config) as desk:
        last = await desk.last_checkpoint()
        rows = await desk.last_cosigned(desk.epoch)
        shown = await desk.witnessed_newest()
        leaves = await desk.leaf_count()
        waits = await witness_wait(config, desk, now())
    sizes = [row.size for row in rows]
    size, at, note = last or (0, None, None)
    return JournalStory(
        address=config.address,
        epoch=desk.epoch,
        origin=origin(config.address, desk.epoch),
        leaves=leaves,
        size=size,
        signed=None if at is None else format_instant(at),
        checkpoint=note,
        witnesses=[_witness(row, size) for row in sorted(rows, key=lambda row: row.witness)],
        witnesses_needed=needed_witnesses(config.address),
        witnessed=witnessed_size(sizes, is_root=_is_root(config.address)),
        waits_s=None if waits is None else round(waits / SECOND, 1),
        neighbours=[_neighbour(row) for row in shown],
    )


async def witness_wait(config: Config, desk: Reading, moment: Instant) -> Instant | None:
    """Return for how long our oldest checkpoint has waited for witnesses (us); None: none does."""
    rows = await desk.last_cosigned(desk.epoch)
    witnessed = witnessed_size([row.size for row in rows], is_root=_is_root(config.address))
    oldest = await desk.checkpoint_from(witnessed + 1)
    return None if oldest is None else max(0, moment - oldest[1])


def needed_witnesses(address: str) -> int:
    """Return how many witnesses must cosign a node's journal for it to count as witnessed."""
    return ROOT_WITNESSES if _is_root(address) else 1


def _is_root(address: str) -> bool:
    return parent_of(address) is None


def _witness(row: CosignatureRow, newest: int) -> WitnessLine:
    return WitnessLine(
        witness=row.witness,
        size=row.size,
        at=format_instant(row.at),
        is_newest=row.size == newest,
    )


def _neighbour(row: WitnessedRow) -> NeighbourJournal:
    return NeighbourJournal(
        address=row.address,
        origin=row.origin,
        size=row.size,
        root=base64.b64encode(checkpoint_of(row.note).root).decode(),
        shown=format_instant(row.at),
    )
