"""A fault of ours: it is found, the entry that shows it is held, and all others go on."""

import asyncio
import itertools
from hashlib import sha256

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.core.streams import CHAIN_START, Incoming, Taken, chain_after, take_bundle
from exchange.gate import JudgedEntry, OpenedBundle, Unreadable, digest_in_chain
from exchange.links import LinkMessage
from exchange.own_fault import blamed, split_message
from exchange.sessions import Delivery
from harness.drafts import DISTRICT, OBLAST, SCHOOL
from harness.pki import make_network
from harness.service_node import Node, new_link, new_record
from nodes.clock import now
from schemas.objects import Body, Bundle, CutObject, Void
from schemas.reasons import Reason
from signing.authenticate import Refused
from store.postgres import PostgresArchive

STAMP = {"from_": SCHOOL, "to": DISTRICT, "epoch": 1, "number": 1, "certificate": "ab" * 32}

# ------------------------------------------------------------------ cutting a bundle up


def entry(number):
    """Return an entry of a stream; each third one is a void."""
    raw = b"entry %d" % number
    digest = sha256(raw).digest()
    if number % 3:
        refused = Refused(Reason.FORMAT_INVALID, "no frame", raw, digest, None, proven=False)
        return JudgedEntry(raw, digest, refused)
    stands_for = sha256(b"what was here before").hexdigest()
    void = Void(**STAMP, lane="bulk", entry=number, entry_sha256=stands_for, detail="")
    return JudgedEntry(raw, digest, CutObject(void, b"", b"", b""))


CHAINS = [CHAIN_START]
for _number in range(1, 60):
    CHAINS.append(chain_after(CHAINS[-1], _number, digest_in_chain(entry(_number))))


def message(first, last, chain=None):
    """Return a bundle of these entries as a link hands it over."""
    header = Bundle(
        **STAMP,
        lane="bulk",
        first=first,
        last=last,
        chain=(chain or CHAINS[last]).hex(),
        body=Body("00" * 32, 0),
    )
    entries = [entry(number) for number in range(first, last + 1)]
    opened = OpenedBundle(header, b"", entries)
    delivery = Delivery(b"", {}, redelivered=False, tag=1, life=1)
    return LinkMessage(None, None, delivery, _done(opened), learned=[b"certificate"])


def _done(opened):
    future = asyncio.get_running_loop().create_future()
    future.set_result(opened)
    return future


def take_all(messages, stream):
    """Take messages one after the other; return where the stream stands, and what was taken."""
    taken = []
    for each in messages:
        opened = each.opened.result()
        digests = [digest_in_chain(entry) for entry in opened.entries]
        header = opened.header
        found = take_bundle(stream, header.first, header.last, bytes.fromhex(header.chain), digests)
        if isinstance(found, Taken):
            taken += [entry.raw for entry in opened.entries[found.skip :]]
            stream = found.after
    return stream, taken


@given(st.integers(0, 20), st.integers(1, 20), st.integers(0, 20))
async def test_parts_take_what_the_whole_takes(up_to, first, more):
    """Numbers, chains and entries are those of the bundle, wherever it stands in its stream."""
    stream = Incoming(up_to, CHAINS[up_to], up_to)
    bundle = message(first, first + more)
    parts, whole = take_all(split_message(bundle, stream), stream), take_all([bundle], stream)
    assert parts[1] == whole[1]
    assert parts[0].up_to == whole[0].up_to
    assert parts[0].chain == whole[0].chain


async def test_only_the_last_part_settles():
    """The delivery is settled when all of its entries are committed."""
    parts = split_message(message(1, 5), Incoming())
    assert [part.settles for part in parts] == [False] * 4 + [True]


async def test_certificates_are_learned_once():
    """What a bundle brought is journaled with its first part alone."""
    parts = split_message(message(1, 3), Incoming())
    assert [part.learned for part in parts] == [[b"certificate"], [], []]


async def test_a_bundle_whose_chain_does_not_hold_stays_whole():
    """Cutting up must not make a broken chain good."""
    whole = message(1, 5, chain=bytes(32))
    assert split_message(whole, Incoming()) == [whole]


@pytest.mark.parametrize("up_to", [5, 9])
async def test_a_known_bundle_stays_whole(up_to):
    """Where nothing is new there is nothing to cut."""
    whole = message(1, 5)
    assert split_message(whole, Incoming(up_to, CHAINS[up_to], up_to)) == [whole]


async def test_other_messages_stay_whole():
    """A single entry, and what is no bundle, are what they are."""
    single = message(1, 1)
    unread = msgspec.structs.replace(single, opened=_done(Unreadable("x", "y", b"")))
    assert split_message(single, Incoming()) == [single]
    assert split_message(unread, Incoming()) == [unread]


async def test_a_blamed_message_is_held_without_judging():
    """What fails alone is told apart from what is only tried again."""
    assert blamed(message(1, 1)).own_fault
    assert not message(1, 1).own_fault


# ------------------------------------------------------------------ a service that has a fault


class FaultyRecord(PostgresArchive):
    """A record that fails, by a fault of ours, at some packets."""

    faulty: frozenset[int] = frozenset()

    async def commit(self, changes):
        """Commit, but for packets with these numbers."""
        if any(row.seq in self.faulty and row.sender == SCHOOL for row in changes.packets):
            raise ZeroDivisionError("a fault of ours")
        return await super().commit(changes)


_names = (f"fault_{number}" for number in itertools.count(1))


@pytest.fixture(scope="module")
def network():
    return make_network(["kz", OBLAST, DISTRICT, SCHOOL], now())


@pytest.fixture
async def pair(server, network, tmp_path):
    """Lend a district whose record can fail, and a sound school."""
    record = await new_record(server, next(_names), DISTRICT, FaultyRecord)
    district = Node(DISTRICT, network, tmp_path / "district", record)
    sound = await new_record(server, next(_names), SCHOOL)
    return district, Node(SCHOOL, network, tmp_path / "school", sound)


async def settled(node, stream):
    """Wait until nothing of an outgoing stream is beyond its cursor."""
    async with asyncio.timeout(30):
        while node.service.waiting().get(stream, 1):  # noqa: ASYNC110 - the record tells no events
            await asyncio.sleep(0.02)


async def test_a_poison_entry_is_held_and_the_others_go_on(pair):
    """Of five packets the one that we fail at is held; four are delivered, all are taken."""
    district, school = pair
    district.archive.faulty = frozenset({3})
    line = new_link(SCHOOL)
    async with district.live(line), school.live(line):
        ids = await school.drop(DISTRICT, range(1, 6))
        for packet in ids[:2] + ids[3:]:
            await school.until(SCHOOL, packet, "confirmed")
            await district.until(SCHOOL, packet, "closed")
        await settled(school, f"{DISTRICT}/fast")
        held = await district.archive.held_all()
        assert [row.missing for row in held] == ["own-fault"]
        assert await district.kinds(SCHOOL, ids[2]) == []
        assert await school.kinds(SCHOOL, ids[2]) == ["sent"]
    assert "own_fault" in district.eyes.incidents
    assert "own_fault" in district.eyes.noticed_events


async def test_all_poison_is_held_and_nothing_is_refused(pair):
    """Where we fail at everything, everything is held: nothing is refused for a fault of ours."""
    district, school = pair
    district.archive.faulty = frozenset(range(1, 100))
    line = new_link(SCHOOL)
    async with district.live(line), school.live(line):
        ids = await school.drop(DISTRICT, range(1, 4))
        await settled(school, f"{DISTRICT}/fast")
        held = await district.archive.held_all()
        assert len(held) >= len(ids)
        assert {row.missing for row in held} == {"own-fault"}
        assert await school.kinds(SCHOOL, ids[0]) == ["sent"]


async def test_a_mended_node_takes_the_packet_when_it_is_resent(pair):
    """Once the fault is mended, the sender's resend brings the held packet home."""
    district, school = pair
    district.archive.faulty = frozenset({2})
    line = new_link(SCHOOL)
    async with school.live(line):
        async with district.live(line):
            ids = await school.drop(DISTRICT, range(1, 4))
            await settled(school, f"{DISTRICT}/fast")
        line.cut()
        district.archive.faulty = frozenset()
        async with district.live(line):
            await school.until(SCHOOL, ids[1], "confirmed")
            await district.until(SCHOOL, ids[1], "closed")
            assert await district.kinds(SCHOOL, ids[1]) == ["received", "released", "closed"]
