"""The republic's database is deleted and rebuilt from the tiers; the report names every gap.

kz.akmola.burabay ── kz.akmola ── kz ── kz.zhambyl

Told twice: once three payloads are taken away that no neighbour holds elsewhere, once none is.
`make rebuild` runs it alone.
"""

import shutil
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from harness.cli_run import Done, bbaj
from harness.network import private_network
from harness.watch import Watch
from nodes.cli.completing_shapes import NeighbourTold
from nodes.cli.rebuilding_shapes import RebuildReport
from nodes.cli.shapes import Sending, StoreCheck
from nodes.sandbox.network import NodeSpec, PrivateNetwork, database_name
from nodes.wiring import database_url
from store.reading import Filters, Reading

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TOP, EAST, WEST, BELOW = "kz", "kz.akmola", "kz.zhambyl", "kz.akmola.burabay"
WAYS = (
    (EAST, TOP), (WEST, TOP), (TOP, EAST), (TOP, WEST), (EAST, WEST), (WEST, EAST),
    (BELOW, TOP), (TOP, BELOW), (BELOW, WEST), (WEST, BELOW),
)  # fmt: skip
LONG_S = 90.0


@dataclass
class Planted:
    """What was taken away before the loss."""

    packets: set[str] = field(default_factory=set)
    """By id."""
    numbers: set[int] = field(default_factory=set)
    """In EAST's stream: a packet for the republic, and one that passed through to WEST."""
    seqs: set[int] = field(default_factory=set)
    """Of the republic's own packets for WEST."""


@dataclass
class Story:
    """What the republic had, what was planted, and what was said."""

    packets: set[str]
    planted: Planted
    early: Done
    said: Done
    again: Done
    shown: Done
    verified: Done
    reconciled: Done
    back: set[str]
    east: Watch


@pytest.fixture(scope="module", params=[True, False], ids=["gaps planted", "none planted"])
async def story(request, tmp_path_factory):
    """Send documents in all directions, delete the republic's database, and rebuild it."""
    folder = tmp_path_factory.mktemp("rebuild")
    async with private_network([NodeSpec(each) for each in (TOP, EAST, WEST, BELOW)]) as network:
        watches = {each: Watch(network, each) for each in (TOP, EAST, WEST, BELOW)}
        await network.start(*watches)
        for sender, to in WAYS:
            await ping(network, sender, to)
        planted = await plant(network, watches) if request.param else Planted()
        for each in (TOP, EAST, WEST):
            await watches[each].until(partial(is_quiet, watches[each]), LONG_S)
        await watches[TOP].until(partial(is_witnessed, watches[TOP]), LONG_S)
        packets = await ids_of(watches[TOP])
        early = await delete(network, watches[TOP])
        await network.start(TOP)
        await watches[TOP].until_logged("journal_lost", patience_s=LONG_S)
        await recover(network, watches, folder)
        run = partial(bbaj, config=watches[TOP].node.config_path)
        said = await run("rebuild", "--from-neighbours", f"--wait={LONG_S}", "--json")
        yield Story(
            packets,
            planted,
            early,
            said,
            again=await run("rebuild", "--json"),
            shown=await run("rebuild"),
            verified=await run("store", "verify", "--json"),
            reconciled=await run("reconcile", "--json"),
            back=await ids_of(watches[TOP]),
            east=watches[EAST],
        )
        for watch in watches.values():
            await watch.close()


async def ping(network: PrivateNetwork, sender: str, to: str) -> str:
    config = network.nodes[sender].config_path
    sent = (await bbaj("ping", to, "--wait=60", "--json", config=config)).shape(Sending)
    assert sent.state in {"delivered", "closed"}, sent
    return sent.packet


async def plant(network: PrivateNetwork, watches: dict[str, Watch]) -> Planted:
    """Send what is to be missed, then take its payload from every neighbour of the republic."""
    lost, own = await ping(network, EAST, TOP), await ping(network, TOP, WEST)
    passed = await ping(network, BELOW, WEST)
    for sender, to in ((EAST, TOP), (TOP, WEST)):  # what is missed lies below others' numbers
        await ping(network, sender, to)
    for each in (EAST, WEST):
        await watches[each].until(partial(is_quiet, watches[each]), LONG_S)
    await take_payload(watches[WEST], passed, BELOW)
    return Planted(
        packets={lost, own, passed},
        numbers={
            await take_payload(watches[EAST], lost, EAST),
            await take_payload(watches[EAST], passed, BELOW),
        },
        seqs={await take_payload(watches[WEST], own, TOP)},
    )


async def take_payload(watch: Watch, packet: str, sender: str) -> int:
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


async def is_quiet(watch: Watch) -> bool:
    """Say whether all exchanges of a node have ended, and its neighbours have all it placed."""
    [waiting] = await watch.rows(
        "SELECT count(*) FROM entry AS e WHERE stream LIKE 'kz%' AND number > (SELECT "
        "COALESCE(max(up_to), 0) FROM note AS n WHERE (n.stream, n.epoch) = (e.stream, e.epoch))"
    )
    [open_] = await watch.rows("SELECT count(*) FROM open_exchange")
    return (open_[0], waiting[0]) == (0, 0)


async def is_witnessed(watch: Watch) -> bool:
    """Say whether both oblasts have cosigned one and the same checkpoint."""
    query = "SELECT size FROM cosignature GROUP BY size HAVING count(DISTINCT witness) = 2"
    return bool(await watch.rows(query))


async def ids_of(watch: Watch) -> set[str]:
    """Return the packets of before the loss that a record has."""
    async with Reading(database_url(watch.node.config())) as record:
        page = await record.list_packets(Filters(), limit=1000)
        assert page.next_after is None
        return {each.packet.id for each in page.packets if each.packet.epoch == 1}


async def delete(network: PrivateNetwork, top: Watch) -> Done:
    """Leave the republic its keys and its configuration; give the order at its empty record."""
    config = top.node.config_path
    await network.stop(TOP)
    await top.close()
    await network._postgres.lose_database(database_name(TOP))
    shutil.rmtree(top.node.config().data)
    for each in (EAST, WEST):  # an empty record does not know who may witness it
        shutil.copy(network.keys_of(each) / "witness.pem", network.cards / f"{each}-w.pem")
    assert (await bbaj("store", "migrate", config=config)).code == 0
    return await bbaj("rebuild", "--from-neighbours", "--wait=0", config=config)


async def recover(network: PrivateNetwork, watches: dict[str, Watch], folder: Path) -> None:
    """Let the republic go on behind the largest checkpoint that both oblasts hold."""
    query = "SELECT size FROM witnessed WHERE address = $1"
    sizes = [{row[0] for row in await watches[each].rows(query, TOP)} for each in (EAST, WEST)]
    words = []
    for each in (EAST, WEST):
        asked = ("journal", "note", TOP, "--size", str(max(set.intersection(*sizes))))
        done = await bbaj(*asked, config=network.nodes[each].config_path)
        assert done.code == 0, done.err
        path = folder / f"{each}.note"
        path.write_bytes(done.out)
        words.append(f"--after={path}")
    done = await bbaj("journal", "recover", *words, config=network.nodes[TOP].config_path)
    assert done.code == 0, done.err


def test_the_order_waits_for_the_daemon(story):
    """Given before the daemon's start, it stands in the record."""
    assert story.early.code == 79, story.early.err


def test_the_report_names_just_the_planted_gaps(story):
    """Entries of EAST's stream and a number of the republic's own where planted; else nothing."""
    told = story.said.read(RebuildReport)
    assert (told.is_done, told.silent) == (True, [])
    assert {(gap.neighbour, gap.number, gap.why) for gap in told.gaps} == {
        (EAST, number, "lost") for number in story.planted.numbers
    }
    assert [(own.recipient, own.epoch, own.first, own.last) for own in told.own_gaps] == [
        (WEST, 1, seq, seq) for seq in story.planted.seqs
    ]
    assert all(stream.is_whole for stream in told.streams)
    assert story.again.read(RebuildReport) == told


def test_whoever_asks_is_told_whether_there_is_a_gap(story):
    """By the exit code, and in words."""
    is_whole = not story.planted.packets
    assert (story.said.code == 0) is is_whole, story.said.err
    assert (b"no gap" in story.shown.out) is is_whole


def test_all_else_is_back(story):
    """Documents, receipts and closings, those that only passed through as well."""
    assert story.packets - story.back == story.planted.packets


def test_the_rebuilt_record_verifies(story):
    """Journal, payloads, streams and the pages that came back fit together."""
    found = story.verified.shape(StoreCheck)
    assert (found.holds, found.faults) == (True, [])
    assert found.counts["rebuilt"] > 0


def test_both_ends_of_each_stream_agree(story):
    """What neighbours have taken and placed is what the republic has."""
    told = story.reconciled.shape(list[NeighbourTold])
    assert {each.neighbour for each in told} == {EAST, WEST}


async def test_nothing_was_sent_again(story):
    """EAST got nothing about what had been dealt with before."""
    query = "SELECT count(*) FROM packet WHERE sender = $1 AND epoch = 2 AND re = ANY ($2)"
    settled = sorted(story.packets - story.planted.packets)
    [count] = await story.east.rows(query, TOP, settled)
    assert count[0] == 0
