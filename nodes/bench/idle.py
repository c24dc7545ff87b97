"""`bbaj bench idle`: one packet at a time over one hop, from the drop to delivered.

A leaf hands documents over by its database, as `bbaj send` does. Its daemon is started alone, and
timed; its memory is read from the system at the end.
"""

import statistics

import msgspec

from nodes.bench.leaf_door import LeafDoor, Letter, judge_closed
from nodes.bench.running import running, started_s
from nodes.bench.spent import resident_mb
from nodes.samples import tiny
from nodes.sandbox.network import NodeSpec

PARENT, LEAF = "kz", "kz.zhambyl"
WARM_UP = 5
STARTS = 5
TYPE = "attendance.daily/1"


class IdleResult(msgspec.Struct, frozen=True):
    """What `--json` prints; times from the drop to delivered, in milliseconds."""

    packets: int
    median_ms: float
    p95_ms: float
    leaf_resident_mb: float
    leaf_ready_s: float
    """From starting its daemon to ready, its parent up; median of five starts."""


async def run_idle(*, packets: int) -> IdleResult:
    """Measure one packet at a time. Raises JudgementFailed where one does not come to its end."""
    specs = [NodeSpec(PARENT), NodeSpec(LEAF)]
    async with running(specs, served=[PARENT], authorities=[PARENT]) as services:
        ready = [await started_s(services, LEAF) for _ in range(STARTS)]
        async with LeafDoor(services.network.nodes[LEAF].config()) as door:
            times = [
                await door.delivered_ms(await door.drop(Letter(TYPE, PARENT, tiny(number))))
                for number in range(WARM_UP + packets)
            ]
        resident = resident_mb(services.pid_of(LEAF))
        await judge_closed(services, [PARENT, LEAF], WARM_UP + packets)
    times = sorted(times[WARM_UP:])
    return IdleResult(
        packets=packets,
        median_ms=round(statistics.median(times), 1),
        p95_ms=round(times[int(0.95 * (len(times) - 1))], 1),
        leaf_resident_mb=resident,
        leaf_ready_s=round(statistics.median(ready), 2),
    )
