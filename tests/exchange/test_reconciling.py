"""Reconciliation: neighbours compare their streams, and name the very entry that differs.

kz ── kz.akmola
"""

import asyncio
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg
import msgspec
import pytest

from exchange.identity import new_nonce
from harness.drafts import OBLAST
from harness.memory_link import Waiting
from harness.pair import PATIENCE_S, TOP, Pair, running
from harness.pki import make_network
from harness.service_node import Node, new_link, new_record
from nodes import clock
from schemas.moments import SECOND
from schemas.objects import cut_object
from schemas.reconciling import Mark, Reconcile, Reconciled
from schemas.records import LinkMark
from signing.seal import sign_object


@pytest.fixture(scope="module")
async def pair(server, tmp_path_factory):
    async with running(server, tmp_path_factory.mktemp("pair"), "reconciling") as pair:
        yield pair


async def tamper(server, name, change, *values):
    """Change a record as no daemon may."""
    url = urlsplit(server.admin_url)._replace(path=f"/{name}").geturl()
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET session_replication_role = replica")
        assert not (await connection.execute(change, *values)).endswith(" 0")
    finally:
        await connection.close()


# ------------------------------------------------------------------ agreement


@pytest.mark.parametrize(("at", "neighbour"), [(TOP, OBLAST), (OBLAST, TOP)])
async def test_neighbours_agree_on_all_that_was_sent(pair, at, neighbour):
    """Either one learns that both hold the same entries to the last, each way, at one question."""
    streams = await pair.streams(at, neighbour)
    for stream in streams.values():
        assert stream["agreed"] == min(stream["ours"], stream["theirs"]) > 0
        assert stream["differs"] is None
    # documents and closings go up by the fast lane, receipts come down by it
    assert streams[OBLAST, "fast"]["agreed"] >= 24
    assert streams[TOP, "fast"]["agreed"] >= 12


async def test_the_outcome_is_journaled(pair):
    """The leaf of the instruction says with whom, and that all agreed."""
    await pair.streams(OBLAST, TOP)
    query = "SELECT record FROM leaf WHERE kind = 'operator' ORDER BY index DESC LIMIT 1"
    (row,) = await pair[OBLAST].archive._rows(query)
    assert b"what reconcile\n" in row["record"]
    assert f"detail {TOP}: 2 streams agree".encode() in row["record"]


async def test_a_suspended_link_is_compared_all_the_same(pair):
    """A fork suspends a link: then it must be found out where both ends part."""
    archive = pair[OBLAST].archive
    link = pair[OBLAST].service.state.links[TOP]
    for action in ("suspended", "lifted"):
        await archive.mark_link(LinkMark(TOP, clock.now(), action, "a test"))
        async with asyncio.timeout(PATIENCE_S):
            while link.suspended != (action == "suspended"):  # noqa: ASYNC110 - it tells no events
                await asyncio.sleep(0.02)
        assert (await pair.streams(OBLAST, TOP))[OBLAST, "fast"]["differs"] is None


# ------------------------------------------------------------------ who is no use


async def test_somebody_else_is_no_neighbour(pair):
    """The answer says who is one."""
    state, said = await pair.reconcile(OBLAST, "kz.abai")
    assert (state, said["why"]) == (
        "refused", f"kz.abai is no neighbour: name one of {TOP}",
    )  # fmt: skip


async def test_an_answer_that_comes_again_does_nothing(pair):
    """Neither an old answer nor one to a question never asked changes record or state."""
    stream = Mark(OBLAST, "fast", 1, 3, "ab" * 32, 3)
    before = (await pair[OBLAST].archive.leaf_count(), len(pair[OBLAST].eyes.incidents))
    for _ in range(2):
        said = Reconciled(**pair.stamp(TOP, OBLAST), answers=new_nonce(), marks=(stream,))
        pair.say(TOP, OBLAST, said)
    # a later question over the same link is answered behind them
    streams = await pair.streams(TOP, OBLAST)
    assert streams[OBLAST, "fast"]["differs"] is None
    after = (await pair[OBLAST].archive.leaf_count(), len(pair[OBLAST].eyes.incidents))
    assert after == before


async def test_of_a_third_node_nothing_is_said(pair):
    """A question about streams of somebody else gets no answer; the next one does."""
    mark = Mark("kz.abai", "fast", 1, 0, "00" * 32, 0)
    asked = Reconcile(**pair.stamp(OBLAST, TOP), nonce=new_nonce(), marks=(mark,))
    pair.say(OBLAST, TOP, asked)
    assert (await pair.streams(OBLAST, TOP))[OBLAST, "fast"]["differs"] is None


# ------------------------------------------------------------------ difference


async def test_the_entry_that_differs_is_named_exactly(server, tmp_path):
    """A rewritten record at one end is found by the other end, kept as an incident, and named."""
    async with running(server, tmp_path, "parting") as pair:
        await tamper(
            server, "parting_1",
            "UPDATE entry SET chain = sha256(chain) WHERE stream = $1 AND number >= $2",
            f"{TOP}/fast", 7,
        )  # fmt: skip
        found = (await pair.streams(TOP, OBLAST))[OBLAST, "fast"]
        assert (found["agreed"], found["differs"], found["exact"]) == (6, 7, True)
        (incident,) = await pair.incidents(TOP, "streams_differ")
        assert "fast of kz.akmola epoch 1 differs between 6 and 7" in incident["detail"]
        assert incident["frame"] is not None


@asynccontextmanager
async def alone(server, folder, name):
    """Run an oblast whose republic is a script; yield both, and the link between them."""
    network = make_network((TOP, OBLAST), clock.now())
    record, link = await new_record(server, name, OBLAST), new_link(OBLAST)
    node = Node(OBLAST, network, folder, record)
    async with node.live(link):
        yield Pair({OBLAST: node}, network), link


async def question(link):
    """Wait for a question; return it."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            for message in link.up.waiting:
                header = cut_object(message.body).header
                if isinstance(header, Reconcile):
                    return header
            await asyncio.sleep(0.02)


async def test_an_answer_that_was_not_asked_for_so_is_an_incident(server, tmp_path):
    """Other streams, or fewer, decide nothing; the sound answer behind them does."""
    async with alone(server, tmp_path, "unsound") as (pair, link):
        asking = asyncio.create_task(pair.reconcile(OBLAST, TOP))
        asked = await question(link)
        other = msgspec.structs.replace(asked.marks[0], epoch=7)
        sound = tuple(msgspec.structs.replace(mark, last=4) for mark in asked.marks)
        for marks in ((other, *asked.marks[1:]), asked.marks[1:], sound):
            said = Reconciled(**pair.stamp(TOP, OBLAST), answers=asked.nonce, marks=marks)
            raw = sign_object(said, pair.network.nodes[TOP].packet)
            link.down.waiting.append(Waiting(raw, {}))
            link.down.news.set()
        state, told = await asking
        assert state == "done"
        assert {(each["ours"], each["theirs"]) for each in told["streams"]} == {(0, 4)}
        assert pair[OBLAST].eyes.incidents.count("reconcile_unsound") == 2


@pytest.mark.slow
async def test_a_neighbour_that_is_away_is_said_to_be(server, tmp_path):
    """The wait ends with what to do, and nothing is left behind."""
    async with alone(server, tmp_path, "lonely") as (pair, _):
        state, said = await pair.reconcile(OBLAST, TOP, wait_us=SECOND // 2)
    assert (state, said["why"]) == (
        "refused", f"{TOP} has not answered: see that its link is up",
    )  # fmt: skip
