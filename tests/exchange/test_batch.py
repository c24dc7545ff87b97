"""A batch: numbers are given out on an overlay, and become the node's with its commit alone."""

from functools import partial
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.batch import Batch, Tails, header_facts, packet_name, stream_to
from exchange.core.streams import CHAIN_START, Incoming, chain_after
from exchange.state import NodeState
from harness.drafts import DISTRICT, NOW, OBLAST, PACKET_ID, SCHOOL, draft, packet_of
from schemas.leaves import LeafKind, read_leaf
from schemas.moments import format_instant
from schemas.records import OpenRow, Position, StreamTail

STREAM = f"{OBLAST}/fast"
CHAIN = sha256(b"chain of 7").digest()


def tails(**facts):
    fields = {
        "address": DISTRICT,
        "epoch": 1,
        "last_frame": 40,
        "leaves": 90,
        "outgoing": {STREAM: StreamTail(7, CHAIN)},
        "cursors": {},
        "incoming": {f"{SCHOOL}/bulk": StreamTail(3, CHAIN)},
        "last_leaf_at": NOW,
    }
    return Tails(Position(**fields | facts))


def fill(batch):
    """Use every kind of number once."""
    frame = batch.next_frame()
    batch.append_leaf(LeafKind.SENT, frame, id=PACKET_ID)
    batch.place(STREAM, sha256(b"entry").digest(), 5, raw=b"entry")
    batch.seqs.setdefault(OBLAST, 4)
    batch.next_seq(OBLAST)
    batch.incoming[f"{SCHOOL}/bulk"] = Incoming(5, CHAIN, 5)


def state_of(tails):
    return (tails.frame, tails.leaf, tails.streams, tails.seqs, tails.incoming)


def test_numbers_go_on_from_the_record():
    """Frames, leaves, places and packet numbers continue behind the last commit."""
    batch = Batch(tails(), NOW)
    fill(batch)
    assert (batch.frame, batch.leaf, batch.seqs[OBLAST]) == (41, 91, 5)
    assert batch.changes.leaves[0].index == 90
    assert batch.changes.entries[0].number == 8


def test_a_batch_that_is_not_adopted_leaves_no_trace():
    """A failed commit gives all numbers back."""
    position = tails()
    fill(Batch(position, NOW))
    assert state_of(position) == state_of(tails())


def test_an_adopted_batch_moves_every_number():
    """After its commit the next batch goes on behind it."""
    position = tails()
    first = Batch(position, NOW)
    fill(first)
    first.adopt()
    second = Batch(position, NOW)
    fill(second)
    assert (second.frame, second.leaf, second.seqs[OBLAST]) == (42, 92, 6)
    assert second.changes.entries[0].number == 9
    assert position.incoming[f"{SCHOOL}/bulk"] == Incoming(5, CHAIN, 5)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.binary(max_size=20)), max_size=30))
def test_places_are_numbered_and_chained_by_stream(entries):
    """Each stream counts for itself, and its chain binds number and bytes."""
    batch = Batch(tails(outgoing={}), NOW)
    for stream, raw in entries:
        batch.place(stream, sha256(raw).digest(), len(raw), raw=raw)
    for stream in "ab":
        chain = CHAIN_START
        rows = [row for row in batch.changes.entries if row.stream == stream]
        for number, row in enumerate(rows, 1):
            chain = chain_after(chain, number, row.sha256)
            assert (row.number, row.chain) == (number, chain)
        assert [offer.row for offer in batch.offers.get(stream, [])] == rows


def test_a_new_stream_begins_at_one():
    """The first entry for a neighbour is number 1, behind 32 zero bytes."""
    batch = Batch(tails(), NOW)
    digest = sha256(b"first").digest()
    assert batch.place("kz/bulk", digest, 5) == 1
    assert batch.changes.entries[0].chain == chain_after(CHAIN_START, 1, digest)


def test_an_object_is_offered_as_it_is_stored():
    """What is placed as an object goes out from memory as those bytes."""
    batch = Batch(tails(), NOW)
    batch.place(STREAM, sha256(b"refusal").digest(), 7, object_=b"refusal")
    [offer] = batch.offers[STREAM]
    assert (offer.raw, offer.row.object, offer.row.frame) == (b"refusal", b"refusal", None)


def test_two_frames_of_one_packet_see_each_other():
    """What is kept is known to whatever comes later in the same group."""
    batch = Batch(tails(), NOW)
    packet = packet_of(draft(), frame=batch.next_frame())
    index = batch.append_leaf(LeafKind.RELAYED, packet.frame, id=packet.id)
    batch.keep_trail(packet, LeafKind.RELAYED, index)
    batch.mark_packet(packet, LeafKind.OVERDUE)
    trail = batch.trails[SCHOOL, 1, PACKET_ID]
    assert [mark.kind for mark in trail.marks] == [LeafKind.RELAYED, LeafKind.OVERDUE]
    assert [mark.index for mark in trail.marks] == [90, 91]
    assert batch.numbers[SCHOOL, OBLAST, 1, 1] == packet.head_sha256


def test_a_leaf_names_its_packet():
    """A leaf about a stored packet bears its name and head digest, and the group's moment."""
    batch = Batch(tails(), NOW)
    packet = packet_of(draft())
    batch.mark_packet(packet, LeafKind.CLOSED, by=SCHOOL)
    leaf = read_leaf(batch.changes.leaves[0].record)
    assert leaf["at"] == format_instant(NOW)
    assert (leaf["id"], leaf["from"], leaf["to"]) == (PACKET_ID, SCHOOL, OBLAST)
    assert leaf["head-sha256"] == packet.head_sha256.hex()
    assert packet_name(packet)["type"] == leaf["type"]


def test_header_facts_are_the_headers():
    """What a leaf has of a header is what the header says."""
    facts = header_facts(draft())
    assert facts["sent"] == format_instant(NOW)
    assert (facts["seq"], facts["epoch"]) == ("1", "1")


@pytest.mark.parametrize("use", ["leaf", "place", "frame"])
def test_emptiness_is_about_what_would_be_stored(use):
    """A batch without rows needs no commit; a number alone is no row."""
    batch = Batch(tails(), NOW)
    assert batch.is_empty()
    if use == "leaf":
        batch.append_leaf(LeafKind.SENT, None)
    elif use == "place":
        batch.place(STREAM, CHAIN, 1)
    else:
        batch.next_frame()
    assert batch.is_empty() is (use == "frame")


def test_two_batches_share_no_rows():
    """Rows of one group never show up in another."""
    position = tails()
    one, other = Batch(position, NOW), Batch(position, NOW)
    fill(one)
    assert other.is_empty()
    assert not other.offers


def test_a_links_stream_is_named_by_neighbour_and_lane():
    """The record finds a stream by who it is for and how it travels."""
    assert stream_to(OBLAST, "fast") == STREAM


def test_what_is_opened_and_closed_in_one_batch_is_closed():
    """A lost packet comes back, and the receipt that waited for it is judged at once."""
    batch = Batch(tails(), NOW)
    for frame in (41, 42):
        batch.open(OpenRow(frame, frame, "receipt", NOW, NOW, 0, None))
    batch.close(41)
    assert [row.frame for row in batch.changes.open] == [42]
    assert batch.changes.closed == [41]


def test_what_arrives_with_a_commit_is_not_lost_to_an_earlier_look():
    """Held frames may be looked at within the very batch that brings what they wait for."""
    state = NodeState(None, None, None, None)
    batch = Batch(tails(), NOW)
    batch.after_commit(partial(state.arrive, "packet"))
    state.arrived = set()  # as whoever has looked leaves it
    batch.follow_up()
    assert state.arrived == {"packet"}
