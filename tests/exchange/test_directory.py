"""Cards at work, over real records and links in memory: taken, published, asked for, refused.

kz ──┬── kz.akmola ── kz.akmola.burabay ──┬── …school-7
     │                                    └── …school-8
     └── kz.abai ── kz.abai.semey
"""

import asyncio
import hashlib
import itertools
from collections import deque
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import pytest

from exchange.batch import Batch
from exchange.core.registry import Registry
from exchange.core.streams import CHAIN_START, chain_after
from exchange.dropped import Drop
from exchange.gate import Gate
from exchange.jobs import Introduced
from exchange.vouching import summary_of
from harness.cards import facts_of, make_card, make_cards, sign_card, sign_keys
from harness.drafts import draft
from harness.memory_link import Waiting
from harness.pki import DISTRICT, OBLAST, SCHOOL, make_network
from harness.service_node import QUICK, Node, new_link, new_record
from nodes import samples
from nodes.clock import now
from schemas.codes import Names
from schemas.leaves import read_leaf
from schemas.limits import Limits
from schemas.moments import DAY, MINUTE, format_instant
from schemas.objects import cut_object
from schemas.statements import NoCard
from signing.at_rest import AtRest
from signing.payload import make_payload, payload_facts
from signing.seal import seal, sign_object

SIBLING = f"{DISTRICT}.school-8"
ABAI, SEMEY = "kz.abai", "kz.abai.semey"
EVERYBODY = ("kz", OBLAST, DISTRICT, SCHOOL, SIBLING, ABAI, SEMEY)
PATIENCE_S = 60.0

_numbers = itertools.count()


class Country:
    """Nodes with the links between them; each begins with what it is told to know."""

    def __init__(self, server, folder):
        self.network = make_network(EVERYBODY, now())
        self.links = {child: new_link(child) for child in EVERYBODY if child != "kz"}
        self.nodes = {}
        self.folder = folder
        self._server = server

    async def add(self, address, known=EVERYBODY, *, certificates=EVERYBODY):
        """Make a node that begins with the cards and certificates of these."""
        name = f"directory_{next(_numbers)}"
        record = await new_record(self._server, name, address)
        node = Node(address, self.network, self.folder / name, record)
        node.cards = make_cards(self.network, known)
        node.certificates = [
            der for each in certificates for der in self.network.nodes[each].certificates
        ]
        self.nodes[address] = node
        return node

    @asynccontextmanager
    async def running(self, *addresses):
        """Run nodes, each with the links to its neighbours."""
        async with AsyncExitStack() as stack:
            for address in addresses:
                links = [
                    link for link in self.links.values() if address in {link.parent, link.child}
                ]
                await stack.enter_async_context(self.nodes[address].live(*links))
            yield

    def registry(self, at):
        return self.nodes[at].service.state.registry

    def send(self, from_, to, raw):
        """Send bytes from one node to its neighbour, with all certificates there are."""
        prints = [self.network.nodes[each].packet.fingerprint for each in EVERYBODY]
        self.nodes[from_].service.state.links[to].send_statement(raw, *prints)

    async def until_card(self, at, address, **facts):
        """Wait until a node's copy of a card says so."""
        await until(lambda: self._says(at, address, facts))

    def _says(self, at, address, facts):
        card = self.registry(at).card(address)
        return card is not None and all(
            getattr(card.facts, name) == value for name, value in facts.items()
        )

    async def publish(self, at, address, **changes):
        """Let a parent change a child's card as an instruction does, in a commit of its own."""
        service = self.nodes[at].service
        facts = msgspec.structs.replace(self.registry(at).card(address).facts, **changes)
        batch = Batch(service.state.require_tails(), now())
        service.directory.publish(facts, batch)
        await service.state.archive.commit(batch.changes)
        batch.adopt()
        batch.follow_up()

    async def incidents(self, at, kind):
        rows = await self.nodes[at].archive._rows(
            "SELECT neighbour, detail FROM incident WHERE kind = $1 ORDER BY happened", kind
        )
        return [(row["neighbour"], row["detail"]) for row in rows]

    async def until_incident(self, at, kind):
        await until(lambda: kind in self.nodes[at].eyes.incidents)
        return (await self.incidents(at, kind))[-1]


async def until(happened):
    async with asyncio.timeout(PATIENCE_S):
        while not happened():  # noqa: ASYNC110 - a node tells no events
            await asyncio.sleep(0.01)


@pytest.fixture
def country(server, tmp_path):
    return Country(server, tmp_path)


@pytest.fixture
async def pair(country):
    """Run a district and its school, both with everything at hand."""
    for address in (DISTRICT, SCHOOL):
        await country.add(address)
    async with country.running(DISTRICT, SCHOOL):
        yield country


@pytest.fixture(scope="module")
async def settled(server, tmp_path_factory):
    """Run the same two for all tests that leave them as they were."""
    country = Country(server, tmp_path_factory.mktemp("settled"))
    for address in (DISTRICT, SCHOOL):
        await country.add(address)
    async with country.running(DISTRICT, SCHOOL):
        yield country


def document(to, drop_id="one"):
    return Drop("sis", drop_id, "attendance.daily/1", to, samples.tiny(1), dropped=now())


# ------------------------------------------------------------------ what is taken


async def test_a_newer_card_counts_and_is_journaled(pair):
    """It is in the record as it was signed, and in the journal with its digest."""
    raw = make_card(pair.network, SIBLING, 7, names=Names(kk="Мектеп", ru="Школа", en="School"))
    pair.send(DISTRICT, SCHOOL, raw)
    await pair.until_card(SCHOOL, SIBLING, names=Names(kk="Мектеп", ru="Школа", en="School"))
    archive = pair.nodes[SCHOOL].archive
    [row] = [card for card in await archive.cards() if card.address == SIBLING]
    assert (row.number, row.object, row.issuer) == (7, raw, DISTRICT)
    leaves = await archive._rows("SELECT record FROM leaf WHERE kind = 'card' ORDER BY index")
    leaf = read_leaf(leaves[-1]["record"])
    assert leaf["sha256"] == row.sha256.hex()
    assert (leaf["address"], leaf["number"], leaf["via"]) == (SIBLING, "7", DISTRICT)


def altered(network):
    raw = bytearray(make_card(network, SIBLING, 7))
    raw[-1] ^= 1
    return bytes(raw)


def by_a_sibling(network):
    return sign_card(network, facts_of(SIBLING, standing="closed"), 7, by=SCHOOL)


def by_the_grandparent(network):
    return sign_card(network, facts_of(SIBLING, standing="closed"), 7, by=OBLAST)


def with_keys_of_the_parents_making(network):
    keys = sign_keys(network, SIBLING, 9, by=DISTRICT)
    return make_card(network, SIBLING, 7, keys)


def with_the_parents_own_keys(network):
    return make_card(network, SIBLING, 7, sign_keys(network, DISTRICT, 9))


def with_a_key_swapped_in_the_statement(network):
    [theirs] = network.nodes[DISTRICT].encryption.facts
    [ours] = network.nodes[SIBLING].encryption.facts
    statement = sign_keys(network, SIBLING, 9)
    statement = statement.replace(ours.public.encode(), theirs.public.encode())
    return make_card(network, SIBLING, 7, statement.replace(ours.id.encode(), theirs.id.encode()))


def with_a_key_under_another_id(network):
    [key] = network.nodes[SIBLING].encryption.facts
    wrong = msgspec.structs.replace(key, id="ab" * 32)
    return make_card(network, SIBLING, 7, sign_keys(network, SIBLING, 9, encryption=(wrong,)))


def under_itself(network):
    return make_card(network, SIBLING, 7, uplink=f"{SIBLING}.annex")


def with_the_number_of_another(network):
    return make_card(network, SIBLING, 1, standing="suspended")


REFUSED = {
    altered: "digest-mismatch",
    by_a_sibling: "certificate-untrusted",
    by_the_grandparent: "certificate-untrusted",
    with_keys_of_the_parents_making: "certificate-untrusted",
    with_the_parents_own_keys: "format-invalid",
    with_a_key_swapped_in_the_statement: "digest-mismatch",
    with_a_key_under_another_id: "format-invalid",
    under_itself: "route-forbidden",
    with_the_number_of_another: "replay",
}


@pytest.mark.parametrize("make", REFUSED, ids=lambda make: make.__name__)
async def test_a_bad_card_changes_nothing_and_is_an_incident(settled, make):
    """Whoever brings it, and whatever is wrong with it, the card before it still counts."""
    before = settled.registry(SCHOOL).card(SIBLING)
    settled.nodes[SCHOOL].eyes.incidents.clear()
    settled.send(DISTRICT, SCHOOL, make(settled.network))
    neighbour, detail = await settled.until_incident(SCHOOL, "card_refused")
    assert neighbour == DISTRICT
    assert detail.startswith(REFUSED[make])
    assert settled.registry(SCHOOL).card(SIBLING) == before


async def test_older_keys_than_seen_are_refused(pair):
    """A parent can't bring back a key that the node has given up."""
    pair.send(
        DISTRICT, SCHOOL, make_card(pair.network, SIBLING, 7, sign_keys(pair.network, SIBLING, 9))
    )
    await until(lambda: pair.registry(SCHOOL).card(SIBLING).number == 7)
    pair.send(
        DISTRICT, SCHOOL, make_card(pair.network, SIBLING, 8, sign_keys(pair.network, SIBLING, 8))
    )
    _, detail = await pair.until_incident(SCHOOL, "card_refused")
    assert "keys 8 are older than 9" in detail
    assert pair.registry(SCHOOL).card(SIBLING).number == 7


async def test_keys_do_not_come_back_after_a_restart(country):
    """The record has what keys were seen, also where the newest card has none."""
    network = country.network
    for address in (DISTRICT, SCHOOL):
        await country.add(address)
    async with country.running(DISTRICT, SCHOOL):
        country.send(
            DISTRICT, SCHOOL, make_card(network, SIBLING, 7, sign_keys(network, SIBLING, 9))
        )
        country.send(DISTRICT, SCHOOL, sign_card(network, facts_of(SIBLING), 8))
        await until(lambda: country.registry(SCHOOL).card(SIBLING).number == 8)
    async with country.running(DISTRICT, SCHOOL):
        assert country.registry(SCHOOL).card(SIBLING).keys_number == 9
        country.send(
            DISTRICT, SCHOOL, make_card(network, SIBLING, 9, sign_keys(network, SIBLING, 8))
        )
        _, detail = await country.until_incident(SCHOOL, "card_refused")
        assert "keys 8 are older than 9" in detail


async def test_the_same_bytes_are_one_incident_however_often_they_come(country):
    """In one life and over restarts; who repeats them fills no record."""
    node = await country.add(DISTRICT)
    await country.add(SCHOOL)
    refused = sign_keys(country.network, SCHOOL, 9, by=SIBLING)
    digest = hashlib.sha256(refused).digest()
    for number in (5, 6):
        async with country.running(DISTRICT, SCHOOL):
            for _ in range(3):
                country.send(SCHOOL, DISTRICT, refused)
            country.send(SCHOOL, DISTRICT, make_card(country.network, "kz", number))
            await until(lambda: country.registry(DISTRICT).card("kz").number == number)  # noqa: B023
            assert len(await country.incidents(DISTRICT, "card_refused")) == 1
            kept = await node.archive._rows(
                "SELECT frame FROM quarantine WHERE sha256 = $1", digest
            )
            assert len(kept) == 1


async def test_a_node_repeats_its_keys_less_and_less_often(country):
    """A parent that does not take them is not asked every minute for ever."""
    node = await country.add(SCHOOL)
    node.cards = [
        *make_cards(country.network, ("kz", OBLAST, DISTRICT)),
        sign_card(country.network, facts_of(SCHOOL)),
    ]
    async with country.running(SCHOOL):
        await country.until_card(SCHOOL, SCHOOL, keys=None)
    service, start, said = node.service, now() + DAY, []
    service.state.rules = msgspec.structs.replace(service.state.rules, limits=Limits())
    for minute in range(24 * 60):
        batch = Batch(service.state.require_tails(), start + minute * MINUTE)
        await service.directory.sweep(batch)
        said += [minute] * len(batch._after)
    pauses = [later - earlier for earlier, later in itertools.pairwise(said)]
    assert said[0] == 0
    assert 8 <= len(said) <= 12
    assert max(pauses) <= 6 * 60 * 5 // 4
    assert pauses == sorted(pauses)


async def test_keys_do_not_come_back_by_way_of_a_card_without_any(pair):
    """Leaving the keys out of one card does not make older ones new."""
    network = pair.network
    pair.send(DISTRICT, SCHOOL, make_card(network, SIBLING, 7, sign_keys(network, SIBLING, 9)))
    pair.send(DISTRICT, SCHOOL, sign_card(network, facts_of(SIBLING), 8))
    pair.send(DISTRICT, SCHOOL, make_card(network, SIBLING, 9, sign_keys(network, SIBLING, 8)))
    await pair.until_incident(SCHOOL, "card_refused")
    assert pair.registry(SCHOOL).card(SIBLING).number == 8


async def test_an_older_card_is_ignored(pair):
    """It is no fault of anybody's: what comes late comes late."""
    pair.send(DISTRICT, SCHOOL, make_card(pair.network, SIBLING, 7))
    pair.send(DISTRICT, SCHOOL, make_card(pair.network, SIBLING, 6, standing="closed"))
    pair.send(DISTRICT, SCHOOL, make_card(pair.network, OBLAST, 5))
    await until(lambda: pair.registry(SCHOOL).card(OBLAST).number == 5)
    assert pair.registry(SCHOOL).card(SIBLING).number == 7
    assert "card_refused" not in pair.nodes[SCHOOL].eyes.incidents


# ------------------------------------------------------------------ what spreads


async def test_a_change_at_the_parent_reaches_the_child_and_the_ancestors(country):
    """And nobody whom it does not concern."""
    for address in ("kz", OBLAST, DISTRICT, SCHOOL, SIBLING):
        await country.add(address)
    async with country.running("kz", OBLAST, DISTRICT, SCHOOL, SIBLING):
        await country.publish(DISTRICT, SCHOOL, standing="suspended")
        for address in (SCHOOL, OBLAST, "kz"):
            await country.until_card(address, SCHOOL, standing="suspended")
        assert country.registry(SIBLING).card(SCHOOL).facts.standing == "active"


async def test_a_change_while_a_link_was_down_comes_with_the_next_greeting(country):
    """What was sent to nobody is not lost: neighbours compare what they hold."""
    for address in (DISTRICT, SCHOOL):
        await country.add(address)
    async with country.running(DISTRICT):
        await country.publish(DISTRICT, SCHOOL, standing="suspended")
    async with country.running(DISTRICT, SCHOOL):
        await country.until_card(SCHOOL, SCHOOL, standing="suspended")


async def test_neighbours_that_hold_the_same_send_each_other_nothing(pair):
    """A greeting costs one digest each way, however many cards there are."""
    cards = [pair.registry(at).cards() for at in (DISTRICT, SCHOOL)]
    line = pair.links[SCHOOL]
    line.cut()
    up, down = [], []
    for pipe, seen in ((line.up, up), (line.down, down)):
        pipe.waiting = Tap(seen)
    await until(lambda: len(up) > 4 and len(down) > 4)
    await asyncio.sleep(0.3)
    kinds = [body[5] for body in (*up, *down) if body[:4] == b"BBAL"]
    assert 9 not in kinds
    assert [pair.registry(at).cards() for at in (DISTRICT, SCHOOL)] == cards


async def test_neighbours_that_hold_different_cards_send_what_differs(country):
    """However much they share, nothing but the changed card of either side is on the line.

    Once, or twice where a second greeting came before its receiver had committed the first.
    """
    for address in (DISTRICT, SCHOOL):
        await country.add(address)
    async with country.running(DISTRICT, SCHOOL):
        pass
    newer = {
        DISTRICT: make_card(country.network, SCHOOL, 7, bin="990940000076"),
        SCHOOL: make_card(country.network, OBLAST, 7),
    }
    line = country.links[SCHOOL]
    for address, raw in newer.items():
        async with country.running(address):
            await country.nodes[address].service.submit(Introduced([], [], [raw]))
            subject = cut_object(raw).header.to
            await until(lambda: country.registry(address).card(subject).number == 7)  # noqa: B023
        line.up.waiting.clear()
        line.down.waiting.clear()
    seen = {SCHOOL: [], DISTRICT: []}
    for pipe, by in ((line.up, SCHOOL), (line.down, DISTRICT)):
        pipe.waiting = Tap(seen[by])
    async with country.running(DISTRICT, SCHOOL):
        for address in (DISTRICT, SCHOOL):
            for subject in (SCHOOL, OBLAST):
                await until(lambda: country.registry(address).card(subject).number == 7)  # noqa: B023
        await asyncio.sleep(0.3)
    for by, raw in newer.items():
        assert [each for each in seen[by] if each[:6] == b"BBAL\x01\x09"] in ([raw], [raw, raw])


async def test_two_cards_of_one_number_come_to_light_at_a_greeting(country):
    """A parent that signs two cards under one number, one for each, is found out."""
    for address in (DISTRICT, SCHOOL):
        await country.add(address)
    async with country.running(DISTRICT, SCHOOL):
        pass
    for address, standing in ((DISTRICT, "active"), (SCHOOL, "suspended")):
        raw = make_card(country.network, OBLAST, 7, standing=standing)
        async with country.running(address):
            await country.nodes[address].service.submit(Introduced([], [], [raw]))
            await until(lambda: country.registry(address).card(OBLAST).number == 7)  # noqa: B023
    async with country.running(DISTRICT, SCHOOL):
        for address in (DISTRICT, SCHOOL):
            _, detail = await country.until_incident(address, "card_refused")
            assert "two cards bear number 7" in detail


async def test_a_card_list_of_another_form_is_refused(pair):
    """And brings nothing but an incident."""
    own = pair.nodes[DISTRICT].service.state.gate
    pair.send(DISTRICT, SCHOOL, own.make_card_list(SCHOOL, b"kz 1\n", now()))
    neighbour, detail = await pair.until_incident(SCHOOL, "card_refused")
    assert (neighbour, detail) == (DISTRICT, "format-invalid: card list: line 1 is none")


class Tap(deque[Waiting]):
    """A queue that remembers what went through it."""

    def __init__(self, seen):
        super().__init__()
        self._seen = seen

    def append(self, message):
        self._seen.append(message.body)
        super().append(message)


async def test_cards_outlive_the_configuration(country):
    """What was taken once is in the record; a later life needs no files."""
    node = await country.add(DISTRICT)
    async with country.running(DISTRICT):
        before = summary_of(country.registry(DISTRICT).cards())
    node.cards = []
    async with country.running(DISTRICT):
        assert summary_of(country.registry(DISTRICT).cards()) == before
        assert country.registry(DISTRICT).children == (SCHOOL, SIBLING)


async def test_a_card_waits_for_the_certificates_it_needs(country):
    """What the configuration brings too early counts once its signers are known."""
    node = await country.add(DISTRICT, (), certificates=("kz", OBLAST, DISTRICT))
    async with country.running(DISTRICT):
        raw = make_card(country.network, SCHOOL)
        await node.service.submit(Introduced([], [], [raw]))
        theirs = country.network.nodes[SCHOOL].certificates
        await node.service.submit(Introduced(theirs, []))
        await country.until_card(DISTRICT, SCHOOL, standing="active")
        assert "card_refused" not in node.eyes.incidents


# ------------------------------------------------------------------ a node's own keys


async def test_a_node_states_its_keys_until_its_card_shows_them(country):
    """A parent that vouched for a node before it ran puts its own keys into the next card."""
    district = await country.add(DISTRICT)
    await country.add(SCHOOL)
    bare = sign_card(country.network, facts_of(SCHOOL))
    for node in country.nodes.values():
        others = [each for each in EVERYBODY if each != SCHOOL]
        node.cards = [*make_cards(country.network, others), bare]
    async with country.running(DISTRICT, SCHOOL):
        keys = country.nodes[SCHOOL].service.state.gate.key_facts()
        await until(lambda: country.registry(SCHOOL).card(SCHOOL).keys == keys)
        assert country.registry(DISTRICT).card(SCHOOL).keys == keys
    assert "card_refused" not in district.eyes.incidents


async def test_the_root_vouches_for_itself(country):
    """Its first card is made by itself, with its own keys."""
    root = await country.add("kz", ())
    async with country.running("kz"):
        await until(lambda: country.registry("kz").card("kz") is not None)
        card = country.registry("kz").card("kz")
        assert card.keys == root.service.state.gate.key_facts()
        assert card.facts.tier == "republic"


async def test_a_renewed_parent_signs_its_childrens_cards_anew(country):
    """Cards of an ended key would count for nobody; their numbers rise, what they say stays."""
    for address in (DISTRICT, SCHOOL):
        await country.add(address)
    async with country.running(DISTRICT, SCHOOL):
        before = country.registry(SCHOOL).card(SCHOOL)
    old = country.network.nodes[DISTRICT].certificates
    fresh = country.network.add(DISTRICT)
    for node in country.nodes.values():
        node.certificates = [*node.certificates, *old, *fresh.certificates]
        node.cards = []
    async with country.running(DISTRICT, SCHOOL):
        await until(lambda: country.registry(SCHOOL).card(SCHOOL).number > before.number)
        after = country.registry(SCHOOL).card(SCHOOL)
        assert after.signers[0] == (DISTRICT, fresh.packet.fingerprint)
        assert after.facts == before.facts


# ------------------------------------------------------------------ asking


async def test_a_card_is_asked_for_over_several_hops_and_checked_up_to_the_root(country):
    """Neither the school nor the relays had met the other oblast's district, or its keys."""
    own = ("kz", OBLAST, DISTRICT, SCHOOL)
    for address in (SCHOOL, DISTRICT, OBLAST):
        await country.add(address, own, certificates=own)
    await country.add("kz")
    async with country.running("kz", OBLAST, DISTRICT, SCHOOL):
        school = country.nodes[SCHOOL]
        [outcome] = await school.service.drop([document(SEMEY)])
        assert outcome.state == "waiting"
        await country.until_card(SCHOOL, SEMEY, standing="active")
        assert country.registry(SCHOOL).card(ABAI) is not None
        service = school.service
        batch = Batch(service.state.require_tails(), now())
        key = service.directory.encryption_key(SEMEY, batch)
        assert key == country.network.nodes[SEMEY].encryption.facts[0]
    incidents = [each for node in country.nodes.values() for each in node.eyes.incidents]
    assert "card_refused" not in incidents


async def test_who_is_asked_tells_that_there_is_no_such_node(country):
    """The longest prefix that exists answers, and the drop becomes a fault."""
    own = ("kz", OBLAST, DISTRICT, SCHOOL)
    for address in (SCHOOL, DISTRICT, OBLAST):
        await country.add(address, own, certificates=own)
    for address in ("kz", ABAI):
        await country.add(address)
    async with country.running("kz", OBLAST, DISTRICT, SCHOOL, ABAI):
        node = country.nodes[SCHOOL]
        await node.service.drop([document(f"{ABAI}.nowhere.school-1")])
        await until(lambda: node.service.directory.is_unknown(f"{ABAI}.nowhere.school-1"))
        async with asyncio.timeout(PATIENCE_S):
            while (done := await node.archive.drop_outcome("sis", "one")) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert done.frame is None
        assert "unknown" in done.fault


@pytest.mark.parametrize(
    ("by", "age", "counts"),
    [
        (ABAI, 0, True),
        ("kz", 0, True),
        (OBLAST, 0, False),
        (DISTRICT, 0, False),
        (ABAI, 2 * DAY, False),
    ],
)
async def test_only_a_fresh_word_of_an_ancestor_makes_a_node_unknown(settled, by, age, counts):
    """A neighbour can't make others' nodes disappear, nor can an old word."""
    number = next(_numbers)
    unknown = f"{ABAI}.nowhere-{number}"
    service = settled.nodes[SCHOOL].service
    await service.drop([document(unknown, f"drop-{number}")])
    signer = settled.network.nodes[by].packet
    word = NoCard(
        from_=by,
        to=SCHOOL,
        epoch=1,
        number=now() - age,
        certificate=signer.fingerprint,
        address=unknown,
    )
    settled.send(DISTRICT, SCHOOL, sign_object(word, signer))
    behind = make_card(settled.network, OBLAST, 10 + number)
    settled.send(DISTRICT, SCHOOL, behind)
    await until(lambda: settled.registry(SCHOOL).card(OBLAST).number == 10 + number)
    assert service.directory.is_unknown(unknown) is counts


@pytest.mark.parametrize("changes", [{"standing": "suspended"}, {"standing": "closed"}])
async def test_nothing_is_encrypted_below_a_suspended_node(pair, changes):
    """All of the chain must be active, the node itself included."""
    service = pair.nodes[SCHOOL].service
    batch = Batch(service.state.require_tails(), now())
    assert service.directory.encryption_key(SEMEY, batch) is not None
    pair.send(DISTRICT, SCHOOL, make_card(pair.network, ABAI, 7, **changes))
    await pair.until_card(SCHOOL, ABAI, **changes)
    assert service.directory.encryption_key(SEMEY, batch) is None


# ------------------------------------------------------------------ frames that a card admits


def bundle_of(country, by, to, sender):
    """Return a neighbour's first bundle with a frame of somebody else's to the root, and its id."""
    own = country.network.nodes[by]
    gate = Gate(
        here=by, epoch=1, trust=country.network.trust(), signer=own.packet, journal=own.journal,
        encryption=own.encryption, at_rest=AtRest(country.folder / "at-rest"), limits=Limits(),
        registry=Registry(by),
    )  # fmt: skip
    payload, coding = make_payload(b"{}", bytes(16))
    header = draft(
        type="notice.text/1", from_=sender, to="kz", sent=format_instant(now()),
        certificate=country.network.nodes[sender].packet.fingerprint,
        payload=payload_facts(payload, "application/json", coding),
    )  # fmt: skip
    frame = seal(header, payload, country.network.nodes[sender].packet)
    chain = chain_after(CHAIN_START, 1, hashlib.sha256(frame).digest())
    certificates = country.network.certificates
    return gate.make_bundle(to, "fast", 1, chain, [frame], certificates, now()), header.id


@pytest.fixture
async def abai(country):
    """Run an oblast that knows nothing of the school which its district has taken in.

    The republic runs too and greets it: before a greeting nothing that is held is judged.
    """
    known = ("kz", ABAI, SEMEY)
    await country.add("kz", known)
    await country.add(ABAI, known)
    async with country.running("kz", ABAI):
        yield country


async def test_a_frame_that_a_newer_card_would_admit_is_held_and_judged_with_it(abai):
    """The card comes later than what it admits: nobody is refused for the network's lag."""
    raw, id_ = bundle_of(abai, SEMEY, ABAI, SIBLING)
    abai.links[SEMEY].up.waiting.append(Waiting(raw, {}))
    abai.links[SEMEY].up.news.set()
    node = abai.nodes[ABAI]
    async with asyncio.timeout(PATIENCE_S):
        while not (held := await node.archive.held_all()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert [(row.missing, row.certificate) for row in held] == [("card", SIBLING)]
    cards = [
        make_card(abai.network, OBLAST),
        make_card(abai.network, DISTRICT),
        make_card(abai.network, SIBLING, 2, uplink=SEMEY),
    ]
    await node.service.submit(Introduced([], [], cards))
    await node.until(SIBLING, id_, "relayed")
    assert await node.archive.held_all() == []


async def test_without_that_card_it_is_refused_past_the_hold_limit(abai):
    """`route-forbidden`, as it would have been at once for a name of our own."""
    raw, _ = bundle_of(abai, SEMEY, ABAI, SIBLING)
    node = abai.nodes[ABAI]
    abai.links[SEMEY].up.waiting.append(Waiting(raw, {}))
    abai.links[SEMEY].up.news.set()
    async with asyncio.timeout(PATIENCE_S):
        while not await node.archive.held_all():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    start = node.service.clock
    node.service.clock = lambda: start() + QUICK.hold_limit_us + MINUTE
    async with asyncio.timeout(PATIENCE_S):
        while await node.archive.held_all():
            node.service.state.clock_agrees.set()  # it jumped, and nobody is there to ask
            await asyncio.sleep(0.02)
    rows = await node.archive._rows("SELECT reason FROM quarantine WHERE state = 'refused'")
    assert [row["reason"] for row in rows] == ["route-forbidden"]
