"""The demo's network: a broker a node, one database server, a daemon a node; up and down again.

All of it lies in one private folder of the system's temporary folder, where an unprivileged
service user can reach it wherever the checkout is. Whatever happens, nothing of it stays but logs.
"""

import asyncio
import contextlib
import shutil
import tempfile
import urllib.parse
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from nodes.authority_files import AuthorityFiles
from nodes.clock import now
from nodes.demo.messages import Box
from nodes.demo.proxy import Proxy
from nodes.demo.view import View
from nodes.sandbox.network import (
    NodeSpec,
    PrivateNetwork,
    RunningNode,
    make_brokers,
    vhost_of,
)
from nodes.sandbox.postgres import PrivatePostgres
from nodes.sandbox.rabbitmq import PrivateBroker
from nodes.sandbox.timestamp_authority import TimestampAuthority
from nodes.wiring import DEFAULT_SYSTEM
from schemas.addresses import parent_of
from signing.keys import fingerprint, load_certificate

LIMITS = {
    "sweep_every_us": 300_000,
    "resend_first_us": 3_000_000,
    "resend_most_us": 6_000_000,
    "receipt_overdue_fast_us": 12_000_000,
    "receipt_overdue_bulk_us": 12_000_000,
    "checkpoint_due_us": 500_000,
    "reconnect_most_s": 1,
}
"""A day's patience in seconds, so that resends and overdue packets are seen."""
STAMPED_EVERY_S = 5
BROKERS_STARTING_MAX = 3
"""Starting them takes processors only: more at once would be no quicker, and each much slower."""


class Lost(msgspec.Struct, frozen=True):
    """Keys that an address had once, and that were revoked."""

    folder: Path
    fingerprint: str


class DemoNetwork(msgspec.Struct):
    """What the story acts on."""

    folder: Path
    nodes: PrivateNetwork
    brokers: dict[str, PrivateBroker]
    postgres: PrivatePostgres
    proxies: dict[str, Proxy]

    @property
    def authority(self) -> AuthorityFiles:
        """Who issues and revokes."""
        return self.nodes.authority

    def in_order(self) -> list[RunningNode]:
        """Return the nodes, each behind its parent."""
        return [node for _, node in sorted(self.nodes.nodes.items())]

    def boxes(self) -> list[Box]:
        """Return where local systems drop and take: one a node that has one, and the leaves."""
        return [box for node in self.in_order() for box in self._boxes_of(node)]

    def _boxes_of(self, node: RunningNode) -> list[Box]:
        config = str(node.config_path)
        if node.config().broker is None:
            return [Box(node.address, DEFAULT_SYSTEM, None, config)]
        return [
            Box(node.address, system, self.url_of(node.address, system), config)
            for system in node.spec.systems
        ]

    def keep_logs(self, logs: Path) -> None:
        """Copy the logs of daemons and services where they outlive the network."""
        _keep_logs(self.folder, logs)

    def url_of(self, address: str, system: str) -> str:
        """Return the AMQP URL of a local system, its password included."""
        secret = urllib.parse.quote(self.nodes.nodes[address].password_of(system), safe="")
        port = self.brokers[address].amqp_port
        return f"amqp://{system}:{secret}@127.0.0.1:{port}/{vhost_of(address)}-local"


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """What a network is to be."""

    specs: tuple[NodeSpec, ...]
    authorities: tuple[str, ...]
    also_children: tuple[str, ...] = ()
    """Addresses with a login and keys, one set of them lost before, but no node of ours."""
    joining: tuple[str, ...] = ()
    """Of the nodes, those that have no files yet: they join by commands, once the rest is up."""
    cuttable: tuple[str, ...] = ()
    """Nodes that reach their parent through a proxy; they are among those that join."""
    share_broker: bool = False

    @property
    def declared(self) -> list[NodeSpec]:
        """The nodes whose files are made beforehand."""
        return [spec for spec in self.specs if spec.address not in self.joining]

    def has_children(self, address: str) -> bool:
        """Say whether somebody is right below an address."""
        addresses = (*(spec.address for spec in self.specs), *self.also_children)
        return any(parent_of(each) == address for each in addresses)

    def declared_below(self, address: str) -> list[str]:
        """Return the addresses right below one whose files are made beforehand."""
        addresses = (*(spec.address for spec in self.declared), *self.also_children)
        return [each for each in addresses if parent_of(each) == address]


@asynccontextmanager
async def demo_network(layout: Layout, view: View, logs: Path) -> AsyncIterator[DemoNetwork]:
    """Set a network up with its daemons running; take it down however the block ends.

    After a fault the logs are kept in `logs`. Raises ServiceDown.
    """
    folder = _make_folder()
    try:
        async with contextlib.AsyncExitStack() as stack:
            network = _plan(folder, layout)
            _serve_time(network, layout, stack)
            stack.push_async_callback(_stop, network, view)
            for address in layout.also_children:
                _issue_and_lose(network, address)
            await _start_services(network, layout, view)
            for address in layout.cuttable:
                await _put_proxy_before(network, address, stack)
            for address in layout.authorities:
                _bring_on_line(network, address)
            view.say("demo.news.daemons", daemons=len(layout.declared))
            await start_daemons(network, layout.declared, view)
            yield network
    except Exception:
        _keep_logs(folder, logs)
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make_folder() -> Path:
    """Make the private folder; the service user may pass through it, and list nothing."""
    folder = Path(tempfile.mkdtemp(prefix="bbaj-demo-"))
    folder.chmod(0o711)
    return folder


def _plan(folder: Path, layout: Layout) -> DemoNetwork:
    authority = AuthorityFiles(folder / "ca")
    authority.init_root(now())
    known = folder / "ca" / "known"
    known.mkdir()
    for address in layout.authorities:
        issued = authority.issue_authority(address, now())
        shutil.copyfile(issued / "cert.pem", known / f"{address}.pem")
    with_broker = [
        spec.address for spec in layout.specs if spec.systems or layout.has_children(spec.address)
    ]
    own = [address for address in with_broker if address not in layout.joining]
    groups = {address.replace(".", "-"): [address] for address in own}
    if layout.share_broker:
        groups = {"shared": with_broker}
    brokers = make_brokers(authority, folder, groups, schedulers=1)
    for address in layout.joining:
        if address in with_broker:
            name = address.replace(".", "-")
            brokers[address] = PrivateBroker(
                folder / "brokers" / name, name=name, log_vhost=vhost_of(address)
            )
    postgres = PrivatePostgres(folder / "postgres")
    tiers = {spec.address: spec.tier for spec in layout.specs if spec.tier}
    nodes = PrivateNetwork(folder, postgres=postgres, brokers=brokers, limits=LIMITS, tiers=tiers)
    return DemoNetwork(folder, nodes, brokers, postgres, {})


async def _start_services(network: DemoNetwork, layout: Layout, view: View) -> None:
    """Start database and brokers, and give each node its own as soon as they are there."""
    brokers = set(network.brokers.values())
    view.say("demo.news.services", brokers=len(brokers))
    database = asyncio.Event()
    few = asyncio.Semaphore(BROKERS_STARTING_MAX)

    async def start_database() -> None:
        await network.postgres.start()
        database.set()

    async def start(broker: PrivateBroker | None) -> None:
        served = [spec for spec in layout.specs if network.brokers.get(spec.address) is broker]
        for spec in served:
            view.node(spec.address, "broker-starting" if broker else "waiting")
        if broker is not None:
            async with few:
                await broker.start()
        await database.wait()
        for spec in served:
            if spec.address in layout.joining:
                view.node(spec.address, "waiting-to-join")
                continue
            view.node(spec.address, "provisioning")
            below = layout.declared_below(spec.address)
            await network.nodes.add_nodes([spec], also_children=below)
            view.node(spec.address, "provisioned")

    await asyncio.gather(start_database(), start(None), *(start(broker) for broker in brokers))


async def start_daemons(network: DemoNetwork, specs: Sequence[NodeSpec], view: View) -> None:
    """Start the daemons of nodes, and return once all are ready."""

    async def start(address: str) -> None:
        view.node(address, "starting")
        await network.nodes.start(address)
        view.node(address, "up")

    await asyncio.gather(*(start(spec.address) for spec in specs))


def _serve_time(network: DemoNetwork, layout: Layout, stack: contextlib.AsyncExitStack) -> None:
    """Let two authorities stamp what republic and oblasts sign; one of them is from outside."""
    for name in ("national", "ministry"):
        authority = TimestampAuthority(network.folder / "time" / name, name)
        stack.enter_context(authority.serving())
        for spec in layout.specs:
            if spec.address.count(".") <= 1:
                lines = authority.config_lines(outside=name == "national", every_s=STAMPED_EVERY_S)
                network.nodes.stamping.setdefault(spec.address, []).extend(lines)


def _bring_on_line(network: DemoNetwork, address: str) -> None:
    """Give a node the key of its subtree's authority."""
    key = network.folder / "ca" / "authorities" / address / "key.pem"
    shutil.copy(key, network.nodes.keys_of(address) / "authority.key")


def _issue_and_lose(network: DemoNetwork, address: str) -> None:
    """Give an address keys and put them aside: those that it gets next are its current ones."""
    issued = network.authority.issue_node(address, now())
    known = network.folder / "ca" / "known" / f"{address}-lost.pem"
    shutil.copyfile(issued / "packet.pem", known)
    shutil.move(issued, network.folder / "lost" / address)


def lost_keys(network: DemoNetwork, address: str) -> Lost:
    """Return the keys that an address had before its current ones."""
    folder = network.folder / "lost" / address
    return Lost(folder, fingerprint(load_certificate(folder / "packet.pem")))


async def _put_proxy_before(
    network: DemoNetwork, address: str, stack: contextlib.AsyncExitStack
) -> None:
    parent = parent_of(address)
    assert parent is not None
    port = network.brokers[parent].amqps_port
    network.proxies[address] = await stack.enter_async_context(Proxy(port))


async def _stop(network: DemoNetwork, view: View) -> None:
    view.say("demo.news.down")
    await network.nodes.stop_all()
    stops = [broker.stop() for broker in set(network.brokers.values())]
    await asyncio.gather(*stops, network.postgres.stop(), return_exceptions=True)


def _keep_logs(folder: Path, logs: Path) -> None:
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.rglob("*.log")):
        name = "-".join(path.relative_to(folder).parts)
        with contextlib.suppress(OSError):
            shutil.copyfile(path, logs / name)
