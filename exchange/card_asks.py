"""Cards asked for: who asks whom, who is owed an answer, and what is known not to be.

Asks go hop by hop towards the address; the first node that hears of the card by itself answers
(docs/protocol.md clause 13.8). All of this is memory only: who still wants a card asks again.
"""

from functools import partial

from exchange.batch import Batch
from exchange.core.registry import KnownCard
from exchange.links import Link
from exchange.state import NodeState
from schemas.addresses import child_towards, is_within, parent_of
from schemas.moments import DAY, MINUTE, Instant
from schemas.objects import Ask
from schemas.statements import NoCard

REMEMBERED_MAX = 10_000
"""So many asks, askers and unknown addresses are remembered; beyond that all are forgotten."""
UNKNOWN_FOR_US = 10 * MINUTE
NO_CARD_LIFE_US = DAY
"""An older word that there is no such node does not count."""


class CardAsks:
    """What one node has asked for, and who has asked it."""

    def __init__(self, state: NodeState) -> None:
        """Share the node's state."""
        self._state = state
        self._registry = state.registry
        self._gate = state.gate
        self._asked: dict[str, Instant] = {}
        self._askers: dict[str, set[str]] = {}
        self._unknown: dict[str, Instant] = {}

    def answer(self, address: str, link: Link, batch: Batch) -> None:
        """Send a card with those above it, or `no card`, or ask on."""
        if self.comes_by_itself(address) and self._has_chain(address):
            batch.after_commit(partial(self._send_chain, address, link))
        elif self._lacks_for_good(address):
            word = NoCard(**self._gate.stamp(link.neighbour, batch.now), address=address)  # type: ignore[arg-type]
            raw = self._gate.sign(word)
            batch.after_commit(partial(link.send_statement, raw, self._gate.fingerprint))
        elif self._registry.next_hop(address) != link.neighbour:
            if len(self._askers) >= REMEMBERED_MAX:
                self._askers.clear()
            self._askers.setdefault(address, set()).add(link.neighbour)
            self.ask(address, batch)

    def take_no_card(self, word: NoCard, raw: bytes, via: str, batch: Batch) -> None:
        """Remember for a while that there is no such node, and tell those who asked."""
        address, issuer = word.address, word.from_
        vouches = issuer != address and (is_within(address, issuer) or parent_of(issuer) is None)
        fresh = abs(batch.now - word.number) < NO_CARD_LIFE_US
        at_hand = address in batch.cards or self._registry.card(address) is not None
        if not vouches or not fresh or at_hand:
            return
        if address not in self._asked and address not in self._askers:
            return
        if len(self._unknown) >= REMEMBERED_MAX:
            self._unknown.clear()
        self._unknown[address] = batch.now
        for neighbour in self._askers.pop(address, set()) - {via}:
            link = self._state.links.get(neighbour)
            if link is not None:
                batch.after_commit(partial(link.send_statement, raw, word.certificate))

    def settle(self, address: str) -> None:
        """Answer who waits for this card or for one below it, now that it is at hand."""
        self._unknown.pop(address, None)
        for waited in [each for each in self._askers if self._registry.is_below(each, address)]:
            if self._has_chain(waited):
                for neighbour in self._askers.pop(waited) & self._state.links.keys():
                    self._send_chain(waited, self._state.links[neighbour])

    def is_unknown(self, address: str) -> bool:
        """Say whether the node responsible has said, of late, that there is no such node."""
        return address in self._unknown

    def sweep(self, now: Instant) -> None:
        """Forget after a while that there was no such node: there may be one by now."""
        for address, since in list(self._unknown.items()):
            if now - since > UNKNOWN_FOR_US:
                del self._unknown[address]

    # ------------------------------------------------------------------ what we can answer

    def comes_by_itself(self, address: str) -> bool:
        """Say whether changes of a card reach us unasked: then ours is the newest."""
        return self._registry.concerns(self._state.rules.here, address)

    def _has_chain(self, address: str) -> bool:
        return all(self._registry.card(each) is not None for each in self._registry.way_up(address))

    def _lacks_for_good(self, address: str) -> bool:
        """Say whether it is ours to say that there is no such node."""
        here = self._state.rules.here
        if self._registry.card(address) is not None or address == here:
            return False
        if not is_within(address, here):
            return self._registry.uplink is None
        return self._registry.card(child_towards(here, address)) is None

    def _send_chain(self, address: str, link: Link) -> None:
        """Send the cards from the root to an address, but for those that the neighbour has."""
        for each in reversed(list(self._registry.way_up(address))):
            card = self._registry.card(each)
            has_it = self._registry.is_below(link.neighbour, each)
            if card is not None and (each == address or not has_it):
                send_card(card, link)

    # ------------------------------------------------------------------ what we ask

    def ask(self, address: str, batch: Batch) -> None:
        """Ask the neighbour towards an address for its card, once in a while."""
        link = self._state.links.get(self._registry.next_hop(address) or "")
        if link is None or not self.may_ask(address, batch.now):
            return
        ask = Ask(**self._gate.stamp(link.neighbour, batch.now), what="card", address=address)  # type: ignore[arg-type]
        batch.after_commit(partial(link.send_object, self._gate.sign(ask)))

    def may_ask(self, what: str, now: Instant) -> bool:
        """Say whether something may be asked for now; it counts as asked then."""
        if now - self._asked.get(what, 0) < self._state.rules.limits.ask_every_us:
            return False
        if len(self._asked) >= REMEMBERED_MAX:
            self._asked.clear()
        self._asked[what] = now
        return True


def send_card(card: KnownCard, link: Link) -> None:
    """Send a card, after the certificates that it needs."""
    link.send_statement(card.raw, *(fingerprint for _, fingerprint in card.signers))
