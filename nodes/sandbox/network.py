"""A whole network on one machine: real brokers, one database a node, one daemon process a node.

Used by the demo, the benchmarks and the end-to-end tests. Everything lies in one folder; keys come
from `nodes.authority_files`, as `bbaj ca` makes them.
"""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from exchange.provision import Administration
from exchange.topology import link_key, plan_child
from nodes.authority_files import AuthorityFiles
from nodes.card_files import registry_from, statements_in
from nodes.ceremony import Ceremony
from nodes.clock import now
from nodes.config import Config, load_config
from nodes.errors import ServiceDown
from nodes.sandbox.postgres import PrivatePostgres
from nodes.sandbox.rabbitmq import BrokerTls, PrivateBroker
from nodes.wiring import broker_names, broker_plan
from schemas.addresses import dns_name, parent_of
from schemas.codes import Tier

RUN = """
import sys
from pathlib import Path
from nodes.running import run_node
run_node(Path(sys.argv[1]), Path(sys.argv[2]))
"""
READY_S = 60.0
STOP_S = 25.0


class NodeSpec(msgspec.Struct, frozen=True):
    """One node of a private network."""

    address: str
    systems: tuple[str, ...] = ()
    """Local systems with AMQP queues; none and no children make a leaf without a broker."""
    system_types: Mapping[str, tuple[str, ...]] = {}
    tier: str | None = None


class RunningNode(msgspec.Struct):
    """A node's files and its daemon process, if it runs."""

    spec: NodeSpec
    folder: Path
    config_path: Path
    process: asyncio.subprocess.Process | None = None
    http_port: int = 0

    @property
    def address(self) -> str:
        """The node's address."""
        return self.spec.address

    @property
    def log_path(self) -> Path:
        """Where the daemon's log goes."""
        return self.folder / "daemon.log"

    def config(self) -> Config:
        """Return the node's configuration."""
        return load_config(self.config_path)

    def password_of(self, system: str) -> str:
        """Return a local system's password at the node's broker."""
        return (self.folder / f"{system}.password").read_text(encoding="ascii").strip()


class PrivateNetwork:
    """Nodes, their authorities, and the private services they use."""

    def __init__(
        self,
        folder: Path,
        *,
        postgres: PrivatePostgres,
        brokers: Mapping[str, PrivateBroker],
        limits: Mapping[str, int] | None = None,
        tiers: Mapping[str, str] | None = None,
        slow_lines: Mapping[str, int] | None = None,
    ) -> None:
        """Work in `folder`; `brokers` names the broker of each address that has one.

        Several addresses may share a broker, which then tells them apart by TLS server name.
        `tiers` are those of nodes that are added later than their parent, `slow_lines` the ports
        of lines by which addresses reach their parents.
        """
        self.folder = folder
        self.nodes: dict[str, RunningNode] = {}
        self.authority = Ceremony(folder / "ca")
        self.cards = folder / "cards"
        """What every node takes: cards of all that are declared, and certificates they need."""
        self.cards.mkdir(exist_ok=True)
        self.stamping: dict[str, list[str]] = {}
        """What the configurations of addresses say of time-stamp authorities."""
        self.program = RUN
        """What a daemon's process runs; it is given a configuration and a file to make."""
        self._postgres = postgres
        self._brokers = brokers
        self._limits = dict(limits or {})
        self._tiers = dict(tiers or {})
        self._slow_lines = dict(slow_lines or {})

    async def add_nodes(
        self, specs: Sequence[NodeSpec], *, also_children: Sequence[str] = ()
    ) -> None:
        """Write the files of nodes, their databases and virtual hosts; start nothing.

        `also_children` are addresses that get a login, keys and a card but no node of ours.
        """
        addresses = [*(spec.address for spec in specs), *also_children]
        self._tiers |= {spec.address: spec.tier for spec in specs if spec.tier}
        for address in addresses:
            self._declare(address)
        for spec in specs:
            await self._add(spec, [each for each in addresses if parent_of(each) == spec.address])

    def keys_of(self, address: str) -> Path:
        """Return the folder of an address's keys, making them at first use."""
        folder = self.folder / "ca" / "nodes" / address
        if not folder.exists():
            self.authority.issue_node(address, now(), with_children=True)
        return folder

    def put_on_line(self, address: str) -> None:
        """Hand the authority of an address over to its node, which is not running."""
        self.keys_of(address)
        self.authority.hand_over(address)

    def _declare(self, address: str) -> None:
        """Let every node have the card of an address, and those of all above it."""
        parent = parent_of(address)
        if (self.cards / f"{address}.card").exists():
            return
        if parent is not None:
            self._declare(parent)
        self.keys_of(address)
        tier = self._tiers.get(address)
        self.vouch(address, **({} if tier is None else {"tier": Tier(tier)}))

    def vouch(self, address: str, **changes: object) -> None:
        """Let the parent of an address say something else on its card; nodes take it as it comes.

        `changes` are fields of `schemas.cards.CardFacts`.
        """
        card = self.authority.issue_card(address, now(), changes)
        certificate = card.with_suffix(".pem")
        for path in (certificate, card):  # the certificate first: the card needs it
            draft = self.cards / f".{path.name}.new"
            shutil.copyfile(path, draft)
            draft.replace(self.cards / path.name)

    async def admit(self, address: str) -> None:
        """Give an address keys, a card and a login at its parent, whose daemon may be running."""
        parent = self.nodes[parent_of(address) or address]
        self._declare(address)
        config = parent.config()
        assert config.broker is not None, f"{parent.address} has no broker for children"
        planned = plan_child(broker_names(config), link_key(parent.address, address))
        administration = Administration(config.broker.ctl)
        faults = await asyncio.to_thread(administration.apply, planned)
        if faults:
            raise ServiceDown(f"broker of {parent.address}: {faults[0]}")

    async def _add(self, spec: NodeSpec, children: Sequence[str]) -> None:
        folder = self.folder / "nodes" / spec.address
        folder.mkdir(parents=True)
        urls = await self._postgres.create_database(database_name(spec.address))
        for system in spec.systems:
            write_secret(folder / f"{system}.password", secrets.token_urlsafe(18))
        write_secret(folder / "broker.password", secrets.token_urlsafe(18))
        node = RunningNode(spec, folder, folder / "node.toml")
        text = self._toml(spec, children, urls.daemon_url, urls.owner_url)
        node.config_path.write_text(text, encoding="utf-8")
        self.nodes[spec.address] = node
        broker = self._brokers.get(spec.address)
        if broker is not None and (children or spec.systems):
            await self._provision(node, broker)

    async def _provision(self, node: RunningNode, broker: PrivateBroker) -> None:
        registry = registry_from(node.address, statements_in(self.cards))
        planned = broker_plan(node.config(), registry)
        administration = Administration(_administration_command(broker))
        faults = await asyncio.to_thread(administration.apply, planned)
        if faults:
            raise ServiceDown(f"broker of {node.address}: {faults[0]}")

    def _toml(self, spec: NodeSpec, children: Sequence[str], url: str, owner_url: str) -> str:
        keys = self.keys_of(spec.address)
        parent = parent_of(spec.address)
        lines = [
            f'address = "{spec.address}"',
            *([f'tier = "{spec.tier}"'] if spec.tier else []),
            f'data = "{self.folder / "nodes" / spec.address / "data"}"',
            "",
            "[keys]",
            f'folder = "{keys}"',
            f'root = "{keys / "root.pem"}"',
            f'authorities = "{self.folder / "ca" / "known"}"',
            f'crls = "{self.folder / "ca" / "crls"}"',
            f'cards = "{self.cards}"',
            "",
            "[database]",
            f'url = "{url}"',
            f'owner_url = "{owner_url}"',
            "",
            "[http]",
            "port = 0",
        ]
        (self.folder / "ca" / "known").mkdir(exist_ok=True)
        broker = self._brokers.get(spec.address)
        if broker is not None and (children or spec.systems):
            lines += [
                "",
                "[broker]",
                f'url = "amqp://127.0.0.1:{broker.amqp_port}"',
                f"more_urls = {_loopback_urls('amqp', broker.amqp_ports[1:])}",
                f'user = "{user_of(spec.address)}"',
                'password_file = "broker.password"',
                *broker_lines(spec.address, broker),
                f"public_urls = {_loopback_urls('amqps', broker.amqps_ports)}",
            ]
        if parent is not None:
            slow = self._slow_lines.get(spec.address)
            ports = [slow] if slow else self._brokers[parent].amqps_ports
            lines += [
                "",
                "[parent]",
                f"urls = {_loopback_urls('amqps', ports)}",
                f'vhost = "{vhost_of(parent)}"',
            ]
        lines += self.last_lines(spec)
        return "\n".join(lines) + "\n"

    def last_lines(self, spec: NodeSpec) -> list[str]:
        """Return what every node's configuration ends with: time-stamps, upkeep, systems, limits.

        No node tells how it is: what goes over the links is what tests and demos put there.
        """
        lines = [*self.stamping.get(spec.address, ()), "", "[upkeep]", "state = false"]
        for system in spec.systems:
            types = ", ".join(f'"{name}"' for name in spec.system_types.get(system, ()))
            lines += [
                "",
                "[[systems]]",
                f'name = "{system}"',
                f'password_file = "{system}.password"',
                f"types = [{types}]",
            ]
        if self._limits:
            lines += [
                "",
                "[limits]",
                *(f"{name} = {value}" for name, value in self._limits.items()),
            ]
        return lines

    # --- daemons ------------------------------------------------------------------------------

    async def start(self, *addresses: str) -> None:
        """Start daemons and wait until each is ready. Raises ServiceDown naming its log."""
        await asyncio.gather(*(self._start(self.nodes[address]) for address in addresses))

    async def _start(self, node: RunningNode) -> None:
        ready = node.folder / "ready"
        ready.unlink(missing_ok=True)
        with node.log_path.open("ab") as log:
            node.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-c",
                self.program,
                str(node.config_path),
                str(ready),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = asyncio.get_running_loop().time() + READY_S
        while not ready.exists():
            if node.process.returncode is not None:
                tail = node.log_path.read_text(encoding="utf-8", errors="replace")[-600:]
                raise ServiceDown(f"{node.address} ended with {node.process.returncode}: {tail}")
            if asyncio.get_running_loop().time() > deadline:
                raise ServiceDown(f"{node.address} is not ready after {READY_S} s: {node.log_path}")
            await asyncio.sleep(0.05)
        node.http_port = int(ready.read_text(encoding="ascii"))

    async def stop(self, *addresses: str) -> None:
        """Drain daemons: SIGTERM, then wait."""
        await asyncio.gather(*(self._end(self.nodes[each], signal.SIGTERM) for each in addresses))

    async def kill(self, address: str) -> None:
        """End a daemon as a power cut would: SIGKILL, now."""
        await self._end(self.nodes[address], signal.SIGKILL)

    async def _end(self, node: RunningNode, number: signal.Signals) -> None:
        if node.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            node.process.send_signal(number)
        try:
            await asyncio.wait_for(node.process.wait(), STOP_S)
        except TimeoutError:
            os.killpg(node.process.pid, signal.SIGKILL)
            await node.process.wait()
        node.process = None

    async def stop_all(self) -> None:
        """Drain every daemon that runs."""
        await self.stop(*[address for address, node in self.nodes.items() if node.process])


def make_brokers(
    authority: AuthorityFiles,
    folder: Path,
    groups: Mapping[str, Sequence[str]],
    *,
    schedulers: int,
    log_for: str | None = None,
    plugins: Sequence[str] = (),
) -> dict[str, PrivateBroker]:
    """Return one broker for each group of addresses, by address; not started yet.

    The first address of a group gives the certificate that clients see without a server name, and
    its node is the one that the broker's log is for, unless that is `log_for`.
    """
    brokers: dict[str, PrivateBroker] = {}
    for name, addresses in groups.items():
        tls = {address: tls_of(authority, folder, address) for address in addresses}
        broker = PrivateBroker(
            folder / "brokers" / name,
            name=name,
            tls=tls[addresses[0]],
            sni={dns_name(address): each for address, each in tls.items()},
            log_vhost=vhost_of(log_for or addresses[0]),
            schedulers=schedulers,
            plugins=plugins,
        )
        brokers |= dict.fromkeys(addresses, broker)
    return brokers


def tls_of(authority: AuthorityFiles, folder: Path, address: str) -> BrokerTls:
    """Return the server side's TLS files of a node's broker: its link key."""
    keys = folder / "ca" / "nodes" / address
    if not keys.exists():
        authority.issue_node(address, now(), with_children=True)
    return BrokerTls(ca=keys / "root.pem", certificate=keys / "link.pem", key=keys / "link.key")


def broker_lines(address: str, broker: PrivateBroker) -> list[str]:
    """Return what a configuration says of a private broker that several nodes may share."""
    return [
        f'vhost = "{vhost_of(address)}"',
        f'local_vhost = "{vhost_of(address)}-local"',
        f'crls = "{broker.crls}"',
        f"ctl = {json.dumps(_administration_command(broker))}",
    ]


def _loopback_urls(scheme: str, ports: Sequence[int]) -> str:
    return json.dumps([f"{scheme}://127.0.0.1:{port}" for port in ports])


def _administration_command(broker: PrivateBroker) -> list[str]:
    """Return rabbitmqctl with the private broker's environment, and no other."""
    settings = [f"{name}={value}" for name, value in broker.environment.items()]
    return ["env", "-i", *settings, *broker.ctl_command]


def database_name(address: str) -> str:
    """Return a node's database."""
    return address.replace(".", "_").replace("-", "_")


def vhost_of(address: str) -> str:
    """Return the virtual host of a node's links on a broker that several may share."""
    return f"bbaj-{address}"


def user_of(address: str) -> str:
    """Return the daemon's user on a broker that several may share."""
    return f"daemon-{address}"


def write_secret(path: Path, text: str) -> None:
    """Write a secret with mode 0600."""
    path.touch(mode=0o600)
    path.write_text(text + "\n", encoding="ascii")
