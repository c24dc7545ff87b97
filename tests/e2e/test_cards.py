"""Cards that do not count: each is an incident of its own at the node that gets it, and no more.

kz ── kz.abai (a rogue, to the root) ── kz.abai.semey      the parent that vouches for semey lies
kz ── kz.zhambyl ──┬── a rogue                             a sibling that vouches for shu
                   └── shu
"""

import msgspec
import pytest

from exchange.vouching import keys_text, read_card
from harness.rogue import signer_of
from nodes.card_files import make_card, make_keys
from schemas.codes import Names
from signing.encryption import EncryptionKeyring, HybridKey

ROOT, RELAY, RECIPIENT = "kz", "kz.zhambyl", "kz.zhambyl.shu"
ABOVE, BELOW = "kz.abai", "kz.abai.semey"
RENAMED = Names(kk="Басқа", ru="Другой", en="Another")


class Forger:
    """Makes the next card of an address, otherwise than its parent may."""

    def __init__(self, country, rogue, before):
        self.country, self.rogue, self.before = country, rogue, before
        self.theirs = EncryptionKeyring(HybridKey.generate()).facts

    def card(self, signer=None, **changes):
        """Return the card after the one that counts."""
        facts = msgspec.structs.replace(self.before.facts, names=RENAMED, **changes)
        return make_card(facts, signer or self.rogue.signer, self.before.number + 1)

    def keys(self, signer, encryption=None, number=None):
        """Return a statement of the node's keys."""
        known = self.before.keys
        number = number or self.before.keys_number + 1
        return make_keys(BELOW, signer, known.journal, encryption or known.encryption, number)

    @property
    def own(self):
        """The key that only the node itself should have."""
        return signer_of(self.country.network, BELOW)


def by_a_sibling(forger):
    return forger.card(standing="closed")


def with_a_byte_of_its_body_altered(forger):
    raw = bytearray(forger.card())
    raw[-1] ^= 1
    return bytes(raw)


def with_a_byte_of_its_header_altered(forger):
    raw = bytearray(forger.card())
    raw[raw.index(b'"number":') + 12] ^= 1
    return bytes(raw)


def with_the_parents_key_as_the_nodes(forger):
    return forger.card(keys=keys_text(forger.keys(forger.rogue.signer, forger.theirs)))


def with_the_key_swapped_in_its_statement(forger):
    statement = forger.keys(forger.own)
    for ours, theirs in zip(forger.before.keys.encryption, forger.theirs, strict=True):
        statement = statement.replace(ours.public.encode(), theirs.public.encode())
        statement = statement.replace(ours.id.encode(), theirs.id.encode())
    return forger.card(keys=keys_text(statement))


def with_older_keys(forger):
    return forger.card(keys=keys_text(forger.keys(forger.own, number=1)))


def another_under_its_number(forger):
    facts = msgspec.structs.replace(forger.before.facts, standing="suspended")
    return make_card(facts, forger.rogue.signer, forger.before.number)


BAD = {
    by_a_sibling: (RELAY, RECIPIENT, "certificate-untrusted"),
    with_a_byte_of_its_body_altered: (ROOT, BELOW, "digest-mismatch"),
    with_a_byte_of_its_header_altered: (ROOT, BELOW, "sig-invalid"),
    with_the_parents_key_as_the_nodes: (ROOT, BELOW, "certificate-untrusted"),
    with_the_key_swapped_in_its_statement: (ROOT, BELOW, "digest-mismatch"),
    with_older_keys: (ROOT, BELOW, "replay: kz.abai.semey: keys 1 are older than "),
    another_under_its_number: (ROOT, BELOW, "replay: kz.abai.semey: two cards bear number "),
}


async def rogue_at(country, node):
    """Return the rogue below a node."""
    return await country.lasting_rogue("above" if node == ROOT else "sibling")


async def cards_at(country, node, address):
    """Return all cards of an address that a node has taken, oldest first."""
    query = "SELECT object FROM card WHERE address = $1 ORDER BY number"
    rows = await country.at[node].rows(query, address)
    return [read_card(row["object"]) for row in rows]


async def leaves_at(country, node):
    rows = await country.at[node].rows("SELECT count(*) FROM leaf WHERE kind = 'card'")
    return rows[0]["count"]


async def card_with_keys(country, node, address):
    """Return the card that counts at a node, once it has the keys of its address."""

    async def look():
        cards = await cards_at(country, node, address)
        return cards[-1] if cards and cards[-1].keys is not None else None

    return await country.at[node].until(look)


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
async def test_a_bad_card_changes_nothing_and_is_raised(country, make):
    """The node that gets it says what is wrong and keeps it; the card before it still counts."""
    node, address, reason = BAD[make]
    rogue, watch = await rogue_at(country, node), country.at[node]
    raw = make(Forger(country, rogue, await card_with_keys(country, node, address)))
    before = await cards_at(country, node, address), await leaves_at(country, node)
    told = len(await watch.incidents("card_refused", rogue.address))
    await rogue.publish(raw)

    async def raised():
        found = await watch.incidents("card_refused", rogue.address)
        return found[: len(found) - told]

    [incident] = await watch.until(raised)
    assert incident.detail.startswith(reason)
    [kept] = await watch.quarantine_of(raw)
    assert (kept.frame, kept.state) == (incident.frame, "incident")
    frame = rogue.packet(node)
    await rogue.send(frame)
    assert (await rogue.answer_to(frame)).verdict == "accepted"
    assert (await cards_at(country, node, address), await leaves_at(country, node)) == before


async def test_the_parents_own_next_card_counts(country):
    """What is refused above is refused for what is wrong with it: the same without fault counts."""
    rogue = await rogue_at(country, ROOT)
    forger = Forger(country, rogue, await card_with_keys(country, ROOT, BELOW))
    await rogue.publish(forger.card(keys=keys_text(forger.keys(forger.own))))

    async def counts():
        return (await cards_at(country, ROOT, BELOW))[-1].number > forger.before.number

    await country.at[ROOT].until(counts)
    newest = (await cards_at(country, ROOT, BELOW))[-1]
    assert (newest.facts.names, newest.keys_number) == (RENAMED, forger.before.keys_number + 1)
