"""`bbaj bench hop`: one relay node in the middle, beside a bare relay, in one run.

The node authenticates, stores, journals, passes on and answers with custody notes; frames are
sealed beforehand under many senders' keys. The bare relay moves as many messages of the same size
through the same broker over TLS. Afterwards the record is held against what was sent.
"""

import asyncio
import statistics
import sys
import time

import msgspec

from nodes.bench import bare
from nodes.bench.stage import (
    BARE_VHOST,
    PARENT,
    RELAY,
    Stage,
    client_tls,
    feeding,
    judge_record,
    open_senders,
    open_stage,
    seal_frames,
    sinking,
)
from schemas.addresses import dns_name

WAIT_S = 300.0


class HopResult(msgspec.Struct, frozen=True):
    """What `--json` prints; rates are medians over the rounds."""

    packets_per_second: float
    bare_relay_per_second: float
    ratio: float
    payload_bytes: int
    packets: int
    rounds: list[dict[str, float]]
    leaves: int
    notes: int
    fsync: bool
    synchronous_commit: bool


async def run_hop(*, packets: int, payload_bytes: int, rounds: int) -> HopResult:
    """Measure; raise JudgementFailed where the record disagrees with what was sent."""
    async with open_stage() as stage:
        senders = open_senders(stage)
        certificates = [sender.certificate for sender in senders.values()]
        results = []
        await stage.network.start(RELAY)
        async with feeding(stage), sinking(stage):
            for number in range(1, rounds + 1):
                first = (number - 1) * packets
                frames = seal_frames(senders, packets, payload_bytes, first=first)
                results.append(await _one_round(stage, frames, certificates, number))
                certificates = []
        await stage.network.stop(RELAY)
        leaves, settings = await judge_record(stage, packets * rounds)

    def median(name: str) -> float:
        return statistics.median(each[name] for each in results)

    return HopResult(
        packets_per_second=median("packets_per_second"),
        bare_relay_per_second=median("bare_relay_per_second"),
        ratio=median("ratio"),
        payload_bytes=payload_bytes,
        packets=packets,
        rounds=results,
        leaves=leaves,
        notes=stage.feeder.notes,
        fsync=settings["fsync"] == "on",
        synchronous_commit=settings["synchronous_commit"] == "on",
    )


async def _one_round(
    stage: Stage, frames: list[bytes], certificates: list[bytes], number: int
) -> dict[str, float]:
    """Time the node on `frames`, then the bare relay on as many messages of their size."""
    total = number * len(frames)
    async with asyncio.timeout(WAIT_S):
        began = time.perf_counter()
        await stage.feeder.send_all(frames, certificates)
        await stage.sink.until(taken=total)
        await stage.feeder.until(noted=total)
        node_s = time.perf_counter() - began
        size = sum(map(len, frames)) // len(frames)
        bare_s = await _bare(stage, len(frames), size)
    return {
        "packets_per_second": round(len(frames) / node_s, 1),
        "bare_relay_per_second": round(len(frames) / bare_s, 1),
        "ratio": round(bare_s / node_s, 3),
    }


async def _bare(stage: Stage, count: int, size: int) -> float:
    """Return the seconds that the bare relay needs, in a process of its own."""
    tls = client_tls(stage.network, RELAY)
    port, name = stage.broker.amqps_port, dns_name(PARENT)
    await bare.fill(count, size, port, BARE_VHOST, tls, name)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-c",
        "from nodes.bench.bare import main; main()",
        *map(str, (count, port, BARE_VHOST, name, tls.ca, tls.certificate, tls.key)),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return float(output)
