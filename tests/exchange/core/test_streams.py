"""Numbered streams over a link that loses, repeats and reorders: all is taken exactly once."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from exchange.core.streams import (
    CHAIN_START,
    Broken,
    Incoming,
    NotTaken,
    Outgoing,
    Taken,
    chain_after,
    take_bundle,
)

DIGESTS = [sha256(b"entry %d" % number).digest() for number in range(1, 400)]
CHAINS = [CHAIN_START]
for _number, _digest in enumerate(DIGESTS, 1):
    CHAINS.append(chain_after(CHAINS[-1], _number, _digest))


def offer(stream, first, last):
    """Judge the bundle of honest entries `first` to `last`."""
    return take_bundle(stream, first, last, CHAINS[last], DIGESTS[first - 1 : last])


def stands(up_to, seen=0):
    return Incoming(up_to, CHAINS[up_to], max(up_to, seen))


spans = st.tuples(st.integers(1, 30), st.integers(0, 9)).map(lambda s: (s[0], s[0] + s[1]))


# ------------------------------------------------------------------ what to take


@given(st.integers(0, 30), spans)
def test_only_what_is_new_and_next_is_taken(up_to, span):
    """A bundle is taken from the next number on, or not at all."""
    first, last = span
    found = offer(stands(up_to), first, last)
    if first <= up_to + 1 <= last:
        assert found == Taken(up_to + 1 - first, stands(last))
    else:
        assert found == NotTaken(stands(up_to, last if last > up_to else 0))


@given(st.lists(spans, max_size=40))
def test_any_order_of_bundles_takes_each_number_once(bundles):
    """Repeats, overlaps and gaps in any order: what is taken is 1, 2, 3 … without a break."""
    stream, taken = Incoming(), []
    for first, last in bundles:
        found = offer(stream, first, last)
        assert not isinstance(found, Broken)
        if isinstance(found, Taken):
            taken += range(first + found.skip, last + 1)
        stream = found.after
    assert taken == list(range(1, stream.up_to + 1))
    assert stream.chain == CHAINS[stream.up_to]
    assert stream.seen == max([0, *(last for first, last in bundles)])


@given(st.integers(0, 30), spans)
def test_a_repeat_changes_nothing(up_to, span):
    """A bundle that was judged once leaves the stream alone the second time."""
    stream = offer(stands(up_to), *span).after
    again = offer(stream, *span)
    assert again == NotTaken(stream)


@given(st.integers(0, 30), spans, st.integers(0, 9), st.binary(min_size=32, max_size=32))
def test_no_entry_can_be_exchanged(up_to, span, at, other):
    """An entry that is to be taken and is not the one under the chain breaks its bundle."""
    first, last = span
    digests = DIGESTS[first - 1 : last]
    changed = min(at, last - first)
    digests[changed] = other
    found = take_bundle(stands(up_to), first, last, CHAINS[last], digests)
    if first <= up_to + 1 <= last and first + changed > up_to:
        assert isinstance(found, Broken)
    else:
        assert found == offer(stands(up_to), first, last)


@given(st.integers(1, 30), st.integers(1, 9), st.binary(min_size=32, max_size=32))
def test_another_past_is_a_fork(up_to, count, other):
    """Who continues from another chain than the one we know has given a number twice."""
    first, last = max(1, up_to - 3), up_to + count
    stream = Incoming(up_to, other, up_to)
    found = take_bundle(stream, first, last, CHAINS[last], DIGESTS[first - 1 : last])
    assert isinstance(found, Broken)
    assert found.fork is (first <= up_to)


@given(st.integers(1, 30), st.binary(min_size=32, max_size=32))
def test_the_last_number_under_another_chain_is_a_fork(up_to, other):
    """A known last number must come with the chain that we hold."""
    found = take_bundle(stands(up_to), up_to, up_to, other, DIGESTS[up_to - 1 : up_to])
    assert found == Broken(fork=True, detail=f"number {up_to} came with another chain")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_numbers_and_entries_must_agree(count):
    """A bundle of two numbers with more or fewer entries is evidence, and no fork."""
    found = take_bundle(Incoming(), 1, 2, CHAINS[2], DIGESTS[:count])
    assert isinstance(found, Broken)
    assert not found.fork


def test_a_bundle_of_nothing_takes_nothing():
    """Without entries no number is taken, whatever first and last say."""
    assert isinstance(take_bundle(stands(4), 6, 5, CHAINS[5], []), NotTaken)


def test_a_note_says_how_far_the_stream_is_taken():
    """What a custody note carries is the stream's own state."""
    position = Incoming(3, CHAINS[3], 9, epoch=2).position("bulk")
    assert (position.lane, position.epoch, position.up_to, position.seen) == ("bulk", 2, 3, 9)
    assert position.chain == CHAINS[3].hex()


def test_a_later_epoch_begins_a_fresh_stream():
    """Numbers begin anew with the neighbour's epoch; what is taken stays in it."""
    fresh = stands(3, 9).in_epoch(2)
    assert fresh == Incoming(0, CHAIN_START, 0, epoch=2)
    assert offer(fresh, 1, 2).after == Incoming(2, CHAINS[2], 2, epoch=2)
    assert offer(fresh, 3, 4).after.epoch == 2
    assert stands(3).in_epoch(1) == stands(3)


def test_the_chain_is_that_of_the_protocol():
    """`chain_n = SHA-256(chain_(n-1) || u64 n || SHA-256(entry n))`, from 32 zero bytes on."""
    expected = sha256(bytes(32) + (1).to_bytes(8, "big") + DIGESTS[0]).digest()
    assert chain_after(CHAIN_START, 1, DIGESTS[0]) == expected


# ------------------------------------------------------------------ where to send from


def test_a_note_moves_the_cursor():
    """What the neighbour has taken is not sent again."""
    assert Outgoing(3, 9).after_note(7, 7) == Outgoing(7, 9)


def test_a_note_beyond_what_was_sent_moves_sending_too():
    """After a restart the neighbour may know more than we remember having sent."""
    moved = Outgoing(3, 3).after_note(7, 7)
    assert (moved.cursor, moved.sent) == (7, 7)


def test_a_note_lowers_the_cursor():
    """What a neighbour says that it has lost goes to it again."""
    lowered = Outgoing(7, 9).after_note(3, 3)
    assert (lowered.cursor, lowered.sent) == (3, 3)


def test_a_gap_is_filled_at_once():
    """`seen` above `up_to` says that something is missing behind `up_to`."""
    rewound = Outgoing(3, 9).after_note(5, 9)
    assert (rewound.cursor, rewound.sent, rewound.single) == (5, 5, False)


def test_notes_about_one_flight_begin_again_once():
    """Every bundle behind a gap causes a note; what is being sent again is not begun anew."""
    rewound = Outgoing(0, 9).after_note(0, 5)
    resent = rewound.after_sending(9)
    for up_to, seen in ((0, 7), (0, 9), (3, 9), (6, 9)):
        resent = resent.after_note(up_to, seen)
        assert resent.sent == 9


def test_a_gap_in_what_was_sent_since_is_filled_too():
    """A number beyond all that was out when we began again tells of another loss."""
    resent = Outgoing(0, 9).after_note(0, 5).after_sending(12)
    assert resent.after_note(3, 12).sent == 3


def test_a_note_that_stands_still_falls_back_to_single_entries():
    """Entries are out and the cursor has not moved: again from the cursor, one by one."""
    fallen = Outgoing(3, 9).after_note(3, 3)
    assert (fallen.cursor, fallen.sent, fallen.single) == (3, 3, True)


def test_single_entries_go_on_until_notes_move():
    """Another note that stands still does not end the fallback; one that moves does."""
    single = Outgoing(3, 9).after_note(3, 3).after_sending(4)
    assert single.after_note(3, 3) == single
    assert not single.after_note(4, 4).single


def test_a_quiet_stream_stays_as_it_is():
    """A note that confirms what is known, with nothing out, changes nothing."""
    state = Outgoing(9, 9)
    assert state.after_note(9, 9) == state


def test_silence_sends_again_from_the_cursor():
    """After a time without any note everything out is sent again, one by one."""
    silent = Outgoing(3, 9).stalled()
    assert (silent.cursor, silent.sent, silent.single) == (3, 3, True)


def test_a_new_connection_begins_at_the_cursor():
    """Whatever was out on the old connection may be lost."""
    again = Outgoing(3, 9).restarted()
    assert (again.cursor, again.sent) == (3, 3)


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_the_note_that_follows_a_greeting_sends_nothing_again(before, taken, seen):
    """A greeting said the same a moment ago: what went out since is on its way."""
    greeted = Outgoing(before, 9).restarted().after_note(taken, max(taken, seen))
    under_way = greeted.after_sending(30)
    assert under_way.after_note(taken, max(taken, seen)) == under_way


@given(lost=st.integers(0, 39), latency=st.integers(1, 12), at_once=st.integers(1, 8))
def test_one_lost_bundle_costs_one_flight(lost, latency, at_once):
    """On a long line, only what was out when the loss was noticed is sent twice."""
    at, stream, sent, extra = Outgoing(), Incoming(), 0, 0
    line = [[] for _ in range(latency)]
    notes = [[] for _ in range(latency)]
    rounds = 0
    while at.cursor < 160:
        flight = []
        for _ in range(at_once):
            if at.sent < 160:
                first, last = at.sent + 1, at.sent + (1 if at.single else min(4, 160 - at.sent))
                flight += [(first, last)] if sent != lost else []
                extra += last - first + 1
                at, sent = at.after_sending(last), sent + 1
        line.append(flight)
        notes.append([])
        for first, last in line.pop(0):
            stream = offer(stream, first, last).after
            notes[-1].append((stream.up_to, stream.seen))
        for note in notes.pop(0):
            at = at.after_note(*note)
        rounds += 1
        if at.sent == 160 and not any(line) and not any(notes):
            at = at.stalled()
    assert extra <= 160 + (2 * latency + 3) * at_once * 4


# ------------------------------------------------------------------ both, over a bad link


class Streams(RuleBasedStateMachine):
    """One stream between a sender and a receiver; the link does whatever it likes with messages."""

    def __init__(self):
        super().__init__()
        self.placed = 0
        self.at = Outgoing()
        self.stream = Incoming()
        self.taken: list[int] = []
        self.session = 0
        self.bundles: list[tuple[int, int]] = []
        self.notes: list[tuple[int, int, int]] = []

    # --- sender and receiver

    @rule(count=st.integers(1, 6))
    @precondition(lambda self: self.placed < 300)
    def place(self, count):
        self.placed += count

    @rule(most=st.integers(1, 6))
    @precondition(lambda self: self.at.sent < self.placed)
    def send(self, most):
        first = self.at.sent + 1
        last = min(self.placed, first if self.at.single else first + most - 1)
        self.bundles.append((first, last))
        self.at = self.at.after_sending(last)

    @rule()
    def fall_silent(self):
        if self.at.sent > self.at.cursor:
            self.at = self.at.stalled()

    def take(self, first, last):
        found = offer(self.stream, first, last)
        assert not isinstance(found, Broken)
        if isinstance(found, Taken):
            self.taken += range(first + found.skip, last + 1)
        self.stream = found.after
        self.note()

    def note(self):
        self.notes.append((self.session, self.stream.up_to, self.stream.seen))

    def hear(self, session, up_to, seen):
        assert up_to <= self.placed, "an honest neighbour never knows more than was placed"
        if session == self.session:
            self.at = self.at.after_note(up_to, seen)

    # --- what the link and the world do

    @rule(data=st.data())
    @precondition(lambda self: self.bundles)
    def deliver_a_bundle(self, data):
        at = data.draw(st.integers(0, len(self.bundles) - 1))
        self.take(*self.bundles.pop(at))

    @rule(data=st.data())
    @precondition(lambda self: self.bundles)
    def repeat_a_bundle(self, data):
        self.take(*data.draw(st.sampled_from(self.bundles)))

    @rule(data=st.data())
    @precondition(lambda self: self.bundles)
    def lose_a_bundle(self, data):
        self.bundles.pop(data.draw(st.integers(0, len(self.bundles) - 1)))

    @rule(data=st.data())
    @precondition(lambda self: self.notes)
    def deliver_a_note(self, data):
        self.hear(*self.notes.pop(data.draw(st.integers(0, len(self.notes) - 1))))

    @rule(data=st.data())
    @precondition(lambda self: self.notes)
    def repeat_a_note(self, data):
        self.hear(*data.draw(st.sampled_from(self.notes)))

    @rule(data=st.data())
    @precondition(lambda self: self.notes)
    def lose_a_note(self, data):
        self.notes.pop(data.draw(st.integers(0, len(self.notes) - 1)))

    @rule()
    def restart_the_receiver(self):
        self.stream = Incoming(self.stream.up_to, self.stream.chain, self.stream.up_to)

    @rule()
    def connect_anew(self):
        """Both greet: leftovers of the old connection stay on their way."""
        self.session += 1
        self.at = self.at.restarted()
        self.hear(self.session, self.stream.up_to, self.stream.seen)

    @rule(data=st.data())
    def restore_the_receiver(self, data):
        """Restore an old copy of the receiver's record: it takes again what it had lost."""
        up_to = data.draw(st.integers(0, self.stream.up_to))
        self.stream = stands(up_to)
        self.taken = self.taken[:up_to]
        self.connect_anew()

    # --- what must always hold

    @invariant()
    def each_number_is_taken_once_and_in_order(self):
        assert self.taken == list(range(1, self.stream.up_to + 1))

    @invariant()
    def chains_are_equal(self):
        assert self.stream.chain == CHAINS[self.stream.up_to]

    @invariant()
    def numbers_are_in_order(self):
        assert 0 <= self.at.cursor <= self.at.sent <= self.placed

    def teardown(self):
        """Show that without faults everything arrives, after one silence at most, and rests."""
        silences = 0
        messages = 0
        while self.bundles or self.notes or self.at.cursor < self.placed:
            if self.at.sent < self.placed:
                self.send(6)
            elif self.bundles:
                self.take(*self.bundles.pop(0))
            elif self.notes:
                self.hear(*self.notes.pop(0))
            else:
                silences += 1
                self.fall_silent()
            messages += 1
            assert messages < 20 * self.placed + 2000, "sender and receiver never come to rest"
        assert self.stream.up_to == self.at.cursor == self.placed
        assert silences <= 1


TestStreams = Streams.TestCase


@pytest.mark.slow
@pytest.mark.timeout(600)
class TestStreamsDeep(Streams.TestCase):
    settings = settings.get_profile("deep")
