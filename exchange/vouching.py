"""Reads cards and key statements: what they say, and whose signatures must hold for it.

Nothing here checks a signature: `Gate.check_card` does. What the record holds was checked when it
came, and is read by this alone.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable

from exchange.core.registry import KnownCard
from schemas.cards import CardFacts, KeyFacts, decode_card, decode_keys
from schemas.errors import FormatError
from schemas.objects import CutObject, cut_object
from schemas.reasons import Reason
from schemas.statements import Card, Keys

KEY_BYTES = 1184 + 32
"""Of a public encryption key: ML-KEM-768's, then X25519's."""
_LINE = re.compile(rb"([a-z0-9.-]{1,253}) ([1-9][0-9]{0,18}) ([0-9a-f]{64})\n")
"""Of a card list: address, number, SHA-256 of the card."""


def read_card(raw: bytes) -> KnownCard:
    """Return what a card says, with the node's own keys in it. Raises FormatError."""
    found = cut_object(raw)
    header = found.header
    if not isinstance(header, Card):
        raise _invalid(f"{type(header).__name__} is no card")
    facts = decode_card(found.body)
    if facts.address != header.to:
        raise _invalid(f"card of {header.to} is about {facts.address}")
    digest = hashlib.sha256(raw).digest()
    issuer = (header.from_, header.certificate)
    statement = keys_in(facts)
    if statement is None:
        return KnownCard(facts, header.number, digest, raw, signers=(issuer,))
    keys = read_keys(statement, facts.address)
    return KnownCard(
        facts,
        header.number,
        digest,
        raw,
        keys=keys,
        keys_number=statement.header.number,
        signers=(issuer, (facts.address, statement.header.certificate)),
    )


def keys_in(facts: CardFacts) -> CutObject | None:
    """Return the key statement in a card, cut; None where there is none. Raises FormatError."""
    return None if facts.keys is None else cut_object(keys_bytes(facts))


def keys_bytes(facts: CardFacts) -> bytes:
    """Return the bytes of the key statement in a card that has one. Raises FormatError."""
    try:
        return base64.b64decode(facts.keys or "", validate=True)
    except binascii.Error as error:
        raise _invalid(f"keys: {error}") from error


def keys_text(raw: bytes) -> str:
    """Return a key statement as a card has it."""
    return base64.b64encode(raw).decode("ascii")


def read_keys(statement: CutObject, address: str) -> KeyFacts:
    """Return what a node says of its own keys. Raises FormatError."""
    header = statement.header
    if not isinstance(header, Keys) or (header.from_, header.to) != (address, address):
        raise _invalid(f"keys: not a statement of {address}'s own")
    keys = decode_keys(statement.body)
    for each in keys.encryption:
        try:
            public = base64.b64decode(each.public, validate=True)
        except binascii.Error as error:
            raise _invalid(f"keys: {error}") from error
        if len(public) != KEY_BYTES or hashlib.sha256(public).hexdigest() != each.id:
            raise _invalid(f"keys: {each.id} does not name its key")
    return keys


def summary_of(cards: Iterable[KnownCard]) -> str:
    """Return a digest (hex) that two nodes share who hold the same cards (clause 13.9)."""
    return hashlib.sha256(lines_of(cards)).hexdigest()


def lines_of(cards: Iterable[KnownCard]) -> bytes:
    """Return a line for each card, as a card list has them (clause 13.9)."""
    lines = sorted(f"{card.facts.address} {card.number} {card.sha256.hex()}\n" for card in cards)
    return "".join(lines).encode("ascii")


def read_lines(body: bytes) -> dict[str, tuple[int, str]]:
    """Return number and SHA-256 (hex) by address of the cards in a list. Raises FormatError."""
    found: dict[str, tuple[int, str]] = {}
    for line in body.splitlines(keepends=True):
        parts = _LINE.fullmatch(line)
        if parts is None:
            raise _invalid(f"card list: line {len(found) + 1} is none")
        address, number, sha256 = (each.decode("ascii") for each in parts.groups())
        found[address] = (int(number), sha256)
    return found


def _invalid(detail: str) -> FormatError:
    return FormatError(Reason.FORMAT_INVALID, detail)
