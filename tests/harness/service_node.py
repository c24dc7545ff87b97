"""A node's service as the daemon runs it, over a real record and links in memory."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from cryptography.hazmat.primitives.asymmetric import mldsa

from exchange.checkpoints import Checkpoints
from exchange.core.registry import Registry
from exchange.core.rules import Rules
from exchange.dropped import Drop
from exchange.gate import Gate
from exchange.issuer_gate import IssuerGate
from exchange.jobs import Introduced, Signed, Swept
from exchange.links import Link
from exchange.service import Service
from exchange.signed_size import SIZE_FILE
from exchange.undertaking import Undertaker
from harness.cards import make_cards
from harness.memory_link import MemoryLink
from harness.pki import Network
from harness.places import passing_place
from nodes import samples
from nodes.clock import now
from nodes.keyring import KeyFolder
from nodes.sandbox.postgres import DatabaseUrls, PrivatePostgres
from schemas.addresses import parent_of
from schemas.documents.registry import TYPES, own_classes
from schemas.leaves import read_leaf
from schemas.limits import Limits
from schemas.moments import SECOND, Instant
from schemas.records import Changes, OwnKey, Trail
from schemas.retention import DEFAULT, buckets_ahead
from signing.at_rest import AtRest
from signing.authority import Issuer
from signing.cosigner import Cosigner
from signing.keys import JournalSigner, key_digest
from signing.notes import origin
from store.migrate import ensure_partitions, migrate
from store.postgres import PostgresArchive

PATIENCE_S = 30.0
SWEEP_S = 0.1
QUICK = Limits(
    resend_first_us=2 * SECOND,
    resend_most_us=4 * SECOND,
    ask_every_us=2 * SECOND,
    sweep_every_us=round(SWEEP_S * 1e6),
    checkpoint_due_us=round(SWEEP_S * 1e6),
    checkpoint_wait_us=0,
)


class Eyes:
    """An observer that keeps what was committed and noticed."""

    def __init__(self) -> None:
        self.incidents: list[str] = []
        self.noticed_events: list[str] = []
        self.noticed_facts: list[dict[str, object]] = []
        """Of the same events, in the same order."""
        self.again = 0
        """Entries that came though they had been taken."""

    def committed(self, changes: Changes, _took_us: int) -> None:
        self.incidents += [row.kind for row in changes.incidents]

    def came_again(self, _neighbour: str, entries: int) -> None:
        self.again += entries

    def noticed(self, event: str, **facts: object) -> None:
        self.noticed_events.append(event)
        self.noticed_facts.append(facts)


class Node:
    """One service with its record, standing by; `live` runs it for one life."""

    def __init__(
        self, address: str, network: Network, folder: Path, archive: PostgresArchive
    ) -> None:
        self.address = address
        self.archive = archive
        self.eyes = Eyes()
        self.clock = now
        """What the next life reads the time from."""
        self.cards = make_cards(network)
        self.certificates = network.certificates
        """What it begins with, beside all authorities and their CRLs."""
        self.keys: KeyFolder | None = None
        """The keys that it renews; without, those of the network stay in use."""
        self.authority: Issuer | None = None
        """The authority whose key it holds on line."""
        self.first: frozenset[bytes] | None = None
        """SHA-256 of the certificates of the genesis file."""
        self.signs = False
        """Whether it signs checkpoints of its journal, and so shows them."""
        self.mldsa: mldsa.MLDSA44PrivateKey | None = None
        """What it cosigns with beside its witness key."""
        self.retention = DEFAULT
        self.sweep_s = SWEEP_S
        self.make_executor: Callable[[], Executor] = partial(ThreadPoolExecutor, 2)
        """Makes where the links of a life authenticate."""
        self._network = network
        self._folder = folder
        self.service: Service
        self.checkpoints: Checkpoints

    @asynccontextmanager
    async def live(self, *links: MemoryLink) -> AsyncIterator[Service]:
        """Take over the record and run until the block ends; the end is as sudden as a kill."""
        trust = self._network.trust(certificates=False)
        trust.add_certificates(self._all_certificates())
        own = self._network.nodes[self.address]
        journal = own.journal if self.keys is None else self.keys.journal_signer()
        witness = own.witness if self.keys is None else self.keys.witness_signer()
        gate = Gate(
            here=self.address,
            epoch=1,
            trust=trust,
            signer=own.packet if self.keys is None else self.keys.packet_signer(),
            journal=journal,
            encryption=own.encryption if self.keys is None else self.keys.encryption(),
            at_rest=AtRest(self._folder / "at-rest"),
            limits=QUICK,
            registry=Registry(self.address),
            issuer=None if self.authority is None else IssuerGate(self.authority, journal),
            cosigner=Cosigner(self.address, witness, self.mldsa),
            retention=self.retention,
        )
        rules = Rules(
            here=self.address,
            registry=gate.registry,
            limits=QUICK,
            types=frozenset(TYPES),
            systems={},
            classes=own_classes(),
        )
        self.service = Service(
            gate=gate,
            archive=self.archive,
            rules=rules,
            clock=self.clock,
            observer=self.eyes,
            keys=self.keys,
        )
        with self.make_executor() as executor:
            cursors = await self.service.open(wait=True)  # the life before may just have ended
            self.checkpoints = self._make_checkpoints(gate, journal)
            if self.service.renewal is not None:
                self.service.renewal.on_journal_key = self.checkpoints.use_key
            lacking = await self.checkpoints.check(self.service.leaves) if self.signs else None
            if lacking is not None:
                self.service.lack(lacking)
            ends = {
                link: Link(
                    link.child if link.parent == self.address else link.parent,
                    is_parent=link.child == self.address,
                    gate=gate,
                    archive=self.archive,
                    clock=self.clock,
                    limits=QUICK,
                    executor=executor,
                    cursors=dict(cursors),
                )
                for link in links
            }
            await self.service.attach(list(ends.values()), [])
            if not any(end.is_parent for end in ends.values()):
                self.service.parts.witnessing.showing.is_vouched = True  # there is nobody to ask
            await self.service.submit(
                Introduced(
                    self._all_certificates(),
                    [],
                    self.cards,
                    own_keys=self._own_keys(),
                    first=self.first,
                )
            )
            undertaker = Undertaker(gate, self.archive, self.eyes)
            self.service.parts.acts.on_done = undertaker.wake
            runs = [self.service.run(), self._sweep(), undertaker.run()]
            for link, end in ends.items():
                run = link.run_child if end.is_parent else link.run_parent
                runs.append(run(end.handle, lambda _state: None))
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(run) for run in runs]
                    await self._until_introduced()
                    yield self.service
                    for task in tasks:
                        task.cancel()
            finally:
                await self.archive.close()

    def _all_certificates(self) -> list[bytes]:
        """Return what it begins with and, as the daemon does, those of its key folder.

        A key may be in use whose certificate the record lacks: the life ended before the commit.
        """
        own = {} if self.keys is None else self.keys.certificates()
        return [*self.certificates, *own.values()]

    def _make_checkpoints(self, gate: Gate, journal: JournalSigner) -> Checkpoints:
        return Checkpoints(
            origin=origin(self.address, gate.epoch),
            signer=journal,
            archive=self.archive,
            clock=self.clock,
            limits=QUICK,
            size_file=self._folder / SIZE_FILE,
        )

    def _own_keys(self) -> list[OwnKey]:
        """Return the public keys that the daemon would register."""
        keys = list(self._network.nodes[self.address].public_keys)
        if self.keys is not None:
            keys += [key for _, key in self.keys.public_keys()]
        return [OwnKey(key_digest(key), "test", self.clock()) for key in keys]

    async def _until_introduced(self) -> None:
        """Wait until the cards that the node begins with count."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.service.state.registry.cards()) < len(self.cards):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def _sweep(self) -> None:
        while True:
            await self.service.submit(Swept())
            may_sign = self.signs and self.service.may_sign()
            if may_sign and await self.checkpoints.sign_due(self.service.journal):
                await self.service.submit(Signed())
            await asyncio.sleep(self.sweep_s)

    async def drop(self, to: str, numbers: Sequence[int]) -> list[str]:
        """Drop made-up documents; return their packets' ids."""
        outcomes = await self.service.drop([self.document(to, number) for number in numbers])
        assert {outcome.state for outcome in outcomes} == {"sent"}, outcomes
        return [outcome.packet or "" for outcome in outcomes]

    def document(self, to: str, number: int) -> Drop:
        """Return a made-up document as a local system drops it."""
        return Drop(
            system="sis",
            drop_id=f"drop-{number}",
            type="attendance.daily/1",
            to=to,
            body=samples.tiny(number),
        )

    async def trail(self, sender: str, packet_id: str, epoch: int = 1) -> Trail | None:
        name = (sender, epoch, packet_id)
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
    place = passing_place()
    with tempfile.TemporaryDirectory("", "bbaj-", place, ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)
        server = PrivatePostgres(Path(name) / "postgres")
        await server.start()
        try:
            yield server
        finally:
            await server.stop(at_once=True)  # its folder goes with it


async def new_record(
    server: PrivatePostgres,
    name: str,
    address: str,
    kind: type[PostgresArchive] = PostgresArchive,
    moments: Sequence[Instant] = (),
) -> PostgresArchive:
    """Make an empty record for a node, with room for now, the next month and `moments`.

    It is a copy of the first one of that address: the schema is made once.
    """
    templates = _templates.setdefault(server, {})
    if address not in templates:
        templates[address] = asyncio.ensure_future(_make_template(server, address))
    template = await asyncio.shield(templates[address])
    source = urlsplit(template.owner_url)
    made = f'CREATE DATABASE "{name}" TEMPLATE "{source.path[1:]}" OWNER "{source.username}"'
    await server.psql(made)
    for moment in moments:
        await ensure_partitions(_url(template.owner_url, name), buckets_ahead(DEFAULT, moment, 0))
    return kind(_url(template.daemon_url, name))


_templates: WeakKeyDictionary[PrivatePostgres, dict[str, asyncio.Future[DatabaseUrls]]] = (
    WeakKeyDictionary()
)


async def _make_template(server: PrivatePostgres, address: str) -> DatabaseUrls:
    """Make an empty record that nobody will be connected to."""
    urls = await server.create_database(f"empty_{address}")
    role = urlsplit(urls.daemon_url).username or ""
    await migrate(urls.owner_url, role, address)
    await ensure_partitions(urls.owner_url, buckets_ahead(DEFAULT, now(), 1))
    return urls


def _url(url: str, database: str) -> str:
    """Return a URL with another database in it."""
    return f"{url.rpartition('/')[0]}/{database}"


def new_link(child: str) -> MemoryLink:
    parent = parent_of(child)
    assert parent is not None
    return MemoryLink(parent, child)
