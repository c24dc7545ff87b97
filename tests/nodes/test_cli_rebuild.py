"""The republic's disk is gone; its oblasts bring back what they hold, but for two payloads.

kz.akmola ── kz ── kz.zhambyl
"""

import shutil
from dataclasses import dataclass
from functools import partial

import asyncpg
import pytest

from harness.cli_run import Done, bbaj
from harness.daemons import daemon, replacing, variant
from harness.network import private_network
from harness.watch import Watch
from nodes.cli.rebuilding_shapes import RebuildReport
from nodes.cli.shapes import Sending
from nodes.config import load_config
from nodes.sandbox.network import NodeSpec, database_name
from nodes.wiring import database_url
from store.reading import Filters, Reading

pytestmark = pytest.mark.slow

TOP, EAST, WEST = "kz", "kz.akmola", "kz.zhambyl"
EMPTY = "kz_anew"
LONG_S = 60.0


@dataclass
class Story:
    """What was sent, which of it was planted as a gap, and what the rebuild said."""

    packets: set[str]
    """What the republic had, by id."""
    lost: str
    """Sent to the republic by EAST, which has lost its payload."""
    own: str
    """Sent by the republic to WEST, which has lost its payload."""
    number: int
    """Of the lost packet in EAST's stream."""
    seq: int
    """Of the republic's own."""
    early: Done
    said: Done
    again: Done
    back: set[str]
    east: Watch


@pytest.fixture(scope="module")
async def story(tmp_path_factory):
    """Send documents in all directions, lose the republic's disk, and rebuild it."""
    folder = tmp_path_factory.mktemp("rebuild")
    specs = [NodeSpec(TOP), NodeSpec(EAST), NodeSpec(WEST)]
    async with private_network(specs) as network:
        top, east, west = (Watch(network, each) for each in (TOP, EAST, WEST))
        await network.start(TOP, EAST, WEST)
        for sender, to in ((EAST, TOP), (WEST, TOP), (EAST, WEST), (TOP, EAST)):
            await ping(network, sender, to)
        lost, own = await ping(network, EAST, TOP), await ping(network, TOP, WEST)
        # Two more, so that the numbers of those that are to be missed lie below others'.
        await ping(network, EAST, TOP)
        await ping(network, TOP, WEST)
        await top.until(partial(is_quiet, top), LONG_S)
        packets = await ids_of(top.node.config())
        await network.stop(TOP)
        await top.close()
        number, seq = await lose(east, lost, EAST), await lose(west, own, TOP)

        await as_superuser(network, f'CREATE DATABASE "{EMPTY}" OWNER "{database_name(TOP)}_owner"')
        config = variant(
            top.node.config_path, EMPTY, replacing(r"(postgres.*)/kz\b", rf"\1/{EMPTY}")
        )
        shutil.rmtree(load_config(config).data)
        for each in (EAST, WEST):  # an empty record does not know who may witness it
            shutil.copy(network.keys_of(each) / "witness.pem", network.cards / f"{each}-w.pem")
        assert (await bbaj("store", "migrate", config=config)).code == 0
        early = await bbaj("rebuild", "--from-neighbours", "--wait=0", config=config)
        async with daemon(config) as running:
            await running.until_said("journal_lost")
            notes = await notes_of(folder, east, west)
            words = ("journal", "recover", *(f"--after={note}" for note in notes))
            recovered = await bbaj(*words, config=config)
            assert recovered.code == 0, recovered.err
            words = ("rebuild", "--from-neighbours", f"--wait={LONG_S}", "--json")
            said = await bbaj(*words, config=config)
            again = await bbaj("rebuild", "--json", config=config)
            back = await ids_of(load_config(config))
            assert await running.stop() == 0
        yield Story(packets, lost, own, number, seq, early, said, again, back, east)
        await east.close()
        await west.close()


async def ping(network, sender, to) -> str:
    config = network.nodes[sender].config_path
    sent = (await bbaj("ping", to, "--wait=60", "--json", config=config)).shape(Sending)
    assert sent.state in {"delivered", "closed"}, sent
    return sent.packet


async def is_quiet(top) -> bool:
    """Say whether all exchanges of the republic have ended, and both oblasts have witnessed it."""
    [open_] = await top.rows("SELECT count(*) FROM open_exchange")
    [waiting] = await top.rows(
        "SELECT count(*) FROM entry AS e WHERE stream LIKE 'kz.%' AND number > (SELECT "
        "COALESCE(max(up_to), 0) FROM note AS n WHERE (n.stream, n.epoch) = (e.stream, e.epoch))"
    )
    [signers] = await top.rows("SELECT count(DISTINCT witness) FROM cosignature")
    return (open_[0], waiting[0], signers[0]) == (0, 0, 2)


async def ids_of(config) -> set[str]:
    async with Reading(database_url(config)) as record:
        page = await record.list_packets(Filters(), limit=200)
        return {each.packet.id for each in page.packets if each.packet.epoch == 1}


async def lose(watch, packet, sender) -> int:
    """Take a payload out of a record, as no daemon may; return its number, or else its seq."""
    connection = await watch.superuser()
    try:
        await connection.execute("SET session_replication_role = replica")
        found = await connection.fetchrow(
            "SELECT frame, seq FROM packet WHERE id = $1 AND sender = $2", packet, sender
        )
        gone = await connection.execute("DELETE FROM payload WHERE frame = $1", found["frame"])
        assert gone == "DELETE 1"
        number = await connection.fetchval(
            "SELECT number FROM entry WHERE frame = $1", found["frame"]
        )
        return found["seq"] if number is None else number
    finally:
        await connection.close()


async def as_superuser(network, statement) -> None:
    connection = await asyncpg.connect(network._postgres.admin_url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def notes_of(folder, *oblasts) -> list[str]:
    """Return what both hold of the republic's journal: the largest size that they share."""
    sizes = [
        {row[0] for row in await each.rows("SELECT size FROM witnessed WHERE address = $1", TOP)}
        for each in oblasts
    ]
    size = max(set.intersection(*sizes))
    paths = []
    for each in oblasts:
        words = ("journal", "note", TOP, "--size", str(size))
        done = await bbaj(*words, config=each.node.config_path)
        assert done.code == 0, done.err
        path = folder / f"{each.address}.note"
        path.write_bytes(done.out)
        paths.append(str(path))
    return paths


def test_the_order_waits_for_the_daemon(story):
    """Given before the daemon's start, it stands in the record."""
    assert story.early.code == 79, story.early.err


def test_the_report_names_just_the_planted_gaps(story):
    """One entry of EAST's stream, and one number of the republic's own; nothing else."""
    assert story.said.code == 1, story.said.err
    told = story.said.read(RebuildReport)
    assert (told.is_done, told.silent) == (True, [])
    [gap] = told.gaps
    assert (gap.neighbour, gap.number, gap.why) == (EAST, story.number, "lost")
    [own] = told.own_gaps
    assert (own.recipient, own.epoch, own.first, own.last) == (WEST, 1, story.seq, story.seq)
    assert all(stream.is_whole for stream in told.streams)
    assert story.again.read(RebuildReport) == told


def test_all_else_is_back(story):
    """Documents, receipts and closings, those that only passed through as well."""
    assert story.packets - story.back == {story.lost, story.own}


async def test_nothing_was_sent_again(story):
    """EAST got nothing about what had been dealt with before."""
    query = "SELECT count(*) FROM packet WHERE sender = $1 AND epoch = 2 AND re = ANY ($2)"
    [count] = await story.east.rows(query, TOP, sorted(story.packets - {story.lost, story.own}))
    assert count[0] == 0
