"""The stage of `bbaj bench costs`: three nodes in a row, and what they use.

SENDER (a leaf) --proxy--> broker of RELAY --> RELAY --> broker of RECIPIENT --> RECIPIENT
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

from exchange.gate import Gate
from nodes.authority_files import AuthorityFiles
from nodes.bench.archive_disk import weigh
from nodes.bench.weighing import Weight, weigh_node
from nodes.clock import now
from nodes.demo.proxy import Proxy
from nodes.sandbox.network import NodeSpec, PrivateNetwork, make_brokers
from nodes.sandbox.postgres import PrivatePostgres
from nodes.sandbox.rabbitmq import PrivateBroker
from nodes.simulate.measured import Place, Processor
from nodes.wiring import database_url, open_vault
from schemas.codes import Section
from schemas.documents.registry import TYPES
from schemas.leaves import LeafKind
from schemas.records import PendingDrop
from store.postgres import PostgresArchive
from store.postgres.session import session
from store.reading import Reading

PLACES: dict[Place, str] = {
    "sender": "kz.zhambyl.taraz",
    "relay": "kz.zhambyl",
    "recipient": "kz",
}
SYSTEM = "bench"
FRAMES_AN_EXCHANGE = 3
WAIT_S = 120.0
POLL_S = 0.005
CLOSED_POLL_S = 0.25
"""Rarely enough that asking costs the recipient next to nothing."""

Documents = Sequence[tuple[str, bytes]]
"""Type and content of each."""


class Snapshot(msgspec.Struct, frozen=True):
    """What all had used at one moment."""

    weights: dict[Place, Weight]
    line_bytes: int
    at_s: float


class Span(msgspec.Struct, frozen=True):
    """Two moments, and what was used between them."""

    begins: Snapshot
    ends: Snapshot

    @property
    def took_s(self) -> float:
        """How long it was."""
        return self.ends.at_s - self.begins.at_s

    @property
    def line_bytes(self) -> int:
        """What went over the sender's line, both ways."""
        return self.ends.line_bytes - self.begins.line_bytes

    def used_us(self, place: Place) -> Processor:
        """Return the processor time of one place."""
        return self.ends.weights[place].used_us - self.begins.weights[place].used_us


class CostsStage:
    """The running network."""

    def __init__(  # noqa: PLR0913 - its parts
        self,
        network: PrivateNetwork,
        *,
        postgres: PrivatePostgres,
        brokers: dict[str, PrivateBroker],
        proxy: Proxy,
        desk: PostgresArchive,
        gate: Gate,
        reading: Reading,
    ) -> None:
        """Take what runs; `desk` and `gate` are the sender's, `reading` is the recipient's."""
        self.network = network
        self.proxy = proxy
        self.reading = reading
        self._postgres = postgres
        self._brokers = brokers
        self._desk = desk
        self._gate = gate
        self._dropped = 0

    async def during(self, work: Awaitable[None]) -> Span:
        """Return what was used while work was done."""
        begins = self._snapshot()
        await work
        return Span(begins, self._snapshot())

    def _snapshot(self) -> Snapshot:
        weights = {
            place: weigh_node(self.network, address, self._postgres, self._brokers.get(address))
            for place, address in PLACES.items()
        }
        return Snapshot(weights, self.proxy.passed_bytes, asyncio.get_running_loop().time())

    async def stored_bytes(self) -> dict[Place, float]:
        """Return how large each database is, once the room of rows that are gone is free again."""
        sizes: dict[Place, float] = {}
        for place, address in PLACES.items():
            url = self.network.nodes[address].config().database.owner_url
            assert url is not None, "nodes of a private network migrate by themselves"
            async with session(url, "bbaj bench") as connection:
                await connection.execute("VACUUM")
            sizes[place] = (await weigh(url, 1, 1)).bytes_per_packet
        return sizes

    async def exchange(self, documents: Documents) -> None:
        """Drop documents for the recipient, and wait until it holds the closing of each."""
        last = await self.reading.last_frame() + FRAMES_AN_EXCHANGE * len(documents)
        for kind, content in documents:
            await self.drop(kind, content, PLACES["recipient"])
        async with asyncio.timeout(WAIT_S):
            while await self.reading.last_frame() < last:  # noqa: ASYNC110 - others act
                await asyncio.sleep(CLOSED_POLL_S)

    async def drop(self, kind: str, content: bytes, to: str) -> None:
        """Hand a document over at the sender, as `bbaj send` does."""
        self._dropped += 1
        drop_id, dropped = str(self._dropped), now()
        bucket = self._gate.bucket(TYPES[kind].retention.value, None, dropped)
        about = f"{SYSTEM}/{drop_id}".encode()
        await self._desk.drop(
            PendingDrop(
                system=SYSTEM,
                drop_id=drop_id,
                dropped=dropped,
                type=kind,
                recipient=to,
                section=TYPES[kind].section or Section.S05,
                period=None,
                title=None,
                re=None,
                media_type=None,
                bucket=bucket,
                sealed=self._gate.seal_for_rest(bucket, about, content),
            )
        )

    async def delivered(self) -> None:
        """Wait until the sender's record holds the answer to what was dropped last."""
        async with asyncio.timeout(WAIT_S):
            while not await self._is_delivered():  # noqa: ASYNC110 - other processes act
                await asyncio.sleep(POLL_S)

    async def _is_delivered(self) -> bool:
        outcome = await self._desk.drop_outcome(SYSTEM, str(self._dropped))
        if outcome is None or outcome.frame is None:
            return False
        trail = (await self._desk.trail_of_frame([outcome.frame]))[outcome.frame]
        return any(mark.kind == LeafKind.CONFIRMED for mark in trail.marks)


@asynccontextmanager
async def open_costs_stage() -> AsyncIterator[CostsStage]:
    """Run the three nodes."""
    top, middle, leaf = PLACES["recipient"], PLACES["relay"], PLACES["sender"]
    async with AsyncExitStack() as stack:
        name = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="bbaj-bench-", ignore_cleanup_errors=True)
        )
        folder = Path(name)
        folder.chmod(0o711)  # noqa: ASYNC240 - once, before anything runs
        authority = AuthorityFiles(folder / "ca")
        authority.init_root(now())
        authority.issue_authority(top, now())
        postgres = PrivatePostgres(folder / "postgres")
        brokers = make_brokers(authority, folder, {"top": [top], "middle": [middle]}, schedulers=1)
        network = PrivateNetwork(folder, postgres=postgres, brokers=brokers)
        stack.push_async_callback(postgres.stop)
        for broker in brokers.values():
            stack.push_async_callback(broker.stop)
        await asyncio.gather(postgres.start(), *(each.start() for each in brokers.values()))
        stack.push_async_callback(network.stop_all)
        specs = [NodeSpec(top, systems=(SYSTEM,)), NodeSpec(middle), NodeSpec(leaf)]
        await network.add_nodes(specs)
        proxy = await stack.enter_async_context(Proxy(brokers[middle].amqps_port))
        _redirect(network.nodes[leaf].config_path, brokers[middle].amqps_port, proxy.port)
        await network.start(top, middle, leaf)
        config = network.nodes[leaf].config()
        yield CostsStage(
            network,
            postgres=postgres,
            brokers=brokers,
            proxy=proxy,
            desk=await stack.enter_async_context(PostgresArchive(database_url(config))),
            gate=open_vault(config).gate,
            reading=await stack.enter_async_context(
                Reading(database_url(network.nodes[top].config()))
            ),
        )


def _redirect(config: Path, port: int, proxy_port: int) -> None:
    """Have a node call its parent's broker through the proxy."""
    text = config.read_text(encoding="utf-8")
    changed = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{proxy_port}")
    assert changed != text, f"{config} does not name port {port}"
    config.write_text(changed, encoding="utf-8")
