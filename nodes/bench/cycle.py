"""`bbaj bench cycle`: whole exchanges between two neighbours, encrypted beside clear, in one run.

With rivals, each round has a turn of theirs: pyas2lib beside clear exchanges, as4 beside encrypted
ones. Theirs are cycles in the memory of one process, without disk, network or database.

    local systems (AMQP) --> CHILD --TLS--> broker --> PARENT      drop, packet, receipt, closing

Both daemons are real, with broker, databases, TLS and all checks. A round is over when the
recipient's record holds the closing of each of its packets. Clear and encrypted rounds take turns
at being first; their documents are of like size and of the same lane and flow.
"""

import asyncio
import statistics
import time
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from nodes.bench.exchanges import FRAMES_AN_EXCHANGE, TYPES, Office, document, office
from nodes.bench.rivals.environment import AS4, PYAS2LIB, Environment, Rival, rival
from nodes.bench.running import running
from nodes.bench.spent import Meter
from nodes.errors import JudgementFailed
from nodes.sandbox.network import NodeSpec
from nodes.wiring import database_url
from schemas.header import is_encrypted
from store.reading import Filters, Reading

PARENT, CHILD = "kz", "kz.zhambyl"
SYSTEMS = tuple(f"sis-{number}" for number in range(1, 9))
SPECS = (NodeSpec(PARENT), NodeSpec(CHILD, systems=SYSTEMS))
RIVALS = {"clear": PYAS2LIB, "encrypted": AS4}
RIVAL_CYCLES = 100
WARM_UP = 64
RIVAL_WARM_UP = 5
WAIT_S = 300.0
POLL_S = 0.02


class Beside(msgspec.Struct, frozen=True):
    """A rival's own rate, and ours of the same round against it; medians over the rounds."""

    per_second: float
    ratio: float
    environment: Environment


class CycleResult(msgspec.Struct, frozen=True):
    """What `--json` prints; rates are whole exchanges a second, medians over the rounds."""

    clear_per_second: float
    encrypted_per_second: float
    ratio: float
    packets: int
    content_bytes: int
    rounds: list[dict[str, float]]
    cpu_ms: dict[str, float]
    """Processor time of each service for one exchange, clear and encrypted together."""
    rivals: dict[str, Beside]


async def run_cycle(
    *, packets: int, content_bytes: int, rounds: int, rivals: Path | None = None
) -> CycleResult:
    """Measure; raise JudgementFailed where a packet did not travel as it should.

    `rivals` is the folder for their environments; without one there are none.
    """
    async with AsyncExitStack() as stack:
        beside = {
            kind: await stack.enter_async_context(rival(RIVALS[kind], rivals, content_bytes))
            for kind in RIVALS
            if rivals is not None
        }
        services = await stack.enter_async_context(
            running(SPECS, served=[PARENT, CHILD], authorities=[PARENT])
        )
        nodes = services.network.nodes
        systems = await stack.enter_async_context(office(nodes[CHILD]))
        desk = await stack.enter_async_context(Reading(database_url(nodes[PARENT].config())))
        for kind in TYPES:
            await _one_round(desk, systems, kind, WARM_UP, content_bytes)
        for each in beside.values():
            await each.run(RIVAL_WARM_UP)
        meter = Meter(services.services())
        measured = []
        for number in range(rounds):
            kinds = list(TYPES) if number % 2 else list(reversed(TYPES))
            rates = {
                kind: await _one_round(desk, systems, kind, packets, content_bytes)
                for kind in kinds
            }
            for kind, each in beside.items():
                rates[RIVALS[kind].name] = RIVAL_CYCLES / (await each.run(RIVAL_CYCLES)).seconds
            measured.append({name: round(rate, 1) for name, rate in rates.items()})
        spent = meter.spent_s()
        await _judge(desk, WARM_UP + rounds * packets)
    clear, encrypted = (statistics.median(each[kind] for each in measured) for kind in TYPES)
    exchanges = len(TYPES) * rounds * packets
    return CycleResult(
        clear_per_second=clear,
        encrypted_per_second=encrypted,
        ratio=round(encrypted / clear, 3),
        packets=packets,
        content_bytes=content_bytes,
        rounds=measured,
        cpu_ms={name: round(1000 * each / exchanges, 3) for name, each in spent.items()},
        rivals={RIVALS[kind].name: _beside(kind, each, measured) for kind, each in beside.items()},
    )


def _beside(kind: str, one: Rival, rounds: list[dict[str, float]]) -> Beside:
    """Hold our rates against those that a rival had in the same rounds."""
    name = RIVALS[kind].name
    return Beside(
        per_second=statistics.median(each[name] for each in rounds),
        ratio=round(statistics.median(each[kind] / each[name] for each in rounds), 2),
        environment=one.environment,
    )


async def _one_round(
    desk: Reading,
    systems: Office,
    kind: str,
    packets: int,
    content_bytes: int,
) -> float:
    """Return the exchanges a second of one round."""
    documents = [document(kind, number, content_bytes, CHILD) for number in range(packets)]
    total = await desk.last_frame() + FRAMES_AN_EXCHANGE * packets
    async with asyncio.timeout(WAIT_S):
        began = time.perf_counter()
        await systems.drop(kind, documents)
        while await desk.last_frame() < total:  # noqa: ASYNC110 - other processes act
            await asyncio.sleep(POLL_S)
        took_s = time.perf_counter() - began
    return packets / took_s


async def _judge(desk: Reading, total: int) -> None:
    """Raise JudgementFailed unless all came, were accepted, and travelled as they should."""
    gauges = await desk.gauges()
    wrong = [f"{count} {what} open" for what, count in gauges.open.items() if count]
    for kind, type_ in TYPES.items():
        page = await desk.list_packets(Filters(type_=type_), limit=total + 1)
        if len(page.packets) != total:
            wrong.append(f"{len(page.packets)} {kind} packets, dropped {total}")
        codings = {is_encrypted(line.packet.coding) for line in page.packets}
        if codings != {kind == "encrypted"}:
            wrong.append(f"{kind} packets did not travel {kind}")
    if wrong:
        raise JudgementFailed("; ".join(wrong))
