"""Greetings: whatever is left over from earlier connections, both sides come to speak, and rest."""

import itertools
from collections import deque

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from exchange.core.handshake import Greeting, Handshake, hear

HELLOS_MOST = 6
"""A pair that has nothing left over greets with five; a coalesced reply may add one."""


def child(**facts):
    return Handshake(is_child=True, nonce="c", **facts)


def parent(**facts):
    return Handshake(is_child=False, nonce="p", **facts)


def test_a_child_answers_a_parents_first_hello():
    """A hello that does not echo our nonce is answered with its own nonce, and proves nothing."""
    found = hear(child(), "p", None, "x")
    assert found == Greeting(child(heard="p", answered="p"), reply=True, fresh=False)


def test_a_fresh_hello_synchronises():
    """Who hears its own latest nonce knows that the other speaks now."""
    found = hear(child(heard="p", answered="p"), "p", "c", "x")
    assert found == Greeting(
        child(heard="p", answered="p", synchronised=True), reply=False, fresh=True
    )


def test_a_fresh_hello_under_a_new_nonce_is_answered():
    """The other side waits to hear its own nonce, too."""
    assert hear(child(heard="p", answered="p"), "p2", "c", "x").reply


def test_a_parent_begins_anew_with_a_child_that_does():
    """A child behind a connection that stands has begun anew: what it said before is old."""
    found = hear(parent(heard="c", answered="c", synchronised=True), "c2", None, "p2")
    assert found.state.nonce == "p2"
    assert not found.state.synchronised
    assert found.reply


def test_a_child_keeps_its_nonce():
    """The child alone begins connections: nothing that it hears changes its nonce."""
    assert hear(child(heard="p", synchronised=True), "p2", None, "x").state.nonce == "c"


def test_an_old_hello_of_the_same_child_changes_no_nonce():
    """A child that repeats itself has not begun anew."""
    found = hear(parent(heard="c", answered="c"), "c", None, "p2")
    assert (found.state.nonce, found.reply) == ("p", True)


class Side(msgspec.Struct):
    """One side as a link runs it: replies fall due, and one hello answers all that came."""

    state: Handshake
    due: bool = True


class Greetings(RuleBasedStateMachine):
    """Child and parent over two queues; either may begin anew, with messages on their way."""

    @initialize()
    def begin(self):
        self.nonces = map(str, itertools.count(1))
        self.child = Side(Handshake(is_child=True, nonce=next(self.nonces)))
        self.parent = Side(Handshake(is_child=False, nonce=next(self.nonces)))
        self.up: deque[tuple[str, str | None]] = deque()
        self.down: deque[tuple[str, str | None]] = deque()
        self.unsettled_up: list[tuple[str, str | None]] = []
        self.unsettled_down: list[tuple[str, str | None]] = []

    def say(self, side, queue):
        side.due = False
        queue.append((side.state.nonce, side.state.heard))

    def listen(self, side, hello):
        greeting = hear(side.state, *hello, next(self.nonces))
        side.state = greeting.state
        side.due |= greeting.reply

    @rule()
    @precondition(lambda self: self.child.due)
    def child_speaks(self):
        self.say(self.child, self.up)

    @rule()
    @precondition(lambda self: self.parent.due)
    def parent_speaks(self):
        self.say(self.parent, self.down)

    @rule()
    @precondition(lambda self: self.up)
    def parent_listens(self):
        hello = self.up.popleft()
        self.unsettled_up.append(hello)
        self.listen(self.parent, hello)

    @rule()
    @precondition(lambda self: self.down)
    def child_listens(self):
        hello = self.down.popleft()
        self.unsettled_down.append(hello)
        self.listen(self.child, hello)

    @rule(parent=st.booleans())
    def settle(self, parent):
        (self.unsettled_up if parent else self.unsettled_down).clear()

    @rule()
    def child_begins_anew(self):
        """Begin anew; what was not settled comes again, before all that came later."""
        self.down.extendleft(reversed(self.unsettled_down))
        self.unsettled_down.clear()
        self.child = Side(Handshake(is_child=True, nonce=next(self.nonces)))

    @rule()
    def parent_begins_anew(self):
        self.up.extendleft(reversed(self.unsettled_up))
        self.unsettled_up.clear()
        self.parent = Side(Handshake(is_child=False, nonce=next(self.nonces)))

    @rule()
    @precondition(lambda self: self.child.state.synchronised)
    def child_greets_anew(self):
        """Greet again on a connection that stands, to compare clocks once more."""
        self.child = Side(
            Handshake(
                is_child=True,
                nonce=next(self.nonces),
                heard=self.child.state.heard,
                synchronised=True,
            )
        )

    @rule()
    def queues_are_lost(self):
        """Lose the queues of the parent's broker, and with them both connections."""
        for each in (self.up, self.down, self.unsettled_up, self.unsettled_down):
            each.clear()
        self.child_begins_anew()
        self.parent_begins_anew()

    @invariant()
    def nobody_is_synchronised_unheard(self):
        for side in (self.child, self.parent):
            assert side.state.heard is not None or not side.state.synchronised

    def teardown(self):
        """Left to themselves both become synchronised with each other, and fall silent."""
        if not hasattr(self, "child"):
            return
        left_over = len(self.up) + len(self.down) + self.child.due + self.parent.due
        said = 0
        while self.up or self.down or self.child.due or self.parent.due:
            for act, may in (
                (self.child_speaks, self.child.due),
                (self.parent_listens, self.up),
                (self.parent_speaks, self.parent.due),
                (self.child_listens, self.down),
            ):
                if may:
                    act()
                    said += act in {self.child_speaks, self.parent_speaks}
            assert said <= HELLOS_MOST + 2 * left_over, "the greetings never end"
        assert self.child.state.synchronised
        assert self.parent.state.synchronised
        assert self.child.state.heard == self.parent.state.nonce
        assert self.parent.state.heard == self.child.state.nonce


TestGreetings = Greetings.TestCase


@pytest.mark.slow
@pytest.mark.timeout(600)
class TestGreetingsDeep(Greetings.TestCase):
    settings = settings.get_profile("deep")
