"""A network that runs while it is measured: daemons, brokers, databases, all real and our own."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

from nodes.authority_files import AuthorityFiles
from nodes.clock import now
from nodes.demo.proxy import Proxy
from nodes.sandbox.line import Line
from nodes.sandbox.network import NodeSpec, PrivateNetwork, make_brokers
from nodes.sandbox.postgres import PrivatePostgres
from nodes.sandbox.rabbitmq import PrivateBroker

SLOW_LIMITS = {"heartbeat_s": 60}
"""What an operator sets where a line is slow."""
BROKER, DATABASE = "broker", "database"


class SlowLine(msgspec.Struct, frozen=True):
    """How an address reaches its parent."""

    address: str
    bytes_per_s: int
    round_trip_s: float


class Running(msgspec.Struct, frozen=True):
    """A running network and its services; all its nodes share them."""

    network: PrivateNetwork
    postgres: PrivatePostgres
    broker: PrivateBroker
    proxy: Proxy | None = None
    """The line of the address that was asked for as `cuttable`."""

    def pid_of(self, address: str) -> int:
        """Return the process id of a node's daemon."""
        process = self.network.nodes[address].process
        assert process is not None, f"{address} is down"
        return process.pid

    def services(self) -> dict[str, int]:
        """Return the process ids of all services, by the names that results give them."""
        daemons = {address: self.pid_of(address) for address in self.network.nodes}
        return {**daemons, BROKER: self.broker.pid, DATABASE: self.postgres.pid}


@asynccontextmanager
async def running(
    specs: Sequence[NodeSpec],
    *,
    served: Sequence[str],
    authorities: Sequence[str],
    line: SlowLine | None = None,
    cuttable: str | None = None,
) -> AsyncIterator[Running]:
    """Run nodes on one broker, which serves the addresses `served`; take all down at the end.

    The address `cuttable` reaches its parent over a line that can be cut.
    """
    with tempfile.TemporaryDirectory(prefix="bbaj-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)  # noqa: ASYNC240 - once, before anything runs
        authority = AuthorityFiles(folder / "ca")
        authority.init_root(now())
        known = folder / "ca" / "known"
        known.mkdir()
        for address in authorities:
            issued = authority.issue_authority(address, now())
            shutil.copyfile(issued / "cert.pem", known / f"{address}.pem")
        postgres = PrivatePostgres(folder / "postgres")
        brokers = make_brokers(authority, folder, {"bench": served}, schedulers=2)
        broker = brokers[served[0]]
        async with AsyncExitStack() as stack:
            ports = {line.address: await _lay(line, broker, stack)} if line else {}
            proxy = None
            if cuttable:
                proxy = await stack.enter_async_context(Proxy(broker.amqps_port))
                ports[cuttable] = proxy.port
            network = PrivateNetwork(
                folder,
                postgres=postgres,
                brokers=brokers,
                limits=SLOW_LIMITS if line else None,
                slow_lines=ports,
            )
            stack.push_async_callback(postgres.stop)
            stack.push_async_callback(broker.stop)
            stack.push_async_callback(network.stop_all)
            await asyncio.gather(postgres.start(), broker.start())
            await network.add_nodes(specs)
            await network.start(*(spec.address for spec in specs))
            yield Running(network, postgres, broker, proxy)


async def _lay(line: SlowLine, broker: PrivateBroker, stack: AsyncExitStack) -> int:
    """Lay a slow line to a broker; return the port that it begins at."""
    laid = Line(broker.amqps_port, bytes_per_s=line.bytes_per_s, round_trip_s=line.round_trip_s)
    return (await stack.enter_async_context(laid)).port


async def started_s(services: Running, address: str) -> float:
    """Stop a node, start it, and return the seconds that it took until it was ready."""
    await services.network.stop(address)
    began = time.perf_counter()
    await services.network.start(address)
    return time.perf_counter() - began
