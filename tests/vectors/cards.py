"""The vectors of cards and key statements (docs/protocol.md clause 13)."""

import base64
import hashlib
from typing import Any

import msgspec

from schemas import wire
from schemas.cards import CardFacts, EpochFacts, KatoCode, KeyFacts
from schemas.codes import Names, Tier
from schemas.moments import format_instant
from schemas.object_header import Body
from schemas.objects import Ask, CardList
from schemas.statements import Card, Keys, NoCard, Statement
from signing.seal import sign_object
from vectors.encryption import KEYS
from vectors.fixed_keys import DISTRICT, NOW, OBLAST, SCHOOL, SIBLING, FixedNetwork

Vector = dict[str, Any]

NAMES = Names(kk="№7 орта мектеп", ru="Средняя школа № 7", en="Secondary School No. 7")
SCHOOL_FACTS = CardFacts(
    address=SCHOOL,
    tier=Tier.SCHOOL,
    standing="active",
    since=format_instant(NOW),
    names=NAMES,
    kato=KatoCode("113230100", "2026-01"),
)
OPENED = EpochFacts(
    epoch=2,
    since=format_instant(NOW),
    size=7,
    root=hashlib.sha256(b"\0witnessed").hexdigest(),
)
MOVED_FACTS = CardFacts(
    address=SIBLING,
    tier=Tier.SCHOOL,
    standing="suspended",
    since=format_instant(NOW),
    uplink=OBLAST,
    former="kz.akmola.burabay.school-80",
    types=("attendance.daily/1", "receipt/1"),
)


def _signed(network: FixedNetwork, kind: type[Statement], body: bytes, **fields: Any) -> bytes:
    """Return a statement of `from_`, or as `by` would forge it."""
    signer = network.nodes[fields.pop("by", fields["from_"])].packet
    named = {"epoch": 1, "certificate": signer.fingerprint, **fields}
    if kind is not NoCard:
        named["body"] = Body(hashlib.sha256(body).hexdigest(), len(body))
    return sign_object(kind(**named), signer, body)


def _key_facts(network: FixedNetwork, address: str) -> KeyFacts:
    own, key = network.nodes[address], KEYS[address]
    return KeyFacts(
        packet=own.packet.fingerprint, journal=own.journal.fingerprint, encryption=(key.facts,)
    )


def _keys(network: FixedNetwork, address: str, facts: KeyFacts, **fields: Any) -> bytes:
    body = wire.encode(facts)
    ends = {"from_": address, "to": address, "number": NOW + 20}
    return _signed(network, Keys, body, **ends | fields)


def _card(network: FixedNetwork, facts: CardFacts, **fields: Any) -> bytes:
    ends = {"from_": DISTRICT, "to": facts.address, "number": NOW + 21}
    return _signed(network, Card, fields.pop("body", wire.encode(facts)), **ends | fields)


def _opening(*opened: EpochFacts) -> CardFacts:
    return msgspec.structs.replace(SCHOOL_FACTS, epochs=opened)


def _with(facts: CardFacts, keys: bytes) -> CardFacts:
    return msgspec.structs.replace(facts, keys=base64.b64encode(keys).decode("ascii"))


def cards(network: FixedNetwork) -> dict[str, list[Vector]]:
    """Return good statements, asks for them, and cards with one defect each."""
    facts = _key_facts(network, SCHOOL)
    keys = _keys(network, SCHOOL, facts)
    whole = _with(SCHOOL_FACTS, keys)
    good = {
        "keys": keys,
        "card": _card(network, whole),
        "card-bare": _card(network, SCHOOL_FACTS),
        "card-moved": _card(network, MOVED_FACTS, number=NOW + 22),
        "card-epochs": _card(
            network, msgspec.structs.replace(SCHOOL_FACTS, epochs=(OPENED,)), number=NOW + 27
        ),
        "no-card": _signed(
            network, NoCard, b"", from_=DISTRICT, to=SCHOOL, number=NOW + 23,
            address="kz.akmola.burabay.school-99",
        ),
    }  # fmt: skip
    return {
        "good": [_described(name, raw) for name, raw in good.items()],
        "asks": _asks(network),
        "bad": _bad(network, facts, whole),
    }


def card_named(found: dict[str, list[Vector]], name: str) -> bytes:
    """Return the bytes of one of the good ones."""
    return next(bytes.fromhex(one["object"]) for one in found["good"] if one["name"] == name)


def _described(name: str, raw: bytes) -> Vector:
    size = 9 + int.from_bytes(raw[7:9])
    body = raw[size + 2 + int.from_bytes(raw[size : size + 2]) :]
    text = raw[9:size].decode("ascii")
    return {"name": name, "object": raw.hex(), "header": text, "body": body.decode()}


def _asks(network: FixedNetwork) -> list[Vector]:
    """Return the asks for one card and for all that both ends share, and what answers that."""
    signer = network.nodes[SCHOOL].packet
    stamp = {"from_": SCHOOL, "to": DISTRICT, "epoch": 1, "certificate": signer.fingerprint}
    shared = [(OBLAST, 7, b"one"), (SCHOOL, 11, b"two"), ("kz", 5, b"three")]
    lines = [f"{who} {number} {hashlib.sha256(raw).hexdigest()}" for who, number, raw in shared]
    body = "".join(f"{line}\n" for line in sorted(lines)).encode()
    summary = hashlib.sha256(body).hexdigest()
    one = Ask(**stamp, number=NOW + 24, what="card", address=OBLAST)
    rest = Ask(**stamp, number=NOW + 25, what="card", sha256=summary)
    held = CardList(**stamp, number=NOW + 26, body=Body(summary, len(body)))
    return [
        {"name": "ask-card", "header": wire.encode(one).decode()},
        {"name": "ask-cards", "header": wire.encode(rest).decode(), "summarised": sorted(lines)},
        _described("card-list", sign_object(held, signer, body)),
    ]


def _bad(network: FixedNetwork, facts: KeyFacts, whole: CardFacts) -> list[Vector]:
    """Return cards with one defect, each with the reason that it is refused for."""
    timeless = msgspec.structs.replace(OPENED, since="2026-02-30T00:00:00.000000Z")
    swapped = msgspec.structs.replace(facts, encryption=(KEYS[OBLAST].facts,))
    renamed = msgspec.structs.replace(facts.encryption[0], id="ab" * 32)
    misnamed = msgspec.structs.replace(facts, encryption=(renamed,))
    keyless = msgspec.structs.replace(facts, encryption=())
    body = wire.encode(whole)
    unsigned = bytearray(_keys(network, SCHOOL, facts))
    unsigned[-1] ^= 1
    found = {
        "body-altered": (_card(network, whole)[:-1] + b" ", "digest-mismatch"),
        "signed-by-a-sibling": (_card(network, whole, by=SIBLING), "certificate-untrusted"),
        "signed-by-the-grandparent": (_card(network, whole, by=OBLAST), "certificate-untrusted"),
        "issued-by-the-grandparent": (_card(network, whole, from_=OBLAST), "route-forbidden"),
        "about-another-than-its-header": (
            _card(network, whole, to=SIBLING), "format-invalid"
        ),
        "not-in-the-one-encoding": (
            _card(network, whole, body=body.replace(b",", b", ", 1)), "format-invalid"
        ),
        "unknown-standing": (
            _card(network, whole, body=body.replace(b'"active"', b'"resting"')), "format-invalid"
        ),
        "epochs-with-a-gap": (
            _card(network, _opening(OPENED, msgspec.structs.replace(OPENED, epoch=4))),
            "format-invalid",
        ),
        "epoch-at-no-moment": (
            _card(network, _opening(timeless)), "format-invalid"
        ),
        "keys-signed-by-the-parent": (
            _card(network, _with(whole, _keys(network, SCHOOL, swapped, by=DISTRICT))),
            "certificate-untrusted",
        ),
        "keys-of-another-node": (
            _card(network, _with(whole, _keys(network, OBLAST, _key_facts(network, OBLAST)))),
            "format-invalid",
        ),
        "keys-altered": (_card(network, _with(whole, bytes(unsigned))), "format-invalid"),
        "key-under-another-id": (
            _card(network, _with(whole, _keys(network, SCHOOL, misnamed))), "format-invalid"
        ),
        "keys-without-an-encryption-key": (
            _card(network, _with(whole, _keys(network, SCHOOL, keyless))), "format-invalid"
        ),
    }  # fmt: skip
    return [
        {"name": name, "object": raw.hex(), "reason": reason}
        for name, (raw, reason) in found.items()
    ]
