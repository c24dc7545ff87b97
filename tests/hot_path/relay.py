"""A relay on one thread, between two ends that do as little as they can."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, Future
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from exchange.core.registry import Registry
from exchange.gate import Gate
from harness.memory_link import MemoryLink
from harness.pki import Network, make_network
from harness.service_node import Node, new_record, private_server
from nodes.bench.peer import Peer
from nodes.bench.stage import CHILD, PARENT, RELAY, SENDERS, seal_frames
from nodes.clock import now
from nodes.sandbox.postgres import PrivatePostgres
from schemas.limits import Limits
from schemas.moments import HOUR
from signing.at_rest import AtRest
from signing.cosigner import Cosigner
from signing.keys import PacketSigner

PACKETS = 256
"""One bundle, one group, one commit."""
PAYLOAD_BYTES = 1024
FAST_BYTES_PER_S = 1e9
NEVER_S = 3600.0


class OnTheSpot(Executor):
    """Does at once what it is given, on the thread that gives it."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(work(*args, **options))
        except BaseException as error:  # noqa: BLE001 - it is the caller's, as in a thread
            done.set_exception(error)
        return done


class Relay:
    """The running node and its ends."""

    def __init__(self, feeder: Peer, sink: Peer, senders: dict[str, PacketSigner]) -> None:
        self._feeder = feeder
        self._sink = sink
        self._senders = senders
        self._sealed = 0

    def seal(self) -> list[bytes]:
        """Return PACKETS new frames of many senders."""
        frames = seal_frames(self._senders, PACKETS, PAYLOAD_BYTES, first=self._sealed)
        self._sealed += PACKETS
        return frames

    async def pass_on(self, frames: list[bytes]) -> None:
        """Return once the node has taken the frames, passed them on, and noted them."""
        await self._feeder.send_all(frames, [])
        await self._sink.until(taken=self._sink.taken + len(frames))
        await self._feeder.until(noted=self._sink.taken)


@asynccontextmanager
async def open_relay(folder: Path, server: PrivatePostgres) -> AsyncIterator[Relay]:
    """Run the node; its record lies in `server`."""
    schools = [f"{CHILD}.school-{number}" for number in range(1, SENDERS + 1)]
    network = make_network([PARENT, RELAY, CHILD, *schools], now() - HOUR)
    node = Node(RELAY, network, folder, await new_record(server, "hot_path", RELAY))
    node.make_executor = OnTheSpot
    node.sweep_s = NEVER_S
    feeder = _end(network, CHILD, folder, is_child=True)
    sink = _end(network, PARENT, folder, is_child=False)
    below, above = (
        MemoryLink(*ends, FAST_BYTES_PER_S) for ends in ((RELAY, CHILD), (PARENT, RELAY))
    )
    async with node.live(below, above), asyncio.TaskGroup() as tasks:
        ends = [
            tasks.create_task(below.run_child(feeder.handle, lambda _: None)),
            tasks.create_task(above.run_parent(sink.handle, lambda _: None)),
        ]
        signers = {school: network.nodes[school].packet for school in schools}
        yield Relay(feeder, sink, signers)
        for end in ends:
            end.cancel()


@asynccontextmanager
async def private_relay(folder: Path) -> AsyncIterator[Relay]:
    """Run the node and a PostgreSQL for it."""
    async with private_server() as server, open_relay(folder, server) as relay:
        yield relay


def _end(network: Network, address: str, folder: Path, *, is_child: bool) -> Peer:
    own = network.nodes[address]
    gate = Gate(
        here=address,
        epoch=1,
        trust=network.trust(),
        signer=own.packet,
        journal=own.journal,
        encryption=own.encryption,
        at_rest=AtRest(folder / address),
        limits=Limits(),
        registry=Registry(address),
        cosigner=Cosigner(address, own.witness, None),
    )
    return Peer(gate, RELAY, is_child=is_child, frames_a_bundle=PACKETS, window_frames=PACKETS)
