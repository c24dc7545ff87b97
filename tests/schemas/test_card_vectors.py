"""The golden vectors of cards: good ones hold, bad ones are refused, each for its reason."""

import json

import msgspec
import pytest

from exchange.gate import Gate
from exchange.vouching import lines_of, read_lines, summary_of
from harness.cards import card_of, registry_of
from schemas import wire
from schemas.cards import CardFacts, EpochFacts, decode_card
from schemas.errors import FormatError
from schemas.limits import Limits
from schemas.objects import cut_object
from schemas.statements import Card
from signing.at_rest import AtRest
from signing.chain import TrustStore
from signing.encryption import EncryptionKeyring
from vectors.encryption import KEYS
from vectors.fixed_keys import NOW, OBLAST, FixedNetwork
from vectors.make_vectors import FOLDER

CARDS = json.loads((FOLDER / "cards.json").read_text(encoding="utf-8"))


def named(vectors):
    return [pytest.param(one, id=one["name"]) for one in vectors]


@pytest.fixture(scope="module")
def gate(tmp_path_factory):
    """Make the gate of a node that knows every certificate of the vectors."""
    network = FixedNetwork()
    trust = TrustStore(network.root.der)
    trust.add_certificates(network.certificates)
    for crl in network.crls:
        trust.add_crl(crl)
    own = network.nodes[OBLAST]
    return Gate(
        here=OBLAST,
        epoch=1,
        trust=trust,
        signer=own.packet,
        journal=own.journal,
        encryption=EncryptionKeyring(KEYS[OBLAST]),
        at_rest=AtRest(tmp_path_factory.mktemp("at-rest")),
        limits=Limits(),
        registry=registry_of(OBLAST),
    )


@pytest.mark.parametrize("vector", named(CARDS["good"]))
def test_good_statement(gate, vector):
    """A statement holds whoever brings it, and says what header and body of the vector say."""
    raw = bytes.fromhex(vector["object"])
    opened = gate.open_statement(raw, NOW)
    assert wire.encode(opened.header).decode() == vector["header"]
    assert opened.body.decode() == vector["body"]
    if isinstance(opened.header, Card):
        card = gate.check_card(raw, NOW)
        assert wire.encode(card.facts).decode() == vector["body"]
        assert (card.keys is None) is ('"keys"' not in vector["body"])


@pytest.mark.parametrize("vector", named(CARDS["bad"]))
def test_bad_card(gate, vector):
    """A card with one defect is not taken, for the reason of that defect."""
    with pytest.raises(FormatError) as caught:
        gate.check_card(bytes.fromhex(vector["object"]), NOW)
    assert caught.value.reason == vector["reason"]


def test_no_byte_of_a_card_can_change_unseen(gate):
    """Header, signature, facts, and the keys within: each byte is under a signature or a form."""
    [card] = [one for one in CARDS["good"] if one["name"] == "card"]
    raw = bytes.fromhex(card["object"])
    taken = []
    for at in range(len(raw)):
        altered = bytearray(raw)
        altered[at] ^= 1 << at % 8
        try:
            gate.check_card(bytes(altered), NOW)
        except FormatError:
            continue
        taken.append(at)
    assert taken == []


def test_summary_of_cards():
    """What neighbours compare is the digest of one line a card, in the order of their bytes."""
    [ask] = [one for one in CARDS["asks"] if one["name"] == "ask-cards"]
    cards = summarised(ask["summarised"])
    assert summary_of(cards) == msgspec.json.decode(ask["header"])["sha256"]


def summarised(lines):
    """Return cards as the lines name them, in another order."""
    cards = []
    for line in reversed(lines):
        address, number, digest = line.split()
        card = card_of(address, int(number))
        cards.append(msgspec.structs.replace(card, sha256=bytes.fromhex(digest)))
    return cards


def test_list_of_cards(gate):
    """What answers another digest has those very lines; it is the neighbour's own to us."""
    [ask] = [one for one in CARDS["asks"] if one["name"] == "ask-cards"]
    [vector] = [one for one in CARDS["asks"] if one["name"] == "card-list"]
    cards = summarised(ask["summarised"])
    assert lines_of(cards).decode() == vector["body"]
    assert read_lines(vector["body"].encode()) == {
        card.facts.address: (card.number, card.sha256.hex()) for card in cards
    }
    found = cut_object(bytes.fromhex(vector["object"]))
    assert wire.encode(found.header).decode() == vector["header"]
    assert found.body.decode() == vector["body"]
    with pytest.raises(FormatError) as caught:
        gate.open_statement(bytes.fromhex(vector["object"]), NOW)
    assert caught.value.reason == "route-forbidden"


GOOD_LINE = b"kz.akmola 7 " + b"ab" * 32 + b"\n"


@pytest.mark.parametrize(
    "body",
    [
        GOOD_LINE[:-1],
        GOOD_LINE + b"\n",
        GOOD_LINE.replace(b" 7 ", b" 07 "),
        GOOD_LINE.replace(b" 7 ", b"  7 "),
        GOOD_LINE.replace(b"ab", b"AB"),
        GOOD_LINE.replace(b"ab", b"a", 1),
        GOOD_LINE.replace(b"akmola", "ақмола".encode()),
        GOOD_LINE.replace(b"\n", b"\r\n"),
    ],
)
def test_a_list_that_is_none(body):
    """One form only, to the last byte."""
    assert read_lines(GOOD_LINE)
    with pytest.raises(FormatError) as caught:
        read_lines(body)
    assert caught.value.reason == "format-invalid"


def with_epochs(*epochs):
    opened = [
        EpochFacts(epoch=each, since="2026-11-23T03:32:06.000000Z", size=0, root="0" * 64)
        for each in epochs
    ]
    facts = CardFacts(
        address="kz.akmola", tier="oblast", standing="active",
        since="2026-11-23T03:32:06.000000Z", epochs=tuple(opened),
    )  # fmt: skip
    return wire.encode(facts)


def test_a_card_names_every_epoch_and_so_no_huge_one():
    """A journal begins anew step by step; who goes through all epochs comes to an end."""
    assert len(decode_card(with_epochs(2, 3, 4)).epochs) == 3
    for epochs in ((10**15,), (2, 4), (3, 2)):
        with pytest.raises(FormatError, match="is next"):
            decode_card(with_epochs(*epochs))
    with pytest.raises(FormatError, match="limit 32768"):
        decode_card(with_epochs(*range(2, 300)))
