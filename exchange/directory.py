"""The registry at work: takes, publishes, passes on and asks for cards (docs/protocol.md 13).

A parent vouches for its children: it signs a card for each change, which reaches the child and all
ancestors, and everybody who asks. A card counts once its signatures, and those of the keys in it,
have held; encrypting to a node asks for the cards of all its ancestors besides.
"""

import hashlib
from functools import partial

import msgspec

from exchange.batch import Batch
from exchange.card_asks import CardAsks, send_card
from exchange.card_greeting import CardGreeting
from exchange.card_refusals import CardRefusals
from exchange.core.registry import KnownCard
from exchange.gate import OpenedObject
from exchange.key_statements import KeyStatements
from exchange.links import Link
from exchange.state import CONFIGURATION, NodeState
from exchange.vouching import read_card
from schemas.cards import CardFacts, EncryptionKey, EpochFacts
from schemas.errors import FormatError
from schemas.leaves import LeafKind
from schemas.moments import DAY, Instant
from schemas.objects import Ask, CardList, cut_object
from schemas.reasons import Reason
from schemas.records import CardRow
from schemas.statements import Card, Keys, NoCard

WAITING_MAX = 1_000
"""So many cards wait for certificates."""
REFRESH_US = DAY
"""A card that does not come by itself is asked for again once it is so old, and is used."""
RESIGNED_A_SWEEP = 50


class Directory:
    """The cards of a node that runs."""

    def __init__(self, state: NodeState) -> None:
        """Share the node's state."""
        self._state = state
        self._registry = state.registry
        self._gate = state.gate
        self._asks = CardAsks(state)
        self._refusals = CardRefusals(state)
        self._greeting = CardGreeting(state)
        self._keys = KeyStatements(state, self._newest, self._issue)
        self._learned: dict[str, Instant] = {}
        self._waiting: dict[bytes, tuple[str, tuple[str, ...]]] = {}

    async def open(self) -> None:
        """Take over the cards of the record."""
        await self._refusals.open()
        newest = await self._state.archive.cards()
        cards = [read_card(row.object) for row in newest]
        seen = await self._keys_seen([card.facts.address for card in cards if card.keys is None])
        for row, card in zip(newest, cards, strict=True):
            self._learned[row.address] = row.learned
            number = seen.get(row.address, card.keys_number)
            self._registry.take(msgspec.structs.replace(card, keys_number=number))

    async def _keys_seen(self, addresses: list[str]) -> dict[str, int]:
        """Return the highest number of keys in any card of these: a card may have none again."""
        seen = dict.fromkeys(addresses, 0)
        for row in await self._state.archive.cards_of(addresses) if addresses else []:
            seen[row.address] = max(seen[row.address], read_card(row.object).keys_number)
        return seen

    # ------------------------------------------------------------------ what comes

    def introduce(self, raw: bytes, batch: Batch) -> None:
        """Take a card or key statement that the configuration brings."""
        try:
            if self._is_known(raw):
                return
            self._take(self._gate.open_statement(raw, batch.now), CONFIGURATION, batch)
        except FormatError as error:
            self.refuse(raw, CONFIGURATION, error, batch)

    async def take(self, opened: OpenedObject, link: Link, batch: Batch) -> None:
        """Take a card, a key statement, a 'no such card' or a list that a neighbour brings."""
        try:
            if isinstance(opened.header, CardList):
                self._greeting.take_list(opened, link, batch)
            else:
                self._take(opened, link.neighbour, batch)
        except FormatError as error:
            self.refuse(opened.raw, link.neighbour, error, batch)

    def refuse(self, raw: bytes, via: str, error: FormatError, batch: Batch) -> None:
        """Let a card wait for the certificate that it lacks; keep any other as an incident."""
        if error.reason == Reason.SENDER_UNKNOWN:
            self._wait_for_certificates(raw, via, batch)
            return
        self._refusals.refuse(raw, via, error, batch)

    def _take(self, opened: OpenedObject, via: str, batch: Batch) -> None:
        match opened.header:
            case Card():
                self._take_card(opened, via, batch)
            case Keys() as statement:
                self._keys.take(statement, opened, via, batch)
            case NoCard() as word:
                self._asks.take_no_card(word, opened.raw, via, batch)
            case header:
                detail = f"{type(header).__name__} is neither card nor key statement"
                raise FormatError(Reason.FORMAT_INVALID, detail)

    def _take_card(self, opened: OpenedObject, via: str, batch: Batch) -> None:
        """Take a card whose issuer's signature holds. Raises FormatError where it can't count."""
        card = self._gate.check_card(opened.raw, batch.now)
        address = card.facts.address
        before = self._newest(address, batch)
        if before is not None and before.number == card.number and before.sha256 != card.sha256:
            detail = f"{address}: two cards bear number {card.number}"
            raise FormatError(Reason.REPLAY, detail)
        if before is not None and before.number >= card.number:
            if before.number == card.number:
                self._learned[address] = batch.now
                batch.after_commit(partial(self._asks.settle, address))
            return
        if before is not None and card.keys is None:
            card = msgspec.structs.replace(card, keys_number=before.keys_number)
        if before is not None and card.keys_number < before.keys_number:
            detail = f"{address}: keys {card.keys_number} are older than {before.keys_number}"
            raise FormatError(Reason.REPLAY, detail)
        uplink = card.facts.uplink
        if uplink is not None and self._registry.is_below(uplink, address):
            detail = f"{address} would hang below itself, under {uplink}"
            raise FormatError(Reason.ROUTE_FORBIDDEN, detail)
        self._keep(card, via, batch)

    def _is_known(self, raw: bytes) -> bool:
        card = self._registry.card(cut_object(raw).header.to)
        return card is not None and card.sha256 == hashlib.sha256(raw).digest()

    def _wait_for_certificates(self, raw: bytes, via: str, batch: Batch) -> None:
        """Ask for the certificates of a card or statement, and look at it again once they came."""
        try:
            header = cut_object(raw).header
            signers = [header.certificate]
            if isinstance(header, Card):
                signers = [fingerprint for _, fingerprint in read_card(raw).signers]
        except FormatError:
            return
        missing = tuple(each for each in signers if not self._gate.trust.ders_for(each))
        if len(self._waiting) >= WAITING_MAX:
            self._waiting.clear()
        if isinstance(header, Card | Keys):  # the others are repeated by who sent them
            self._waiting[raw] = (via, missing)
        link = self._state.links.get(via)
        for each in missing if link is not None else ():
            if link is not None and self._asks.may_ask(f"{via} {each}", batch.now):
                ask = Ask(**self._gate.stamp(via, batch.now), what="certificate", sha256=each)  # type: ignore[arg-type]
                batch.after_commit(partial(link.send_object, self._gate.sign(ask)))

    # ------------------------------------------------------------------ what is kept and spreads

    def publish(self, facts: CardFacts, batch: Batch) -> None:
        """Sign the next card of a child of ours (at the root: our own) and let it spread.

        The time of the change is the batch's; keys are kept from the card before, where none are
        given and they still count.
        """
        before = self._newest(facts.address, batch)
        if facts.keys is None and before is not None:
            facts = msgspec.structs.replace(facts, keys=before.facts.keys)
        self._issue(msgspec.structs.replace(facts, since=batch.at), batch)

    def open_epoch(self, address: str, opened: EpochFacts, batch: Batch) -> None:
        """Let a node that we vouch for begin a new epoch of its journal; it has a card."""
        before = self._newest(address, batch)
        assert before is not None, "whoever runs has a card"
        facts = before.facts
        self.publish(msgspec.structs.replace(facts, epochs=(*facts.epochs, opened)), batch)

    def _issue(self, facts: CardFacts, batch: Batch) -> None:
        before = self._newest(facts.address, batch)
        raw = self._gate.sign_card(facts, before.number if before else 0, batch.now)
        card = read_card(raw)
        if not self._signers_hold(card, batch.now):
            raw = self._gate.sign_card(
                msgspec.structs.replace(facts, keys=None), card.number, batch.now
            )
            card = read_card(raw)
        if before is not None and card.keys is None:
            card = msgspec.structs.replace(card, keys_number=before.keys_number)
        self._keep(card, self._state.rules.here, batch)

    def _keep(self, card: KnownCard, via: str, batch: Batch) -> None:
        """Record and journal a card; it counts, and goes on its way, once that is committed."""
        address, issuer = card.facts.address, card.signers[0][0]
        batch.cards[address] = card
        batch.changes.cards.append(
            CardRow(address, issuer, card.number, card.sha256, card.raw, batch.now)
        )
        batch.append_leaf(
            LeafKind.CARD,
            None,
            sha256=card.sha256.hex(),
            sha512=hashlib.sha512(card.raw).hexdigest(),
            address=address,
            number=str(card.number),
            standing=card.facts.standing,
            via=via,
        )
        self._learned[address] = batch.now
        batch.after_commit(partial(self._let_count, card, via))

    def _let_count(self, card: KnownCard, via: str) -> None:
        """Route by a card from now on; send it to whom it concerns, before or after the change."""
        address = card.facts.address
        concerned = self._concerned(address)
        before = self._registry.epoch_of(address)
        self._registry.take(card)
        if address in self._state.links and self._registry.epoch_of(address) > before:
            self._state.links[address].greet_anew()  # it may have spoken in that epoch already
        for neighbour in (concerned | self._concerned(address)) - {via}:
            send_card(card, self._state.links[neighbour])
        self._state.arrived.add("card")
        self._asks.settle(address)

    def _concerned(self, address: str) -> set[str]:
        return {each for each in self._state.links if self._registry.concerns(each, address)}

    def _newest(self, address: str, batch: Batch) -> KnownCard | None:
        return batch.cards.get(address) or self._registry.card(address)

    # ------------------------------------------------------------------ greeting

    def greet(self, link: Link, batch: Batch) -> None:
        """Compare cards with a neighbour that has just greeted us, and state our own keys anew."""
        if link.is_parent:
            self._keys.state_own(batch, at_once=True)
        self._greeting.greet(link, batch)

    # ------------------------------------------------------------------ asking

    def ask_for(self, address: str, batch: Batch) -> None:
        """Ask for a card that we may hold an older one of, once in a while."""
        self._asks.ask(address, batch)

    def answer_ask(self, ask: Ask, link: Link, batch: Batch) -> None:
        """Send the card asked for, or ask on towards who has it; without an address, compare."""
        if ask.address is not None:
            self._asks.answer(ask.address, link, batch)
        else:
            self._greeting.answer(ask, link, batch)

    # ------------------------------------------------------------------ encrypting to a node

    def encryption_key(self, address: str, batch: Batch) -> EncryptionKey | None:
        """Return the key to encrypt to, vouched for up to the root; None: it is asked for now."""
        for each in self._registry.way_up(address):
            card = self._newest(each, batch)
            if card is None or not self._counts(card, batch.now):
                self._asks.ask(each, batch)
                return None
        card = self._newest(address, batch)
        assert card is not None, "it is the first of its way up"
        is_old = batch.now - self._learned.get(address, 0) > REFRESH_US
        if card.encryption_key is None or (is_old and not self._asks.comes_by_itself(address)):
            self._asks.ask(address, batch)
        return card.encryption_key

    def is_unknown(self, address: str) -> bool:
        """Say whether the node responsible has said, of late, that there is no such node by now."""
        card = self._registry.card(address)
        return self._asks.is_unknown(address) or (
            card is not None and card.facts.standing == "closed"
        )

    def _counts(self, card: KnownCard, now: Instant) -> bool:
        return card.facts.standing == "active" and self._signers_hold(card, now)

    def _signers_hold(self, card: KnownCard, now: Instant) -> bool:
        """Say whether the certificates count by now that signed a card and the keys in it."""
        return all(
            self._gate.still_counts(fingerprint, who, now) for who, fingerprint in card.signers
        )

    # ------------------------------------------------------------------ from time to time

    async def sweep(self, batch: Batch) -> None:
        """Look at what has waited, and state our own keys until our card shows them."""
        self._asks.sweep(batch.now)
        for raw, (via, missing) in list(self._waiting.items()):
            if all(self._gate.trust.ders_for(each) for each in missing):
                del self._waiting[raw]
                self._take_again(raw, via, batch)
        self._keys.state_own(batch)
        self._sign_again(batch)

    def _take_again(self, raw: bytes, via: str, batch: Batch) -> None:
        try:
            self._take(self._gate.open_statement(raw, batch.now), via, batch)
        except FormatError as error:
            self.refuse(raw, via, error, batch)

    def _sign_again(self, batch: Batch) -> None:
        """Sign cards of ours anew that our last key signed, or whose keys have been revoked."""
        here = self._state.rules.here
        ours = [card for card in self._registry.cards() if card.signers[0][0] == here]
        due = [card for card in ours if card.signers[0][1] != self._gate.fingerprint]
        due += [card for card in ours if card not in due and self._keys_ended(card, batch.now)]
        for card in due[:RESIGNED_A_SWEEP]:
            if card.facts.address not in batch.cards:
                self._issue(card.facts, batch)

    def _keys_ended(self, card: KnownCard, now: Instant) -> bool:
        return card.keys is not None and not self._signers_hold(card, now)
