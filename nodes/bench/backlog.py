"""`bbaj bench backlog`: what a node holds for a neighbour that was away drains when it is back.

The packets are taken while the parent is away, so that they stand in the record alone; the node
is started anew, so that nothing is hot; then the parent comes.
"""

import asyncio
import time

import msgspec

from nodes.bench.stage import (
    RELAY,
    feeding,
    judge_record,
    open_senders,
    open_stage,
    seal_frames,
    sinking,
)

WAIT_S = 600.0


class BacklogResult(msgspec.Struct, frozen=True):
    """What `--json` prints."""

    packets: int
    payload_bytes: int
    drained_s: float
    packets_per_second: float
    leaves: int


async def run_backlog(*, packets: int, payload_bytes: int) -> BacklogResult:
    """Measure; raise JudgementFailed where the record disagrees with what was sent."""
    async with open_stage() as stage:
        senders = open_senders(stage)
        certificates = [sender.certificate for sender in senders.values()]
        frames = seal_frames(senders, packets, payload_bytes, first=0)
        await stage.network.start(RELAY)
        async with asyncio.timeout(WAIT_S), feeding(stage) as feeder:
            await feeder.send_all(frames, certificates)
            await feeder.until(noted=packets)
        await stage.network.stop(RELAY)
        await stage.network.start(RELAY)
        async with asyncio.timeout(WAIT_S), sinking(stage) as sink:
            began = time.perf_counter()
            await sink.until(taken=packets)
            drained_s = time.perf_counter() - began
            await asyncio.sleep(1)  # the last note is on its way
        await stage.network.stop(RELAY)
        leaves, _ = await judge_record(stage, packets)
    rate = round(packets / drained_s, 1)
    return BacklogResult(packets, payload_bytes, round(drained_s, 2), rate, leaves)
