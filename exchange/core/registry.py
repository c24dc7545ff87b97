"""The tree as a node knows it: the cards it holds, and what follows from them for routing.

A node hangs under its parent by name, unless its card names another uplink: then it has moved,
and everything below it with it. Cards are signed by the parent by name, wherever the node hangs.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

import msgspec

from schemas.addresses import is_within, parent_of
from schemas.cards import CardFacts, EncryptionKey, KeyFacts
from schemas.moments import Instant, parse_instant

HOPS_MAX = 4096
"""So many answers of `next_hop` are kept, until a card comes."""


class KnownCard(msgspec.Struct, frozen=True, gc=False):
    """A card whose signatures have held, with the node's own keys where it has stated them."""

    facts: CardFacts
    number: int
    sha256: bytes
    raw: bytes
    keys: KeyFacts | None = None
    keys_number: int = 0
    """Of the node's own statement; an older one never counts again."""
    signers: tuple[tuple[str, str], ...] = ()
    """Whose packet certificates signed it and the keys in it: address and fingerprint."""

    @property
    def encryption_key(self) -> EncryptionKey | None:
        """The key to encrypt to."""
        return self.keys.encryption[0] if self.keys is not None else None


class Registry:
    """The newest card of each address; changed by `take` alone, always after a commit.

    Safe to read from several threads: what is iterated over is replaced, never changed.
    """

    def __init__(self, here: str, cards: Iterable[KnownCard] = ()) -> None:
        """Begin with cards; older ones of an address are ignored."""
        self.here = here
        self._cards: dict[str, KnownCard] = {}
        self._moved: dict[str, str] = {}
        self._left: dict[str, tuple[str, Instant]] = {}
        self._children: tuple[str, ...] = ()
        self._hops = self._forget_hops()
        for card in cards:
            self.take(card)

    def take(self, card: KnownCard) -> bool:
        """Let a card count where it is newer than the one at hand; return whether it is."""
        facts = card.facts
        before = self._cards.get(facts.address)
        if before is not None and before.number >= card.number:
            return False
        old = self.hangs_under(facts.address)
        self._cards[facts.address] = card
        if facts.uplink is not None:
            self._moved[facts.address] = facts.uplink
        else:
            self._moved.pop(facts.address, None)
        if before is not None and old is not None and self.hangs_under(facts.address) != old:
            self._left = {**self._left, facts.address: (old, parse_instant(facts.since))}
        self._count_child(facts)
        self._hops = self._forget_hops()
        return True

    def _forget_hops(self) -> Callable[[str], str | None]:
        """Return `next_hop` with no memory yet; whoever still asks the old one fills that."""
        return lru_cache(HOPS_MAX)(self._find_hop)

    def _count_child(self, facts: CardFacts) -> None:
        is_child = self.hangs_under(facts.address) == self.here and facts.standing != "closed"
        if is_child and facts.address not in self._children:
            self._children = (*self._children, facts.address)
        elif not is_child and facts.address in self._children:
            self._children = tuple(each for each in self._children if each != facts.address)

    # ------------------------------------------------------------------ what is known

    @property
    def children(self) -> tuple[str, ...]:
        """Addresses of those that hang under us, suspended ones included."""
        return self._children

    @property
    def uplink(self) -> str | None:
        """The neighbour that we hang under; None at the root."""
        return self.hangs_under(self.here)

    def card(self, address: str) -> KnownCard | None:
        """Return an address's newest card, or None."""
        return self._cards.get(address)

    def cards(self) -> list[KnownCard]:
        """Return the newest card of every address known."""
        return list(self._cards.values())

    def hangs_under(self, address: str) -> str | None:
        """Return the neighbour above an address; None for the root."""
        return self._moved.get(address) or parent_of(address)

    def epoch_of(self, address: str) -> int:
        """Return the epoch of an address's journal that its card names last; the first is 1."""
        card = self._cards.get(address)
        return card.facts.epochs[-1].epoch if card is not None and card.facts.epochs else 1

    def is_responsible_for(self, address: str) -> bool:
        """Say whether standing, address and rights of a node are ours to judge."""
        return self.here in (parent_of(address), self._moved.get(address))

    # ------------------------------------------------------------------ ways

    def way_up(self, address: str) -> Iterator[str]:
        """Go from an address to the root, the address first."""
        seen: set[str] = set()
        at: str | None = address
        while at is not None and at not in seen:
            seen.add(at)
            yield at
            at = self.hangs_under(at)

    def is_below(self, address: str, above: str) -> bool:
        """Say whether an address is `above` or hangs below it."""
        return above in self.way_up(address)

    def is_on_way(self, node: str, one_end: str, other_end: str) -> bool:
        """Say whether a node lies on the way between two, ends included, as far as we know it."""
        return node in self.way(one_end, other_end)

    def way(self, one_end: str, other_end: str) -> list[str]:
        """Return the nodes between two from the one to the other, ends included."""
        up, down = list(self.way_up(one_end)), list(self.way_up(other_end))
        met = next((each for each in up if each in down), None)
        if met is None:
            return []
        return [*up[: up.index(met) + 1], *reversed(down[: down.index(met)])]

    def next_hop(self, to: str) -> str | None:
        """Return the neighbour towards `to`; None where there is none (or it is ourselves)."""
        return self._hops(to)

    def _find_hop(self, to: str) -> str | None:
        before = ""
        for at in self.way_up(to):
            if at == self.here:
                return before if before in self._children else None
            before = at
        return self.uplink

    def allows(self, neighbour: str, from_: str, to: str, now: Instant, grace_us: int) -> bool:
        """Say whether the link from `neighbour` may bring a frame of these two ends.

        A child's link brings only frames from below it and not to there; the uplink's only frames
        to below us and not from there. For `grace_us` after a move the old way counts too. The rule
        behind `route-forbidden` (protocol clause 9).
        """
        if neighbour in self._uplinks_at(now, grace_us):
            comes_in = self._was_below(to, self.here, now, grace_us)
            return comes_in and not self.is_below(from_, self.here)
        if neighbour in self._children:
            comes_up = self._was_below(from_, neighbour, now, grace_us)
            return comes_up and not self.is_below(to, neighbour)
        return False

    def may_lag(self, neighbour: str, from_: str) -> bool:
        """Say whether a card still on its way might admit a frame that `allows` does not.

        Only a child can bring what has moved below it, and only from outside our own name: cards of
        what bears our name pass us before anybody else. A neighbour above us that no card of ours
        names is where we have moved: our own card comes over that very link.
        """
        if neighbour != self.uplink and not self.is_below(neighbour, self.here):
            return not self.is_below(from_, self.here)
        foreign = not is_within(from_, self.here) and not self.is_below(self.here, from_)
        return neighbour in self._children and foreign

    def concerns(self, neighbour: str, address: str) -> bool:
        """Say whether a neighbour should hold what is published about `address`.

        Ancestors of an address need it to route and to vouch, descendants to write to it; those
        above a part of its name need it, too, to know what has moved out of there.
        """
        return (
            self.is_below(neighbour, address)
            or self.is_below(address, neighbour)
            or any(self.is_below(each, neighbour) for each in _named_above(address))
        )

    def _uplinks_at(self, now: Instant, grace_us: int) -> tuple[str | None, ...]:
        """Return the neighbour above us, and for a while after a move the one before."""
        old, since = self._left.get(self.here, (None, 0))
        return (self.uplink, old) if now - since < grace_us else (self.uplink,)

    def _was_below(self, address: str, above: str, now: Instant, grace_us: int) -> bool:
        if self.is_below(address, above):
            return True
        return any(
            now - since < grace_us and (old == above or self.is_below(old, above))
            for moved, (old, since) in self._left.items()
            if self.is_below(address, moved)
        )


def _named_above(address: str) -> Iterator[str]:
    """Go from an address to the root by names alone, the address first."""
    at: str | None = address
    while at is not None:
        yield at
        at = parent_of(at)
