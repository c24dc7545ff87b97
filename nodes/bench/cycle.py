"""`bbaj bench cycle`: whole exchanges between two neighbours, encrypted beside clear, in one run.

    local systems (AMQP) --> CHILD --TLS--> broker --> PARENT      drop, packet, receipt, closing

Both daemons are real, with broker, databases, TLS and all checks. A round is over when the
recipient's record holds the closing of each of its packets. Clear and encrypted rounds take turns
at being first; their documents are of like size and of the same lane and flow.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from nodes.authority_files import AuthorityFiles
from nodes.bench.exchanges import FRAMES_AN_EXCHANGE, TYPES, Office, document, office
from nodes.clock import now
from nodes.errors import JudgementFailed
from nodes.sandbox.network import NodeSpec, PrivateNetwork, make_brokers
from nodes.sandbox.postgres import PrivatePostgres
from nodes.wiring import database_url
from schemas.header import is_encrypted
from store.reading import Filters, Reading

PARENT, CHILD = "kz", "kz.zhambyl"
SYSTEMS = tuple(f"sis-{number}" for number in range(1, 9))
WARM_UP = 64
WAIT_S = 300.0
POLL_S = 0.02


class CycleResult(msgspec.Struct, frozen=True):
    """What `--json` prints; rates are whole exchanges a second, medians over the rounds."""

    clear_per_second: float
    encrypted_per_second: float
    ratio: float
    packets: int
    content_bytes: int
    rounds: list[dict[str, float]]


async def run_cycle(*, packets: int, content_bytes: int, rounds: int) -> CycleResult:
    """Measure; raise JudgementFailed where a packet did not travel as it should."""
    measured: list[dict[str, float]] = []
    async with _running() as network:
        url = database_url(network.nodes[PARENT].config())
        async with office(network.nodes[CHILD]) as systems, Reading(url) as desk:
            for kind in TYPES:
                await _one_round(desk, systems, kind, WARM_UP, content_bytes)
            for number in range(rounds):
                kinds = list(TYPES) if number % 2 else list(reversed(TYPES))
                rates = {
                    kind: await _one_round(desk, systems, kind, packets, content_bytes)
                    for kind in kinds
                }
                measured.append({name: round(rate, 1) for name, rate in rates.items()})
            await _judge(desk, WARM_UP + rounds * packets)
    clear, encrypted = (statistics.median(each[kind] for each in measured) for kind in TYPES)
    ratio = round(encrypted / clear, 3)
    return CycleResult(clear, encrypted, ratio, packets, content_bytes, measured)


@asynccontextmanager
async def _running() -> AsyncIterator[PrivateNetwork]:
    """Run the two nodes."""
    with tempfile.TemporaryDirectory(prefix="bbaj-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)  # noqa: ASYNC240 - once, before anything runs
        authority = AuthorityFiles(folder / "ca")
        authority.init_root(now())
        authority.issue_authority(PARENT, now())
        postgres = PrivatePostgres(folder / "postgres")
        brokers = make_brokers(authority, folder, {"bench": [PARENT, CHILD]}, schedulers=2)
        network = PrivateNetwork(folder, postgres=postgres, brokers=brokers)
        try:
            await asyncio.gather(postgres.start(), brokers[PARENT].start())
            await network.add_nodes([NodeSpec(PARENT), NodeSpec(CHILD, systems=SYSTEMS)])
            await network.start(PARENT, CHILD)
            yield network
        finally:
            await network.stop_all()
            await brokers[PARENT].stop()
            await postgres.stop()


async def _one_round(
    desk: Reading,
    systems: Office,
    kind: str,
    packets: int,
    content_bytes: int,
) -> float:
    """Return the exchanges a second of one round."""
    documents = [document(kind, number, content_bytes, CHILD) for number in range(packets)]
    total = (await desk.gauges()).last_frame + FRAMES_AN_EXCHANGE * packets
    async with asyncio.timeout(WAIT_S):
        began = time.perf_counter()
        await systems.drop(kind, documents)
        while (await desk.gauges()).last_frame < total:  # noqa: ASYNC110 - other processes act
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
