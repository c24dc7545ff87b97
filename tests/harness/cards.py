"""Cards for tests: unsigned ones for the core, and signed ones of a whole network."""

import base64
import hashlib
from collections.abc import Iterable
from typing import Any

from exchange.core.registry import KnownCard, Registry
from harness.pki import Network
from schemas import wire
from schemas.addresses import parent_of
from schemas.cards import CardFacts, KeyFacts
from schemas.codes import Tier
from schemas.moments import Instant, format_instant, parse_instant
from schemas.object_header import Body
from schemas.statements import Card, Keys
from signing.seal import sign_object

SINCE = parse_instant("2026-11-01T00:00:00.000000Z")
TIERS = (Tier.REPUBLIC, Tier.OBLAST, Tier.DISTRICT, Tier.SCHOOL)


def facts_of(address: str, **changes: Any) -> CardFacts:
    """Return the facts of an active node; its tier by its depth."""
    tier = TIERS[min(address.count("."), len(TIERS) - 1)]
    since = format_instant(changes.pop("since", SINCE))
    fields = {"tier": tier, "standing": "active", "since": since}
    return CardFacts(address=address, **fields | changes)


def card_of(address: str, number: int = 1, **changes: Any) -> KnownCard:
    """Return a card that nobody signed, for what looks at facts alone."""
    return KnownCard(facts_of(address, **changes), number, bytes(32), b"")


def registry_of(here: str, *cards: str | KnownCard) -> Registry:
    """Return what a node knows that holds these cards; of an address alone, an active one's."""
    return Registry(here, [card_of(each) if isinstance(each, str) else each for each in cards])


def sign_keys(network: Network, address: str, number: int = 1, **changes: Any) -> bytes:
    """Return a node's statement of its own keys; `by` is who really signs it."""
    own = network.nodes[address]
    signer = network.nodes[changes.pop("by", address)].packet
    fields = {
        "packet": own.packet.fingerprint,
        "journal": own.journal.fingerprint,
        "encryption": own.encryption.facts,
    }
    body = wire.encode(KeyFacts(**fields | changes))
    header = Keys(
        from_=address,
        to=address,
        epoch=1,
        number=number,
        certificate=signer.fingerprint,
        body=Body(hashlib.sha256(body).hexdigest(), len(body)),
    )
    return sign_object(header, signer, body)


def sign_card(network: Network, facts: CardFacts, number: int = 1, by: str | None = None) -> bytes:
    """Return a card as its issuer signs it; `by` is who really signs it."""
    issuer = parent_of(facts.address) or facts.address
    signer = network.nodes[by or issuer].packet
    body = wire.encode(facts)
    header = Card(
        from_=issuer,
        to=facts.address,
        epoch=1,
        number=number,
        certificate=signer.fingerprint,
        body=Body(hashlib.sha256(body).hexdigest(), len(body)),
    )
    return sign_object(header, signer, body)


def make_card(
    network: Network, address: str, number: int = 1, keys: bytes | None = None, **changes: Any
) -> bytes:
    """Return a good card with the node's own keys in it."""
    statement = sign_keys(network, address) if keys is None else keys
    facts = facts_of(address, keys=base64.b64encode(statement).decode("ascii"), **changes)
    return sign_card(network, facts, number)


def make_cards(network: Network, addresses: Iterable[str] | None = None) -> list[bytes]:
    """Return the cards of a network, the root's first; none where the parent is no part of it."""
    names = sorted(network.nodes if addresses is None else addresses, key=lambda a: a.count("."))
    known = [each for each in names if (parent_of(each) or each) in network.nodes]
    return [make_card(network, each) for each in known]


def later(card: CardFacts, at: Instant, **changes: Any) -> CardFacts:
    """Return facts that the parent changed at a time."""
    return facts_of(card.address, since=at, **changes)
