"""`bbaj reconcile`: has the daemon compare streams with neighbours, and names what differs."""

import asyncio
from collections.abc import Sequence

import msgspec

from exchange.reconciling import ReconcileOrder, Reconciliation, StreamFound
from nodes.cli.completing_shapes import NeighbourTold, StreamLine
from nodes.cli.errors import NotDone, StillWaiting, UsageFault
from nodes.cli.instructing import instruct
from nodes.cli.opening import reading
from nodes.cli.registries import read_tree
from nodes.config import Config
from nodes.errors import JudgementFailed
from store.reading import Reading

GRACE_S = 30.0
"""So long beyond its own wait for answers the daemon may take to begin and to say so."""


async def reconcile(config: Config, neighbour: str | None, wait_s: float) -> list[NeighbourTold]:
    """Return what has come of comparing with one neighbour, or with each.

    Raises UsageFault, and of a single neighbour NotDone and StillWaiting.
    """
    registry = (await read_tree(config)).registry
    known = [each for each in (config.uplink, *registry.children) if each is not None]
    if neighbour is not None and neighbour not in known:
        named = ", ".join(known) or "none"
        raise UsageFault(f"{neighbour} is no neighbour of {config.address}: name one of {named}")
    if neighbour is not None:
        return [await _told(config, neighbour, wait_s)]
    return list(await asyncio.gather(*(_attempt(config, each, wait_s) for each in known)))


def demand_agreement(told: Sequence[NeighbourTold]) -> None:
    """Raise JudgementFailed where a stream differs, or a neighbour has not answered."""
    parted = [each.neighbour for each in told if any(s.differs is not None for s in each.streams)]
    silent = [each.neighbour for each in told if each.problem is not None]
    if parted:
        raise JudgementFailed(
            f"streams differ with {', '.join(parted)}: run `bbaj store verify` at both ends, and "
            "compare what it says with the journals' witnesses"
        )
    if silent:
        raise JudgementFailed(f"not compared with {', '.join(silent)}: see the problems listed")


async def _attempt(config: Config, neighbour: str, wait_s: float) -> NeighbourTold:
    try:
        return await _told(config, neighbour, wait_s)
    except (NotDone, StillWaiting) as error:
        return NeighbourTold(neighbour=neighbour, problem=str(error), streams=[])


async def _told(config: Config, neighbour: str, wait_s: float) -> NeighbourTold:
    order = ReconcileOrder(neighbour, round(wait_s * 1e6))
    done = await instruct(config, "reconcile", order, wait_s=wait_s + GRACE_S)
    found = msgspec.convert(done.content, Reconciliation)
    async with reading(config) as desk:
        streams = [await _line(desk, config.address, neighbour, each) for each in found.streams]
    return NeighbourTold(neighbour=neighbour, problem=None, streams=streams)


async def _line(desk: Reading, here: str, neighbour: str, found: StreamFound) -> StreamLine:
    packet = None
    if found.exact and found.differs is not None:
        place = (f"{neighbour}/{found.lane}", found.epoch, found.differs)
        packet = await desk.packet_placed(*place, incoming=found.writer != here)
    return StreamLine(
        writer=found.writer,
        lane=found.lane,
        epoch=found.epoch,
        ours=found.ours,
        theirs=found.theirs,
        agreed=found.agreed,
        differs=found.differs,
        exact=found.exact,
        packet=packet,
    )
