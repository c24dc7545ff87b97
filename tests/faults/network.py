"""The network that faults strike: four tiers in a row, two brokers, one PostgreSQL, a proxy a line.

    kz ── kz.zhambyl ── kz.zhambyl.taraz ── kz.zhambyl.taraz.school-7
    [statistics] [department]                       [register]
    └── upper broker ──┘ └────────── lower broker ────────────────┘

Documents go both ways between the school and either of the two above; the district only passes on.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import quote

import asyncpg
import msgspec

from faults.plan import Places
from faults.steps import PROGRAM
from faults.traffic import Flow
from harness.network import private_network
from harness.proxy import Proxy
from nodes.demo.messages import Box
from nodes.sandbox.network import NodeSpec, PrivateNetwork, vhost_of
from nodes.sandbox.postgres import PrivatePostgres
from nodes.sandbox.rabbitmq import PrivateBroker
from schemas.addresses import parent_of

REPUBLIC, OBLAST, DISTRICT = "kz", "kz.zhambyl", "kz.zhambyl.taraz"
SCHOOL = "kz.zhambyl.taraz.school-7"
SYSTEMS = {REPUBLIC: "statistics", OBLAST: "department", SCHOOL: "register"}
BROKERS = {"upper": (REPUBLIC, OBLAST), "lower": (DISTRICT, SCHOOL)}
PLACES = Places(
    nodes=(REPUBLIC, OBLAST, DISTRICT, SCHOOL),
    with_systems=tuple(SYSTEMS),
    brokers=tuple(BROKERS),
    lines=(OBLAST, DISTRICT, SCHOOL),
)
FLOWS = tuple(
    Flow(*ends) for above in (REPUBLIC, OBLAST) for ends in ((SCHOOL, above), (above, SCHOOL))
)
HEARTBEAT_S = 3
"""Connections whose other end is gone are found out within twice that."""
RECOVERED_S = 60.0
POLL_S = 0.05
RECONNECT = re.compile(r'(\[parent\]\nurls = \["amqps://127\.0\.0\.1:)\d+')


class Struck(msgspec.Struct):
    """All that a fault may strike."""

    network: PrivateNetwork
    postgres: PrivatePostgres
    brokers: dict[str, PrivateBroker]
    lines: dict[str, Proxy]

    def boxes(self) -> list[Box]:
        """Return where local systems drop and take."""
        return [self._box(address, system) for address, system in SYSTEMS.items()]

    def _box(self, address: str, system: str) -> Box:
        node = self.network.nodes[address]
        broker = node.config().broker
        assert broker is not None, "a local system is there"
        login = f"{system}:{quote(node.password_of(system), safe='')}"
        url = f"{broker.url.replace('//', f'//{login}@')}/{vhost_of(address)}-local"
        return Box(address, system, url, str(node.config_path))

    def config_paths(self) -> dict[str, str]:
        """Return the configuration file of each node."""
        return {address: str(node.config_path) for address, node in self.network.nodes.items()}


@asynccontextmanager
async def struck_network(*, on_disk: bool) -> AsyncIterator[Struck]:
    """Set the network up, its daemons running; take it down whatever happens."""
    specs = [
        NodeSpec(address, systems=(SYSTEMS[address],) if address in SYSTEMS else ())
        for address in PLACES.nodes
    ]
    limits = {"heartbeat_s": HEARTBEAT_S}
    async with (
        private_network(specs, brokers_of=BROKERS, limits=limits, on_disk=on_disk) as network,
        AsyncExitStack() as stack,
    ):
        network.program = PROGRAM
        brokers = {name: network._brokers[addresses[0]] for name, addresses in BROKERS.items()}
        lines = {}
        for address in PLACES.lines:
            parent = parent_of(address)
            assert parent is not None, "a line has an upper end"
            proxy = await stack.enter_async_context(Proxy(network._brokers[parent].amqps_port))
            lines[address] = proxy
            lead_through(network, address, proxy)
        await asyncio.gather(*(network.start(address) for address in PLACES.nodes))
        yield Struck(network, network._postgres, brokers, lines)


async def superuser(struck: Struck, database: str = "postgres") -> asyncpg.Connection:
    """Connect to the server, which may be recovering from a fault; start it where it has ended."""
    url = f"{struck.postgres.admin_url.removesuffix('/postgres')}/{database}"
    async with asyncio.timeout(RECOVERED_S):
        while True:
            try:
                return await asyncpg.connect(url)
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(POLL_S)
            if struck.postgres._process.returncode is not None:
                await struck.postgres.start()


def lead_through(network: PrivateNetwork, address: str, proxy: Proxy) -> None:
    """Let a node reach its parent through a proxy, from its next start on."""
    path = network.nodes[address].config_path
    text = path.read_text(encoding="utf-8")
    changed, times = RECONNECT.subn(rf"\g<1>{proxy.port}", text)
    assert times == 1, f"{address} calls nobody"
    path.write_text(changed, encoding="utf-8")
