"""A node's service as the daemon runs it, over a real record and links in memory."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from exchange.core.rules import Child, Rules
from exchange.drops import Drop
from exchange.gate import Gate
from exchange.links import Link
from exchange.service import Service, Swept
from harness.memory_link import MemoryLink
from harness.pki import Network
from nodes import samples
from nodes.clock import now
from nodes.sandbox.postgres import PrivatePostgres
from schemas.addresses import label_of, parent_of
from schemas.codes import RetentionClass
from schemas.documents.registry import TYPES
from schemas.leaves import read_leaf
from schemas.limits import Limits
from schemas.moments import SECOND, format_instant
from schemas.records import Changes, Trail
from signing.at_rest import AtRest
from store.migrate import ensure_partitions, migrate
from store.postgres import PostgresArchive

PATIENCE_S = 30.0
SWEEP_S = 0.1
QUICK = Limits(
    resend_first_us=2 * SECOND, resend_most_us=4 * SECOND, sweep_every_us=round(SWEEP_S * 1e6)
)


class Eyes:
    """An observer that keeps what was committed and noticed."""

    def __init__(self) -> None:
        self.incidents: list[str] = []
        self.noticed_events: list[str] = []

    def committed(self, changes: Changes, _took_us: int) -> None:
        self.incidents += [row.kind for row in changes.incidents]

    def noticed(self, event: str, **_facts: object) -> None:
        self.noticed_events.append(event)


class Node:
    """One service with its record, standing by; `live` runs it for one life."""

    def __init__(
        self, address: str, network: Network, folder: Path, archive: PostgresArchive
    ) -> None:
        self.address = address
        self.archive = archive
        self.eyes = Eyes()
        self._network = network
        self._folder = folder
        self.service: Service

    @asynccontextmanager
    async def live(self, *links: MemoryLink) -> AsyncIterator[Service]:
        """Take over the record and run until the block ends; the end is as sudden as a kill."""
        below = [link.child for link in links if link.parent == self.address]
        gate = Gate(
            here=self.address,
            epoch=1,
            trust=self._network.trust(),
            signer=self._network.nodes[self.address].packet,
            at_rest=AtRest(self._folder / "at-rest"),
            limits=QUICK,
        )
        rules = Rules(
            here=self.address,
            children={label_of(child): Child(label_of(child)) for child in below},
            limits=QUICK,
            types=frozenset(TYPES),
            systems={},
        )
        self.service = Service(
            gate=gate, archive=self.archive, rules=rules, clock=now, observer=self.eyes
        )
        with ThreadPoolExecutor(2) as executor:
            cursors = await self.service.open()
            ends = {
                link: Link(
                    link.child if link.parent == self.address else link.parent,
                    is_parent=link.child == self.address,
                    gate=gate,
                    archive=self.archive,
                    clock=now,
                    limits=QUICK,
                    executor=executor,
                    cursors=dict(cursors),
                )
                for link in links
            }
            await self.service.attach(list(ends.values()), [])
            runs = [self.service.run(), self._sweep()]
            for link, end in ends.items():
                run = link.run_child if end.is_parent else link.run_parent
                runs.append(run(end.handle, lambda _state: None))
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(run) for run in runs]
                    yield self.service
                    for task in tasks:
                        task.cancel()
            finally:
                await self.archive.close()

    async def _sweep(self) -> None:
        while True:
            await self.service.submit(Swept())
            await asyncio.sleep(SWEEP_S)

    async def drop(self, to: str, numbers: Sequence[int]) -> list[str]:
        """Drop made-up documents; return their packets' ids."""
        drops = [
            Drop(
                system="sis",
                drop_id=f"drop-{number}",
                type="attendance.daily/1",
                to=to,
                body=samples.tiny(number),
            )
            for number in numbers
        ]
        outcomes = await self.service.drop(drops)
        assert {outcome.state for outcome in outcomes} == {"sent"}, outcomes
        return [outcome.packet or "" for outcome in outcomes]

    async def trail(self, sender: str, packet_id: str) -> Trail | None:
        name = (sender, 1, packet_id)
        return (await self.archive.known([name])).get(name)

    async def kinds(self, sender: str, packet_id: str) -> list[str]:
        """Return the kinds of a packet's leaves here, oldest first."""
        trail = await self.trail(sender, packet_id)
        if trail is None:
            return []
        return [read_leaf(mark.record)["kind"] for mark in trail.marks]

    async def until(self, sender: str, packet_id: str, kind: str) -> None:
        """Wait for a leaf about a packet."""
        async with asyncio.timeout(PATIENCE_S):
            # The record tells no events: it is asked again and again.
            while kind not in await self.kinds(sender, packet_id):  # noqa: ASYNC110 - the record tells no events
                await asyncio.sleep(0.02)


@asynccontextmanager
async def private_server() -> AsyncIterator[PrivatePostgres]:
    """Run a PostgreSQL of our own in a folder that its user can reach."""
    with tempfile.TemporaryDirectory(prefix="bbaj-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)
        server = PrivatePostgres(Path(name) / "postgres")
        await server.start()
        try:
            yield server
        finally:
            await server.stop()


async def new_record(
    server: PrivatePostgres,
    name: str,
    address: str,
    kind: type[PostgresArchive] = PostgresArchive,
) -> PostgresArchive:
    """Make an empty record for a node."""
    urls = await server.create_database(name)
    role = urlsplit(urls.daemon_url).username or ""
    await migrate(urls.owner_url, role, address)
    classes = [retention.value for retention in RetentionClass]
    await ensure_partitions(urls.owner_url, classes, format_instant(now())[:7], 2)
    return kind(urls.daemon_url)


def new_link(child: str) -> MemoryLink:
    parent = parent_of(child)
    assert parent is not None
    return MemoryLink(parent, child)
