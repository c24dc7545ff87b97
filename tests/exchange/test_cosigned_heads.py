"""Public logs cosigned: by the node above, of the root's by those below; over links in memory.

kz ── kz.akmola ── kz.akmola.burabay

Both authorities stand on line at their nodes; each node below and above keeps their logs.
"""

import asyncio
import itertools
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from exchange import cosigned_heads
from exchange.issued_pages import send_page
from exchange.signing_desk import body_of
from harness.pki import DISTRICT, OBLAST, make_network
from harness.service_node import Node, new_link, new_record
from nodes import clock
from schemas.addresses import dns_name
from schemas.issued import log_origin
from schemas.leaves import read_leaf
from schemas.moments import HOUR, SECOND
from schemas.records import IssuedHead
from schemas.witnessing import Cosigned
from signing.cosigner import Cosigner
from signing.notes import Checkpoint, KeyType, checkpoint_of, open_note, sign_checkpoint, vkey

pytestmark = pytest.mark.slow

TOP = "kz"
WAY = (TOP, OBLAST, DISTRICT)
PATIENCE_S = 60.0
SWEEPS_AT_REST = 5

_numbers = itertools.count()


class Moved:
    """The clock, moved."""

    def __init__(self):
        self.by_us = 0

    def __call__(self):
        return clock.now() + self.by_us


class Country:
    """Three nodes in a row, each with its record; two of them issue."""

    def __init__(self, network, nodes, moved):
        self.network, self.nodes, self.moved = network, nodes, moved
        self.links = {child: new_link(child) for child in WAY[1:]}
        self.swept = {}

    def __getitem__(self, address):
        return self.nodes[address]

    @asynccontextmanager
    async def running(self, *addresses, deaf=(), mute=()):
        """Run nodes, all of them where none is named.

        Deaf ones lose whatever witnesses say; mute ones have no witness key.
        """
        async with AsyncExitStack() as stack:
            for address in addresses or WAY:
                place = WAY.index(address)
                links = [self.links[each] for each in WAY[place : place + 2] if each != TOP]
                service = await stack.enter_async_context(self.nodes[address].live(*links))
                self._count_sweeps(address)
                if address in deaf:
                    self.hear(address, Cosigned)
                if address in mute:
                    service.state.gate.cosigner = None
            yield

    def cosigned(self, address):
        """Return what a running node knows of who has cosigned the logs."""
        return self[address].service.parts.issuing.cosigned

    def logs(self, address):
        return self[address].service.parts.issuing.logs

    def incidents(self, address):
        return self[address].eyes.incidents

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

    async def until_witnessed(self, address, *authorities):
        """Wait until a node knows all entries of logs to be cosigned, up to its authority's end."""
        for authority in authorities:

            async def is_whole(authority=authority):
                size = self.cosigned(address).witnessed_size(authority)
                return size and size == self.logs(authority).size(authority)

            await until(is_whole)

    async def until_incident(self, address, kind):
        async def look():
            return kind in self.incidents(address)

        await until(look)

    async def details(self, address, kind):
        rows = await self[address].archive._rows(
            "SELECT detail FROM incident WHERE kind = $1 ORDER BY place", kind
        )
        return [row["detail"] for row in rows]

    async def counts(self, address):
        """Return how much the record of a node has of what could feed itself.

        That the clock was moved is noticed, too, and feeds nothing.
        """
        query = """
            SELECT (SELECT count(*) FROM leaf), (SELECT count(*) FROM checkpoint),
                   (SELECT count(*) FROM issued_head), (SELECT count(*) FROM issued_cosignature),
                   (SELECT count(*) FROM incident WHERE kind <> 'clock_disagrees')
        """
        (row,) = await self[address].archive._rows(query)
        return tuple(row)

    def _count_sweeps(self, address):
        """Count what a node's sequencer carries out: each sweep follows the commit before it."""
        instructions = self[address].service.parts.instructions
        sweep, self.swept[address] = instructions.sweep, 0

        async def counted(batch):
            self.swept[address] += 1
            await sweep(batch)

        instructions.sweep = counted

    async def until_at_rest(self):
        """Wait until all nodes have swept some times, and nothing came of it."""

        async def look():
            before = [await self.counts(each) for each in WAY]
            begun = dict(self.swept)

            async def have_swept():
                return all(self.swept[each] - begun[each] >= SWEEPS_AT_REST for each in WAY)

            await until(have_swept)
            return before == [await self.counts(each) for each in WAY]

        await until(look)


async def until(condition):
    """Wait until something is so; the record tells no events."""
    async with asyncio.timeout(PATIENCE_S):
        while not (found := await condition()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        return found


@pytest.fixture
async def country(server, tmp_path):
    network, moved, nodes = make_network(WAY, clock.now()), Moved(), {}
    for address in WAY:
        record = await new_record(server, f"cosigned_{next(_numbers)}", address)
        (tmp_path / address).mkdir()
        nodes[address] = Node(address, network, tmp_path / address, record)
        nodes[address].clock = moved
        nodes[address].authority = network.authorities.get(address)
    return Country(network, nodes, moved)


# ------------------------------------------------------------------ cosigned and passed on


async def test_every_node_gets_the_heads_that_the_witness_has_cosigned(country):
    """The line opens under the witness's certified key, and its journal has the head, once."""
    async with country.running():
        for address in WAY:
            await country.until_witnessed(address, TOP, OBLAST)
        await country.until_at_rest()
        kept = {(row.authority, row.witness): row for row in await rows_of(country, DISTRICT)}
        assert set(kept) == {(TOP, OBLAST), (OBLAST, TOP)}
        for (authority, witness), row in kept.items():
            own, by = country.network.nodes[authority], country.network.nodes[witness].witness
            name = dns_name(witness)
            journal = vkey(log_origin(authority), own.journal.public_bytes)
            certified = vkey(name, by.public_bytes, KeyType.COSIGNATURE_V1)
            for key in (journal, certified):
                assert len(open_note(row.note, [key]).signatures) == 1
            head = checkpoint_of(row.note)
            leaves = await witnessed(country, witness)
            of_log = (log_origin(authority), str(head.size))
            (leaf,) = [each for each in leaves if (each["origin"], each["size"]) == of_log]
            assert (leaf["root"], leaf["address"]) == (head.root.hex(), authority)


async def rows_of(country, address):
    return await country[address].archive.issued_cosigned()


async def witnessed(country, address):
    rows = await country[address].archive._rows("SELECT record FROM leaf WHERE kind = 'witnessed'")
    return [read_leaf(row["record"]) for row in rows]


async def test_what_is_lost_on_the_way_comes_at_the_next_greeting(country):
    """A line that never arrived is said again, and reaches who was away all the time."""
    async with country.running(TOP, OBLAST, deaf=(OBLAST,)):

        async def has_cosigned():
            return country.cosigned(TOP).witnessed_size(OBLAST)

        await until(has_cosigned)
        assert country.cosigned(OBLAST).witnessed_size(OBLAST) == 0
    async with country.running(TOP, OBLAST):
        await country.until_witnessed(OBLAST, OBLAST)
    async with country.running(OBLAST, DISTRICT):
        await country.until_witnessed(DISTRICT, OBLAST)


async def test_nothing_feeds_itself(country):
    """Once each head is cosigned nothing is added, however often neighbours greet again.

    The nodes sign their journals: a `witnessed` leaf about a log makes no checkpoint due.
    """
    for address in WAY:
        country[address].signs = True
    async with country.running():
        for address in WAY:
            await country.until_witnessed(address, TOP, OBLAST)
        await country.until_at_rest()
        before = [await country.counts(each) for each in WAY]
        for child in WAY[1:]:
            for link in country[child].service.state.links.values():
                link.greet_anew()
        country.moved.by_us += HOUR  # it greets once more by itself
        await country.until_at_rest()
        assert [await country.counts(each) for each in WAY] == before


async def test_two_sweeps_in_one_commit_cosign_once(country):
    """A node that was busy sweeps twice in one group: one leaf, one row."""
    async with country.running(mute=(TOP,)):
        size, _ = await oblast_log(country)
        state, instructions = (
            country[TOP].service.state,
            country[TOP].service.parts.instructions,
        )
        sweep = instructions.sweep

        async def twice(batch):
            instructions.sweep = sweep
            state.gate.cosigner = Cosigner(TOP, country.network.nodes[TOP].witness)
            for _ in range(2):
                await country.cosigned(TOP).sweep(batch)

        instructions.sweep = twice
        await country.until_witnessed(DISTRICT, OBLAST)
        leaves = await witnessed(country, TOP)
        assert [each["size"] for each in leaves if each["origin"] == log_origin(OBLAST)] == [
            str(size)
        ]
        assert "own_fault" not in country[TOP].eyes.noticed_events


# ------------------------------------------------------------------ what does not count


def answer(country, who, size, root, **changes):
    """Let a node say that it has cosigned a head of the oblast's log, good but for the changes."""
    gate, link = country[who].service.state.gate, country[who].service.state.links[OBLAST]
    witness = country.network.nodes[who].witness
    text = Checkpoint(log_origin(OBLAST), size, root).text
    at_s = clock.now() // SECOND + changes.pop("ahead_s", 0)
    line = changes.pop("line", Cosigner(who, witness).certified_line(text, at_s))
    fields = {"origin": log_origin(OBLAST), "size": size, "status": 200}
    fields |= {"witness": witness.fingerprint} | changes
    stamp = gate.stamp(OBLAST, clock.now())
    raw = gate.sign(Cosigned(**stamp, **fields, body=body_of(line.encode())), line.encode())
    link.send_statement(raw, witness.fingerprint)


BAD = [
    (TOP, {"origin": log_origin(TOP)}, "we have signed no head"),
    (TOP, {"size": 999}, "we have signed no head"),
    (TOP, {"size": 0}, "we have signed no head"),
    (TOP, {"witness": "ab" * 32}, "witness key"),
    (TOP, {"root": bytes(32)}, "does not hold"),
    (TOP, {"line": "no line"}, "note"),
    (TOP, {"ahead_s": 900_000}, "has not come yet"),
    (DISTRICT, {}, "is no witness"),
]


async def test_what_is_no_cosignature_of_our_log_is_kept_as_evidence(country):
    """By a stranger, over another root, of another log, too early: an incident each, no row."""
    async with country.running(mute=(TOP,)):
        size, root = await oblast_log(country)
        for number, (who, fault, why) in enumerate(BAD, 1):
            answer(country, who, **{"size": size, "root": root} | fault)

            async def is_noticed(number=number):
                found = await country.details(OBLAST, "cosignature_invalid")
                return len(found) == number and found[-1]

            assert why in await until(is_noticed)
        assert country.cosigned(OBLAST).witnessed_size(OBLAST) == 0
        answer(country, TOP, size, root)
        await country.until_witnessed(DISTRICT, OBLAST)


async def test_a_witness_cannot_make_another_text_of_the_head(country):
    """What it puts before its line would hide ours from whoever gets the note."""
    async with country.running(mute=(TOP,)):
        size, root = await oblast_log(country)
        note = (await country[OBLAST].archive.issued_heads())[OBLAST].note
        witness = Cosigner(TOP, country.network.nodes[TOP].witness)
        line = witness.certified_line(note + "more\n", clock.now() // SECOND)
        answer(country, TOP, size, root, line="more\n\n" + line)
        await country.until_incident(OBLAST, "cosignature_invalid")
        assert country.cosigned(OBLAST).witnessed_size(OBLAST) == 0


async def oblast_log(country):
    """Wait until all have the oblast's log; return its size and root."""

    async def is_everywhere():
        sizes = {country.logs(each).size(OBLAST) for each in WAY}
        return len(sizes) == 1 and sizes != {0}

    await until(is_everywhere)
    await country.until_at_rest()
    head = checkpoint_of((await country[OBLAST].archive.issued_heads())[OBLAST].note)
    return head.size, head.root


async def test_a_line_that_a_neighbour_made_up_is_not_believed(country):
    """A head comes with a false line of the witness, and one of a stranger: neither is kept."""
    async with country.running(mute=(TOP,)):
        size, root = await oblast_log(country)
        own = country.network.nodes
        note = sign_checkpoint(log_origin(OBLAST), size, root, own[OBLAST].journal)
        stranger = Cosigner(OBLAST, own[OBLAST].witness)
        text = Checkpoint(log_origin(OBLAST), size, bytes(32)).text
        false = Cosigner(TOP, own[TOP].witness).certified_line(text, clock.now() // SECOND)
        good_text = Checkpoint(log_origin(OBLAST), size, root).text
        foreign = stranger.certified_line(good_text, clock.now() // SECOND)
        bring(country, DISTRICT, note + foreign, size, own[OBLAST].witness)
        bring(country, DISTRICT, note + false, size, own[TOP].witness)
        await country.until_incident(DISTRICT, "cosignature_invalid")
        assert country.incidents(DISTRICT).count("cosignature_invalid") == 1
        assert country.cosigned(DISTRICT).witnessed_size(OBLAST) == 0


async def test_a_flood_of_false_lines_is_cut(country, monkeypatch):
    """Of one neighbour so many are looked at within an hour, and no more."""
    async with country.running(mute=(TOP,)):
        size, root = await oblast_log(country)
        note = sign_checkpoint(
            log_origin(OBLAST), size, root, country.network.nodes[OBLAST].journal
        )
        witness = country.network.nodes[TOP].witness
        text = Checkpoint(log_origin(OBLAST), size, bytes(32)).text
        false = Cosigner(TOP, witness).certified_line(text, clock.now() // SECOND)
        bring(country, DISTRICT, note + false, size, witness)
        await country.until_incident(DISTRICT, "cosignature_invalid")
        monkeypatch.setattr(cosigned_heads, "BROUGHT_PER_HOUR", 1)
        for _ in range(6):
            bring(country, DISTRICT, note + false, size, witness)
        bring(country, DISTRICT, "no note", size, witness)
        await country.until_incident(DISTRICT, "log_unreadable")
        assert country.incidents(DISTRICT).count("cosignature_invalid") == 1


def bring(country, whom, note, size, witness, entries=()):
    """Let the oblast's node show a head of its log that its service would not."""
    state = country[OBLAST].service.state
    journal = country.network.nodes[OBLAST].journal.fingerprint
    head = IssuedHead(OBLAST, size, note, clock.now(), journal)
    witnesses = () if witness is None else (witness.fingerprint,)
    first = size - len(entries)
    send_page(state, head, (first, list(entries)), state.links[whom], clock.now(), witnesses)


async def test_a_second_history_is_not_cosigned(country):
    """A head that does not follow on what the witness has is raised as a fork, and gets no line."""
    async with country.running():
        await country.until_witnessed(TOP, OBLAST)
        size, _ = await oblast_log(country)
        own = country.network.nodes[OBLAST]
        forged = sign_checkpoint(log_origin(OBLAST), size + 1, bytes(32), own.journal)
        bring(country, TOP, forged, size + 1, None, [own.packet.certificate])
        await country.until_incident(TOP, "log_forked")
        await country.until_at_rest()
        assert country.cosigned(TOP).witnessed_size(OBLAST) == size


# ------------------------------------------------------------------ missing


async def test_a_head_without_a_cosignature_is_raised_after_the_hold_limit(country):
    """Once, wherever the log is kept; nothing is refused, and a late cosignature counts."""
    async with country.running(mute=(TOP,)):
        await oblast_log(country)
        assert "log_unwitnessed" not in country.incidents(DISTRICT)
        country.moved.by_us = 73 * HOUR
        for address in WAY:
            await country.until_incident(address, "log_unwitnessed")
    async with country.running(mute=(TOP,)):
        await country.until_at_rest()
        country.moved.by_us += 73 * HOUR
        await country.until_at_rest()
        (detail,) = await country.details(DISTRICT, "log_unwitnessed")
        assert "no witness has cosigned entries 0 to " in detail
    async with country.running():
        await country.until_witnessed(DISTRICT, TOP, OBLAST)
