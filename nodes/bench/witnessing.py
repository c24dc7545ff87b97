"""What witnessing costs a parent: 200 children show it a checkpoint each, one in ten seconds.

    200 ends (children) --TLS--> broker --> NODE: proof checked, kept, journaled, cosigned twice

The node is a real daemon of an oblast, with broker, database and TLS. Its processor time is what
the system has counted, less what it takes with the same children connected and silent.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from exchange.amqp import Backoff, LinkState, ParentEndpoint
from exchange.core.registry import Registry
from exchange.gate import Gate
from exchange.signing_desk import body_of
from nodes.authority_files import AuthorityFiles
from nodes.bench.peer import Peer
from nodes.bench.spent import cpu_s
from nodes.bench.stage import FRAMES_A_BUNDLE, PARENT, RELAY, WINDOW, client_tls
from nodes.clock import now
from nodes.errors import JudgementFailed
from nodes.keyring import KeyFolder
from nodes.sandbox.network import NodeSpec, PrivateNetwork, RunningNode, make_brokers, vhost_of
from nodes.sandbox.postgres import PrivatePostgres
from schemas.limits import Limits
from schemas.objects import AnyObject
from schemas.witnessing import Checkpoint, Cosigned
from signing.at_rest import AtRest
from signing.chain import TrustStore
from signing.keys import JournalSigner, load_certificate
from signing.notes import origin, sign_checkpoint
from signing.proofs import AddCheckpoint, request_body
from store.merkle import Tree, consistency_spans, leaf_hash, root_of

CHILDREN = 200
EVERY_S = 10.0
"""Each child shows one in so many seconds."""
ROUNDS = 2
IDLE_S = 10.0
READY_S = 120.0
"""So long the children may take to be greeted, all at once, on a machine that has more to do."""


class Child(Peer):
    """A child that signs a journal of made-up leaves, and shows each checkpoint of it."""

    def __init__(self, gate: Gate, journal: JournalSigner) -> None:
        """Speak as `gate.here` to the node that is measured."""
        super().__init__(
            gate, RELAY, is_child=True, frames_a_bundle=FRAMES_A_BUNDLE, window_frames=WINDOW
        )
        self.cosigned = 0
        self._journal = journal
        self._hashes: list[bytes] = []

    def hear(self, header: AnyObject) -> None:
        """Count the checkpoints that were kept and cosigned."""
        if isinstance(header, Cosigned) and header.status == 200 and header.keys:
            self.cosigned += 1

    async def bring_certificate(self) -> None:
        """Bring the certificate of the journal key, as a node does before its first checkpoint."""
        made = self.gate.make_certificates(self.neighbour, self._journal.fingerprint, now())
        await self._session.publish(made)

    async def show(self) -> None:
        """Show the next checkpoint, one leaf larger than the one before."""
        old = len(self._hashes)
        self._hashes.append(leaf_hash(f"leaf {old}".encode()))
        spans = consistency_spans(old, old + 1)
        proof = [root_of(self._hashes[first:end]) for first, end in spans]
        tree = Tree()
        tree.extend(self._hashes)
        note = sign_checkpoint(origin(self.gate.here, 1), tree.size, tree.root(), self._journal)
        body = request_body(AddCheckpoint(old, proof, note))
        header = Checkpoint(
            **self.gate.stamp(self.neighbour, now()),  # type: ignore[arg-type]
            journal=self._journal.fingerprint,
            body=body_of(body),
        )
        await self._session.publish(self.gate.sign(header, body))


async def measure_witnessing() -> dict[str, float]:
    """Return what 200 children cost their parent. Raises JudgementFailed where one was not served.

    `cpu_percent` is of one core, less `idle_cpu_percent`.
    """
    with tempfile.TemporaryDirectory(prefix="bbaj-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)  # noqa: ASYNC240 - once, before anything runs
        async with _parent(folder) as (network, children):
            for child in children:
                await child.bring_certificate()
                await child.show()
            await _until_cosigned(children, 1)
            node = network.nodes[RELAY]
            idle = await _share(node, asyncio.sleep(IDLE_S))
            busy = await _share(node, _show_all(children))
            await _until_cosigned(children, 1 + ROUNDS)
    return {
        "witnessed_children": CHILDREN,
        "witnessed_checkpoints": CHILDREN * ROUNDS,
        "witnessing_cpu_percent": round(100 * (busy - idle), 2),
        "witnessing_idle_cpu_percent": round(100 * idle, 2),
    }


async def _show_all(children: Sequence[Child]) -> None:
    """Let every child show a checkpoint in each round, evenly over its time."""
    pause = EVERY_S / len(children)
    began = time.monotonic()
    for number, child in enumerate(list(children) * ROUNDS, 1):
        await child.show()
        await asyncio.sleep(max(0.0, began + number * pause - time.monotonic()))


async def _share(node: RunningNode, doing: Awaitable[None]) -> float:
    """Return the share of one core that a daemon takes while something goes on."""
    assert node.process is not None
    began, spent = time.monotonic(), cpu_s(node.process.pid)
    await doing
    return (cpu_s(node.process.pid) - spent) / (time.monotonic() - began)


async def _until_cosigned(children: Sequence[Child], count: int) -> None:
    """Wait until every child holds so many cosignatures. Raises JudgementFailed."""
    deadline = time.monotonic() + READY_S
    while any(child.cosigned < count for child in children):
        if time.monotonic() > deadline:
            missing = sum(child.cosigned < count for child in children)
            raise JudgementFailed(f"{missing} of {len(children)} children are not cosigned for")
        await asyncio.sleep(0.05)


@asynccontextmanager
async def _parent(folder: Path) -> AsyncIterator[tuple[PrivateNetwork, list[Child]]]:
    """Run the node that is measured, with all its children connected and greeted."""
    authority = AuthorityFiles(folder / "ca")
    authority.init_root(now())
    for address in (PARENT, RELAY):
        authority.issue_authority(address, now())
    postgres = PrivatePostgres(folder / "postgres")
    brokers = make_brokers(authority, folder, {"bench": [PARENT, RELAY]}, schedulers=2)
    network = PrivateNetwork(folder, postgres=postgres, brokers=brokers)
    names = [f"{RELAY}.child-{number}" for number in range(1, CHILDREN + 1)]
    try:
        await asyncio.gather(postgres.start(), brokers[RELAY].start())
        specs = [NodeSpec(PARENT), NodeSpec(RELAY)]
        await network.add_nodes(specs, also_children=names)
        await network.start(RELAY)
        async with AsyncExitStack() as stack:
            children = _children(network, names)
            await stack.enter_async_context(_connected(network, children))
            yield network, children
    finally:
        await network.stop_all()
        await brokers[RELAY].stop()
        await postgres.stop()


@asynccontextmanager
async def _connected(network: PrivateNetwork, children: Sequence[Child]) -> AsyncIterator[None]:
    """Keep all children connected, each with a connection of its own, while the body runs."""
    broker = network.nodes[RELAY].config().broker
    assert broker is not None, "who has children has a broker"
    async with asyncio.TaskGroup() as tasks:
        running = []
        for child in children:
            endpoint = ParentEndpoint(
                address=child.gate.here,
                urls=broker.public_urls,
                tls=client_tls(network, child.gate.here),
                vhost=vhost_of(RELAY),
                backoff=Backoff(most_s=1),
            )
            running.append(tasks.create_task(endpoint.run(child.handle, _ignore)))
        async with asyncio.timeout(READY_S):
            for child in children:
                await child.synchronised.wait()
        yield
        for task in running:
            task.cancel()


def _ignore(_: LinkState) -> None:
    """Ignore connections: they are not what is measured."""


def _children(network: PrivateNetwork, names: Sequence[str]) -> list[Child]:
    """Return the children's ends; what they share they trust together."""
    trust = TrustStore(load_certificate(network.keys_of(RELAY) / "root.pem"))
    trust.add_certificates(network.authority.certificates())
    return [_child(network, name, trust) for name in names]


def _child(network: PrivateNetwork, address: str, trust: TrustStore) -> Child:
    keys = KeyFolder(network.keys_of(address), address)
    trust.add_certificates(keys.certificates().values())
    journal = keys.journal_signer()
    gate = Gate(
        here=address,
        epoch=1,
        trust=trust,
        signer=keys.packet_signer(),
        journal=journal,
        encryption=keys.encryption(),
        at_rest=AtRest(network.folder / "ends" / address),
        limits=Limits(),
        registry=Registry(address),
    )
    return Child(gate, journal)
