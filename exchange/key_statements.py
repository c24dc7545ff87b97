"""Key statements: ours on their way into our card, and others' on theirs (clauses 13.4, 13.10)."""

import hashlib
from collections.abc import Callable
from functools import partial

import msgspec

from exchange.batch import Batch
from exchange.card_asks import send_card
from exchange.core.backoff import next_ask
from exchange.core.registry import KnownCard
from exchange.gate import OpenedObject
from exchange.state import NodeState
from exchange.vouching import keys_text, read_keys
from schemas.addresses import parent_of
from schemas.cards import CardFacts, KeyFacts
from schemas.codes import Tier
from schemas.moments import Instant
from schemas.objects import cut_object
from schemas.statements import Keys

Newest = Callable[[str, Batch], KnownCard | None]
"""The card of an address, one of this batch first."""
Issue = Callable[[CardFacts, Batch], None]
"""Signs the next card of an address."""


class Stated(msgspec.Struct):
    """What we have stated of our keys, how often, and when to say it again."""

    facts: KeyFacts
    raw: bytes
    times: int = 0
    again: Instant = 0


class KeyStatements:
    """Brings what nodes say of their keys into the cards that their parents sign."""

    def __init__(self, state: NodeState, newest: Newest, issue: Issue) -> None:
        """Share the node's state; cards are the directory's."""
        self._state = state
        self._registry = state.registry
        self._gate = state.gate
        self._newest = newest
        self._issue = issue
        self._stated: Stated | None = None

    def take(self, statement: Keys, opened: OpenedObject, via: str, batch: Batch) -> None:
        """Put a child's keys into its next card, or pass them on towards its parent by name.

        Raises FormatError.
        """
        address = statement.from_
        read_keys(cut_object(opened.raw), address)
        if parent_of(address) != self._state.rules.here:
            self._pass_on(statement, opened.raw, via, batch)
            return
        card = self._newest(address, batch)
        if card is None or card.facts.standing == "closed":
            return
        if statement.number > card.keys_number:
            self._issue(msgspec.structs.replace(card.facts, keys=keys_text(opened.raw)), batch)
        elif statement.number == card.keys_number and via in self._state.links:
            batch.after_commit(partial(send_card, card, self._state.links[via]))

    def _pass_on(self, statement: Keys, raw: bytes, via: str, batch: Batch) -> None:
        registry = self._registry
        hop = registry.next_hop(parent_of(statement.from_) or statement.from_)
        link = self._state.links.get(hop or "")
        if link is None or hop == via or statement.from_ == self._state.rules.here:
            return
        if via == registry.uplink or registry.is_below(statement.from_, via):
            batch.after_commit(partial(link.send_statement, raw, statement.certificate))

    def state_own(self, batch: Batch, *, at_once: bool = False) -> None:
        """Say what our keys are: to the uplink until our card shows them; at the root, publish.

        Less and less often, but for greetings: what was refused is refused again.
        """
        here = self._state.rules.here
        facts, card = self._gate.key_facts(), self._newest(here, batch)
        if card is not None and card.keys == facts:
            return
        stated = self._stated
        if stated is None or stated.facts != facts:
            stated = self._stated = Stated(facts, self._gate.sign_keys(facts, batch.now))
        if self._registry.uplink is None:
            own = CardFacts(address=here, tier=Tier.REPUBLIC, standing="active", since=batch.at)
            known = own if card is None else card.facts
            self._issue(msgspec.structs.replace(known, keys=keys_text(stated.raw)), batch)
            return
        link = self._state.links.get(self._registry.uplink)
        if link is not None and (at_once or batch.now >= stated.again):
            stated.times += 1
            digest, limits = hashlib.sha256(stated.raw).digest(), self._state.rules.limits
            stated.again = next_ask(digest, stated.times, batch.now, limits)
            batch.after_commit(partial(link.send_statement, stated.raw, self._gate.fingerprint))
