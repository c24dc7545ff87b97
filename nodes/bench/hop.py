"""`bbaj bench hop`: one relay node in the middle, beside a bare relay, in one run.

    feeder (child) --TLS--> broker --> NODE --TLS--> broker --> sink (parent)

The node is a real daemon with all checks on: it authenticates, stores, journals, passes on and
answers with custody notes. Frames are sealed beforehand under many senders' keys. Afterwards the
record is held against what was sent: frames, leaves, notes, and that fsync was on.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from exchange.amqp import (
    Backoff,
    ClientTls,
    LinkState,
    OwnBrokerEndpoint,
    ParentEndpoint,
    PlainLogin,
)
from exchange.gate import Gate
from exchange.identity import new_packet_id
from nodes.authority_files import AuthorityFiles
from nodes.bench import bare
from nodes.bench.peer import Peer
from nodes.clock import now
from nodes.errors import JudgementFailed
from nodes.sandbox.network import (
    NodeSpec,
    PrivateNetwork,
    make_brokers,
    user_of,
    vhost_of,
)
from nodes.sandbox.postgres import PrivatePostgres
from nodes.sandbox.rabbitmq import PrivateBroker
from nodes.wiring import database_url, open_vault
from schemas.addresses import dns_name, label_of
from schemas.header import Header
from schemas.leaves import LeafKind
from schemas.moments import format_instant
from signing.keys import PacketSigner, load_packet_signer
from signing.payload import payload_facts
from signing.seal import seal
from store.postgres import PostgresArchive

PARENT, RELAY, CHILD = "kz", "kz.zhambyl", "kz.zhambyl.taraz"
SENDERS = 40
FRAMES_A_BUNDLE = 256
WINDOW = 4096
WAIT_S = 300.0
BARE_VHOST = "bench-bare"


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


class Bench(msgspec.Struct):
    """A running network with ends that only feed and sink."""

    network: PrivateNetwork
    postgres: PrivatePostgres
    broker: PrivateBroker
    feeder: Peer
    sink: Peer


async def run_hop(*, packets: int, payload_bytes: int, rounds: int) -> HopResult:
    """Measure; raise JudgementFailed where the record disagrees with what was sent."""
    async with _bench() as bench:
        senders = _senders(bench)
        certificates = [der for sender in senders.values() for der in [sender.certificate]]
        results = []
        await bench.network.start(RELAY)
        async with _ends(bench):
            for number in range(1, rounds + 1):
                frames = _seal_frames(senders, packets, payload_bytes, first=(number - 1) * packets)
                results.append(await _one_round(bench, frames, certificates, number))
                certificates = []
        await bench.network.stop(RELAY)
        return await _judge(bench, results, packets, payload_bytes)


async def _one_round(
    bench: Bench, frames: list[bytes], certificates: list[bytes], number: int
) -> dict[str, float]:
    """Time the node on `frames`, then the bare relay on as many messages of their size."""
    total = number * len(frames)
    async with asyncio.timeout(WAIT_S):
        began = time.perf_counter()
        await bench.feeder.send_all(frames, certificates)
        await bench.sink.until(taken=total)
        await bench.feeder.until(noted=total)
        node_s = time.perf_counter() - began
        size = sum(map(len, frames)) // len(frames)
        bare_s = await _bare(bench, len(frames), size)
    return {
        "packets_per_second": round(len(frames) / node_s, 1),
        "bare_relay_per_second": round(len(frames) / bare_s, 1),
        "ratio": round(bare_s / node_s, 3),
    }


async def _bare(bench: Bench, count: int, size: int) -> float:
    """Return the seconds that the bare relay needs, in a process of its own."""
    tls = _client_tls(bench.network, RELAY)
    port, name = bench.broker.amqps_port, dns_name(PARENT)
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


@asynccontextmanager
async def _bench() -> AsyncIterator[Bench]:
    """Set up broker, database and files; the node itself is started by the caller."""
    with tempfile.TemporaryDirectory(prefix="bbaj-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)  # noqa: ASYNC240 - once, before anything runs
        authority = AuthorityFiles(folder / "ca")
        authority.init_root(now())
        for address in (PARENT, RELAY):
            authority.issue_authority(address, now())
        postgres = PrivatePostgres(folder / "postgres")
        brokers = make_brokers(authority, folder, {"bench": [PARENT, RELAY]}, schedulers=2)
        broker = brokers[PARENT]
        network = PrivateNetwork(folder, postgres=postgres, brokers=brokers)
        try:
            await asyncio.gather(postgres.start(), broker.start())
            await network.add_nodes([NodeSpec(PARENT), NodeSpec(RELAY)], also_children=[CHILD])
            await _permit_bare(broker)
            yield _assemble(network, postgres, broker)
        finally:
            await network.stop_all()
            await broker.stop()
            await postgres.stop()


def _assemble(network: PrivateNetwork, postgres: PrivatePostgres, broker: PrivateBroker) -> Bench:
    options = {"frames_a_bundle": FRAMES_A_BUNDLE, "window_frames": WINDOW}
    feeder = Peer(_gate(network, CHILD), RELAY, is_child=True, **options)
    sink = Peer(_gate(network, PARENT), RELAY, is_child=False, **options)
    return Bench(network, postgres, broker, feeder, sink)


def _gate(network: PrivateNetwork, address: str) -> Gate:
    """Return a gate that signs link objects as `address`; it judges nothing here."""
    config = msgspec.structs.replace(
        network.nodes[PARENT].config(),
        address=address,
        data=network.folder / "ends" / address,
    )
    keys = msgspec.structs.replace(config.keys, folder=network.keys_of(address))
    return open_vault(msgspec.structs.replace(config, keys=keys)).gate


@asynccontextmanager
async def _ends(bench: Bench) -> AsyncIterator[None]:
    """Keep feeder and sink connected while the body runs."""
    config = bench.network.nodes[PARENT].config()
    assert config.broker is not None
    login = PlainLogin(user_of(PARENT), config.broker.password_file.read_text().strip())
    backoff = Backoff(most_s=1)
    above = OwnBrokerEndpoint(
        address=PARENT,
        urls=[config.broker.url],
        login=login,
        vhost=vhost_of(PARENT),
        backoff=backoff,
    )
    below = ParentEndpoint(
        address=CHILD,
        urls=[f"amqps://127.0.0.1:{bench.broker.amqps_port}"],
        tls=_client_tls(bench.network, CHILD),
        vhost=vhost_of(RELAY),
        backoff=backoff,
    )
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(below.run(bench.feeder.handle, _ignore)),
            tasks.create_task(
                above.run({label_of(RELAY): bench.sink.handle}, _no_dead, _ignore),
            ),
        ]
        yield
        for task in running:
            task.cancel()


def _ignore(_: LinkState) -> None:
    """Ignore connections: they are not what is measured."""


async def _no_dead(body: bytes, headers: object) -> None:
    raise JudgementFailed(f"the broker gave up on a message of {len(body)} bytes: {headers}")


def _client_tls(network: PrivateNetwork, address: str) -> ClientTls:
    keys = network.keys_of(address)
    return ClientTls(keys / "root.pem", keys / "link.pem", keys / "link.key")


async def _permit_bare(broker: PrivateBroker) -> None:
    """Give the node's own login a virtual host where the bare relay may do everything."""
    user = dns_name(RELAY)
    await broker.ctl("add_vhost", BARE_VHOST)
    await broker.ctl("set_permissions", "-p", BARE_VHOST, user, ".*", ".*", ".*")
    await broker.ctl("set_user_limits", user, '{"max-connections": 8, "max-channels": 16}')


# --- frames -----------------------------------------------------------------------------------


def _senders(bench: Bench) -> dict[str, PacketSigner]:
    """Return many schools below the child, each with keys of its own."""
    signers = {}
    for number in range(1, SENDERS + 1):
        address = f"{CHILD}.school-{number}"
        keys = bench.network.keys_of(address)
        signers[address] = load_packet_signer(keys / "packet.key", keys / "packet.pem", None)
    return signers


def _seal_frames(
    senders: dict[str, PacketSigner], count: int, payload_bytes: int, *, first: int
) -> list[bytes]:
    """Return sealed frames, the senders in turn, each with its own salt and number."""
    frames = []
    names = list(senders)
    for number in range(first, first + count):
        address = names[number % len(names)]
        payload = os.urandom(payload_bytes)
        header = Header(
            id=new_packet_id(now()),
            type="admin.order/1",
            from_=address,
            to=PARENT,
            sent=format_instant(now()),
            epoch=1,
            seq=number // len(names) + 1,
            section="S05",
            class_="R10",
            flow="admin",
            certificate=senders[address].fingerprint,
            payload=payload_facts(payload, "application/json", "salt"),
        )
        frames.append(seal(header, payload, senders[address]))
    return frames


# --- afterwards -------------------------------------------------------------------------------


async def _judge(
    bench: Bench, results: list[dict[str, float]], packets: int, payload_bytes: int
) -> HopResult:
    """Hold the record against what was sent. Raises JudgementFailed."""
    total = packets * len(results)
    archive = PostgresArchive(database_url(bench.network.nodes[RELAY].config()))
    position = await archive.open()
    trails = await archive.trail_of_frame(list(range(1, total + 1)))
    settings = await bench.postgres.settings("fsync", "synchronous_commit")
    await archive.close()
    relayed = sum(
        1 for trail in trails.values() for mark in trail.marks if mark.kind == LeafKind.RELAYED
    )
    facts = {
        "packets kept": len(trails),
        "relayed leaves": relayed,
        "entries placed": position.outgoing[f"{PARENT}/bulk"].number,
        "entries noted by the parent": position.cursors[f"{PARENT}/bulk"],
        "entries taken from the child": position.incoming[f"{CHILD}/bulk"].number,
    }
    wrong = [f"{what}: {value}, sent {total}" for what, value in facts.items() if value != total]
    if wrong or settings != {"fsync": "on", "synchronous_commit": "on"}:
        raise JudgementFailed("; ".join([*wrong, str(settings)]))

    def median(name: str) -> float:
        return statistics.median(each[name] for each in results)

    return HopResult(
        packets_per_second=median("packets_per_second"),
        bare_relay_per_second=median("bare_relay_per_second"),
        ratio=median("ratio"),
        payload_bytes=payload_bytes,
        packets=packets,
        rounds=results,
        leaves=position.leaves,
        notes=bench.feeder.notes,
        fsync=True,
        synchronous_commit=True,
    )
