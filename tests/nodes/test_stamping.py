"""Time-stamps asked for beside a running node: real authorities, a real record, a moved clock."""

import asyncio
import itertools
from contextlib import ExitStack, asynccontextmanager

import msgspec
import pytest

from exchange.identity import new_packet_id
from exchange.stamping import StampWish
from harness.pki import DISTRICT, OBLAST, make_network
from harness.service_node import Node, new_link, new_record, private_server
from nodes import clock
from nodes.cli.stamping import list_stamps
from nodes.config import Config, Database, Keys, Policies, Timestamps, find_faults
from nodes.policies import Policies as Announcer
from nodes.policies import root_policy_name
from nodes.sandbox.processes import free_ports
from nodes.sandbox.timestamp_authority import TimestampAuthority
from nodes.stamping import RETRY_FIRST_US, UNCOSIGNED_US, Stamping, lacks_outside
from schemas import retention
from schemas.addresses import dns_name
from schemas.codes import Tier
from schemas.leaves import LeafKind, read_leaf
from schemas.moments import DAY, HOUR, MINUTE, SECOND, format_instant
from schemas.records import InstructionRow
from signing.algorithms import DEFAULT, POLICY_NAME, TREE, AlgorithmPolicy, encode_policy
from signing.note_text import split_note
from signing.notes import checkpoint_of
from signing.second_log import open_second_head
from signing.timestamps import build_request, load_roots, verify_token
from store.merkle import RENEWED, inclusion_holds, leaf_hash

PATIENCE_S = 20.0
ROUND_S = 0.02

_numbers = itertools.count()


class Moved:
    """The clock, moved."""

    def __init__(self):
        self.by_us = 0

    def __call__(self):
        return clock.now() + self.by_us


class Watch:
    """What a node's telemetry is told of time-stamps."""

    def __init__(self):
        self.waited, self.missing, self.failures = {}, None, {}

    def timestamp_waited(self, authority, waited_s):
        self.waited[authority] = waited_s

    def outside_missing(self, *, missing):
        self.missing = missing

    def committed(self, _changes, _took_us):
        """Leave counting to others."""

    def noticed(self, event, **facts):
        if event == "timestamp_failed":
            self.failures.setdefault(facts["authority"], []).append(facts["why"])


class Scene:
    """One node that signs its journal, and the authorities that it asks."""

    def __init__(self, node, folder, stack):
        self.node, self.moved, self.folder = node, Moved(), folder
        node.signs, node.clock = True, self.moved
        self.watch = Watch()
        self.places = []
        self.algorithms = None
        self._stack = stack

    @property
    def archive(self):
        return self.node.archive

    def authority(self, name, **options):
        """Let another authority serve, and name it in the configuration."""
        made = TimestampAuthority(self.folder / name, name)
        self._stack.enter_context(made.serving())
        self.name_place(made, **options)
        return made

    def name_place(self, authority, **options):
        place = Timestamps(
            name=authority.name, url=authority.url, root=authority.root_path, **options
        )
        self.places.append(place)

    def config(self):
        keys = Keys(self.folder, self.folder, self.folder, self.folder)
        return Config(
            address=self.node.address,
            data=self.folder,
            keys=keys,
            database=Database(self.archive._url),
            policies=Policies(self.algorithms),
            timestamps=tuple(self.places),
        )

    @asynccontextmanager
    async def live(self, *links):
        """Run the node for one life, and whoever asks the authorities beside it."""
        async with self.node.live(*links) as service:
            stamping = Stamping(self.config(), service, self.moved, self.watch)
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(stamping.run(ROUND_S))
                yield service
                task.cancel()

    async def until(self, count, look=None):
        """Return what the record has of time-stamps, once there are so many."""
        look = look or (lambda: self.archive.timestamps(0))
        async with asyncio.timeout(PATIENCE_S):
            while len(found := await look()) < count:  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0.02)
        return found

    async def age(self, by_us=UNCOSIGNED_US + SECOND):
        """Wait for a checkpoint over all leaves that count; then let time go by."""
        await self.until(1, self.checkpoints_over_all)
        self.moved.by_us += by_us

    async def checkpoints_over_all(self):
        """Return the newest checkpoint where no leaf that counts is beyond it."""
        found, journal = await self.archive.last_checkpoint(), self.node.service.journal
        return [found] if found and journal and journal.leaves - journal.quiet <= found[0] else []

    async def stamped_all(self):
        """Return the newest time-stamp where no checkpoint is beyond it."""
        newest = list((await self.archive.newest_timestamps()).values())
        last = await self.archive.last_checkpoint()
        return newest if newest and last and newest[0].size == last[0] else []

    async def failures(self):
        """Return why authorities were asked in vain, in no order."""
        return [why for each in self.watch.failures.values() for why in each]

    async def touch(self):
        """Have the journal grow by a leaf that counts, and be signed."""
        before = self.node.service.leaves
        assert (await self.wish("nothing"))[0] == "refused"
        async with asyncio.timeout(PATIENCE_S):
            while (await self.archive.last_checkpoint())[0] <= before:  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0.02)

    async def until_incident(self, kind):
        async with asyncio.timeout(PATIENCE_S):
            while kind not in self.node.eyes.incidents:  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0.02)

    async def leaves(self, kind):
        """Return the leaves of a kind, by index."""
        records = await self.archive.leaves_at(range(self.node.service.leaves))
        read = {index: read_leaf(record) for index, record in records.items()}
        return {index: leaf for index, leaf in read.items() if leaf["kind"] == kind}

    async def wish(self, what, **content):
        """Tell the node what an operator wishes; return the outcome."""
        id_ = new_packet_id(clock.now())
        said = msgspec.json.encode(StampWish(**content))
        await self.archive.instruct(InstructionRow(id_, clock.now(), "who", what, said))
        async with asyncio.timeout(PATIENCE_S):
            while (outcome := await self.archive.instruction_outcome(id_)) is None:  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0.02)
        return outcome.state, msgspec.json.decode(outcome.content)


@pytest.fixture(scope="module")
async def server():
    async with private_server() as server:
        yield server


@pytest.fixture(scope="module")
def network():
    return make_network([OBLAST, DISTRICT], clock.now())


@pytest.fixture
async def new_node(server, network, tmp_path):
    async def make(address):
        name = f"stamping_{next(_numbers)}"
        (tmp_path / name).mkdir()
        record = await new_record(server, name, address)
        return Node(address, network, tmp_path / name, record)

    return make


@pytest.fixture
async def scene(new_node, tmp_path):
    with ExitStack() as stack:
        yield Scene(await new_node(OBLAST), tmp_path, stack)


def open_token(row, place, **options):
    """Verify a kept token over the note that is kept with it."""
    roots = load_roots(place.root_path.read_bytes())
    return verify_token(row.token, row.note.encode(), roots, **options)


async def test_a_checkpoint_that_no_witness_cosigns_is_stamped_after_a_minute(scene):
    """The token holds over the whole note, and is a leaf of the journal, in one commit."""
    national = scene.authority("national")
    async with scene.live():
        await asyncio.sleep(20 * ROUND_S)
        assert await scene.archive.timestamps(0) == []  # a witness may still come
        await scene.age()
        [row] = await scene.until(1)
        facts = open_token(row, national)
        assert facts.gen_time == row.gen_time
        assert (await scene.archive.checkpoint_from(row.size))[2] == row.note
        [leaf] = (await scene.leaves(LeafKind.TIMESTAMP)).values()
    assert leaf["sha256"] == row.sha256.hex()
    assert (leaf["authority"], leaf["size"]) == ("national", str(row.size))
    assert leaf["gen-time"] == format_instant(row.gen_time)
    assert scene.watch.waited["national"] == 0
    assert not scene.node.eyes.incidents


async def test_a_cosigned_checkpoint_is_stamped_at_once_with_its_cosignature(scene, new_node):
    """What the parent vouches for is under the stamp, too."""
    child = await new_node(DISTRICT)
    scene.node, parent = child, scene.node
    child.signs, child.clock, parent.clock = True, scene.moved, scene.moved
    national = scene.authority("national")
    line = new_link(DISTRICT)
    async with parent.live(line), scene.live(line):
        [row] = await scene.until(1)
    assert len(split_note(row.note)[1]) == 2
    assert f"— {dns_name(OBLAST)} " in row.note
    assert open_token(row, national).gen_time == row.gen_time


async def test_an_idle_journal_asks_for_no_second_stamp(scene):
    """Neither the token's own leaf nor time that goes by makes anything due."""
    scene.authority("national", every_s=1)
    async with scene.live():
        await scene.age()
        await scene.until(1, scene.stamped_all)
        stamps = len(await scene.archive.timestamps(0))
        scene.moved.by_us += 10 * MINUTE
        await asyncio.sleep(20 * ROUND_S)
        assert len(await scene.archive.timestamps(0)) == stamps
        assert scene.watch.waited["national"] == 0


async def test_the_clock_of_an_authority_survives_a_restart(scene):
    """A node that was just stamped asks for nothing at its start; after a day it does."""
    national = scene.authority("national", every_s=86_400)
    async with scene.live():
        await scene.age()
        await scene.until(1)
        await scene.touch()
    async with scene.live():
        scene.moved.by_us += 10 * MINUTE
        await asyncio.sleep(20 * ROUND_S)
        assert len(await scene.archive.timestamps(0)) == 1
        scene.moved.by_us += DAY
        national.clock_at = scene.moved()
        rows = await scene.until(2)
    assert rows[0].size < rows[1].size


async def test_a_later_stamp_covers_the_leaf_of_the_one_before(scene):
    """So each new one renews all older ones, whichever authority it comes from."""
    first = scene.authority("first")
    async with scene.live():
        await scene.age()
        [old] = await scene.until(1)
        [index] = await scene.leaves(LeafKind.TIMESTAMP)
        await scene.touch()
    scene.places.clear()
    second = scene.authority("second")
    async with scene.live():
        await scene.age()
        [new] = [row for row in await scene.until(2) if row.authority == "second"]
        records = await scene.archive.leaves_at([index])
        proof = await scene.archive.inclusion_proof(index, new.size)
        newest, oldest = await list_stamps(scene.config(), 10)
    root = checkpoint_of(new.note).root
    assert inclusion_holds(index, new.size, leaf_hash(records[index]), proof, root)
    assert read_leaf(records[index])["sha256"] == old.sha256.hex()
    assert open_token(new, second).tsa == "CN=second"
    assert open_token(old, first).tsa == "CN=first"
    assert (oldest.authority, oldest.renewed_by) == ("first", "second")
    assert (newest.authority, newest.renewed_by) == ("second", None)


async def test_an_authority_that_is_down_is_late_once_and_stops_nothing(scene):
    """One incident for each lateness, restart or not; it is asked again, and the age goes back."""
    national = TimestampAuthority(scene.folder / "national", "national")
    [port] = free_ports(1)
    national.port = port
    scene.name_place(national, every_s=3600)
    async with scene.live():
        await scene.age(3 * HOUR)
        await scene.until_incident("timestamp_late")
        assert scene.watch.waited["national"] > 2 * 3600
        [why] = await scene.failures()  # it is not asked again and again
        assert "refused" in why
        await scene.touch()  # the node works on
    async with scene.live():
        await asyncio.sleep(20 * ROUND_S)
        assert scene.node.eyes.incidents.count("timestamp_late") == 1
        with national.serving(port):
            national.clock_at = scene.moved() + RETRY_FIRST_US
            scene.moved.by_us += 2 * RETRY_FIRST_US
            await scene.until(1)
        assert scene.watch.waited["national"] < 60


class Stale(TimestampAuthority):
    """Gives the answer to its first query to every query."""

    kept = b""

    def answer(self, query):
        self.kept = self.kept or super().answer(query)
        return self.kept


class Elsewhere(TimestampAuthority):
    """Stamps something else than it was asked to, under the right nonce."""

    def answer(self, query):
        other = build_request(b"something else").der
        imprint = slice(other.index(b"\x04\x40") + 2, other.index(b"\x04\x40") + 66)
        at = query.index(b"\x04\x40") + 2
        return super().answer(query[:at] + other[imprint] + query[at + 64 :])


class Modified(TimestampAuthority):
    """Grants with modifications: what it gives is not what was asked for."""

    def answer(self, query):
        return super().answer(query).replace(b"\x30\x03\x02\x01\x00", b"\x30\x03\x02\x01\x01", 1)


class Endless(TimestampAuthority):
    """Answers without end."""

    def answer(self, query):
        return b"\x30" * (1 << 20)


class Lagging(TimestampAuthority):
    """Keeps another time than we do."""

    def answer(self, query):
        self.clock_at = clock.now() - 30 * DAY
        return super().answer(query)


class Unsaid(TimestampAuthority):
    """Serves under a root that its reader does not have."""


FORGERS = {
    Stale: "imprint is of other bytes",
    Elsewhere: "imprint is of other bytes",
    Modified: "granted-with-mods",
    Endless: "over 65536 bytes",
    Lagging: "compare both",
    Unsaid: "no chain to its root",
}


async def test_an_answer_that_does_not_count_is_an_incident_and_is_not_kept(scene):
    """Another imprint, no plain grant, no end, another time, another root: named, once each."""
    since = clock.now() - 60 * DAY
    with ExitStack() as stack:
        for kind in FORGERS:
            name = kind.__name__.lower()
            forger = kind(scene.folder / name, name, since=since)
            forger.answer(build_request(b"before").der)
            stack.enter_context(forger.serving())
            if kind is Unsaid:
                forger.root_path = TimestampAuthority(scene.folder / "other", name).root_path
            scene.name_place(forger)
        async with scene.live():
            await scene.age()
            await scene.until(len(FORGERS), scene.failures)
            scene.moved.by_us += 2 * RETRY_FIRST_US
            await scene.until(2 * len(FORGERS), scene.failures)
            assert await scene.archive.timestamps(0) == []
            assert await scene.leaves(LeafKind.TIMESTAMP) == {}
    for kind, said in FORGERS.items():
        assert said in scene.watch.failures[kind.__name__.lower()][0]
    assert scene.node.eyes.incidents == ["timestamp_refused"] * len(FORGERS)


class Behind(TimestampAuthority):
    """Its clock is behind ours by less than makes it wrong, and by more than clocks may differ."""

    def answer(self, query):
        self.clock_at = clock.now() - 30 * MINUTE
        return super().answer(query)


async def test_a_token_older_than_a_cosignature_it_seals_is_not_kept(scene, new_node):
    """Nobody can have stamped what a witness had not signed yet: one of the two clocks is wrong."""
    child = await new_node(DISTRICT)
    scene.node, parent = child, scene.node
    child.signs, child.clock, parent.clock = True, scene.moved, scene.moved
    behind = Behind(scene.folder / "behind", "behind", since=clock.now() - DAY)
    line = new_link(DISTRICT)
    with behind.serving():
        scene.name_place(behind)
        async with parent.live(line), scene.live(line):
            await scene.until(1, scene.failures)
            assert await scene.archive.timestamps(0) == []
    assert f"before the cosignature of {dns_name(OBLAST)}" in scene.watch.failures["behind"][0]


async def test_an_operator_s_wish_is_fulfilled_now(scene):
    """It names the authorities that answered and those that did not; a stranger's name, none."""
    scene.authority("national")
    down = TimestampAuthority(scene.folder / "down", "down")
    down.port = free_ports(1)[0]
    scene.name_place(down, outside=True)
    async with scene.live():
        await scene.until(1, scene.checkpoints_over_all)
        state, said = await scene.wish("stamp")
        assert state == "done"
        assert [each["authority"] for each in said["stamps"]] == ["national"]
        assert list(said["failed"]) == ["down"]
        state, said = await scene.wish("stamp", authority="down")
        assert state == "refused"
        assert "down" in said["why"]
        state, said = await scene.wish("stamp", authority="nobody")
        assert (state, said["why"]) == (
            "refused",
            "no authority nobody: down, national are configured",
        )
        assert len(await scene.archive.timestamps(0)) == 1


async def test_without_an_authority_the_wish_is_declined(scene):
    """The answer says where to name one."""
    async with scene.live():
        state, said = await scene.wish("stamp")
    assert state == "refused"
    assert "[[timestamps]]" in said["why"]
    assert scene.watch.missing is False  # an oblast need not have one from outside


def test_what_is_wrong_with_an_authority_in_the_configuration_is_named(tmp_path):
    """A name used twice, an URL of another kind, a root that is not there: all at once."""
    places = [
        Timestamps("nca", "ftp://tsp.example.kz/", tmp_path),
        Timestamps("nca", "http://[", tmp_path / "missing.pem"),
    ]
    keys = Keys(tmp_path, tmp_path, tmp_path, tmp_path)
    faults = find_faults(Config("kz", tmp_path, keys, Database("x"), timestamps=tuple(places)))
    assert faults == [
        "timestamps.nca: named 2 times",
        "timestamps.nca.url: ftp://tsp.example.kz/ is no http:// or https:// URL of a host",
        "timestamps.nca.url: http://[ is no http:// or https:// URL of a host",
        f"timestamps.nca.root: {tmp_path / 'missing.pem'} cannot be read",
    ]


def test_policy_asks_the_republic_for_an_authority_from_outside(tmp_path):
    """One of our own proves nothing against us."""
    own = Timestamps("own", "http://localhost/", tmp_path)
    outside = Timestamps("nca", "http://localhost/", tmp_path, outside=True)
    keys = Keys(tmp_path, tmp_path, tmp_path, tmp_path)
    config = Config("kz", tmp_path, keys, Database("postgresql://none"), timestamps=(own,))
    assert lacks_outside(config, Tier.REPUBLIC)
    assert not lacks_outside(config, Tier.OBLAST)
    both = msgspec.structs.replace(config, timestamps=(own, outside))
    assert not lacks_outside(both, Tier.REPUBLIC)


# ----------------------------------------------------------------- policies, the second log


async def test_each_version_of_each_policy_is_kept_and_is_a_leaf(scene):
    """Tables and the roots of authorities: once each, and again when they change."""
    national = scene.authority("national")
    async with scene.live():
        announcer = Announcer(scene.config(), scene.archive)
        names = [POLICY_NAME, retention.POLICY_NAME, root_policy_name("national")]
        assert await announcer.announce(clock.now()) == names
        assert await announcer.announce(clock.now()) == []
        rows = await scene.until(3, scene.archive.policies)
        again = Announcer(scene.config(), scene.archive)  # after a restart
        assert await again.announce(clock.now()) == []
        scene.algorithms = scene.folder / "table.json"
        scene.algorithms.write_bytes(encode_policy(ending(clock.now())))
        changed = Announcer(scene.config(), scene.archive)
        assert await changed.announce(clock.now()) == [POLICY_NAME]
        rows = await scene.until(4, scene.archive.policies)
        leaves = await scene.leaves(LeafKind.POLICY)
    assert {row.content for row in rows if row.name == names[-1]} == {
        national.root_path.read_bytes()
    }
    told = [(leaf["name"], leaf["sha256"]) for leaf in leaves.values()]
    assert sorted(told) == sorted((row.name, row.sha256.hex()) for row in rows)


def ending(moment):
    """Return the table with an end set to the journal's hash."""
    return AlgorithmPolicy({**DEFAULT.ends, TREE: moment})


async def test_once_the_policy_ends_the_hash_the_second_log_is_stamped(scene, network):
    """Every leaf proves under a root of SHA-512 that a token of its own covers."""
    national = scene.authority("national")
    scene.algorithms = scene.folder / "table.json"
    scene.algorithms.write_bytes(encode_policy(ending(clock.now() + 400 * DAY)))
    async with scene.live():
        await scene.age()
        [row] = await scene.until(1, scene.archive.renewals)
        [index] = await scene.leaves(LeafKind.RENEWAL)
        leaf = (await scene.leaves(LeafKind.RENEWAL))[index]
        proofs = await scene.archive.renewed_proofs(range(row.size), row.size)
        records = await scene.archive.leaves_at(range(row.size))
    facts = open_token(row, national)
    assert facts.gen_time == row.gen_time
    head = open_second_head(row.note, network.nodes[OBLAST].journal.public_bytes)
    assert (head.origin, head.size) == (f"{dns_name(OBLAST)}/1", row.size)
    assert leaf["root"] == head.root.hex()
    assert leaf["sha256"] == row.sha256.hex()
    for at, proof in proofs.items():
        hashed = RENEWED.leaf(records[at])
        assert inclusion_holds(at, row.size, hashed, proof, head.root, hashing=RENEWED)
        assert not inclusion_holds(
            at, row.size, RENEWED.leaf(b"another"), proof, head.root, hashing=RENEWED
        )


async def test_an_operator_renews_the_hash_before_any_policy_asks(scene):
    """`renew-journal` stamps the newest checkpoint, and the second log where it is told to."""
    scene.authority("national")
    async with scene.live():
        await scene.until(1, scene.checkpoints_over_all)
        state, said = await scene.wish("renew-journal")
        assert state == "done"
        assert [each["hash"] for each in said["stamps"]] == ["sha-256"]
        state, said = await scene.wish("renew-journal", second_log=True)
        assert [each["hash"] for each in said["stamps"]] == ["sha-256", "sha-512"]
        [row] = await scene.archive.renewals()
        first, *_ = await scene.archive.timestamps(0)
    assert first.size <= row.size


async def test_what_an_algorithm_s_end_forbids_is_not_kept(scene):
    """A token that relies on an algorithm after its end in the policy does not count."""
    scene.authority("national")
    scene.algorithms = scene.folder / "table.json"
    ends = {**DEFAULT.ends, "ecdsa-p384-sha384": clock.now() - DAY}
    scene.algorithms.write_bytes(encode_policy(AlgorithmPolicy(ends)))
    async with scene.live():
        await scene.age()
        await scene.until_incident("timestamp_refused")
    assert "ecdsa-p384-sha384" in (await scene.failures())[0]
