"""`bbaj bench cycle`: whole exchanges between two neighbours, encrypted beside clear, in one run.

    local systems (AMQP) --> CHILD --TLS--> broker --> PARENT      drop, packet, receipt, closing

Both daemons are real, with broker, databases, TLS and all checks. A round is over when the
recipient's record holds the closing of each of its packets. Clear and encrypted rounds take turns
at being first; their documents are of like size and of the same lane and flow.
"""

import asyncio
import base64
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aio_pika
import msgspec

from exchange.identity import new_packet_id
from nodes.authority_files import AuthorityFiles
from nodes.clock import now
from nodes.errors import JudgementFailed
from nodes.samples import order
from nodes.sandbox.network import NodeSpec, PrivateNetwork, RunningNode, make_brokers
from nodes.sandbox.postgres import PrivatePostgres
from nodes.wiring import database_url
from schemas.answers import PacketName
from schemas.codes import ReturnReason
from schemas.documents.notice import NoticeReturned
from schemas.documents.order import AdminOrder
from schemas.documents.registry import ADMIN_ORDER, NOTICE_RETURNED
from schemas.header import is_encrypted
from store.reading import Filters, Reading

PARENT, CHILD = "kz", "kz.zhambyl"
SYSTEMS = tuple(f"sis-{number}" for number in range(1, 9))
FRAMES_A_CYCLE = 3
"""Packet, receipt and closing."""
WARM_UP = 64
WAIT_S = 300.0
POLL_S = 0.02
TYPES = {"clear": ADMIN_ORDER, "encrypted": NOTICE_RETURNED}


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
        async with _systems(network.nodes[CHILD]) as systems, Reading(url) as desk:
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


@asynccontextmanager
async def _systems(node: RunningNode) -> AsyncIterator[list[aio_pika.abc.AbstractExchange]]:
    """Log local systems in; each drops over a queue of its own."""
    broker = node.config().broker
    assert broker is not None, "a node with systems has a broker"
    connections = []
    try:
        for system in SYSTEMS:
            login = f"{system}:{node.password_of(system)}"
            url = f"{broker.url.replace('//', f'//{login}@')}/{broker.local_vhost}"
            connections.append(await aio_pika.connect(url))
        channels = [await each.channel() for each in connections]
        yield [await each.get_exchange("outbound", ensure=False) for each in channels]
    finally:
        for connection in connections:
            await connection.close()


async def _one_round(
    desk: Reading,
    systems: Sequence[aio_pika.abc.AbstractExchange],
    kind: str,
    packets: int,
    content_bytes: int,
) -> float:
    """Return the exchanges a second of one round."""
    documents = [_document(kind, number, content_bytes) for number in range(packets)]
    total = (await desk.gauges()).last_frame + FRAMES_A_CYCLE * packets
    async with asyncio.timeout(WAIT_S):
        began = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for place, (system, exchange) in enumerate(zip(SYSTEMS, systems, strict=True)):
                tasks.create_task(_drop(exchange, system, kind, documents[place :: len(SYSTEMS)]))
        while (await desk.gauges()).last_frame < total:  # noqa: ASYNC110 - other processes act
            await asyncio.sleep(POLL_S)
        took_s = time.perf_counter() - began
    return packets / took_s


async def _drop(
    exchange: aio_pika.abc.AbstractExchange, system: str, kind: str, documents: Sequence[bytes]
) -> None:
    for document in documents:
        headers = {
            "drop-id": new_packet_id(now()),
            "type": TYPES[kind],
            "to": PARENT,
            "section": "S05",
        }
        message = aio_pika.Message(
            document,
            headers=headers,  # type: ignore[arg-type]
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await exchange.publish(message, routing_key=system)


def _document(kind: str, number: int, content_bytes: int) -> bytes:
    """Return a valid document with so many characters of text that nothing compresses well."""
    text = base64.b64encode(os.urandom(content_bytes * 3 // 4)).decode("ascii")
    if kind == "clear":
        sample = msgspec.json.decode(order(number, 1), type=AdminOrder)
        texts = (msgspec.structs.replace(sample.texts[0], text=text), *sample.texts[1:])
        return msgspec.json.encode(msgspec.structs.replace(sample, texts=texts))
    return msgspec.json.encode(
        NoticeReturned(
            packet=PacketName(CHILD, 1, new_packet_id(now())),
            reasons_version=1,
            reason=ReturnReason.OTHER,
            text=text,
        )
    )


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
