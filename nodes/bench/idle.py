"""`bbaj bench idle`: one packet at a time over one hop, from the drop to delivered.

A leaf hands documents over by its database, as `bbaj send` does; delivered is when its record
holds the recipient's receipt. The leaf's memory is read from the system at the end.
"""

import asyncio
import statistics

import msgspec

from exchange.gate import Gate
from nodes.bench.running import running
from nodes.bench.spent import resident_mb
from nodes.clock import now
from nodes.errors import JudgementFailed
from nodes.samples import tiny
from nodes.sandbox.network import NodeSpec, PrivateNetwork
from nodes.wiring import database_url, open_vault
from schemas.documents.registry import TYPES
from schemas.leaves import LeafKind, read_leaf
from schemas.moments import Instant, parse_instant
from schemas.records import PendingDrop
from store.postgres import PostgresArchive

PARENT, LEAF = "kz", "kz.zhambyl"
WARM_UP = 5
WAIT_S = 30.0
POLL_S = 0.002
SYSTEM = "bench"
TYPE = "attendance.daily/1"


class IdleResult(msgspec.Struct, frozen=True):
    """What `--json` prints; times from the drop to delivered, in milliseconds."""

    packets: int
    median_ms: float
    p95_ms: float
    leaf_resident_mb: float


async def run_idle(*, packets: int) -> IdleResult:
    """Measure one packet at a time."""
    specs = [NodeSpec(PARENT), NodeSpec(LEAF)]
    async with running(specs, served=[PARENT], authorities=[PARENT]) as services:
        times = await _measure(services.network, WARM_UP + packets)
        resident = resident_mb(services.pid_of(LEAF))
    times = sorted(times[WARM_UP:])
    p95 = times[int(0.95 * (len(times) - 1))]
    return IdleResult(packets, round(statistics.median(times), 1), round(p95, 1), resident)


async def _measure(network: PrivateNetwork, count: int) -> list[float]:
    """Return milliseconds from drop to delivered, one packet after the other."""
    config = network.nodes[LEAF].config()
    gate = open_vault(config).gate
    times = []
    async with PostgresArchive(database_url(config)) as desk:
        for number in range(count):
            began = now()
            row = _pending(gate, number, began)
            await desk.drop(row)
            times.append((await _delivered_at(desk, row) - began) / 1000)
    return times


def _pending(gate: Gate, number: int, dropped: Instant) -> PendingDrop:
    bucket = gate.bucket(TYPES[TYPE].retention.value, None, dropped)
    drop_id = str(number)
    return PendingDrop(
        system=SYSTEM,
        drop_id=drop_id,
        dropped=dropped,
        type=TYPE,
        recipient=PARENT,
        section=None,
        period=None,
        title=None,
        re=None,
        media_type=None,
        bucket=bucket,
        sealed=gate.seal_for_rest(bucket, f"{SYSTEM}/{drop_id}".encode(), tiny(number)),
    )


async def _delivered_at(desk: PostgresArchive, row: PendingDrop) -> Instant:
    """Return when the leaf's journal says `confirmed`. Raises JudgementFailed."""
    async with asyncio.timeout(WAIT_S):
        while (delivered := await _look(desk, row)) is None:  # noqa: ASYNC110 - another process acts
            await asyncio.sleep(POLL_S)
    return delivered


async def _look(desk: PostgresArchive, row: PendingDrop) -> Instant | None:
    outcome = await desk.drop_outcome(row.system, row.drop_id)
    if outcome is None:
        return None
    if outcome.frame is None:
        raise JudgementFailed(f"drop {row.drop_id}: {outcome.fault}")
    trail = (await desk.trail_of_frame([outcome.frame]))[outcome.frame]
    confirmed = [mark for mark in trail.marks if mark.kind == LeafKind.CONFIRMED]
    return parse_instant(read_leaf(confirmed[0].record)["at"]) if confirmed else None
