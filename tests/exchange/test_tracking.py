"""Tracking: the nodes on a packet's way say what became of it, to whom it concerns, and prove it.

kz ──┬── kz.akmola ── kz.akmola.burabay
     └── kz.abai
"""

import asyncio
import itertools
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import pytest

from exchange.identity import new_packet_id
from exchange.signing_desk import body_of
from exchange.testimony import read_claims
from harness.drafts import DISTRICT, OBLAST
from harness.pki import make_network
from harness.service_node import Node, new_link, new_record
from nodes import clock
from schemas.addresses import parent_of
from schemas.limits import Limits
from schemas.moments import SECOND
from schemas.objects import cut_object, pack_pieces
from schemas.records import InstructionRow
from schemas.statements import Track, Tracked
from signing.notes import origin
from signing.proofs import proof_text
from signing.seal import sign_object

TOP, OTHER = "kz", "kz.abai"
TREE = (TOP, OBLAST, OTHER, DISTRICT)
PATIENCE_S = 30.0

_numbers = itertools.count()


class Country:
    """Nodes in memory, each made with its record where a test first runs it."""

    def __init__(self, server, folder):
        self.network = make_network(TREE, clock.now())
        self.nodes, self.by_us = {}, 0
        self.silent = set()
        """Who signs no checkpoint."""
        self._links = {child: new_link(child) for child in TREE[1:]}
        self._server, self._folder = server, folder

    def __getitem__(self, address):
        return self.nodes[address]

    def now(self):
        """Return the time, moved."""
        return clock.now() + self.by_us

    @asynccontextmanager
    async def running(self, *addresses):
        async with AsyncExitStack() as stack:
            for address in addresses:
                if address not in self.nodes:
                    await self._make(address)
                links = [
                    link for end, link in self._links.items() if address in {end, parent_of(end)}
                ]
                await stack.enter_async_context(self[address].live(*links))
            yield

    async def _make(self, address):
        name = f"tracking_{next(_numbers)}"
        (self._folder / name).mkdir()
        record = await new_record(self._server, name, address)
        node = self.nodes[address] = Node(address, self.network, self._folder / name, record)
        node.clock, node.signs = self.now, address not in self.silent

    # --- what tests do --------------------------------------------------------------------------

    async def send(self, from_, to):
        """Send a document; return its id once both ends are done with it."""
        (packet,) = await self[from_].drop(to, [next(_numbers)])
        await self[from_].until(from_, packet, "confirmed")
        await self[to].until(from_, packet, "closed")
        return packet

    async def track(self, at, packet, *, from_, to, wait_us=20 * SECOND):
        """Give a node the instruction; return what became of it."""
        content = {
            "sender": from_, "packet_epoch": 1, "packet": packet, "recipient": to,
            "wait_us": wait_us,
        }  # fmt: skip
        id_ = new_packet_id(clock.now())
        row = InstructionRow(id_, clock.now(), "op", "track", msgspec.json.encode(content))
        archive = self[at].archive
        await archive.instruct(row)
        outcome = await until(lambda: archive.instruction_outcome(id_))
        return outcome.state, msgspec.json.decode(outcome.content)

    async def told(self, at, packet):
        """Return what a node has kept of others' words, by who said it."""
        rows = await self[at].archive.tracked([packet])
        return {row.issuer: read_claims(cut_object(row.object).body) for row in rows}

    async def until_signed(self, address, sender, packet):
        """Wait until a node's newest checkpoint covers its leaves about a packet."""

        async def signed():
            last = await self[address].archive.last_checkpoint()
            marks = await self[address].archive.leaves_about(sender, packet)
            return last is not None and marks and last[0] > marks[-1].index

        await until(signed)

    async def say(self, by, to, header, body=b""):
        """Have a node send a statement of its own to a neighbour, whatever its program thinks."""
        raw = sign_object(header, self.network.nodes[by].packet, body)
        link = self[by].service.state.links[to]
        link.send_statement(raw, header.certificate, *filter(None, [getattr(header, "journal", 0)]))

    def stamp(self, from_, to):
        return {
            "from_": from_, "to": to, "epoch": 1, "number": self.now(),
            "certificate": self.network.nodes[from_].packet.fingerprint,
        }  # fmt: skip

    async def until_disproven(self, number):
        """Wait for the district's incident of so many forged answers; return what it says."""

        async def told():
            found = await self.incidents(DISTRICT, "tracking_disproven")
            return found[-1] if len(found) == number else None

        return await until(told)

    async def incidents(self, at, kind):
        query = "SELECT detail FROM incident WHERE kind = $1 ORDER BY place"
        return [row["detail"] for row in await self[at].archive._rows(query, kind)]


async def until(condition):
    async with asyncio.timeout(PATIENCE_S):
        while not (found := await condition()):  # noqa: ASYNC110 - the record tells no events
            await asyncio.sleep(0.02)
        return found


@pytest.fixture(scope="module")
async def country(server, tmp_path_factory):
    country = Country(server, tmp_path_factory.mktemp("country"))
    async with country.running(*TREE):
        yield country


def kinds(claims):
    return [claim.leaf["kind"] for claim in claims]


# ------------------------------------------------------------------ asking


async def test_every_node_on_the_way_says_what_it_did(country):
    """The sender learns who had its packet, each leaf proven under the node's own checkpoint."""
    packet = await country.send(DISTRICT, TOP)
    for node in (OBLAST, TOP):
        await country.until_signed(node, DISTRICT, packet)
    state, said = await country.track(DISTRICT, packet, from_=DISTRICT, to=TOP)
    assert (state, said["asked"]) == ("done", [OBLAST, TOP])
    assert sorted(said["answered"]) == sorted(said["asked"])
    told = await country.told(DISTRICT, packet)
    assert kinds(told[OBLAST]) == ["relayed"]
    assert kinds(told[TOP]) == ["received", "released", "closed"]
    for node, claims in told.items():
        assert {claim.checkpoint.origin for claim in claims} == {origin(node, 1)}


async def test_the_recipient_may_ask_as_well(country):
    """It asks towards the sender."""
    packet = await country.send(DISTRICT, TOP)
    state, said = await country.track(TOP, packet, from_=DISTRICT, to=TOP)
    assert (state, sorted(said["answered"])) == ("done", [OBLAST, DISTRICT])
    assert kinds((await country.told(TOP, packet))[DISTRICT])[:1] == ["sent"]


async def test_who_is_above_an_end_asks_for_what_never_passed_it(country):
    """The republic asks for a packet between an oblast and its district, and has never had it."""
    packet = await country.send(DISTRICT, OBLAST)
    state, said = await country.track(TOP, packet, from_=DISTRICT, to=OBLAST)
    assert (state, sorted(said["answered"])) == ("done", [OBLAST, DISTRICT])
    assert kinds((await country.told(TOP, packet))[OBLAST])[:1] == ["received"]


async def test_who_never_had_it_says_so(country):
    """A node of the way without any leaf about it answers with none."""
    packet = new_packet_id(clock.now())
    state, said = await country.track(DISTRICT, packet, from_=DISTRICT, to=TOP)
    assert (state, sorted(said["answered"])) == ("done", [TOP, OBLAST])
    assert await country.told(DISTRICT, packet) == {OBLAST: [], TOP: []}


async def test_what_is_no_news_is_not_kept_again(country):
    """Asking twice keeps what was said once, although newer checkpoints prove it."""
    packet = await country.send(DISTRICT, OBLAST)
    await country.until_signed(OBLAST, DISTRICT, packet)
    for _ in range(2):
        state, said = await country.track(DISTRICT, packet, from_=DISTRICT, to=OBLAST)
        assert (state, list(said["answered"])) == ("done", [OBLAST])
        later = await country.send(DISTRICT, OBLAST)
        await country.until_signed(OBLAST, DISTRICT, later)
    assert len(await country[DISTRICT].archive.tracked([packet])) == 1


async def test_who_does_not_answer_is_named(server, tmp_path):
    """With the recipient away, the nodes before it answer, unproven as they sign nothing."""
    country = Country(server, tmp_path)
    country.silent = set(TREE)
    async with country.running(OBLAST, DISTRICT):
        (packet,) = await country[DISTRICT].drop(TOP, [1])
        await country[OBLAST].until(DISTRICT, packet, "relayed")
        state, said = await country.track(
            DISTRICT, packet, from_=DISTRICT, to=TOP, wait_us=SECOND // 2
        )
        assert (state, said["asked"], list(said["answered"])) == ("done", [OBLAST, TOP], [OBLAST])
        (claim,) = (await country.told(DISTRICT, packet))[OBLAST]
        assert (claim.leaf["kind"], claim.checkpoint) == ("relayed", None)


async def test_an_overdue_packet_is_tracked_by_itself(server, tmp_path):
    """Nobody has to ask: past the deadline the sender does, and knows who had it last."""
    country = Country(server, tmp_path)
    async with country.running(OBLAST, DISTRICT):
        (packet,) = await country[DISTRICT].drop(TOP, [1])
        await country[OBLAST].until(DISTRICT, packet, "relayed")
        assert await country.told(DISTRICT, packet) == {}
        country.by_us = Limits().receipt_overdue_bulk_us + SECOND
        await country[DISTRICT].until(DISTRICT, packet, "overdue")
        told = await until(lambda: country.told(DISTRICT, packet))
        assert kinds(told[OBLAST]) == ["relayed"]


# ------------------------------------------------------------------ who may not ask


async def test_a_stranger_to_the_packet_cannot_order_it(country):
    """The daemon of a node that is no end and above none asks nobody."""
    packet = await country.send(DISTRICT, OBLAST)
    state, said = await country.track(OTHER, packet, from_=DISTRICT, to=OBLAST)
    assert (state, "may not ask" in said["why"]) == ("refused", True)


async def test_a_strangers_question_is_refused_where_the_packet_is_known(country):
    """Whatever it says of the ends: who has the packet knows them, tells nothing, and raises it."""
    packet = await country.send(DISTRICT, TOP)
    header = Track(**country.stamp(OTHER, DISTRICT), sender=DISTRICT, packet_epoch=1, packet=packet)
    await country.say(OTHER, TOP, header)
    await until(lambda: refused(country, packet))
    said = f"{OTHER} asks for {packet} of {DISTRICT}, and may not"
    assert await refused(country, packet) == [said]
    assert await country.incidents(OBLAST, "tracking_refused") == []
    assert await country[OTHER].archive.tracked([packet]) == []


async def test_a_question_that_lies_of_the_other_end_is_refused(country):
    """A node below names itself as the recipient: the leaves of the packet name another."""
    packet = await country.send(OBLAST, TOP)
    header = Track(**country.stamp(OTHER, OBLAST), sender=OBLAST, packet_epoch=1, packet=packet)
    await country.say(OTHER, TOP, header)
    await until(lambda: refused(country, packet))


async def refused(country, packet):
    """Return what the republic was told of questions about a packet."""
    told = await country.incidents(TOP, "tracking_refused")
    return [each for each in told if packet in each]


async def test_a_question_by_another_way_is_misrouted(country):
    """A child asks in its uncle's name: it is the child's link that it came over."""
    packet = await country.send(DISTRICT, TOP)
    stamp = country.stamp(OTHER, TOP)
    header = Track(**stamp, sender=DISTRICT, packet_epoch=1, packet=packet)
    raw = sign_object(header, country.network.nodes[OTHER].packet)
    country[DISTRICT].service.state.links[OBLAST].send_statement(raw, header.certificate)
    told = await until(lambda: country.incidents(OBLAST, "statement_misrouted"))
    assert told[-1] == f"track of {OTHER} to {TOP}: not by the way of {DISTRICT}"


# ------------------------------------------------------------------ forged answers


async def answers_of(country, packet, other):
    """Return pieces that no honest node would send, each with what is said of it."""
    own, foreign = country[OBLAST], await leaves(country[OBLAST], other)
    record = (await leaves(own, packet))[-1].record
    honest = (await country.told(DISTRICT, packet))[OBLAST][-1]
    assert honest.proof is not None
    moved = msgspec.structs.replace(honest.proof, index=honest.proof.index - 1)
    changed = honest.record.replace(b"kind relayed", b"kind expired")
    theirs = msgspec.structs.replace(honest.proof, leaf=changed)
    top = (await country.told(DISTRICT, packet))[TOP][0].proof
    bare = msgspec.structs.replace(honest.proof, leaf=None)
    head = read_head(record)
    return [
        ("a leaf is not about the packet", [foreign[-1].record]),
        ("a leaf is not about the packet", [record.replace(b"kind relayed\n", b"")]),
        ("no such moment", [record.replace(b"\nat 2", b"\nat x")]),
        ("another frame of the same id", [record.replace(head, b"0" * 64)]),
        (f"proof of leaf {moved.index} does not hold", [proof_text(moved).encode()]),
        (f"proof of leaf {theirs.index} does not hold", [proof_text(theirs).encode()]),
        ("no known key has signed it", [proof_text(top).encode()]),
        ("has no leaf", [proof_text(bare).encode()]),
        ("not a bbaj-leaf/1 record", [b"relayed, on my word"]),
        ("no plain number", [b"c2sp.org/tlog-proof@v1\nindex x\n\nnote\n"]),
        ("over 32 leaves", [record] * 33),
    ]


def read_head(record):
    return next(line[12:] for line in record.split(b"\n") if line.startswith(b"head-sha256 "))


async def leaves(node, packet):
    return await node.archive.leaves_about(DISTRICT, packet)


async def test_what_does_not_hold_is_kept_as_an_incident_only(country):
    """Each kind of forgery is named, and none of it is taken for a node's word."""
    packet, other = [await country.send(DISTRICT, TOP) for _ in range(2)]
    for node in (OBLAST, TOP):
        await country.until_signed(node, DISTRICT, packet)
    await country.track(DISTRICT, packet, from_=DISTRICT, to=TOP)
    before = await country[DISTRICT].archive.tracked([packet])
    journal = country.network.nodes[OBLAST].journal.fingerprint
    for number, (said, pieces) in enumerate(await answers_of(country, packet, other), 1):
        body = pack_pieces(pieces)
        header = Tracked(
            **country.stamp(OBLAST, DISTRICT), sender=DISTRICT, packet_epoch=1, packet=packet,
            journal=journal, body=body_of(body),
        )  # fmt: skip
        await country.say(OBLAST, DISTRICT, header, body)
        assert said in (await country.until_disproven(number))
    assert await country[DISTRICT].archive.tracked([packet]) == before


async def test_an_old_answer_once_more_is_no_news(country):
    """What the broker brings a second time must not stop the node, whatever came between."""
    packet = await country.send(DISTRICT, TOP)
    await country.track(DISTRICT, packet, from_=DISTRICT, to=TOP)
    before = await country[DISTRICT].archive.tracked([packet])
    record = (await leaves(country[OBLAST], packet))[0].record
    own, said = country.network.nodes[OBLAST].packet, []
    for pieces in ([record, record], []):
        body = pack_pieces(pieces)
        header = Tracked(
            **country.stamp(OBLAST, DISTRICT), sender=DISTRICT, packet_epoch=1, packet=packet,
            body=body_of(body),
        )  # fmt: skip
        said.append(sign_object(header, own, body))
    link = country[OBLAST].service.state.links[DISTRICT]
    for raw in (*said, said[0], said[1]):
        link.send_statement(raw, own.fingerprint)
    await country.send(DISTRICT, TOP)  # it lives, and has taken what came before

    async def kept():
        rows = await country[DISTRICT].archive.tracked([packet])
        return [row.object for row in rows[len(before) :]]

    assert await until(kept) == said


async def test_what_nobody_asked_for_is_not_kept(country):
    """An answer about a packet that we do not know, and have not asked for, is an incident."""
    body = pack_pieces([])
    header = Tracked(
        **country.stamp(OBLAST, DISTRICT), sender=OTHER, packet_epoch=1,
        packet=new_packet_id(clock.now()), body=body_of(body),
    )  # fmt: skip
    await country.say(OBLAST, DISTRICT, header, body)
    told = await until(lambda: country.incidents(DISTRICT, "statement_misrouted"))
    assert told == [f"tracked of {OBLAST} to {DISTRICT}: it was not asked"]
    assert await country[DISTRICT].archive.tracked([header.packet]) == []


async def test_a_flood_of_questions_is_bounded(server, tmp_path):
    """Past its due of an hour a neighbour is answered no more, and its operator is told once."""
    country = Country(server, tmp_path)
    async with country.running(OBLAST, DISTRICT):
        country[OBLAST].service.parts.dialogue._tracker._asks.most = 3
        for _ in range(10):
            packet = new_packet_id(clock.now())
            header = Track(
                **country.stamp(DISTRICT, OBLAST), sender=DISTRICT, packet_epoch=1, packet=packet
            )
            await country.say(DISTRICT, OBLAST, header)
        told = await until(lambda: country.incidents(OBLAST, "tracking_limited"))
        assert told == ["more than 3 questions about packets within an hour"]

        async def answered():
            return len(await country.incidents(DISTRICT, "statement_misrouted")) == 3

        await until(answered)  # the daemon there has asked nothing
