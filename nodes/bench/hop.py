"""`bbaj bench hop`: one relay node in the middle, beside a bare relay, in one run.

The node authenticates, stores, journals, passes on and answers with custody notes; frames are
sealed beforehand under many senders' keys. The bare relay moves as many messages of the same size
through the same broker over TLS; then RabbitMQ's shovel does, on-confirm; and one thread verifies
signatures and nothing else. Afterwards the record is held against what was sent.
"""

import asyncio
import os
import statistics
import sys
import time
from collections import Counter

import msgspec

from exchange.amqp import ClientTls
from nodes.bench import bare
from nodes.bench.rivals.shovel import Shovel
from nodes.bench.rivals.verifying import verified_per_second
from nodes.bench.running import BROKER, DATABASE
from nodes.bench.spent import Meter
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
    """What `--json` prints; rates and ratios are medians over the rounds."""

    packets_per_second: float
    bare_relay_per_second: float
    ratio: float
    """To the bare relay, as the other two are to the shovel, and to bare verifying."""
    shovel_per_second: float
    shovel_ratio: float
    verified_per_second: float
    verified_ratio: float
    payload_bytes: int
    packets: int
    rounds: list[dict[str, float]]
    leaves: int
    notes: int
    fsync: bool
    synchronous_commit: bool
    cpu_us: dict[str, float]
    """Processor time of each service for one packet, in the node's turns."""


async def run_hop(*, packets: int, payload_bytes: int, rounds: int) -> HopResult:
    """Measure; raise JudgementFailed where the record disagrees with what was sent."""
    async with open_stage() as stage:
        senders = open_senders(stage)
        certificates = [sender.certificate for sender in senders.values()]
        results: list[dict[str, float]] = []
        spent: Counter[str] = Counter()
        await stage.network.start(RELAY)
        tls = client_tls(stage.network, RELAY)
        shovel = Shovel(stage.broker, BARE_VHOST, tls, dns_name(PARENT))
        async with feeding(stage), sinking(stage):
            for number in range(1, rounds + 1):
                first = (number - 1) * packets
                frames = seal_frames(senders, packets, payload_bytes, first=first)
                node_s = await _one_round(stage, frames, certificates, number, spent)
                size = sum(map(len, frames)) // packets
                results.append(_rates(packets, node_s, await _rivals(stage, shovel, packets, size)))
                certificates = []
        await stage.network.stop(RELAY)
        leaves, settings = await judge_record(stage, packets * rounds)

    def median(name: str) -> float:
        return round(statistics.median(each[name] for each in results), 3)

    return HopResult(
        packets_per_second=median("packets_per_second"),
        bare_relay_per_second=median("bare_relay_per_second"),
        ratio=median("ratio"),
        shovel_per_second=median("shovel_per_second"),
        shovel_ratio=median("shovel_ratio"),
        verified_per_second=median("verified_per_second"),
        verified_ratio=median("verified_ratio"),
        payload_bytes=payload_bytes,
        packets=packets,
        rounds=results,
        leaves=leaves,
        notes=stage.feeder.notes,
        fsync=settings["fsync"] == "on",
        synchronous_commit=settings["synchronous_commit"] == "on",
        cpu_us={name: round(1e6 * each / (packets * rounds), 1) for name, each in spent.items()},
    )


async def _one_round(
    stage: Stage,
    frames: list[bytes],
    certificates: list[bytes],
    number: int,
    spent: Counter[str],
) -> float:
    """Return the seconds that the node needs for `frames`; add up what each service spends."""
    total = number * len(frames)
    meter = Meter(_services(stage))
    async with asyncio.timeout(WAIT_S):
        began = time.perf_counter()
        await stage.feeder.send_all(frames, certificates)
        await stage.sink.until(taken=total)
        await stage.feeder.until(noted=total)
        took_s = time.perf_counter() - began
    spent.update(meter.spent_s())
    return took_s


def _services(stage: Stage) -> dict[str, int]:
    """Return the processes of a turn: the node, its broker and database, and the ends (we)."""
    node = stage.network.nodes[RELAY].process
    assert node is not None
    return {
        RELAY: node.pid,
        BROKER: stage.broker.pid,
        DATABASE: stage.postgres.pid,
        "ends": os.getpid(),
    }


async def _rivals(stage: Stage, shovel: Shovel, count: int, size: int) -> dict[str, float]:
    """Let each rival move as many messages of the size of a frame; return their rates."""
    tls = client_tls(stage.network, RELAY)
    port, name = stage.broker.amqps_port, dns_name(PARENT)
    async with asyncio.timeout(WAIT_S):
        await bare.fill(count, size, port, BARE_VHOST, tls, name)
        bare_s = await _bare(count, port, tls)
        await bare.fill(count, size, port, BARE_VHOST, tls, name)
        async with await bare.connect(port, BARE_VHOST, tls, name) as connection:
            shovelled = await shovel.run(count, await connection.channel())
    return {
        "bare_relay_per_second": count / bare_s,
        "shovel_per_second": shovelled,
        "verified_per_second": verified_per_second(),
    }


def _rates(count: int, node_s: float, rivals: dict[str, float]) -> dict[str, float]:
    """Return what a round came to: all rates, and ours against each rival's."""
    ours = count / node_s
    rates = {"packets_per_second": round(ours, 1)}
    ratios = ("ratio", "shovel_ratio", "verified_ratio")
    for ratio, (name, rate) in zip(ratios, rivals.items(), strict=True):
        rates |= {name: round(rate, 1), ratio: round(ours / rate, 3)}
    return rates


async def _bare(count: int, port: int, tls: ClientTls) -> float:
    """Return the seconds that the bare relay needs, in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-c",
        "from nodes.bench.bare import main; main()",
        *map(str, (count, port, BARE_VHOST, dns_name(PARENT), tls.ca, tls.certificate, tls.key)),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return float(output)
