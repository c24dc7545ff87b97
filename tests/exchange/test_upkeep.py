"""Looking after the archive: the state told once a day, and alarms before anything stops."""

import asyncio
import itertools
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg
import msgspec
import pytest

from harness.pki import make_network
from harness.service_node import Node, new_link, new_record
from nodes import clock
from nodes.caretaker import LOOK_EVERY_US, Caretaker
from nodes.config import Config, Database, Keys, Upkeep
from nodes.telemetry import Telemetry
from schemas.answers import ARCHIVE_STATE
from schemas.documents.registry import check_document, decode_document
from schemas.moments import DAY
from schemas.records import BackupRun, DiskSample
from schemas.retention import DEFAULT, buckets_ahead
from store.migrate import partition_of
from store.reading import Filters, Reading
from store.upkeep import add_backup, add_sample, samples_since

TOP, OBLAST = "kz", "kz.zhambyl"
_names = (f"upkeep_{number}" for number in itertools.count())


class Watched:
    """A child with its parent, and who looks after it by a clock that tests put forward."""

    def __init__(self, nodes, folder, services):
        self.nodes = nodes
        self.service = services[OBLAST]
        self.url = nodes[OBLAST].archive._url
        self.ahead = 0
        keys = Keys(folder=folder, root=folder, authorities=folder, crls=folder)
        self.config = Config(OBLAST, folder, keys, Database(self.url))
        self.telemetry = Telemetry(OBLAST)

    def now(self):
        return clock.now() + self.ahead

    def caretaker(self, **upkeep) -> Caretaker:
        config = msgspec.structs.replace(self.config, upkeep=Upkeep(**upkeep))
        return Caretaker(config, self.service, self.now, self.telemetry, clock.now())

    def metric(self, name):
        return self.telemetry.registry.get_sample_value(name)

    async def told(self):
        """Return the states that the child has sent, once the parent has received them all."""
        async with Reading(self.url) as desk:
            page = await desk.list_packets(Filters(type_=ARCHIVE_STATE))
        packets = [each.packet for each in page.packets]
        for packet in packets:
            await self.nodes[TOP].until(OBLAST, packet.id, "closed")
        return packets

    async def incidents(self, kind):
        async with Reading(self.url) as desk:
            return [row for row in await desk.incidents() if row.kind == kind]


@asynccontextmanager
async def running(server, folder):
    network = make_network((TOP, OBLAST), clock.now())
    nodes, link = {}, new_link(OBLAST)
    for address in (TOP, OBLAST):
        place = folder / address
        place.mkdir()
        nodes[address] = Node(
            address, network, place, await new_record(server, next(_names), address)
        )
    async with nodes[TOP].live(link) as top, nodes[OBLAST].live(link) as oblast:
        async with asyncio.timeout(20):
            await oblast.state.greeted.wait()
        yield Watched(nodes, folder, {TOP: top, OBLAST: oblast})


@pytest.fixture(scope="module")
async def shared(server, tmp_path_factory):
    async with running(server, tmp_path_factory.mktemp("upkeep")) as watched:
        yield watched


@pytest.fixture
def watched(shared):
    shared.ahead = 0
    return shared


async def test_the_state_is_told_once_a_day(watched):
    """However often it is looked, by whichever life, the parent holds one packet of today."""
    await watched.caretaker(state=False).tend()
    assert await watched.told() == []
    await add_backup(watched.url, BackupRun(clock.now() - DAY, clock.now(), "b", 1, 2))
    for _life in range(2):
        caretaker = watched.caretaker()
        for _look in range(2):
            await caretaker.tend()
            watched.ahead += LOOK_EVERY_US // 100
    [packet] = await watched.told()
    assert (packet.recipient, packet.section, packet.flow) == (TOP, "net", "oper")
    sealed = await watched.nodes[TOP].archive.stored_frame(
        (await watched.nodes[TOP].trail(OBLAST, packet.id)).packet.frame
    )
    gate = watched.nodes[TOP].service.state.gate
    content = gate.content_of(packet.head, sealed[2], sealed[3], packet.frame_sha256)
    check_document(ARCHIVE_STATE, content)
    said = decode_document(ARCHIVE_STATE, content)
    assert said.period == packet.period
    assert (said.backup_age_h, said.clock_doubted) == (24, False)
    assert said.database_bytes > 0
    assert watched.metric("bbaj_backup_age_seconds") >= 86400


async def test_a_missing_partition_is_one_incident_long_before(watched, server):
    """A partition that the next weeks need is not there: a metric, and one incident that week."""
    caretaker = watched.caretaker(state=False)
    await caretaker.tend()
    assert watched.metric("bbaj_partitions_missing") == 0
    bucket = next(each for each in buckets_ahead(DEFAULT, clock.now(), 1) if "R50" in each)
    url = urlsplit(server.admin_url)._replace(path=urlsplit(watched.url).path).geturl()
    connection = await asyncpg.connect(url)
    await connection.execute(f'DROP TABLE "{partition_of(bucket)}"')
    await connection.close()
    for _ in range(2):
        watched.ahead += LOOK_EVERY_US
        await caretaker.tend()
    assert watched.metric("bbaj_partitions_missing") == 1
    [incident] = await watched.incidents("partitions_short")
    assert incident.detail == f"1 missing, like {bucket}: run `bbaj store partitions`"


async def test_a_disk_that_fills_up_is_told_in_time(watched):
    """At the growth of these days a few days are left: one incident, and the days as a metric."""
    caretaker = watched.caretaker(state=False, database_room_bytes=1_000_000_000)
    await caretaker.tend()
    assert await watched.incidents("disk_short") == []
    [*_, newest] = await samples_since(watched.url, 0)
    before = DiskSample(newest.at - 2 * DAY, max(0, newest.used - 10_000_000), None)
    await add_sample(watched.url, before)
    caretaker = watched.caretaker(
        state=False, database_room_bytes=newest.used + 50_000_000, days_left_least=20
    )
    for _ in range(2):
        await caretaker.tend()
        watched.ahead += LOOK_EVERY_US
    [incident] = await watched.incidents("disk_short")
    assert "give the database a larger disk" in incident.detail
    assert watched.metric("bbaj_disk_days_left") < 20


async def test_samples_are_kept_once_a_day(watched):
    """The table grows by a row a day, not by a row a look."""
    caretaker = watched.caretaker(state=False)
    await caretaker.tend()
    before = len(await samples_since(watched.url, 0))
    for _ in range(5):
        watched.ahead += LOOK_EVERY_US
        await caretaker.tend()
    assert len(await samples_since(watched.url, 0)) - before <= 1
