"""Which cards two neighbours hold, compared at each greeting (docs/protocol.md clause 13.9).

One digest each way where both hold the same. Else each tells the other what it holds, a line for
each card, and is sent what it lacks.
"""

from functools import partial

from exchange.batch import Batch
from exchange.card_asks import send_card
from exchange.core.registry import KnownCard
from exchange.gate import OpenedObject
from exchange.links import Link
from exchange.state import NodeState
from exchange.vouching import lines_of, read_lines, summary_of
from schemas.objects import Ask


class CardGreeting:
    """Compares the cards of one node with those of its neighbours."""

    def __init__(self, state: NodeState) -> None:
        """Share the node's state."""
        self._registry = state.registry
        self._gate = state.gate
        self._rules = state.rules

    def greet(self, link: Link, batch: Batch) -> None:
        """Tell a neighbour that has just greeted us the digest of what we share."""
        summary = summary_of(self._shared_with(link))
        ask = Ask(**self._gate.stamp(link.neighbour, batch.now), what="card", sha256=summary)  # type: ignore[arg-type]
        batch.after_commit(partial(link.send_object, self._gate.sign(ask)))

    def answer(self, ask: Ask, link: Link, batch: Batch) -> None:
        """Say which cards we hold, where the neighbour holds others: it sends what we lack."""
        shared = self._shared_with(link)
        if summary_of(shared) != ask.sha256:
            raw = self._gate.make_card_list(link.neighbour, lines_of(shared), batch.now)
            batch.after_commit(partial(link.send_object, raw))

    def take_list(self, opened: OpenedObject, link: Link, batch: Batch) -> None:
        """Send a neighbour the cards that its list lacks. Raises FormatError.

        Of the same number on other bytes, too: that no two cards may bear, and it shall see.
        """
        theirs = read_lines(opened.body)
        for card in self._shared_with(link):
            number, sha256 = theirs.get(card.facts.address, (0, ""))
            if card.number >= number and card.sha256.hex() != sha256:
                batch.after_commit(partial(send_card, card, link))

    def _shared_with(self, link: Link) -> list[KnownCard]:
        """Return the cards that both ends of a link should hold: those that concern the child."""
        child = self._rules.here if link.is_parent else link.neighbour
        concerns = self._registry.concerns
        cards = [card for card in self._registry.cards() if concerns(child, card.facts.address)]
        return sorted(cards, key=lambda card: card.facts.address.count("."))
