"""A republic's record, deleted and fetched back from its oblasts: how long, and what twice.

    local systems --> OBLAST --TLS--> broker --> REPUBLIC <-- broker <--TLS-- OBLAST <-- systems

All three nodes are real daemons with databases, TLS and all checks. Every document dropped at an
oblast leaves three packets in the republic's record: itself, the receipt, the closing. Once nothing
is under way any more, the republic is killed, its database and its data folder are deleted, and its
operator does what docs/operations.md says. In the middle it is killed once more. The clock runs
from its start on the empty record to the end of the order, both kinds of interruption included.
"""

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from exchange.lanes import LANES
from exchange.losses import RECOVER, RecoverOrder
from exchange.recoveries import NoteOrder
from nodes.authority_files import AuthorityFiles
from nodes.bench.archive_load import Progress
from nodes.bench.exchanges import FRAMES_AN_EXCHANGE, document, office
from nodes.cli import rebuilding
from nodes.cli.instructing import instruct
from nodes.cli.opening import reading
from nodes.cli.recovering import merged
from nodes.clock import now
from nodes.config import Config
from nodes.errors import JudgementFailed
from nodes.sandbox.network import NodeSpec, PrivateNetwork, database_name, make_brokers
from nodes.sandbox.postgres import PrivatePostgres
from nodes.wiring import database_url, owner_url
from schemas.addresses import label_of
from signing.at_rest import AtRest
from store.migrate import migrate
from store.postgres.session import session
from store.reading import Reading
from store.verify import verify

TOP, OBLASTS = "kz", ("kz.akmola", "kz.zhambyl")
KIND = "encrypted"
CONTENT_BYTES = 1000
WAIT_S = 3600.0
LOOK_S = 0.1

Name = tuple[str, int, str]
"""Sender, epoch and id of a packet."""
Positions = Mapping[tuple[str, int], int]
"""The last number taken of each stream and epoch."""


class RebuildResult(msgspec.Struct, frozen=True):
    """What `--json` prints of it."""

    packets: int
    seconds: float
    packets_per_second: float
    resumed: bool
    """Killed before all streams had come, it went on from where it had been."""
    refetched: int
    """Entries that neighbours brought although the record had them when it was killed."""


class Stage(msgspec.Struct, frozen=True):
    """The running network, and its database server."""

    network: PrivateNetwork
    postgres: PrivatePostgres

    @property
    def config(self) -> Config:
        """The republic's configuration."""
        return self.network.nodes[TOP].config()


class Had(msgspec.Struct, frozen=True):
    """What the record had when it was killed in the middle."""

    positions: Positions
    is_whole: bool
    """All streams had come: the kill came too late to show anything."""
    logged: Mapping[str, int]
    """Bytes in the log of each oblast by then."""


class Brought(msgspec.Struct, frozen=True):
    """What a daemon logs of a page that it has brought a neighbour."""

    node: str
    lane: str
    epoch: int
    after: int
    through: int


async def run_rebuild(*, packets: int, on_progress: Progress) -> RebuildResult:
    """Measure with at least so many packets.

    Raises JudgementFailed where the record afterwards is not what it was.
    """
    exchanges = -(-packets // FRAMES_AN_EXCHANGE)
    async with asyncio.timeout(WAIT_S), _running() as stage:
        await _exchange(stage, exchanges, on_progress)
        stood = await _packets(stage.config)
        if len(stood) != exchanges * FRAMES_AN_EXCHANGE:
            raise JudgementFailed(f"{len(stood)} packets after {exchanges} exchanges")
        order = RecoverOrder(merged(await _notes(stage.network)))
        await _delete(stage)
        seconds, had = await _rebuild(stage, order, on_progress)
        await _judge(stage.config, stood)
        again = _refetched(stage.network, had)
    return RebuildResult(
        packets=len(stood),
        seconds=round(seconds, 1),
        packets_per_second=round(len(stood) / seconds, 1),
        resumed=not (had.is_whole or again),
        refetched=again,
    )


@asynccontextmanager
async def _running() -> AsyncIterator[Stage]:
    """Run the three nodes."""
    with tempfile.TemporaryDirectory(prefix="bbaj-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)  # noqa: ASYNC240 - once, before anything runs
        authority = AuthorityFiles(folder / "ca")
        authority.init_root(now())
        authority.issue_authority(TOP, now())
        postgres = PrivatePostgres(folder / "postgres")
        brokers = make_brokers(authority, folder, {"bench": [TOP, *OBLASTS]}, schedulers=2)
        network = PrivateNetwork(folder, postgres=postgres, brokers=brokers)
        try:
            await asyncio.gather(postgres.start(), brokers[TOP].start())
            oblasts = [NodeSpec(each, systems=_systems(each)) for each in OBLASTS]
            await network.add_nodes([NodeSpec(TOP), *oblasts])
            await network.start(TOP, *OBLASTS)
            yield Stage(network, postgres)
        finally:
            await network.stop_all()
            await brokers[TOP].stop()
            await postgres.stop(at_once=True)


def _systems(address: str) -> tuple[str, ...]:
    """Return names of local systems; nodes that share a broker must not share them."""
    return tuple(f"{label_of(address)}-{number}" for number in range(1, 5))


# --- before ---------------------------------------------------------------------------------------


async def _exchange(stage: Stage, exchanges: int, on_progress: Progress) -> None:
    """Drop so many documents at the oblasts; return once all about them is over everywhere."""
    nodes, total = stage.network.nodes, exchanges * FRAMES_AN_EXCHANGE
    first, second = OBLASTS
    documents = [
        document(KIND, number, CONTENT_BYTES, OBLASTS[number % 2]) for number in range(exchanges)
    ]

    async def has_all(desk: Reading) -> bool:
        frames = (await desk.gauges()).last_frame
        on_progress("packets", min(frames, total), total)
        return frames >= total

    async with (
        office(nodes[first]) as one,
        office(nodes[second]) as other,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(one.drop(KIND, documents[::2]))
        tasks.create_task(other.drop(KIND, documents[1::2]))
        await _until(stage.config, has_all)
    for node in nodes.values():
        await _until(node.config(), _is_quiet)


async def _is_quiet(desk: Reading) -> bool:
    """Say whether no exchange is open, and every neighbour has noted what it was sent."""
    gauges = await desk.gauges()
    waiting = [
        stream.beyond_cursor
        for name, stream in gauges.streams.items()
        if name.startswith(TOP)  # nobody takes what is for the republic's own systems
    ]
    return not any([*gauges.open.values(), *waiting])


async def _packets(config: Config) -> dict[Name, bytes]:
    """Return the digests of all packets that were sealed before the loss."""
    query = "SELECT sender, epoch, id, frame_sha256 FROM packet WHERE epoch = 1"
    async with session(database_url(config), "bbaj bench") as connection:
        return {tuple(row)[:3]: row["frame_sha256"] for row in await connection.fetch(query)}


async def _notes(network: PrivateNetwork) -> list[str]:
    """Return the newest checkpoint of the republic that both oblasts hold, cosigned by each."""
    configs = [network.nodes[each].config() for each in OBLASTS]
    shared = set[int]()
    while not shared:
        sizes = [await _sizes(config) for config in configs]
        shared = set.intersection(*sizes)
        await asyncio.sleep(LOOK_S)
    order = NoteOrder(TOP, max(shared))
    said = [
        await instruct(config, "note", order, wait_s=WAIT_S, say=_say_nothing) for config in configs
    ]
    return [each.content["note"] for each in said]


async def _sizes(config: Config) -> set[int]:
    """Return the sizes of the republic's checkpoints that a record holds."""
    query = "SELECT size FROM witnessed WHERE address = $1"
    async with session(database_url(config), "bbaj bench") as connection:
        return {row["size"] for row in await connection.fetch(query, TOP)}


# --- the loss, and the way back -------------------------------------------------------------------


async def _delete(stage: Stage) -> None:
    """Take the republic all but its keys and configuration, and prepare an empty record."""
    network, config = stage.network, stage.config
    await network.kill(TOP)
    await stage.postgres.lose_database(database_name(TOP))
    shutil.rmtree(config.data)
    for oblast in OBLASTS:  # an empty record does not know who may witness it
        shutil.copy(network.keys_of(oblast) / "witness.pem", network.cards / f"{oblast}-w.pem")
    owner = owner_url(config)
    assert owner is not None, "private networks have one"
    await migrate(owner, urlsplit(database_url(config)).username or "", TOP)


async def _rebuild(stage: Stage, order: RecoverOrder, on_progress: Progress) -> tuple[float, Had]:
    """Rebuild with a kill in the middle; return the seconds, and what was here at the kill."""
    network, config = stage.network, stage.config
    async with asyncio.TaskGroup() as tasks:
        told = tasks.create_task(rebuilding.rebuild(config, WAIT_S, on_progress, say=_say_nothing))
        await _until(config, lambda desk: desk.last_instruction(rebuilding.KIND))
        began = time.perf_counter()
        await network.start(TOP)
        await _until(config, lambda desk: desk.recoveries())
        await instruct(config, RECOVER, order, wait_s=WAIT_S, say=_say_nothing)
        await _until(config, _is_half_back)
        await network.kill(TOP)
        had = await _had(stage)
        await network.start(TOP)
        report = await told
        seconds = time.perf_counter() - began
    rebuilding.demand_whole(report)
    return seconds, had


async def _is_half_back(desk: Reading) -> bool:
    """Say whether half of what neighbours had sent is here again."""
    rows = await desk.rebuilt()
    noted = sum(row.noted for row in rows)
    return bool(noted) and len(rows) >= len(OBLASTS) and sum(row.last for row in rows) * 2 > noted


async def _had(stage: Stage) -> Had:
    """Return what is here while the republic does not run."""
    nodes = stage.network.nodes
    async with reading(stage.config) as desk:
        rows = await desk.rebuilt()
    ended = [row for row in rows if row.last < row.first]
    return Had(
        positions={(row.stream, row.epoch): row.last for row in rows},
        is_whole=len(ended) == len(LANES) * len(OBLASTS),
        logged={each: nodes[each].log_path.stat().st_size for each in OBLASTS},
    )


def _refetched(network: PrivateNetwork, had: Had) -> int:
    """Return how many entries the oblasts brought after the kill that the record had by then."""
    count = 0
    for oblast, size in had.logged.items():
        with network.nodes[oblast].log_path.open("rb") as log:
            log.seek(size)
            count += refetched(log, had.positions)
    return count


def refetched(log: Iterable[bytes], had: Positions) -> int:
    """Return how many entries a neighbour's log says it brought that the record had."""
    count = 0
    for line in log:
        if b'"page_brought"' in line:
            said = msgspec.json.decode(line, type=Brought)
            known = had.get((f"{said.node}/{said.lane}", said.epoch), 0)
            count += max(0, min(said.through, known) - said.after)
    return count


# --- after ----------------------------------------------------------------------------------------


async def _judge(config: Config, stood: Mapping[Name, bytes]) -> None:
    """Raise JudgementFailed unless every packet is back, byte for byte, and the record holds."""
    back = await _packets(config)
    wrong = (
        [f"{len(stood.keys() - back.keys())} packets lack"] if stood.keys() - back.keys() else []
    )
    if changed := sum(back.get(name, digest) != digest for name, digest in stood.items()):
        wrong.append(f"{changed} packets came back with other bytes")
    found = await verify(database_url(config), AtRest(config.data / "at-rest").open)
    wrong += [str(fault) for fault in found.faults[:5]]
    if wrong:
        raise JudgementFailed("; ".join(wrong))


async def _until(config: Config, found: Callable[[Reading], Awaitable[object]]) -> None:
    """Return once a record holds something."""
    async with reading(config) as desk:
        while not await found(desk):  # noqa: ASYNC110 - other processes act
            await asyncio.sleep(LOOK_S)


def _say_nothing(_: str) -> None:
    """Ignore that a daemon takes its time: the figure tells."""
