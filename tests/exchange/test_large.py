"""Files in parts between two nodes, each with a real record (docs/protocol.md 5.10, 8.8)."""

import asyncio
import os

import pytest

from exchange.dropped import Drop
from harness.drafts import DISTRICT, OBLAST
from harness.large_files import content_at, cut, hand_over, manifest_id, manifest_of
from harness.pair import TOP, Pair
from harness.pki import make_network
from harness.service_node import Node, new_link, new_record
from nodes import clock, samples
from schemas.limits import PART_CONTENT_BYTES
from schemas.manifest import MANIFEST_MEDIA_TYPE
from schemas.statements import Lacking
from signing.at_rest import AtRest
from store.errors import StoreUnavailable
from store.verify import verify

PARTS = 11


@pytest.fixture
async def pair(server, tmp_path, request):
    network = make_network((TOP, OBLAST), clock.now())
    nodes = {}
    for number, address in enumerate((TOP, OBLAST)):
        place = tmp_path / address
        place.mkdir()
        name = f"large_{abs(hash(request.node.name))}_{number}"
        nodes[address] = Node(address, network, place, await new_record(server, name, address))
    return Pair(nodes, network)


async def test_a_file_comes_whole_with_one_receipt(pair):
    """All parts travel, lie in the manifest's bucket, and the whole is released and closed once."""
    data = os.urandom(PARTS * PART_CONTENT_BYTES - 99)
    link = new_link(OBLAST)
    async with pair[TOP].live(link), pair[OBLAST].live(link):
        await hand_over(pair[OBLAST], cut(data))
        packet = await manifest_id(pair[OBLAST])
        await pair[TOP].until(OBLAST, packet, "closed")
        assert await pair[TOP].kinds(OBLAST, packet) == ["received", "released", "closed"]
        assert await content_at(pair[TOP], packet) == data
        for address in (TOP, OBLAST):
            archive = pair[address].archive
            buckets = await archive._rows("SELECT DISTINCT bucket FROM kept WHERE bucket ~ '^R5'")
            assert len(buckets) == 1
        assert not await pair[OBLAST].archive._rows("SELECT 1 FROM drop_part")
        receipts = "SELECT 1 FROM packet WHERE type = 'receipt/1'"
        assert len(await pair[OBLAST].archive._rows(receipts)) == 1
        compared = (await pair.streams(TOP, OBLAST))[OBLAST, "bulk"]
        assert (compared["differs"], compared["agreed"]) == (None, 1 + PARTS)
    for address in (TOP, OBLAST):
        await check_record(pair[address])


def at_rest_of(node):
    return AtRest(node._folder / "at-rest")


async def check_record(node):
    """Hold a node's whole record against its journal, parts among its frames."""
    found = await verify(node.archive._url, at_rest_of(node).open)
    assert (found.faults, found.faults_found) == ([], 0)
    assert found.counts["payload"] > PARTS


async def test_what_was_taken_is_not_sent_again_after_kills(pair, monkeypatch):
    """Both ends are killed in the middle: the rest follows, and no part is placed twice."""
    monkeypatch.setattr("exchange.part_sending.PARTS_AHEAD", 2)
    data = os.urandom(PARTS * PART_CONTENT_BYTES)
    link = new_link(OBLAST)
    async with pair[TOP].live(link):
        async with pair[OBLAST].live(link):
            await hand_over(pair[OBLAST], cut(data))
            packet = await manifest_id(pair[OBLAST])
            await until_parts(pair[TOP], packet, 3)
        assert "released" not in await pair[TOP].kinds(OBLAST, packet)
    link = new_link(OBLAST)
    async with pair[TOP].live(link), pair[OBLAST].live(link):
        await pair[TOP].until(OBLAST, packet, "closed")
        assert await content_at(pair[TOP], packet) == data
        placed = "SELECT count(*), count(DISTINCT frame) FROM entry JOIN part USING (frame)"
        assert [tuple(row) for row in await pair[OBLAST].archive._rows(placed)] == [(PARTS, PARTS)]


async def until_parts(node, packet, least):
    """Wait until so many parts are kept."""
    async with asyncio.timeout(30):
        while len(await node.archive.parts_of((OBLAST, 1, packet))) < least:  # noqa: ASYNC110 - the record tells no events
            await asyncio.sleep(0.01)


@pytest.fixture
async def way(server, tmp_path, request):
    """Make a district that sends, an oblast that passes on, a republic that receives."""
    network = make_network((TOP, OBLAST, DISTRICT), clock.now())
    nodes = {}
    for number, address in enumerate((TOP, OBLAST, DISTRICT)):
        place = tmp_path / address
        place.mkdir()
        name = f"way_{abs(hash(request.node.name))}_{number}"
        nodes[address] = Node(address, network, place, await new_record(server, name, address))
    return Pair(nodes, network)


def forget_parts(service, numbers):
    """Plant a fault: parts of these numbers count as taken when they come first, and are lost."""
    judging = service.parts.judging
    take_entry = judging.take_entry

    async def takes(entry, *place):
        part = entry.verdict.frame.header.part
        if part is not None and part.number in numbers:
            numbers.remove(part.number)
            return
        await take_entry(entry, *place)

    judging.take_entry = takes


async def test_parts_that_a_relay_has_lost_are_asked_for_and_come(way):
    """With the manifest's resend the recipient asks; those parts alone go out a second time."""
    data = os.urandom(PARTS * PART_CONTENT_BYTES - 5)
    lost = {2, 3, PARTS}
    up, down = new_link(OBLAST), new_link(DISTRICT)
    async with way[TOP].live(up), way[OBLAST].live(up, down) as relay, way[DISTRICT].live(down):
        forget_parts(relay, set(lost))
        await hand_over(way[DISTRICT], cut(data))
        packet = await manifest_id(way[DISTRICT])
        await way[TOP].until(DISTRICT, packet, "closed")
        assert await way[TOP].kinds(DISTRICT, packet) == ["received", "released", "closed"]
        assert await content_at(way[TOP], packet, DISTRICT) == data
        placed = (
            "SELECT w.number FROM part AS w JOIN entry AS e USING (frame) "
            "GROUP BY w.number HAVING count(*) > 1"
        )
        rows = await way[DISTRICT].archive._rows(placed)
        assert {row[0] for row in rows} == lost
    assert "statement_misrouted" not in way[OBLAST].eyes.incidents + way[DISTRICT].eyes.incidents
    for address in (TOP, OBLAST, DISTRICT):
        await check_record(way[address])


async def test_only_its_recipient_may_ask_for_parts(pair):
    """An ask for what is no file in parts to the asker changes nothing, and is an incident."""
    link = new_link(OBLAST)
    async with pair[TOP].live(link), pair[OBLAST].live(link):
        file = Drop(
            system="sis", drop_id="f", type="document.file/1", to=TOP, body=b"1", section="S01"
        )
        (outcome,) = await pair[OBLAST].service.drop([file])
        await pair[TOP].until(OBLAST, outcome.packet, "closed")
        asked = Lacking(
            **pair.stamp(TOP, OBLAST), packet_epoch=1, packet=outcome.packet, parts=((1, 9),)
        )
        pair.say(TOP, OBLAST, asked)
        async with asyncio.timeout(30):
            while not (told := await pair.incidents(OBLAST, "statement_misrouted")):  # noqa: ASYNC110 - the record tells no events
                await asyncio.sleep(0.02)
        why = f"lacking of {TOP} to {OBLAST}: {outcome.packet} is no file in parts for it"
        assert [row["detail"] for row in told] == [why]


@pytest.mark.parametrize("at", [TOP, OBLAST], ids=["recipient", "sender"])
async def test_a_commit_that_fails_between_parts_loses_and_doubles_nothing(pair, monkeypatch, at):
    """The disk has no room for the fourth part: its group is taken, or sealed, once there is."""
    archive, failed = pair[at].archive, []
    commit = archive.commit

    async def fails_once(changes):
        if not failed and any(row.number == 4 for row in changes.parts):
            failed.append(changes)
            raise StoreUnavailable("no space left on device, by a test")
        return await commit(changes)

    monkeypatch.setattr(archive, "commit", fails_once)
    data = os.urandom(PARTS * PART_CONTENT_BYTES)
    link, packet = new_link(OBLAST), ""
    try:
        async with pair[TOP].live(link), pair[OBLAST].live(link):
            await hand_over(pair[OBLAST], cut(data))
            packet = await manifest_id(pair[OBLAST])
            await pair[TOP].until(OBLAST, packet, "closed")
    except* StoreUnavailable:
        pass
    assert failed, "no commit has failed"
    link = new_link(OBLAST)
    async with pair[TOP].live(link), pair[OBLAST].live(link):
        await pair[TOP].until(OBLAST, packet, "closed")
        assert await content_at(pair[TOP], packet) == data


async def test_a_part_that_its_manifest_does_not_name_ends_the_exchange(pair):
    """The whole is refused as parts-mismatch, once, and the parts left are not sent."""
    pieces = cut(os.urandom(PARTS * PART_CONTENT_BYTES))
    manifest = manifest_of([pieces[0], pieces[0], *pieces[2:]])
    link = new_link(OBLAST)
    async with pair[TOP].live(link), pair[OBLAST].live(link):
        await hand_over(pair[OBLAST], pieces, manifest)
        packet = await manifest_id(pair[OBLAST])
        await pair[OBLAST].until(OBLAST, packet, "confirmed")
        trail = await pair[OBLAST].trail(OBLAST, packet)
        assert b"reason parts-mismatch" in trail.marks[-1].record
        assert "released" not in await pair[TOP].kinds(OBLAST, packet)
        async with asyncio.timeout(30):
            while await pair[OBLAST].archive._rows("SELECT 1 FROM drop_part"):  # noqa: ASYNC110 - the record tells no events
                await asyncio.sleep(0.02)
        receipts = "SELECT 1 FROM packet WHERE type = 'receipt/1'"
        assert len(await pair[OBLAST].archive._rows(receipts)) == 1
    for address in (TOP, OBLAST):
        assert (await verify(pair[address].archive._url, at_rest_of(pair[address]).open)).holds


@pytest.mark.parametrize("type_", ["document.file/1", "admin.order/1"])
async def test_parts_of_what_is_no_manifest_stop_nothing(pair, monkeypatch, type_):
    """A sender names as manifest what none is: its parts are refused, and others are served."""
    with monkeypatch.context() as patch:
        patch.setattr(
            "exchange.drops.content_of", lambda _drop, _here: (b"\xff", MANIFEST_MEDIA_TYPE)
        )
        link = new_link(OBLAST)
        async with pair[TOP].live(link), pair[OBLAST].live(link):
            pieces = cut(os.urandom(PART_CONTENT_BYTES))
            body = samples.order(1, 1) if type_ == "admin.order/1" else None
            await hand_over(pair[OBLAST], pieces, body, type_=type_)
            await manifest_id(pair[OBLAST])
            async with asyncio.timeout(30):
                while "part_refused" not in pair[TOP].eyes.incidents:  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.02)
            patch.undo()
            file = Drop(
                system="sis", drop_id="f", type="document.file/1", to=TOP, body=b"1", section="S01"
            )
            (outcome,) = await pair[OBLAST].service.drop([file])
            await pair[TOP].until(OBLAST, outcome.packet, "closed")


async def test_a_file_too_large_for_a_message_is_told_the_way(pair):
    """A local system drops one packet; of a larger file it is told which command takes it."""
    link = new_link(OBLAST)
    async with pair[TOP].live(link), pair[OBLAST].live(link):
        drop = Drop(
            system="sis", drop_id="film", type="document.file/1", to=TOP,
            body=os.urandom(5_000_000), section="S01",
        )  # fmt: skip
        (outcome,) = await pair[OBLAST].service.drop([drop])
        assert (outcome.state, outcome.field) == ("fault", "body")
        assert outcome.problem.startswith("payload of 500")
        assert outcome.problem.endswith("hand it over with `bbaj send`, which sends it in parts")


async def test_a_small_document_overtakes_the_parts(pair, monkeypatch):
    """What is dropped while a file is being sent waits for the parts on their way alone."""
    monkeypatch.setattr("exchange.part_sending.PARTS_AHEAD", 2)
    link = new_link(OBLAST)
    async with pair[TOP].live(link), pair[OBLAST].live(link):
        await hand_over(pair[OBLAST], cut(os.urandom(40 * PART_CONTENT_BYTES)))
        large = await manifest_id(pair[OBLAST])
        await until_parts(pair[TOP], large, 1)
        order = Drop(
            system="sis", drop_id="order", type="document.file/1", to=TOP, body=b"1", section="S01"
        )
        (outcome,) = await pair[OBLAST].service.drop([order])
        await pair[TOP].until(OBLAST, outcome.packet, "released")
        assert len(await pair[TOP].archive.parts_of((OBLAST, 1, large))) < 40
