"""The stage of the relay benchmarks: one node in the middle, ends that only feed and sink.

    feeder (child) --TLS--> broker --> NODE --TLS--> broker --> sink (parent)

The node is a real daemon with all checks on; broker, database and TLS are real too.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Mapping
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
from nodes.bench.peer import Peer
from nodes.bench.rivals.shovel import PLUGIN as SHOVEL
from nodes.clock import now
from nodes.config import read_secret
from nodes.errors import JudgementFailed
from nodes.sandbox.network import NodeSpec, PrivateNetwork, make_brokers, user_of, vhost_of
from nodes.sandbox.postgres import PrivatePostgres
from nodes.sandbox.rabbitmq import PrivateBroker
from nodes.wiring import database_url, open_vault
from schemas.addresses import dns_name, label_of
from schemas.header import Header
from schemas.leaves import LeafKind
from schemas.moments import format_instant
from schemas.records import Position
from signing.keys import PacketSigner, load_packet_signer
from signing.payload import payload_facts
from signing.seal import seal
from store.postgres import PostgresArchive
from store.reading import Reading

PARENT, RELAY, CHILD = "kz", "kz.zhambyl", "kz.zhambyl.taraz"
BARE_VHOST = "bench-bare"
SENDERS = 40
FRAMES_A_BUNDLE = 256
WINDOW = 4096


class Stage(msgspec.Struct):
    """A running network with ends that only feed and sink."""

    network: PrivateNetwork
    postgres: PrivatePostgres
    broker: PrivateBroker
    feeder: Peer
    sink: Peer


@asynccontextmanager
async def open_stage() -> AsyncIterator[Stage]:
    """Set up broker, database and files; the node itself is started by the caller."""
    with tempfile.TemporaryDirectory(prefix="bbaj-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)  # noqa: ASYNC240 - once, before anything runs
        authority = AuthorityFiles(folder / "ca")
        authority.init_root(now())
        for address in (PARENT, RELAY):
            authority.issue_authority(address, now())
        postgres = PrivatePostgres(folder / "postgres")
        brokers = make_brokers(
            authority, folder, {"bench": [PARENT, RELAY]}, schedulers=2, plugins=[SHOVEL]
        )
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


def _assemble(network: PrivateNetwork, postgres: PrivatePostgres, broker: PrivateBroker) -> Stage:
    options = {"frames_a_bundle": FRAMES_A_BUNDLE, "window_frames": WINDOW}
    feeder = Peer(_gate(network, CHILD), RELAY, is_child=True, **options)
    sink = Peer(_gate(network, PARENT), RELAY, is_child=False, **options)
    return Stage(network, postgres, broker, feeder, sink)


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
async def feeding(stage: Stage) -> AsyncIterator[Peer]:
    """Keep the feeder connected while the body runs."""
    endpoint = ParentEndpoint(
        address=CHILD,
        urls=[f"amqps://127.0.0.1:{stage.broker.amqps_port}"],
        tls=client_tls(stage.network, CHILD),
        vhost=vhost_of(RELAY),
        backoff=Backoff(most_s=1),
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(endpoint.run(stage.feeder.handle, _ignore))
        yield stage.feeder
        running.cancel()


@asynccontextmanager
async def sinking(stage: Stage) -> AsyncIterator[Peer]:
    """Keep the sink connected while the body runs."""
    config = stage.network.nodes[PARENT].config()
    assert config.broker is not None
    endpoint = OwnBrokerEndpoint(
        address=PARENT,
        urls=[config.broker.url],
        login=PlainLogin(user_of(PARENT), read_secret(config.broker.password_file) or ""),
        vhost=vhost_of(PARENT),
        backoff=Backoff(most_s=1),
    )
    async with asyncio.TaskGroup() as tasks:
        handlers = {label_of(RELAY): stage.sink.handle}
        running = tasks.create_task(endpoint.run(handlers, _no_dead, _ignore))
        yield stage.sink
        running.cancel()


def _ignore(_: LinkState) -> None:
    """Ignore connections: they are not what is measured."""


async def _no_dead(body: bytes, headers: object) -> None:
    raise JudgementFailed(f"the broker gave up on a message of {len(body)} bytes: {headers}")


def client_tls(network: PrivateNetwork, address: str) -> ClientTls:
    """Return the link key material of an address."""
    keys = network.keys_of(address)
    return ClientTls(keys / "root.pem", keys / "link.pem", keys / "link.key")


async def _permit_bare(broker: PrivateBroker) -> None:
    """Give the node's own login a virtual host where the bare relay may do everything."""
    user = dns_name(RELAY)
    await broker.ctl("add_vhost", BARE_VHOST)
    await broker.ctl("set_permissions", "-p", BARE_VHOST, user, ".*", ".*", ".*")
    await broker.ctl("set_user_limits", user, '{"max-connections": 8, "max-channels": 16}')


def open_senders(stage: Stage) -> dict[str, PacketSigner]:
    """Return many schools below the child, each with keys of its own."""
    return open_signers(sender_keys(stage))


def sender_keys(stage: Stage) -> dict[str, Path]:
    """Return the key folders of many schools below the child."""
    schools = [f"{CHILD}.school-{number}" for number in range(1, SENDERS + 1)]
    return {address: stage.network.keys_of(address) for address in schools}


def open_signers(keys: Mapping[str, Path]) -> dict[str, PacketSigner]:
    """Load the packet key in each folder."""
    return {
        address: load_packet_signer(folder / "packet.key", folder / "packet.pem", None)
        for address, folder in keys.items()
    }


def seal_frames(
    senders: dict[str, PacketSigner],
    count: int,
    payload_bytes: int,
    *,
    first: int,
    period: str | None = None,
) -> list[bytes]:
    """Return sealed frames, the senders in turn, each with its own salt and number.

    Their flow is one of the lane that the ends speak.
    """
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
            period=period,
            flow="info",
            certificate=senders[address].fingerprint,
            payload=payload_facts(payload, "application/json", "salt"),
        )
        frames.append(seal(header, payload, senders[address]))
    return frames


async def judge_record(stage: Stage, total: int) -> tuple[int, dict[str, str]]:
    """Hold the stopped node's record against what was sent; return its leaves and settings.

    Raises JudgementFailed where frames, leaves, places, notes or the settings of durability are
    not what `total` packets must have left.
    """
    archive = PostgresArchive(database_url(stage.network.nodes[RELAY].config()))
    position = await archive.open()
    trails = await archive.trail_of_frame(list(range(1, total + 1)))
    await archive.close()
    relayed = sum(
        1 for trail in trails.values() for mark in trail.marks if mark.kind == LeafKind.RELAYED
    )
    kept = {"packets kept": len(trails), "relayed leaves": relayed}
    return position.leaves, await _judge(stage, kept | _streams(position), total)


async def judge_streams(stage: Stage, total: int) -> int:
    """As `judge_record`, for more packets than memory holds: counts alone. Return the leaves."""
    config = stage.network.nodes[RELAY].config()
    async with Reading(database_url(config)) as desk:
        gauges = await desk.gauges()
    archive = PostgresArchive(database_url(config))
    position = await archive.open()
    await archive.close()
    await _judge(stage, {"packets kept": gauges.last_frame} | _streams(position), total)
    return position.leaves


def _streams(position: Position) -> dict[str, int]:
    return {
        "entries placed": position.outgoing[f"{PARENT}/bulk"].number,
        "entries noted by the parent": position.cursors[f"{PARENT}/bulk"],
        "entries taken from the child": position.incoming[f"{CHILD}/bulk"].number,
    }


async def _judge(stage: Stage, facts: Mapping[str, int], total: int) -> dict[str, str]:
    settings = await stage.postgres.settings("fsync", "synchronous_commit")
    wrong = [f"{what}: {value}, sent {total}" for what, value in facts.items() if value != total]
    if wrong or settings != {"fsync": "on", "synchronous_commit": "on"}:
        raise JudgementFailed("; ".join([*wrong, str(settings)]))
    return settings
