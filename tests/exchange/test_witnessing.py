"""Journals shown between neighbours: kept, cosigned, compared, sampled; over links in memory.

kz ──┬── kz.akmola ── kz.akmola.burabay
     └── kz.abai
"""

import asyncio
import base64
import hashlib
import itertools
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from cryptography.hazmat.primitives.asymmetric import mldsa

from exchange.jobs import Introduced
from exchange.signing_desk import body_of
from harness.pki import DISTRICT, OBLAST, make_network
from harness.service_node import SWEEP_S, Node, new_link, new_record
from nodes import clock
from schemas.addresses import dns_name, parent_of
from schemas.leaves import read_leaf
from schemas.moments import HOUR, SECOND
from schemas.objects import Ask, cut_object, unpack_pieces
from schemas.witnessing import Checkpoint, Cosigned, Proven
from signing.cosigner import Cosigner
from signing.notes import (
    KeyType,
    checkpoint_of,
    open_note,
    origin,
    read_vkey,
    sign_checkpoint,
    vkey,
)
from signing.proofs import (
    AddCheckpoint,
    LeafProof,
    proof_text,
    read_request,
    request_body,
)
from signing.seal import sign_object
from store.merkle import consistency_proof, leaf_hash, root_of
from store.packing import unpack

TOP, OTHER = "kz", "kz.abai"
TREE = (TOP, OBLAST, OTHER, DISTRICT)
PATIENCE_S = 30.0

_numbers = itertools.count()


class Moved:
    """The clock, moved."""

    def __init__(self):
        self.by_us = 0

    def __call__(self):
        return clock.now() + self.by_us


class Country:
    """Nodes that sign their journals, each made with its record where a test first runs it."""

    def __init__(self, server, folder):
        self.network, self.moved = make_network(TREE, clock.now()), Moved()
        self.nodes = {}
        self.silent = set()
        """Who signs nothing of its own."""
        self.links = {child: new_link(child) for child in TREE[1:]}
        self._server, self._folder = server, folder

    def __getitem__(self, address):
        return self.nodes[address]

    async def _make(self, address):
        name = f"witnessing_{next(_numbers)}"
        (self._folder / name).mkdir()
        record = await new_record(self._server, name, address)
        node = self.nodes[address] = Node(address, self.network, self._folder / name, record)
        node.clock, node.signs = self.moved, address not in self.silent
        if address == OBLAST:
            node.mldsa = mldsa.MLDSA44PrivateKey.generate()

    @asynccontextmanager
    async def running(self, *addresses):
        """Run some nodes until the block ends; the others are away."""
        async with AsyncExitStack() as stack:
            for address in addresses:
                if address not in self.nodes:
                    await self._make(address)
                links = [
                    self.links[each] for each in TREE[1:] if address in {each, parent_of(each)}
                ]
                service = await stack.enter_async_context(self[address].live(*links))
                if parent_of(address) not in addresses:
                    service.parts.witnessing.showing.is_vouched = True  # nobody is above it
            yield

    def showing(self, address):
        return self[address].service.parts.witnessing.showing

    def link(self, address, neighbour):
        return self[address].service.state.links[neighbour]

    async def witnessed(self, address, by):
        """Return the newest checkpoint that a node holds of another's journal."""
        rows = await self[by].archive.witnessed_newest()
        return next((row for row in rows if row.address == address), None)

    async def stir(self, address):
        """Have a node journal something: new revocation lists."""
        await self[address].service.submit(Introduced([], self.network.crls(), []))

    async def leaves(self, address, kind):
        rows = await self[address].archive._rows("SELECT record FROM leaf ORDER BY index")
        leaves = [read_leaf(unpack(row["record"])) for row in rows]
        return [leaf for leaf in leaves if leaf["kind"] == kind]

    async def until_cosigned(self, address, *witnesses):
        """Wait until witnesses have cosigned one checkpoint of a node; return its note and rows."""

        async def look():
            newest = await self[address].archive.last_checkpoint()
            if newest is None:
                return None
            rows = await self[address].archive.cosignatures(1, newest[0])
            return (newest, rows) if {row.witness for row in rows} == set(witnesses) else None

        return await until(look)

    async def until_incident(self, address, kind):
        async def look():
            return kind in self[address].eyes.incidents

        await until(look)

    async def until_at_rest(self, *addresses):
        """Wait until nobody has anything new to sign or show."""

        async def look():
            stands = [await self[each].archive.leaf_count() for each in addresses]
            await asyncio.sleep(4 * SWEEP_S)
            return stands == [await self[each].archive.leaf_count() for each in addresses]

        await until(look)

    def hear(self, address, kind):
        """Return a list that gets each object of a kind instead of the running node."""
        heard = []
        dialogue = self[address].service.parts.dialogue
        take = dialogue.take_object

        async def listen(opened, link, batch):
            if isinstance(opened.header, kind):
                heard.append(opened)
            else:
                await take(opened, link, batch)

        dialogue.take_object = listen
        return heard


async def _any(heard):
    return list(heard)


async def until(condition):
    """Wait until something is so; the record tells no events."""
    async with asyncio.timeout(PATIENCE_S):
        while not (found := await condition()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        return found


@pytest.fixture
def country(server, tmp_path):
    return Country(server, tmp_path)


class Forger:
    """The node of a neighbour that shows whatever a test wants, signed with its own keys."""

    def __init__(self, country, address=DISTRICT, to=OBLAST):
        self.country, self.address, self.to = country, address, to
        self.own = country.network.nodes[address]
        self.answers = country.hear(address, Cosigned)
        self.name = origin(address, 1)

    def note(self, leaves, by=None, name=None):
        """Return a signed checkpoint over made-up leaves."""
        signer = by or self.own.journal
        return sign_checkpoint(name or self.name, len(leaves), root_of(leaves), signer)

    def say(self, header_type, body, **fields):
        """Send an object as this node; its journal's certificate goes before it."""
        link = self.country.link(self.address, self.to)
        stamp = {
            "from_": self.address,
            "to": self.to,
            "epoch": 1,
            "number": clock.now(),
            "certificate": self.own.packet.fingerprint,
        }
        raw = sign_object(header_type(**stamp, **fields, body=body_of(body)), self.own.packet, body)
        link.send_statement(raw, self.own.journal.fingerprint)

    async def show(self, old_size, hashes, note):
        """Show a checkpoint; return what the neighbour answers."""
        body = request_body(AddCheckpoint(old_size, hashes, note))
        return await self.show_body(body)

    async def show_body(self, body):
        before = len(self.answers)
        self.say(Checkpoint, body, journal=self.own.journal.fingerprint)
        await until(lambda: _any(self.answers[before:]))
        return self.answers[before]

    def ask(self, index):
        """Ask the neighbour for a leaf."""
        stamp = {
            "from_": self.address,
            "to": self.to,
            "epoch": 1,
            "number": clock.now(),
            "certificate": self.own.packet.fingerprint,
        }
        header = Ask(**stamp, what="leaf", after=index, of_epoch=1)
        link = self.country.link(self.address, self.to)
        link.send_object(sign_object(header, self.own.packet))

    def conflict(self, note, size):
        """Answer that another size is held."""
        fields = {"origin": origin(self.to, 1), "size": size, "status": 409, "detail": "held"}
        self.say(Cosigned, note.encode(), **fields)

    def answer(self, note, *, by=None, of=None, **changes):
        """Send an answer to a checkpoint of a neighbour, good but for what a test changes."""
        cosigner = Cosigner(self.address, self.country.network.nodes[by or self.address].witness)
        text = of or note.partition("\n\n")[0] + "\n"
        lines = cosigner.cosign(text, clock.now() // SECOND).encode()
        fields = {
            "origin": origin(self.to, 1),
            "status": 200,
            "witness": self.own.witness.fingerprint,
        }
        self.say(Cosigned, lines, **fields | changes)


@asynccontextmanager
async def forging(country, *others):
    """Run the oblast and a forger below it, which has shown a journal of seven leaves."""
    country.silent.add(DISTRICT)
    async with country.running(*others, OBLAST, DISTRICT):
        forger = Forger(country)
        await until(country[DISTRICT].service.state.greeted.wait)
        answer = await forger.show(0, [], forger.note(LEAVES[:7]))
        assert answer.header.status == 200
        yield forger


LEAVES = [leaf_hash(f"leaf {number}".encode()) for number in range(12)]
FALSE = [leaf_hash(f"other {number}".encode()) for number in range(12)]


def proof_of(leaves, old_size, size):
    return consistency_proof(old_size, size, lambda _level, _index: b"".join(leaves[:size]))


# ------------------------------------------------------------------ shown and cosigned


async def test_a_checkpoint_is_cosigned_by_the_uplink(country):
    """The uplink keeps and journals it, and both its lines open under the keys stated for them."""
    async with country.running(OBLAST, DISTRICT):
        (size, _, note), (row,) = await country.until_cosigned(DISTRICT, OBLAST)
        kept = await country.witnessed(DISTRICT, by=OBLAST)
        (leaf, *_) = [
            each for each in await country.leaves(OBLAST, "witnessed") if each["size"] == str(size)
        ]
    head, name = checkpoint_of(note), dns_name(OBLAST)
    assert (kept.origin, kept.size, kept.root) == (head.origin, size, head.root)
    assert leaf["root"] == head.root.hex()
    assert leaf["note-sha256"] == hashlib.sha256(note.encode()).hexdigest()
    witness = country.network.nodes[OBLAST].witness
    stated = [read_vkey(each) for each in cut_object(row.object).header.keys]
    assert [key.type for key in stated] == [KeyType.COSIGNATURE_V1, KeyType.MLDSA44_COSIGNATURE]
    certified = vkey(name, witness.public_bytes, KeyType.COSIGNATURE_V1)
    for key in (certified, stated[1]):
        (signature,) = open_note(note + row.lines, [key]).signatures
        assert signature.name == name


async def test_the_roots_journal_is_witnessed_from_two_children_on(country):
    """One child's cosignature of the root is kept, and counts for nothing by itself."""
    async with country.running(TOP, OBLAST):
        await country.until_cosigned(TOP, OBLAST)
        assert country.showing(TOP).cosignatures.witnessed_size == 0
        leaves, _ = await country[TOP].service.parts.witnessing.lag(country.moved())
        assert leaves == country.showing(TOP).newest.size
    async with country.running(TOP, OBLAST, OTHER):
        (size, _, _), _ = await country.until_cosigned(TOP, OBLAST, OTHER)

        async def is_witnessed():
            return country.showing(TOP).cosignatures.witnessed_size == size

        await until(is_witnessed)
        assert await country[TOP].service.parts.witnessing.lag(country.moved()) == (0, 0)


async def test_a_child_keeps_its_parents_checkpoint_and_is_no_witness_of_it(country):
    """What an oblast shows its district is kept and compared; no line comes back."""
    async with country.running(OBLAST, DISTRICT):
        kept = await until(lambda: country.witnessed(OBLAST, by=DISTRICT))

        async def is_acknowledged():
            return country.showing(OBLAST).holds(DISTRICT) == kept.size

        await until(is_acknowledged)
        assert await country[OBLAST].archive.cosignatures(1, kept.size) == []
        assert "cosignature_invalid" not in country[OBLAST].eyes.incidents


async def test_what_was_signed_while_the_witness_was_away_goes_as_one(country):
    """The newest checkpoint is shown at the greeting, and those before it never."""
    signed = []
    async with country.running(DISTRICT):
        for _ in range(3):
            size = country[DISTRICT].service.leaves
            await country.stir(DISTRICT)

            async def is_signed(size=size):
                newest = await country[DISTRICT].archive.last_checkpoint()
                return newest is not None and newest[0] > size

            await until(is_signed)
            signed.append((await country[DISTRICT].archive.last_checkpoint())[0])
    async with country.running(OBLAST, DISTRICT):
        (size, _, _), _ = await country.until_cosigned(DISTRICT, OBLAST)
        await country.until_at_rest(OBLAST, DISTRICT)
        shown = country[OBLAST].archive
        newest = await shown.witnessed_last(origin(DISTRICT, 1))
        before = [await shown.witnessed_at(origin(DISTRICT, 1), each) for each in signed[:-1]]
    assert newest.size >= size
    assert before == [None, None]


# ------------------------------------------------------------------ what is refused


async def test_each_bad_checkpoint_has_its_answer(country):
    """As C2SP tlog-witness: nothing of it is kept, and nobody is accused."""
    async with forging(country) as forger:
        stranger = country.network.nodes[OTHER].journal
        note = forger.note(LEAVES[:9])
        good = proof_of(LEAVES, 7, 9)
        elsewhere = forger.note(LEAVES[:9], name=origin(DISTRICT, 2))
        cases = [
            (forger.show(7, good, forger.note(LEAVES[:9], by=stranger)), 403, 9),
            (forger.show(7, good, forger.note(LEAVES[:9], name=origin(OTHER, 1))), 404, 9),
            (forger.show(7, good, elsewhere), 404, 9),
            (forger.show(12, [], note), 400, 9),
            (forger.show_body(b"old seven\n\n" + note.encode()), 400, 0),
            (forger.show_body(b"\xff\xfe"), 400, 0),
            (forger.show(5, proof_of(LEAVES, 5, 9), note), 409, 7),
            (forger.show(0, [], forger.note(LEAVES[:5])), 409, 7),
        ]
        for shown, status, size in cases:
            answer = await shown
            assert (answer.header.status, answer.header.size) == (status, size)
            held = answer.body.decode() if status == 409 else ""
            assert held == (forger.note(LEAVES[:7]) if status == 409 else "")
            assert (answer.header.witness, answer.header.keys) == (None, ())
        kept = await country.witnessed(DISTRICT, by=OBLAST)
        assert kept.size == 7
        assert "journal_forked" not in country[OBLAST].eyes.incidents
        assert country[OBLAST].eyes.incidents.count("checkpoint_unproven") == 3
        for old_size, hashes in ((7, good), (9, [])):  # the second time as if the answer was lost
            answer = await forger.show(old_size, hashes, note)
            assert answer.header.status == 200
            assert answer.body
        assert len(await country.leaves(OBLAST, "witnessed")) == 2


BAD_LINES = {
    "it is about abai.kz": {"origin": origin(OTHER, 1)},
    "no checkpoint of ours has size 99": {"size": 99},
    "witness key": {"witness": "ab" * 32},
    "does not hold": {"of": f"{origin(DISTRICT, 1)}\n7\n{base64.b64encode(bytes(32)).decode()}\n"},
    "no known key": {"by": OTHER},
}


async def test_what_is_no_cosignature_of_ours_is_kept_as_evidence(country):
    """A line for another log, over another text, by another key: an incident each, no row."""
    country.silent.add(OBLAST)
    async with country.running(OBLAST, DISTRICT):
        liar = Forger(country, OBLAST, DISTRICT)
        shown = country.hear(OBLAST, Checkpoint)
        await until(lambda: _any(shown))
        size, _, note = await country[DISTRICT].archive.last_checkpoint()
        for number, (why, fault) in enumerate(BAD_LINES.items(), 1):
            liar.answer(note, **{"size": size} | fault)

            async def is_noticed(number=number):
                found = await country[DISTRICT].archive._rows(
                    "SELECT detail FROM incident WHERE kind = 'cosignature_invalid' ORDER BY place"
                )
                return len(found) == number and found[-1]["detail"]

            assert why in await until(is_noticed)
        assert await country[DISTRICT].archive.last_cosigned(1) == []
        liar.answer(note, size=size)
        await country.until_cosigned(DISTRICT, OBLAST)


async def test_who_is_told_to_begin_elsewhere_does_and_not_for_ever(country):
    """Each conflict is answered from the size told; the same one again ends it with an incident."""
    country.silent.add(OBLAST)
    async with country.running(OBLAST, DISTRICT):
        liar = Forger(country, OBLAST, DISTRICT)
        shown = country.hear(OBLAST, Checkpoint)
        await until(lambda: _any(shown))
        size, _, note = await country[DISTRICT].archive.last_checkpoint()
        liar.conflict(note, size)
        await until(lambda: _any(shown[1:]))
        assert read_request(shown[1].body).old_size == size
        liar.conflict(note, size)
        await country.until_incident(DISTRICT, "checkpoint_refused")
        assert len(shown) == 2


async def test_an_answer_that_a_greeting_has_overtaken_is_no_refusal(country):
    """What was under way is shown again at a greeting, so answers to both may come: one is late."""
    country.silent.add(OBLAST)
    async with country.running(OBLAST, DISTRICT):
        liar = Forger(country, OBLAST, DISTRICT)
        shown = country.hear(OBLAST, Checkpoint)
        await until(lambda: _any(shown))
        size, _, note = await country[DISTRICT].archive.last_checkpoint()
        country.link(DISTRICT, OBLAST).greet_anew()
        await until(lambda: _any(shown[1:]))
        for _ in range(2):
            liar.conflict(note, size)
        await until(lambda: _any(shown[2:]))
        assert read_request(shown[2].body).old_size == size
        liar.answer(note, size=size)
        await country.until_cosigned(DISTRICT, OBLAST)
        assert "checkpoint_refused" not in country[DISTRICT].eyes.incidents


@pytest.mark.parametrize("size", [3, pytest.param(5000, marks=pytest.mark.slow)])
async def test_our_own_signature_over_other_leaves_is_told_at_once(country, size):
    """Longer than our journal or not: what we have signed and do not have, we have lost."""
    country.silent.add(OBLAST)
    async with country.running(OBLAST, DISTRICT):
        liar = Forger(country, OBLAST, DISTRICT)
        shown = country.hear(OBLAST, Checkpoint)
        await until(lambda: _any(shown))
        told = []
        country.showing(DISTRICT).on_ahead = lambda note, *_where: told.append(note)
        own = country.network.nodes[DISTRICT].journal
        note = sign_checkpoint(origin(DISTRICT, 1), size, bytes(32), own)
        liar.conflict(note, size)
        await until(lambda: _any(told))
        assert told == [note]
        assert not country.link(DISTRICT, OBLAST).suspended


async def test_a_claim_without_our_signature_suspends_that_link(country):
    """Anybody can name a number: only our own signature shows a loss."""
    country.silent.add(OBLAST)
    async with country.running(OBLAST, DISTRICT):
        liar = Forger(country, OBLAST, DISTRICT)
        shown = country.hear(OBLAST, Checkpoint)
        await until(lambda: _any(shown))
        note = sign_checkpoint(origin(DISTRICT, 1), 5000, bytes(32), liar.own.journal)
        liar.conflict(note, 5000)
        await country.until_incident(DISTRICT, "link_suspended")
        assert country[DISTRICT].service.state.loss is None


# ------------------------------------------------------------------ forks


async def test_two_roots_of_one_size_raise_an_alarm_everywhere(country):
    """Both notes are kept as proof; root, uplink and children hear of it, and the link stands."""
    async with forging(country, TOP, OTHER) as forger:
        first, second = forger.note(LEAVES[:7]), forger.note(FALSE[:7])
        answer = await forger.show(0, [], second)
        assert (answer.header.status, answer.header.size) == (409, 7)
        assert country.link(OBLAST, DISTRICT).suspended
        for address in (OBLAST, TOP, OTHER):
            (row,) = await until(lambda at=address: country[at].archive.alarms_of(OBLAST))
            assert (row.what, row.authority) == ("journal-forked", DISTRICT)
            cut = cut_object(row.object)
            assert unpack_pieces(cut.body)[0] == [first.encode(), second.encode()]
            assert "journal_forked" in country[address].eyes.incidents


@pytest.mark.slow
async def test_who_was_away_hears_of_a_fork_at_the_next_greeting(country):
    """An alarm that nobody could take goes out again: first up, then down to the others."""
    async with forging(country) as forger:
        await forger.show(0, [], forger.note(FALSE[:7]))
        await country.until_incident(OBLAST, "journal_forked")
    for parent, child, at in ((TOP, OBLAST, TOP), (TOP, OTHER, OTHER)):
        async with country.running(parent, child):
            (row,) = await until(lambda at=at: country[at].archive.alarms_of(OBLAST))
            assert (row.what, row.authority) == ("journal-forked", DISTRICT)


async def test_a_checkpoint_that_does_not_extend_the_one_before_is_a_fork(country):
    """The object with the proof that fails is evidence, beside both notes."""
    async with forging(country) as forger:
        other = forger.note(FALSE[:9])
        answer = await forger.show(7, proof_of(FALSE, 7, 9), other)
        assert answer.header.status == 422
        (row,) = await country[OBLAST].archive.alarms_of(OBLAST)
        pieces, _ = unpack_pieces(cut_object(row.object).body)
        assert [piece.decode() for piece in pieces[:2]] == [forger.note(LEAVES[:7]), other]
        assert isinstance(cut_object(pieces[2]).header, Checkpoint)
        assert country.link(OBLAST, DISTRICT).suspended
        assert (await country.witnessed(DISTRICT, by=OBLAST)).size == 7


async def test_a_child_finds_its_parents_second_history(country):
    """A parent is no more believed than a child: its children compare, and tell their own."""
    country.silent.add(OBLAST)
    async with country.running(OBLAST, DISTRICT):
        await until(country[DISTRICT].service.state.greeted.wait)
        forger = Forger(country, OBLAST, DISTRICT)
        for leaves, status in ((LEAVES, 200), (FALSE, 409)):
            answer = await forger.show(0, [], forger.note(leaves[:7]))
            assert answer.header.status == status
        await country.until_incident(DISTRICT, "journal_forked")
        assert country.link(DISTRICT, OBLAST).suspended


# ------------------------------------------------------------------ sampled leaves


async def sampled(country):
    """Let the oblast's receipt tell the district of a leaf; return its index."""
    (sent,) = await country[DISTRICT].drop(OBLAST, [1])
    await country[DISTRICT].until(DISTRICT, sent, "confirmed")
    trail = await country[OBLAST].trail(DISTRICT, sent)
    return next(mark.index for mark in trail.marks if mark.kind == "received")


def sampling(country):
    return country[DISTRICT].service.parts.witnessing.sampling


async def test_a_leaf_that_a_receipt_names_is_proven(country):
    """The oblast proves the leaf under a checkpoint that it has shown the district."""
    async with country.running(OBLAST, DISTRICT):
        await sampled(country)

        async def is_proven():
            sampling(country).ask_soon()
            await asyncio.sleep(0.2)
            return sampling(country).proven == 1

        await until(is_proven)
        assert "leaf_disproven" not in country[DISTRICT].eyes.incidents


async def test_a_leaf_that_says_something_else_is_an_incident(country):
    """A proof of another leaf, or one that fails, disproves what the receipt has said."""
    async with country.running(OBLAST, DISTRICT):
        index = await sampled(country)
        await country.until_at_rest(OBLAST, DISTRICT)
        asked = country.hear(OBLAST, Ask)
        liar = Forger(country, OBLAST, DISTRICT)
        size, _, note = await country[OBLAST].archive.last_checkpoint()
        hashes = await country[OBLAST].archive.inclusion_proof(index, size)
        record = (await country[OBLAST].archive.leaves_at([index]))[index]
        altered = record.replace(b"verdict accepted", b"verdict refused")
        others = (await country[OBLAST].archive.leaves_at([0]))[0]
        first = await country[OBLAST].archive.inclusion_proof(0, size)
        bad = [
            (LeafProof(index, hashes, note, altered), "does not hold"),
            (LeafProof(0, first, note, others), "another journal or leaf"),
            (LeafProof(index, hashes, note), "does not hold"),
        ]
        for number, (proof, why) in enumerate(bad, 1):
            sampling(country).ask_soon()
            await until(lambda number=number: _any(asked[number - 1 :]))
            liar.say(
                Proven,
                proof_text(proof).encode(),
                of_epoch=1,
                index=index,
                journal=liar.own.journal.fingerprint,
            )

            async def is_noticed(number=number):
                found = await country[DISTRICT].archive._rows(
                    "SELECT detail FROM incident WHERE kind = 'leaf_disproven' ORDER BY place"
                )
                return len(found) == number and found[-1]["detail"]

            assert why in await until(is_noticed)


@pytest.mark.slow
async def test_leaves_about_others_are_told_to_nobody(country):
    """A child learns of its parent's journal what concerns the child, and nothing else."""
    async with country.running(TOP, OBLAST, DISTRICT):
        (other,) = await country[OBLAST].drop(TOP, [1])
        await country[OBLAST].until(OBLAST, other, "confirmed")
        await sampled(country)
        await country.until_at_rest(OBLAST, DISTRICT)
        heard = country.hear(DISTRICT, Proven)
        asker = Forger(country, DISTRICT, OBLAST)
        leaves = await country[OBLAST].archive._rows("SELECT record FROM leaf ORDER BY index")
        for index in range(len(leaves)):
            asker.ask(index)
        await until(lambda: _any(heard[len(leaves) - 1 :]))
        for index, row in enumerate(leaves):
            leaf = read_leaf(unpack(row["record"]))
            concerned = DISTRICT in {leaf.get("from"), leaf.get("to")}
            told = concerned and leaf["kind"] in {"received", "relayed", "refused"}
            assert bool(heard[index].body) == told, leaf
        assert any(answer.body for answer in heard)


# ------------------------------------------------------------------ nothing feeds itself


@pytest.mark.slow
async def test_an_idle_tree_signs_one_checkpoint_a_day(country):
    """Each node signs what its neighbours' checkpoints have added, and no oftener than daily."""
    tree = (TOP, OBLAST, DISTRICT)
    async with country.running(*tree):
        await until(country[DISTRICT].service.state.greeted.wait)
        await country.until_at_rest(*tree)
        before = {each: await signed(country, each) for each in tree}
        for _ in range(5):
            country.moved.by_us += 14 * HOUR
            await country.until_at_rest(*tree)
        for address in tree:
            assert 1 <= await signed(country, address) - before[address] <= 3


async def signed(country, address):
    rows = await country[address].archive._rows("SELECT count(*) AS count FROM checkpoint")
    return rows[0]["count"]
