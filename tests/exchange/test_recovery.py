"""A node on an older copy of its record: it stands still, recovers, and what it lost comes back."""

import asyncio
import itertools
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec
import pytest

from exchange.core.streams import CHAIN_START, chain_after
from exchange.identity import new_packet_id
from exchange.lanes import LANES
from exchange.losses import EpochBegun, carried_over
from exchange.signing_desk import body_of
from exchange.state import Loss
from harness.drafts import DISTRICT, FACTS, OBLAST, draft
from harness.pki import make_network
from harness.service_node import Node, new_link, new_record
from nodes.cli.errors import UsageFault
from nodes.cli.recovering import merged
from nodes.clock import now
from schemas.leaves import read_leaf
from schemas.objects import pack_bundle_body
from schemas.records import EntryRow, InstructionRow
from schemas.witnessing import Recover, Returned
from signing.at_rest import AtRest
from signing.keys import fingerprint
from signing.notes import origin
from store.postgres import PostgresArchive
from store.verify import verify

TOP, PARENT, HERE = "kz", OBLAST, DISTRICT
PATIENCE_S = 30.0

_numbers = itertools.count(1)


async def until(condition, what=""):
    """Wait until something is so; the record tells no events."""
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():  # noqa: ASYNC110 - the record tells no events
            await asyncio.sleep(0.02)
    return what


async def tell(node, kind, /, **content) -> tuple[str, dict]:
    """Give a node an instruction; return what became of it."""
    row = InstructionRow(new_packet_id(now()), now(), "op", kind, msgspec.json.encode(content))
    await node.archive.instruct(row)
    outcome = None
    async with asyncio.timeout(PATIENCE_S):
        while outcome is None:
            await asyncio.sleep(0.02)
            outcome = await node.archive.instruction_outcome(row.id)
    return outcome.state, msgspec.json.decode(outcome.content)


@dataclass
class Pair:
    """A district under its oblast, over one link, and what the district's record was before."""

    server: object
    parent: Node
    child: Node
    folder: object
    link: object = field(default_factory=lambda: new_link(HERE))
    dropped: dict[str, int] = field(default_factory=dict)
    """The numbers of documents that were sent, by packet id."""

    @asynccontextmanager
    async def live(self):
        """Run both; nobody is above the parent."""
        async with (
            self.parent.live(self.link) as parent,
            self.child.live(self.link) as child,
        ):
            parent.state.greeted.set()
            yield parent, child

    async def send(self, node, to) -> str:
        """Send a document and wait until it is delivered and closed."""
        number = next(_numbers)
        (packet,) = await node.drop(to, [number])
        self.dropped[packet] = number
        await node.until(node.address, packet, "confirmed")
        other = self.parent if node is self.child else self.child
        await other.until(node.address, packet, "closed")
        return packet

    async def until_witnessed(self):
        """Wait until the parent has kept the child's newest checkpoint, of all that counts."""

        async def witnessed():
            rows = await self.parent.archive.witnessed_newest()
            size, _, _ = await self.child.archive.last_checkpoint() or (0, 0, "")
            held = (row.size for row in rows if row.address == HERE)
            return covers(self.child, size) and size in held

        await until(witnessed)

    async def copy(self) -> str:
        """Return the URL of a copy of the child's record, which nobody is connected to."""
        url = self.child.archive._url
        name = url.rpartition("/")[2]
        copied = f"{name}_{next(_numbers)}"
        await self.server.psql(f'CREATE DATABASE "{copied}" TEMPLATE "{name}"')
        return url[: -len(name)] + copied

    async def held(self) -> set[str]:
        return {row.missing for row in await self.child.archive.held_all()}

    async def until_lost(self):
        async def lost():
            return "journal_lost" in self.child.eyes.incidents

        await until(lost)

    @asynccontextmanager
    async def until_begun(self):
        """Run both until the child begins an epoch, after the block: its life ends with that."""
        with pytest.raises(ExceptionGroup) as ended:  # noqa: PT012 - it comes by itself
            async with self.live() as (_, child):
                yield child
                await asyncio.sleep(PATIENCE_S)
        assert ended.group_contains(EpochBegun)


def covers(node, size) -> bool:
    """Say whether a checkpoint has all leaves that count: quiet ones behind make no other due."""
    journal = node.service.journal
    quiet = 0 if journal is None else journal.quiet
    return size >= node.service.leaves - quiet


async def make_pair(server, folder, *, signs=True) -> Pair:
    network = make_network([TOP, PARENT, HERE], now())
    nodes = []
    for address in (PARENT, HERE):
        record = await new_record(server, f"recovery_{next(_numbers)}", address)
        node = Node(address, network, folder / address, record)
        node.signs = signs
        (folder / address).mkdir(parents=True)
        nodes.append(node)
    return Pair(server, *nodes, folder)


async def restored_pair(server, folder, *, signs=True, with_size_file=True):
    """Return a pair whose child has lost a delivered packet each way; then their two ids."""
    pair = await make_pair(server, folder, signs=signs)
    size_file = folder / HERE / "journal.size"
    async with pair.live():
        await pair.send(pair.child, PARENT)
        if signs:
            await pair.until_witnessed()
    older, older_size = await pair.copy(), size_file.read_text() if signs else ""
    async with pair.live():
        sent = await pair.send(pair.child, PARENT)
        received = await pair.send(pair.parent, HERE)
        if signs:
            await pair.until_witnessed()
    pair.child.archive = PostgresArchive(older)
    if signs and not with_size_file:
        size_file.write_text(older_size)
    return pair, sent, received


@dataclass
class Story:
    """What was seen of a recovery, from the restored copy to the end."""

    pair: Pair
    sent: str
    received: str
    doubts: list = field(default_factory=list)
    answers: list = field(default_factory=list)
    leaves: list = field(default_factory=list)
    fresh: list = field(default_factory=list)
    again: list = field(default_factory=list)
    """What two local systems are told that drop a document of the lost part, the first anew."""


@pytest.fixture(scope="module")
async def story(server, tmp_path_factory):
    """Run a recovery as operators do it."""
    pair, sent, received = await restored_pair(server, tmp_path_factory.mktemp("story"))
    found = Story(pair, sent, received)
    async with pair.until_begun() as child:
        await pair.until_lost()
        found.doubts = [child.state.doubt(now()), child.may_seal()]
        await until(lambda: _holds(pair, "journal"))
        found.answers.append(await tell(pair.parent, "approve", address=HERE))
        found.answers.append(await tell(pair.child, "recover"))
        await until(lambda: _asked(pair))
        found.answers.append(await tell(pair.parent, "approve", address=HERE))
    async with pair.live():
        await pair.child.until(HERE, sent, "confirmed")
        await pair.child.until(PARENT, received, "received")
        found.answers.append(await tell(pair.parent, "approve", address=HERE))
        await until(lambda: _has_returned(pair))
        document = pair.child.document(PARENT, pair.dropped[sent])
        other = msgspec.structs.replace(document, system="other")
        found.again = await pair.child.service.drop([document, other])
        for node, to in ((pair.child, PARENT), (pair.parent, HERE)):
            (packet,) = await node.drop(to, [next(_numbers)])
            epoch = 2 if node is pair.child else 1
            await until(lambda n=node, p=packet, e=epoch: _has(n, p, "confirmed", e))
            found.fresh.append((packet, epoch))
        await pair.until_witnessed()
        indexes = range(pair.child.service.leaves)
        leaves = await pair.child.archive.leaves_at(indexes)
        found.leaves = [read_leaf(leaves[index]) for index in indexes]
        yield found


async def _holds(pair, missing) -> bool:
    return missing in await pair.held()


async def _asked(pair) -> bool:
    return any(row.address == HERE for row in await pair.parent.archive.recoveries())


async def _has_returned(pair) -> bool:
    return len(await pair.child.archive.returned()) == len(LANES)


async def _has(node, packet, kind, epoch) -> bool:
    trail = await node.trail(node.address, packet, epoch)
    return trail is not None and kind in [mark.kind for mark in trail.marks]


async def test_it_seals_and_judges_nothing(story):
    """While the record lacks its end, what comes is held and nothing may be sealed."""
    assert story.doubts == ["journal", False]


async def test_the_parent_approves_what_was_asked_for_only(story):
    """Approval before the wish is declined; after it the card opens the epoch, once."""
    early, asked, approved, again = story.answers
    assert (early[0], "has not asked" in early[1]["why"]) == ("refused", True)
    assert (asked[0], asked[1]["of_epoch"], asked[1]["asked"]) == ("done", 1, PARENT)
    assert (approved[0], approved[1]["epoch"], approved[1]["changed"]) == ("done", 2, True)
    assert (again[0], again[1]["epoch"], again[1]["changed"]) == ("done", 2, False)


async def test_the_epoch_leaf_names_the_gap(story):
    """The leaf says what was left, and what the parent had witnessed last."""
    (leaf,) = [leaf for leaf in story.leaves if leaf["kind"] == "epoch"]
    last = await story.pair.parent.archive.witnessed_last(origin(HERE, 1))
    card = story.pair.child.service.state.registry.card(HERE)
    assert leaf["origin"] == origin(HERE, 2)
    assert (leaf["after-origin"], int(leaf["after-size"])) == (last.origin, last.size)
    assert (leaf["after-root"], leaf["card-sha256"]) == (last.root.hex(), card.sha256.hex())
    assert int(leaf["left"]) < last.size


async def test_the_parent_witnesses_the_new_epoch(story):
    """Checkpoints of the new epoch are kept under an origin of their own, beside the old ones."""
    rows = await story.pair.parent.archive.witnessed_newest()
    assert {row.origin for row in rows if row.address == HERE} == {origin(HERE, 1), origin(HERE, 2)}


async def test_a_lost_packet_comes_back_and_ends_confirmed(story):
    """What was sent in the lost part is kept as sent again, marked as returned."""
    trail = await story.pair.child.trail(HERE, story.sent)
    leaves = [read_leaf(mark.record) for mark in trail.marks]
    assert [(leaf["kind"], leaf.get("detail")) for leaf in leaves[:1]] == [("sent", "returned")]
    assert "confirmed" in [leaf["kind"] for leaf in leaves]


async def test_a_drop_of_the_lost_part_is_not_sealed_again(story):
    """It is the packet that has come back, once; an equal one of another system is a new one."""
    known, fresh = story.again
    assert (known.state, known.packet) == ("known", story.sent)
    assert (fresh.state, fresh.packet != story.sent) == ("sent", True)
    archive = story.pair.child.archive
    assert [row["state"] for row in await _told(archive, known.drop_id)][-2:] == [
        "known",
        "delivered",
    ]


async def _told(archive, drop_id):
    """Return what a local system was told of a drop in the second epoch, oldest first."""
    entries = await archive.entries("status/sis", 2, 0, 1000, 1 << 20)
    events = [msgspec.json.decode(each.object) for each in entries]
    return [event for event in events if event["drop_id"] == drop_id]


async def test_packets_flow_both_ways_again(story):
    """New packets bear the new epoch, and numbers begin anew."""
    (ours, epoch), _ = story.fresh
    trail = await story.pair.child.trail(HERE, ours, epoch)
    assert trail.packet.epoch == 2
    assert {row.epoch for row in await story.pair.child.archive.returned()} == {1}


async def test_the_record_holds_behind_a_recovery(story):
    """Journal, streams of both epochs and what came back fit together as the record of any node."""
    child = story.pair.child
    at_rest = AtRest(story.pair.folder / HERE / "at-rest")
    found = await verify(child.archive._url, at_rest.open)
    assert (found.holds, found.faults) == (True, [])


async def test_nobodys_link_is_suspended(story):
    """Neither end has suspended the other, and no fork was seen."""
    for node in (story.pair.parent, story.pair.child):
        assert "link_suspended" not in node.eyes.incidents
        assert "journal_forked" not in node.eyes.incidents


@pytest.mark.parametrize("signs", [True, False], ids=["checkpoint", "frames"])
async def test_a_neighbour_proves_the_loss_by_our_own_signature(server, tmp_path, signs):
    """Without the size file it is the witness's note, or a frame of ours alone, that tells."""
    pair, _, _ = await restored_pair(server, tmp_path, signs=signs, with_size_file=False)
    async with pair.live() as (_, child):
        await pair.until_lost()
        link = child.state.links[PARENT]
        assert (child.state.loss.of_epoch, child.may_seal()) == (1, False)
        await until(lambda: _lifted(link))


async def test_nothing_is_signed_before_the_witness_has_shown_that_nothing_is_lost(
    server, tmp_path
):
    """A copy whose size file is as old would sign sizes again: it waits, and no fork is seen."""
    pair, _, _ = await restored_pair(server, tmp_path, with_size_file=False)
    async with pair.child.live(pair.link) as child:
        before = await pair.child.archive.last_checkpoint()
        for _ in range(5):  # each leaves a leaf that counts, and takes a sweep
            await tell(pair.child, "note", address=PARENT)
        assert child.journal.leaves - child.journal.quiet > before[0]
        assert await pair.child.archive.last_checkpoint() == before
        async with pair.parent.live(pair.link):
            await pair.until_lost()
            assert await pair.child.archive.last_checkpoint() == before
    for node in (pair.parent, pair.child):
        assert "journal_forked" not in node.eyes.incidents


async def test_a_frame_of_another_epoch_shows_no_loss(server, tmp_path):
    """A neighbour cannot halt us with what an earlier loss has left it, under a newer epoch."""
    pair = await make_pair(server, tmp_path, signs=False)
    async with pair.live() as (parent, child):
        payload = msgspec.structs.replace(FACTS, size=0)
        header = draft(from_=HERE, to=PARENT, epoch=2, type="ping/1", payload=payload)
        frame = child.state.gate.seal_packet(header, b"{}", now()).frame.raw
        body = pack_bundle_body([], [frame])
        stamp = parent.state.gate.stamp(HERE, now())
        shown = Returned(**stamp, lane="bulk", of_epoch=1, last=9, body=body_of(body))
        parent.state.links[HERE].send_object(parent.state.gate.sign(shown, body))
        await until(lambda: _said(pair.child, "returned_refused"))
        assert (child.state.loss, child.state.doubt(now())) == (None, None)


async def test_who_has_lost_its_end_seals_nothing_and_approves_nothing(server, tmp_path):
    """What was queued when it was found waits; a card made now could bear a number twice."""
    pair = await make_pair(server, tmp_path, signs=False)
    async with pair.live() as (parent, child):
        for each in (parent, child):
            each.state.loss = Loss(1, each.leaves, "found just now")
        (outcome,) = await child.drop([pair.child.document(PARENT, next(_numbers))])
        assert outcome.state == "waiting"
        assert len(await pair.child.archive.pending_drops(10, [])) == 1
        state, answer = await tell(pair.parent, "approve", address=HERE)
        assert (state, "recover it first" in answer["why"]) == ("refused", True)


async def test_an_old_wish_once_more_is_no_new_one(server, tmp_path):
    """What the broker brings a second time must not stop the parent, whatever came between."""
    pair = await make_pair(server, tmp_path, signs=False)
    async with pair.live() as (_, child):
        gate, link = child.state.gate, child.state.links[PARENT]
        wishes = [
            gate.sign(
                Recover(
                    **gate.stamp(PARENT, now()), of_epoch=1, leaves=each, root="0" * 64, why="lost"
                )
            )
            for each in (1, 2)
        ]
        for count, wish in enumerate([*wishes, wishes[0]], 1):
            link.send_statement(wish, gate.fingerprint)
            await until(lambda count=count: _has_asked(pair, min(count, 2)))
        await tell(pair.parent, "note", address=HERE)
        assert await _has_asked(pair, 2)


async def _has_asked(pair, times) -> bool:
    return len(await pair.parent.archive.recoveries()) == times


def test_what_waits_is_placed_anew_in_order():
    """Entries beyond the cursor become 1, 2, 3 of the new epoch, under a chain of their own."""
    rows = [
        EntryRow("kz/fast", 1, number, number, None, bytes([number]) * 32, b"", 5, 1)
        for number in (7, 8, 9)
    ]
    placed = carried_over(rows, 2, 99)
    chain = CHAIN_START
    for number, (before, after) in enumerate(zip(rows, placed, strict=True), 1):
        chain = chain_after(chain, number, before.sha256)
        assert (after.epoch, after.number, after.chain) == (2, number, chain)
        assert (after.frame, after.sha256, after.placed) == (before.frame, before.sha256, 99)


async def _lifted(link) -> bool:
    return not link.suspended


@pytest.mark.slow
async def test_a_loss_outlives_a_restart(server, tmp_path):
    """Once found, the loss stands in the record: the next life begins with it."""
    pair, _, _ = await restored_pair(server, tmp_path)
    async with pair.live():
        await pair.until_lost()
        assert (await tell(pair.child, "recover"))[0] == "done"
    pair.child.signs = False  # the size file tells nothing any more
    async with pair.live() as (_, child):
        assert child.state.loss is not None
        await until(lambda: _asked(pair))
        assert (await tell(pair.parent, "approve", address=HERE))[0] == "done"


# ------------------------------------------------------------------ the root

EAST, WEST = "kz.akmola", "kz.zhambyl"


@pytest.fixture
async def republic(server, tmp_path):
    """Make a root and two oblasts that witness it; the root's record is older than they know."""
    network = make_network([TOP, EAST, WEST], now())
    nodes = {}
    for address in (TOP, EAST, WEST):
        record = await new_record(server, f"recovery_{next(_numbers)}", address)
        nodes[address] = Node(address, network, tmp_path / address, record)
        nodes[address].signs = address == TOP
        (tmp_path / address).mkdir(parents=True)
    nodes[TOP].authority = network.authorities[TOP]
    found = Republic(nodes, [new_link(EAST), new_link(WEST)])
    async with found.live():
        await found.until_witnessed()
    older = await Pair(server, nodes[EAST], nodes[TOP], tmp_path).copy()
    async with found.live():
        link = fingerprint(network.nodes[TOP].link_certificate)
        assert (await tell(nodes[TOP], "revoke", what=link, reason="superseded"))[0] == "done"
        await until(found.is_followed)
        await found.until_witnessed()
    nodes[TOP].archive = PostgresArchive(older)
    return found


@dataclass
class Republic:
    """A root above two oblasts, each over a link."""

    nodes: dict
    links: list

    @property
    def seen_below(self) -> list:
        return [*self.nodes[EAST].eyes.incidents, *self.nodes[WEST].eyes.incidents]

    @asynccontextmanager
    async def live(self):
        east, west = self.links
        async with (
            self.nodes[TOP].live(east, west) as root,
            self.nodes[EAST].live(east),
            self.nodes[WEST].live(west),
        ):
            yield root

    async def is_followed(self) -> bool:
        """Say whether the root and an oblast have the same log of what the root has issued."""
        logs = [await self.nodes[each].archive.issued(TOP, 0, 100) for each in (TOP, EAST)]
        return logs[0] == logs[1]

    async def until_witnessed(self):
        """Wait until both oblasts hold the root's newest checkpoint."""
        root = self.nodes[TOP]

        async def witnessed():
            size, _, _ = await root.archive.last_checkpoint() or (0, 0, "")
            held = [await self.nodes[each].archive.witnessed_newest() for each in (EAST, WEST)]
            return covers(root, size) and all(
                size in (row.size for row in rows if row.address == TOP) for rows in held
            )

        await until(witnessed)


@pytest.mark.slow
async def test_the_root_recovers_behind_what_two_oblasts_hold(republic):
    """One cosignature is too few; with two the epoch opens, and the authority's log is whole."""
    root = republic.nodes[TOP]
    with pytest.raises(ExceptionGroup) as ended:  # noqa: PT012 - it comes by itself
        async with republic.live():
            await until(lambda: _said(root, "journal_lost"))
            notes = []
            for each in (EAST, WEST):
                state, held = await tell(republic.nodes[each], "note", address=TOP)
                assert state == "done"
                notes.append(held["note"])
            assert (await tell(root, "recover"))[0] == "refused"
            state, answer = await tell(root, "recover", after=notes[0])
            assert (state, "2 are needed" in answer["why"]) == ("refused", True)
            assert (await tell(root, "recover", after=merged(notes)))[0] == "done"
            await asyncio.sleep(PATIENCE_S)
    assert ended.group_contains(EpochBegun)
    async with republic.live():
        size = held["size"]
        leaf = await _epoch_leaf(root)
        assert (leaf["origin"], int(leaf["after-size"])) == (origin(TOP, 2), size)
        await republic.until_witnessed()
        await until(republic.is_followed)
    assert not {"log_forked", "link_suspended"} & {*root.eyes.incidents, *republic.seen_below}


async def _said(node, kind) -> bool:
    return kind in node.eyes.incidents


async def _epoch_leaf(node) -> dict:
    leaves = await node.archive.leaves_at(range(node.service.leaves))
    return next(leaf for leaf in map(read_leaf, leaves.values()) if leaf["kind"] == "epoch")


def test_notes_of_two_checkpoints_are_not_merged():
    """Signatures of several texts make no note."""
    with pytest.raises(UsageFault, match="several checkpoints"):
        merged(["a\n\n— b AAAAAAAA\n", "c\n\n— b AAAAAAAA\n"])
