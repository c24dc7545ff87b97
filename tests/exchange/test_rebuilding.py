"""A node that has lost its disk: what its neighbours hold of its traffic comes back, quietly.

kz.akmola ── kz.akmola.burabay
"""

import asyncio
import itertools
import os
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg
import msgspec
import pytest

from exchange import rebuilt_pages
from exchange.core.streams import Incoming
from exchange.identity import new_packet_id
from exchange.losses import EpochBegun
from exchange.rebuilt_pages import PageMaker, read_page
from harness.drafts import DISTRICT, OBLAST
from harness.large_files import content_at, cut, hand_over, manifest_id
from harness.pki import make_network
from harness.service_node import Node, new_link, new_record
from nodes.clock import now
from schemas.errors import FormatError
from schemas.leaves import read_leaf
from schemas.limits import PART_CONTENT_BYTES
from schemas.objects import (
    cut_object,
    pack_bundle_body,
    pack_pieces,
    unpack_bundle_body,
    unpack_pieces,
)
from schemas.rebuilding import Gap, Rebuild
from schemas.records import InstructionRow, OwnGap
from signing.at_rest import AtRest
from store.verify import verify

TOP, PARENT, HERE = "kz", OBLAST, DISTRICT
PATIENCE_S = 30.0
_numbers = itertools.count(1)


async def until(condition):
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():  # noqa: ASYNC110 - the record tells no events
            await asyncio.sleep(0.02)


class Family:
    """A district under its oblast, and the district's new disk."""

    def __init__(self, server, nodes, folder):
        self.server, self.nodes, self.folder = server, nodes, folder
        self.link = new_link(HERE)
        self.order = ""

    @property
    def parent(self):
        return self.nodes[PARENT]

    @property
    def child(self):
        return self.nodes[HERE]

    @asynccontextmanager
    async def live(self):
        async with self.parent.live(self.link) as parent, self.child.live(self.link):
            parent.state.greeted.set()
            yield

    async def send(self, node, to, count=1):
        packets = await node.drop(to, [next(_numbers) for _ in range(count)])
        other = self.parent if node is self.child else self.child
        for packet in packets:
            await node.until(node.address, packet, "confirmed")
            await other.until(node.address, packet, "closed")
        return packets

    async def lose_disk(self):
        """Give the child an empty record, and the order to rebuild it."""
        record = await new_record(self.server, f"rebuilding_{next(_numbers)}", HERE)
        (self.folder / HERE / "journal.size").unlink()
        self.child.archive = record
        self.child.eyes.incidents.clear()
        self.order = await self.tell(self.child, "rebuild")

    async def tell(self, node, kind, /, **content):
        row = InstructionRow(new_packet_id(now()), now(), "op", kind, msgspec.json.encode(content))
        # The daemon starts the record's connections; a command comes with its own.
        async with opened(node.archive):
            await node.archive.instruct(row)
        return row.id

    async def outcome(self, node, id_):
        async with asyncio.timeout(PATIENCE_S):
            while (found := await node.archive.instruction_outcome(id_)) is None:  # noqa: ASYNC110 - the record tells no events
                await asyncio.sleep(0.02)
        return found.state, msgspec.json.decode(found.content)

    async def recover(self):
        """Run both until the child has begun its second epoch, as operators bring it about."""
        with pytest.raises(ExceptionGroup) as ended:  # noqa: PT012 - it comes by itself
            async with self.live():
                await until(self._has_asked)
                await self.parent.archive.instruct(
                    InstructionRow(
                        new_packet_id(now()), now(), "op", "approve",
                        msgspec.json.encode({"address": HERE}),
                    )
                )  # fmt: skip
                await asyncio.sleep(PATIENCE_S)
        assert ended.group_contains(EpochBegun)

    async def _has_asked(self):
        return any(row.address == HERE for row in await self.parent.archive.recoveries())

    async def until_witnessed(self):
        async def witnessed():
            rows = await self.parent.archive.witnessed_newest()
            size, _, _ = await self.child.archive.last_checkpoint() or (0, 0, "")
            journal = self.child.service.journal
            quiet = 0 if journal is None else journal.quiet
            held = [row.size for row in rows if row.address == HERE]
            return size >= self.child.service.leaves - quiet and size in held

        await until(witnessed)


@asynccontextmanager
async def opened(archive):
    await archive.start()
    try:
        yield
    finally:
        await archive.close()


async def make_family(server, folder):
    network = make_network([TOP, PARENT, HERE], now())
    nodes = {}
    for address in (PARENT, HERE):
        record = await new_record(server, f"rebuilding_{next(_numbers)}", address)
        (folder / address).mkdir(parents=True)
        nodes[address] = Node(address, network, folder / address, record)
        nodes[address].signs = True
    return Family(server, nodes, folder)


async def tamper(server, archive, change, *values):
    """Change a record as no daemon may."""
    name = archive._url.rpartition("/")[2]
    connection = await asyncpg.connect(
        urlsplit(server.admin_url)._replace(path=f"/{name}").geturl()
    )
    try:
        await connection.execute("SET session_replication_role = replica")
        assert not (await connection.execute(change, *values)).endswith(" 0")
    finally:
        await connection.close()


# ------------------------------------------------------------------ all of it


class Story:
    """A rebuild, and what stood before it."""

    family: Family
    up: list
    down: list
    before: dict
    answer: tuple


async def answers_at(node):
    """Return how many packets of each type the child has sent, and is sent, as a record has it."""
    query = "SELECT type, sender, count(*) FROM packet GROUP BY 1, 2"
    return {(row[0], row[1]): row[2] for row in await node.archive._rows(query)}


@pytest.fixture(scope="module")
async def story(server, tmp_path_factory):
    found = Story()
    found.family = family = await make_family(server, tmp_path_factory.mktemp("story"))
    async with family.live():
        found.up = await family.send(family.child, PARENT, 3)
        found.down = await family.send(family.parent, HERE, 3)
        await family.until_witnessed()
        found.before = await answers_at(family.parent)
        found.held = await answers_at(family.child)
    await family.lose_disk()
    await family.recover()
    async with family.live():
        found.answer = await family.outcome(family.child, family.order)
        found.after = await answers_at(family.child)
        found.fresh = [
            (await family.child.drop(PARENT, [next(_numbers)]))[0],
            (await family.parent.drop(HERE, [next(_numbers)]))[0],
        ]
        await until(lambda: has(family.child, HERE, found.fresh[0], "confirmed", 2))
        await until(lambda: has(family.parent, PARENT, found.fresh[1], "confirmed", 1))
        await until(lambda: has(family.child, PARENT, found.fresh[1], "closed", 1))
        yield found


async def has(node, sender, packet, kind, epoch):
    trail = await node.trail(sender, packet, epoch)
    return trail is not None and kind in [mark.kind for mark in trail.marks]


async def test_everything_has_come_back(story):
    """Documents, receipts and closings of both ways: just what the record held before."""
    state, answer = story.answer
    assert (state, answer["gaps"], answer["own_gaps"]) == ("done", 0, 0)
    assert story.after == story.held


async def test_states_are_what_they_were(story):
    """What was sent is delivered, and what was received is closed; it is not released again."""
    child = story.family.child
    for packet in story.up:
        kinds = await child.kinds(HERE, packet)
        assert {"sent", "confirmed"} <= set(kinds)
    for packet in story.down:
        kinds = await child.kinds(PARENT, packet)
        assert kinds[0] == "received"
        assert "closed" in kinds
        assert "released" not in kinds


async def test_nothing_is_answered_twice(story):
    """The neighbour has got no second receipt or closing for anything of before."""
    query = "SELECT count(*) FROM packet WHERE sender = $1 AND epoch = 2 AND NOT re = ANY ($2)"
    count = await story.family.parent.archive._value(query, HERE, story.fresh)
    query = "SELECT count(*) FROM packet WHERE sender = $1 AND epoch = 2 AND re = ANY ($2)"
    old = await story.family.parent.archive._value(query, HERE, [*story.up, *story.down])
    assert old == 0
    assert count <= 1  # the closing for the fresh document's receipt
    assert "neighbour_lost_custody" not in story.family.parent.eyes.incidents
    assert "link_suspended" not in story.family.parent.eyes.incidents


async def test_it_is_dated_when_it_first_came(story):
    """The moment of our own custody note, not of the rebuild, and the leaf says `returned`."""
    trail = await story.family.child.trail(PARENT, story.down[0])
    leaf = read_leaf(trail.marks[0].record)
    assert leaf["detail"] == "returned"
    assert leaf["received"] < leaf["at"]


async def test_the_record_holds_after_it(story):
    """Journal, payloads and streams fit together as those of any record."""
    child = story.family.child
    at_rest = AtRest(story.family.folder / HERE / "at-rest")
    found = await verify(child.archive._url, at_rest.open)
    assert (found.holds, found.faults) == (True, [])


# ------------------------------------------------------------------ files in parts


async def test_files_in_parts_come_back_and_are_finished(server, tmp_path, monkeypatch):
    """A file sent and one received are whole again; one on its way comes to its end, once."""
    monkeypatch.setattr("exchange.part_sending.PARTS_AHEAD", 2)
    family = await make_family(server, tmp_path)
    sizes = {"up": 3, "down": 3, "late": 30}
    data = {name: os.urandom(parts * PART_CONTENT_BYTES - 9) for name, parts in sizes.items()}
    parent, child = family.parent, family.child
    async with family.live():
        await hand_over(child, cut(data["up"]), drop_id="up", to=PARENT)
        await hand_over(parent, cut(data["down"]), drop_id="down", to=HERE)
        up, down = await manifest_id(child, "up"), await manifest_id(parent, "down")
        await parent.until(HERE, up, "closed")
        await child.until(PARENT, down, "closed")
        held = await answers_at(child)
        await family.until_witnessed()
        await hand_over(parent, cut(data["late"]), drop_id="late", to=HERE)
        late = await manifest_id(parent, "late")
        await until(lambda: has_parts(child, PARENT, late, 3))
        assert "released" not in await child.kinds(PARENT, late)
    await family.lose_disk()
    await family.recover()
    async with family.live():
        state, answer = await family.outcome(child, family.order)
        assert (state, answer["gaps"], answer["own_gaps"]) == ("done", 0, 0)
        assert await content_at(child, up, HERE) == data["up"]
        assert await content_at(child, down, PARENT) == data["down"]
        await parent.until(PARENT, late, "confirmed")
        await until(lambda: has(child, PARENT, late, "closed", 1))
        assert await content_at(child, late, PARENT) == data["late"]
        assert (await child.kinds(PARENT, late)).count("released") == 1
        assert "released" not in await child.kinds(PARENT, down)
        after = await answers_at(child)
        assert all(after[each] >= count for each, count in held.items())
    at_rest = AtRest(tmp_path / HERE / "at-rest")
    assert (await verify(child.archive._url, at_rest.open)).holds


async def has_parts(node, sender, packet, least):
    return len(await node.archive.parts_of((sender, 1, packet))) >= least


# ------------------------------------------------------------------ gaps, and kills


async def test_gaps_are_named_and_a_kill_is_survived(server, tmp_path):
    """Two payloads are gone at the neighbour: the rebuild names both, also when it was killed."""
    family = await make_family(server, tmp_path)
    child, parent = family.child, family.parent
    async with family.live():
        up = await family.send(child, PARENT, 2)
        down = await family.send(parent, HERE, 3)
        await family.until_witnessed()
    lose = (
        "DELETE FROM payload WHERE frame = (SELECT frame FROM packet WHERE id = $1 AND sender = $2)"
    )
    await tamper(server, parent.archive, lose, down[1], PARENT)
    await tamper(server, parent.archive, lose, up[0], HERE)
    receipt = await answer_to(family, down[0])
    await tamper(server, parent.archive, lose, receipt, HERE)
    await family.lose_disk()
    await family.recover()
    async with family.live():
        await until(child.archive.has_packets)  # what it had sent comes first; then a kill
    async with family.live():
        await until(lambda: any_page(child))  # and another
    async with family.live():
        state, answer = await family.outcome(child, family.order)
        assert (state, answer["gaps"], answer["own_gaps"]) == ("done", 1, 2)
        pages = await child.archive.rebuilt_gaps(("", 0, 0), 10)
        (gap,) = [gap for page in pages for gap in msgspec.json.decode(page.gaps, type=list[Gap])]
        lost = await parent.archive._value(
            "SELECT number FROM entry WHERE frame = (SELECT frame FROM packet WHERE id = $1)",
            down[1],
        )
        assert (gap.number, gap.why) == (lost, "lost")
        seqs = await parent.archive._rows(
            "SELECT seq FROM packet WHERE id = ANY ($1) ORDER BY seq", [up[0], receipt]
        )
        assert await child.archive.own_gaps(HERE, 2) == [
            OwnGap(PARENT, 1, row["seq"], row["seq"]) for row in seqs
        ]
        assert await child.kinds(PARENT, down[1]) == []
        # Nobody has our answer to the first: it is taken as if it came now, and answered.
        await child.until(PARENT, down[0], "closed")
        assert "released" in await child.kinds(PARENT, down[0])


async def test_what_has_come_is_not_fetched_again(server, tmp_path, monkeypatch):
    """A node that was killed goes on behind the last page it has; the neighbour's log shows it."""
    monkeypatch.setattr(rebuilt_pages, "PAGE_ENTRIES", 2)
    family = await make_family(server, tmp_path)
    child, brought = family.child, family.parent.eyes
    async with family.live():
        await family.send(family.parent, HERE, 6)
        await family.until_witnessed()
    await family.lose_disk()
    await family.recover()
    async with family.parent.live(family.link) as parent:
        parent.state.greeted.set()
        async with child.live(family.link):
            await until(lambda: any_page(child))
        async with opened(child.archive):
            had = {row.stream: row.last for row in await child.archive.rebuilt()}
        before = len(pages_of(brought))
        async with child.live(family.link):
            state, answer = await family.outcome(child, family.order)
    assert (state, answer["gaps"], answer["own_gaps"]) == ("done", 0, 0)
    came = [said for said in pages_of(brought) if said["through"] > said["after"]]
    assert sum(said["through"] - said["after"] for said in came) >= answer["packets"] >= 12
    late = pages_of(brought)[before:]
    assert [each for each in late if each["after"] < had.get(f"{PARENT}/{each['lane']}", 0)] == []
    assert late


def pages_of(eyes):
    events = zip(eyes.noticed_events, eyes.noticed_facts, strict=True)
    return [facts for event, facts in events if event == "page_brought"]


async def answer_to(family, packet):
    """Return the child's receipt for a packet, while nothing runs."""
    async with opened(family.parent.archive):
        query = "SELECT id FROM packet WHERE re = $1 AND sender = $2 AND type = 'receipt/1'"
        return await family.parent.archive._value(query, packet, HERE)


async def any_page(node):
    return bool(await node.archive.rebuilt())


async def test_a_record_that_holds_packets_is_not_rebuilt(story):
    """Only an empty one is: what it has would come twice."""
    family = story.family
    row = InstructionRow(new_packet_id(now()), now(), "op", "rebuild", b"{}")
    await family.child.archive.instruct(row)
    state, answer = await family.outcome(family.child, row.id)
    assert (state, "an empty one alone" in answer["why"]) == ("refused", True)


# ------------------------------------------------------------------ pages that do not hold


@pytest.fixture(scope="module")
async def page(story):
    """Return the first page of what the parent had sent, and what the child's gate makes of it."""
    parent = story.family.parent.service.state
    asked = Rebuild(**parent.gate.stamp(PARENT, now()), lane="fast", of_epoch=1, after=0)
    _, raw = await PageMaker(parent).make(asked, HERE, now())
    cut = cut_object(raw)
    return cut.header, unpack_bundle_body(cut.body)[1], story.family.child.service.state.gate


def read(page, *, pieces=None, known=None, neighbour=PARENT, **changes):
    said, whole, gate = page
    body = pack_bundle_body([], whole if pieces is None else pieces)
    said = msgspec.structs.replace(said, **changes)
    return read_page(said, body, known or Incoming(), neighbour, gate)


def test_a_page_is_dated_by_the_note_that_first_covers_an_entry(page):
    """Every entry has its moment, and moments rise with the numbers."""
    found = read(page)
    moments = [found.moment(number) for number in range(1, len(found.digests) + 1)]
    assert moments == sorted(moments)
    assert len(set(moments)) > 1
    assert set(found.entries) == set(found.digests)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda whole: [*whole, b"BBAJ forged"], "digests do not name"),
        (lambda whole: [whole[0], bytes(32) + whole[1][32:], *whole[2:]], "another chain"),
        (lambda whole: [whole[0], whole[1][:-32], *whole[2:]], "another chain"),
        (lambda whole: [pack_pieces([]), *whole[1:]], "do not reach"),
        (lambda whole: [whole[0], whole[1] + bytes(32), *whole[2:]], "do not reach"),
        (lambda whole: whole[:1], "without notes and digests"),
    ],
)
def test_what_our_notes_do_not_bind_is_refused(page, change, why):
    """A neighbour can neither add, change, leave out nor reorder an entry."""
    with pytest.raises(FormatError, match=why):
        read(page, pieces=change(page[1]))


def test_notes_count_for_their_own_stream_alone(page):
    """Neither another neighbour's, nor of another lane or epoch, nor behind another position."""
    for changed in ({"neighbour": TOP}, {"lane": "bulk"}, {"of_epoch": 2}):
        with pytest.raises(FormatError, match="a note about"):
            read(page, **changed)
    with pytest.raises(FormatError, match="another chain"):
        read(page, known=Incoming(0, bytes([1]) * 32, 0, 1))


def test_nobody_else_signs_our_notes(page, story):
    """A note that the neighbour has signed itself proves nothing."""
    _, whole, _ = page
    parent = story.family.parent.service.state.gate
    note = cut_object(unpack_pieces(whole[0])[0][-1]).header
    forged = msgspec.structs.replace(note, certificate=parent.fingerprint, from_=HERE)
    pieces = [pack_pieces([parent.sign(forged)]), *whole[1:]]
    with pytest.raises(FormatError, match="object of"):
        read(page, pieces=pieces)
