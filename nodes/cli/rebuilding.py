"""`bbaj rebuild`: has the daemon fetch a lost record from its neighbours, and reports on it."""

import asyncio
from collections.abc import Callable

import msgspec

from nodes.cli.instructing import instruct
from nodes.cli.opening import reading
from nodes.cli.rebuilding_shapes import GapBack, OwnGapBack, RebuildReport, StreamBack
from nodes.cli.registries import read_tree
from nodes.config import Config
from nodes.errors import JudgementFailed
from schemas.rebuilding import Gap
from schemas.records import RebuiltRow
from store.reading import Reading

KIND = "rebuild"
STAGE = "rebuild"
LOOK_S = 0.5
PAGES_AT_ONCE = 500
FIRST = ("", 0, 0)

Advance = Callable[[str, int, int], None]


async def rebuild(
    config: Config, wait_s: float, advance: Advance, *, say: Callable[[str], None] | None = None
) -> RebuildReport:
    """Give the order, or take up one that is under way; return the report once it has ended.

    Raises NotDone where the record is not empty, and StillWaiting after `wait_s`.
    """
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(_watch(config, advance))
        try:
            await instruct(config, KIND, {}, wait_s=wait_s, say=say)
        finally:
            watching.cancel()
    return await report(config)


async def report(config: Config) -> RebuildReport:
    """Return what has come back so far."""
    tree = (await read_tree(config)).registry
    known = [each for each in (config.uplink, *tree.children) if each is not None]
    async with reading(config) as desk:
        rows = await desk.rebuilt()
        packets, objects, _ = await desk.rebuilt_sums()
        own = await desk.own_gaps(config.address, desk.epoch)
        back = [f"{row.stream} {row.epoch}" for row in await desk.returned()]
        return RebuildReport(
            is_done=bool(await desk.done_instructions(KIND)),
            packets=packets,
            objects=objects,
            streams=[_stream(row) for row in rows],
            gaps=await _gaps(desk),
            own_gaps=[OwnGapBack(**msgspec.structs.asdict(gap)) for gap in own],
            own_whole=back,
            silent=sorted(set(known) - {_neighbour(row) for row in rows}),
        )


def demand_whole(told: RebuildReport) -> None:
    """Raise JudgementFailed where something has not come back, or not yet."""
    if told.silent or not told.is_done:
        raise JudgementFailed(
            "the record has not come back whole yet: run `bbaj rebuild --from-neighbours` until it "
            "ends" + (f"; nothing has come of {', '.join(told.silent)}" if told.silent else "")
        )
    if told.gaps or told.own_gaps:
        raise JudgementFailed(
            f"{len(told.gaps)} entries of neighbours and {len(told.own_gaps)} runs of numbers of "
            "our own have not come back: look for them in backups, or ask who sent them"
        )


async def _watch(config: Config, advance: Advance) -> None:
    """Show how much has come, from the record."""
    async with reading(config) as desk:
        while True:
            rows = await desk.rebuilt()
            came = sum(row.last for row in rows)
            advance(STAGE, came, max(came, sum(row.noted for row in rows)))
            await asyncio.sleep(LOOK_S)


async def _gaps(desk: Reading) -> list[GapBack]:
    gaps: list[GapBack] = []
    behind = FIRST
    while pages := await desk.rebuilt_gaps(behind, PAGES_AT_ONCE):
        for row in pages:
            gaps += [
                GapBack(
                    neighbour=_neighbour(row),
                    lane=_lane(row),
                    epoch=row.epoch,
                    number=gap.number,
                    why=gap.why,
                    sha256=gap.sha256,
                )
                for gap in msgspec.json.decode(row.gaps, type=list[Gap])
            ]
        behind = (pages[-1].stream, pages[-1].epoch, pages[-1].first)
    return gaps


def _stream(row: RebuiltRow) -> StreamBack:
    return StreamBack(
        neighbour=_neighbour(row),
        lane=_lane(row),
        epoch=row.epoch,
        came=row.last,
        noted=row.noted,
        is_whole=row.last < row.first,
    )


def _neighbour(row: RebuiltRow) -> str:
    return row.stream.rpartition("/")[0]


def _lane(row: RebuiltRow) -> str:
    return row.stream.rpartition("/")[2]
