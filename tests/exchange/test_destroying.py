"""Destruction over real records: refusals, holds, the act at the parent, crashes at each step."""

import asyncio
import errno
import itertools
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from exchange.core.destruction import Approve, Propose
from exchange.destroying import ACT, APPROVE, PROPOSE
from exchange.gate import digest_in_chain
from exchange.identity import new_packet_id
from exchange.legal_holds import LiftHold, SetHold
from exchange.undertaking import Undertaker
from harness.destruction import OLD, Commission, approved, old_document, send_old
from harness.drafts import DISTRICT, OBLAST
from harness.pki import make_network
from harness.service_node import Node, new_link, new_record
from nodes.clock import now
from schemas.documents.act import decode_act
from schemas.leaves import read_leaf
from schemas.objects import Void
from schemas.retention import DEFAULT
from signing import at_rest
from signing.at_rest import AtRest, read_destroyed
from signing.errors import BucketDestroyedError
from store.errors import StoreFault
from store.verify import verify

TOP, PARENT, HERE = "kz", OBLAST, DISTRICT
PATIENCE_S = 30.0

_numbers = itertools.count(1)


@dataclass
class Pair:
    """A district that destroys, under an oblast that keeps its acts."""

    parent: Node
    child: Node
    folder: object
    link: object = field(default_factory=lambda: new_link(HERE))

    @asynccontextmanager
    async def live(self):
        async with self.parent.live(self.link) as parent, self.child.live(self.link):
            parent.state.greeted.set()
            yield Commission(self.child.archive)

    @property
    def archive(self):
        return self.child.archive

    @property
    def keys(self):
        return self.folder / HERE / "at-rest"

    async def content(self, packet_id) -> bytes | None:
        """Return the content that the child has of a packet of its own; None once it is gone."""
        trail = await self.child.trail(HERE, packet_id)
        packet, _, bucket, sealed = await self.archive.stored_frame(trail.packet.frame)
        if sealed is None:
            return None
        return self.child.service.state.gate.content_of(
            packet.head, bucket, sealed, packet.frame_sha256
        )

    async def bucket_of(self, packet_id) -> str | None:
        trail = await self.child.trail(HERE, packet_id)
        return (await self.archive.stored_frame(trail.packet.frame))[2]

    async def until_at_rest(self, bucket=OLD):
        """Wait until key and partition of a bucket are gone."""
        async with asyncio.timeout(PATIENCE_S):
            # The record tells no events: it is asked again and again.
            while bucket in await self.archive.payload_buckets():  # noqa: ASYNC110 - as said
                await asyncio.sleep(0.02)
        assert not (self.keys / f"{bucket}.key").exists()

    async def verified(self):
        return await verify(self.archive._url, AtRest(self.keys).open)

    async def leaves(self, kind) -> list[dict[str, str]]:
        rows = await self.archive._rows(
            "SELECT record FROM leaf WHERE kind = $1 ORDER BY index", kind
        )
        return [read_leaf(row["record"]) for row in rows]


@pytest.fixture
async def pair(server, tmp_path) -> Pair:
    network = make_network([TOP, PARENT, HERE], now())
    nodes = []
    for address in (PARENT, HERE):
        record = await new_record(server, f"destroying_{next(_numbers)}", address)
        node = Node(address, network, tmp_path / address, record)
        node.retention = approved("R5")
        (tmp_path / address).mkdir(parents=True)
        nodes.append(node)
    return Pair(*nodes, tmp_path)


async def test_two_people_destroy_a_bucket_and_the_act_is_kept_above(pair):
    """Content, key and partition go; head, leaves and the act at the parent stay, and verify."""
    async with pair.live() as commission:
        gone, *_ = await send_old(pair.child, pair.parent, 1, 2)
        before = await pair.content(gone)
        done = await commission.destroy()
        await pair.until_at_rest()
        await pair.parent.until(HERE, done.act, "closed")
        assert b'"pupils"' in before
        assert await pair.content(gone) is None
        assert (done.packets, done.held) == (2, 0)
        trail = await pair.parent.trail(HERE, done.act)
        packet, _, bucket, sealed = await pair.parent.archive.stored_frame(trail.packet.frame)
        gate = pair.parent.service.state.gate
        act = decode_act(gate.content_of(packet.head, bucket, sealed, packet.frame_sha256))
        [leaf] = await pair.leaves("destroyed")
    assert (act.bucket, act.class_, act.packets, packet.class_) == (OLD, "R5", 2, "PERM")
    assert [hand.by for hand in (act.proposed, *act.approved, act.acted)] == [
        "op-1", "op-1", "op-2", "op-2",
    ]  # fmt: skip
    assert act.basis.startswith("Order 12")
    assert (leaf["act"], leaf["frames-sha256"]) == (done.act, act.frames_sha256)
    assert read_destroyed(pair.keys)[OLD].startswith(done.act)
    found = await pair.verified()
    assert (found.faults, found.counts["destroyed"], found.counts["act"]) == ([], 2, 1)


async def test_a_held_packet_is_moved_and_kept(pair):
    """A packet under a legal hold outlives its bucket under a key of its own, for all to see."""
    async with pair.live() as commission:
        kept, gone = await send_old(pair.child, pair.parent, 3, 4)
        before = await pair.content(kept)
        await hold(commission, kept)
        done = await commission.destroy()
        await pair.until_at_rest()
        assert (done.packets, done.held) == (1, 1)
        assert await pair.content(kept) == before
        assert await pair.bucket_of(kept) == f"{OLD}-h1"
        assert await pair.content(gone) is None
        [moved] = await pair.leaves("moved")
        assert (moved["id"], moved["bucket"], moved["into"]) == (kept, OLD, f"{OLD}-h1")
        await lift(commission)
        again = await commission.destroy(f"{OLD}-h1")
        await pair.until_at_rest(f"{OLD}-h1")
        assert (again.packets, await pair.content(kept)) == (1, None)
    assert (await pair.verified()).faults == []


async def hold(commission, packet):
    """Put a packet under a legal hold."""
    state, answer = await commission.tell("op-9", "set-hold", SetHold(packets=(packet,)))
    assert state == "done", answer


async def lift(commission):
    state, answer = await commission.tell("op-9", "lift-hold", LiftHold(number=1))
    assert state == "done", answer


@pytest.mark.slow
async def test_what_is_not_due_is_refused(pair):
    """Without an approved term, or before its end, nothing is proposed, and it is said why."""
    pair.child.retention = DEFAULT
    async with pair.live() as commission:
        await send_old(pair.child, pair.parent, 5)
        why = await commission.refused("op-1", PROPOSE, Propose(OLD, "operator"))
        assert "is proposed, not approved" in why
        pair.child.service.state.gate.retention = approved("R5")
        for bucket, words in (
            ("R5-2027-08", "its term ends 2032-09"),
            ("PERM-2026-11", "kept for ever"),
            ("R9-2001-01", "no bucket of a class"),
            ("R5-2001-08", "is not here"),
        ):
            assert words in await commission.refused("op-1", PROPOSE, Propose(bucket, "operator"))


@pytest.mark.slow
async def test_approvals_are_of_two_people_and_of_what_they_saw(pair):
    """One approval, the same person twice, another digest and a made-up proposal change nothing."""
    async with pair.live() as commission:
        [packet] = await send_old(pair.child, pair.parent, 6)
        wish = await commission.propose()
        await commission.approve(wish, "op-1")
        other = Approve(wish.proposal, "00" * 32, "approver")
        stranger = Approve(new_packet_id(now()), wish.frames_sha256, "approver")
        assert "1 of 2 approvals are missing" in await commission.refused("op-1", ACT, wish)
        assert "approved it before" in await commission.refused("op-1", APPROVE, wish)
        assert "not that of the proposal" in await commission.refused("op-2", APPROVE, other)
        assert "there is no proposal" in await commission.refused("op-2", APPROVE, stranger)
        assert await pair.content(packet) is not None


@pytest.mark.slow
async def test_what_changes_meanwhile_makes_a_proposal_void(pair):
    """A packet that comes, and a legal hold that is set, are found before approval and act."""
    async with pair.live() as commission:
        packet, _ = await send_old(pair.child, pair.parent, 7, 8)
        wish = await commission.propose()
        await commission.approve(wish, "op-1")
        await send_old(pair.child, pair.parent, 9)
        why = await commission.refused("op-2", APPROVE, wish)
        assert "it had 2 packets and has 3 by now" in why
        wish = await commission.propose()
        await commission.approve(wish, "op-1", "op-2")
        await hold(commission, packet)
        why = await commission.refused("op-1", ACT, wish)
        assert "the proposal is void" in why
        assert "a legal hold came on 1 of them" in why
        assert await pair.content(packet) is not None
        assert (await commission.destroy()).held == 1


@pytest.mark.slow
async def test_what_is_still_needed_is_not_destroyed(pair):
    """A document that waits for its receipt keeps its bucket."""
    async with pair.child.live(), asyncio.timeout(PATIENCE_S):
        pair.child.service.state.greeted.set()
        await pair.child.service.drop([old_document(PARENT, 10)])
        why = await Commission(pair.archive).refused("op-1", PROPOSE, Propose(OLD, "operator"))
    assert "1 frames of it wait in streams or inboxes" in why
    assert "1 exchanges about packets in it wait for an answer" in why


@pytest.mark.slow
async def test_what_will_never_be_answered_is_kept_under_a_hold(pair):
    """A packet that waits for ever does not keep its bucket once it is under a legal hold."""
    async with pair.child.live(), asyncio.timeout(PATIENCE_S):
        pair.child.service.state.greeted.set()
        [outcome] = await pair.child.service.drop([old_document(PARENT, 17)])
        commission = Commission(pair.archive)
        await hold(commission, outcome.packet)
        why = await commission.refused("op-1", PROPOSE, Propose(OLD, "operator"))
    assert "nothing to destroy: no packets but 1 under a legal hold" in why


@pytest.mark.slow
async def test_a_late_packet_goes_into_the_next_generation(pair):
    """After the act the same period's packets have a bucket of their own."""
    async with pair.live() as commission:
        await send_old(pair.child, pair.parent, 11)
        await commission.destroy()
        [late] = await send_old(pair.child, pair.parent, 12)
        assert await pair.bucket_of(late) == f"{OLD}-2"
        why = await commission.refused("op-1", PROPOSE, Propose(OLD, "operator"))
        assert f"{OLD} was destroyed under act" in why
    assert (await pair.verified()).faults == []


@pytest.mark.slow
async def test_a_node_without_neighbours_destroys_nothing(server, tmp_path):
    """An act that nobody else would hold is refused."""
    record = await new_record(server, f"destroying_{next(_numbers)}", TOP)
    node = Node(TOP, make_network([TOP], now()), tmp_path, record)
    node.retention = approved("QRN")
    async with node.live() as service:
        assert service.parts.acts.addressee() is None


@pytest.mark.slow
async def test_the_roots_act_is_kept_by_a_child(server, tmp_path):
    """The root has nobody above it: its act goes to the first of its children."""
    network = make_network([TOP, PARENT], now())
    nodes = []
    for address in (TOP, PARENT):
        record = await new_record(server, f"destroying_{next(_numbers)}", address)
        nodes.append(Node(address, network, tmp_path / address, record))
        (tmp_path / address).mkdir(parents=True)
    top, child = nodes
    top.retention = approved("R5")
    link = new_link(PARENT)
    async with top.live(link), child.live(link):
        await send_old(top, child, 18)
        done = await Commission(top.archive).destroy()
        await child.until(TOP, done.act, "closed")


@pytest.mark.slow
async def test_a_stream_that_is_repeated_has_a_void_in_its_place(pair):
    """Where a frame was destroyed, its number is filled with a void that the neighbour takes."""
    async with pair.live() as commission:
        [packet] = await send_old(pair.child, pair.parent, 19)
        await commission.destroy()
        trail = await pair.child.trail(HERE, packet)
        stream = f"{PARENT}/fast"
        stored = await pair.archive.entries(stream, 1, 0, 10, 10**6)
        [entry] = [each for each in stored if each.frame == trail.packet.frame]
        lanes = pair.child.service.state.links[PARENT]._lanes
        raw = lanes._reread(stream, entry).raw
        judged = pair.parent.service.state.gate.judge(raw, HERE, now())
    void = judged.verdict.header
    assert (type(void), void.lane, void.entry) == (Void, "fast", entry.number)
    assert digest_in_chain(judged) == entry.sha256


# --- crashes --------------------------------------------------------------------------------------


class CutError(Exception):
    """The power goes."""


@asynccontextmanager
async def cut_before(monkeypatch, method):
    """Let the undertaker's life end where it calls a method of the record or of the gate."""

    async def cut(*_args, **_kwargs):
        raise CutError

    def cut_now(*_args, **_kwargs):
        raise CutError

    with monkeypatch.context() as patch:
        name = {"drop_bucket": "_archive.drop_bucket", "destroy_bucket": "gate"}[method]
        real = Undertaker.__init__

        def init(self, gate, archive, observer):
            real(self, gate, archive, observer)
            if name == "gate":
                patch.setattr(gate, "destroy_bucket", cut_now)
            else:
                patch.setattr(archive, "drop_bucket", cut, raising=False)

        patch.setattr(Undertaker, "__init__", init)
        yield


@pytest.mark.slow
@pytest.mark.parametrize("method", ["destroy_bucket", "drop_bucket"])
async def test_cut_off_behind_the_act_it_goes_on_at_the_next_start(pair, monkeypatch, method):
    """Behind the act's commit the content is gone for every reader; key and partition follow."""
    async with cut_before(monkeypatch, method):
        with pytest.raises(ExceptionGroup) as ended:  # noqa: PT012 - it comes by itself
            async with pair.live() as commission:
                await send_old(pair.child, pair.parent, 13)
                await commission.destroy()
                await asyncio.sleep(PATIENCE_S)
        assert ended.group_contains(CutError)
    assert (pair.keys / f"{OLD}.key").exists() == (method == "destroy_bucket")
    pair.archive.__dict__.pop("drop_bucket", None)
    async with pair.live():
        await pair.until_at_rest()
        with pytest.raises(BucketDestroyedError):
            AtRest(pair.keys).open(OLD, b"", bytes(64))
    found = await pair.verified()
    assert (found.faults, found.counts["destroyed"]) == ([], 1)


@pytest.mark.slow
async def test_cut_off_before_the_commit_nothing_is_destroyed(pair, monkeypatch):
    """Without the commit of the act there is neither act nor destruction; then it is done."""
    async with pair.live() as commission:
        [packet] = await send_old(pair.child, pair.parent, 14)
        wish = await commission.propose()
        await commission.approve(wish, "op-1", "op-2")
    real = type(pair.archive).commit

    async def cut(self, changes):
        if changes.destroyed:
            raise CutError
        return await real(self, changes)

    with monkeypatch.context() as patch, pytest.raises(ExceptionGroup):  # noqa: PT012 - as above
        patch.setattr(type(pair.archive), "commit", cut)
        async with pair.live() as commission:
            await commission.act(wish)
    async with pair.live() as commission:
        await pair.until_at_rest()
        assert await pair.content(packet) is None
    assert (await pair.verified()).faults == []


@pytest.mark.slow
async def test_a_full_disk_lets_the_rest_wait(pair, monkeypatch):
    """Without room for the list of destroyed keys nothing is readable, and it goes on later."""

    def no_room(*_):
        raise OSError(errno.ENOSPC, "no space left on device")

    async with pair.live() as commission:
        [packet] = await send_old(pair.child, pair.parent, 20)
        with monkeypatch.context() as patch:
            patch.setattr(at_rest, "_append_line", no_room)
            await commission.destroy()
            async with asyncio.timeout(PATIENCE_S):
                while "destruction_waits" not in pair.child.eyes.noticed_events:  # noqa: ASYNC110 - no event
                    await asyncio.sleep(0.02)
            assert await pair.content(packet) is None
            assert (pair.keys / f"{OLD}.key").exists()
        await pair.until_at_rest()
    assert pair.child.eyes.noticed_events.count("destruction_waits") == 1
    assert (await pair.verified()).faults == []


@pytest.mark.slow
async def test_the_record_lets_no_bucket_go_without_an_act(pair):
    """Who may insert rows cannot drop a partition that no act destroys."""
    async with pair.live():
        await send_old(pair.child, pair.parent, 15)
        with pytest.raises(StoreFault, match="no act destroys bucket"):
            await pair.archive.drop_bucket(OLD)


@pytest.mark.slow
async def test_a_copy_of_the_key_that_comes_back_goes_again(pair):
    """A key folder from before the act is cleared at the next start."""
    async with pair.live() as commission:
        await send_old(pair.child, pair.parent, 16)
        copy = (pair.keys / f"{OLD}.key").read_bytes()
        await commission.destroy()
        await pair.until_at_rest()
    (pair.keys / "destroyed").unlink()
    (pair.keys / f"{OLD}.key").write_bytes(copy)
    async with pair.live(), asyncio.timeout(PATIENCE_S):
        while (pair.keys / f"{OLD}.key").exists():  # noqa: ASYNC110 - a file tells no events
            await asyncio.sleep(0.02)
    assert OLD in read_destroyed(pair.keys)
