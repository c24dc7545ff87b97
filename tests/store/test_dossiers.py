"""Evidence gathered from a real record is the evidence of what happened."""

from contextlib import asynccontextmanager

import asyncpg
import msgspec
import pytest

from harness.dossier import Exchange
from harness.evidence import make_exchange
from harness.evidence_record import exporter_of, keep, opening, second_log
from harness.forging import Case, failing
from harness.pki import NOW
from nodes.evidence.draft import pem
from nodes.evidence.gather import gather
from nodes.evidence.issuing import issuing_proofs
from nodes.evidence.write import make_files
from nodes.sandbox.timestamp_authority import TimestampAuthority
from schemas.moments import DAY, HOUR
from signing.algorithms import DEFAULT, AlgorithmPolicy
from signing.keys import fingerprint
from store.postgres import PostgresArchive
from store.reading import Filters, Reading

EXPORTED = NOW + 3 * HOUR


@pytest.fixture(scope="module")
def exchange(tmp_path_factory):
    return make_exchange(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
async def desk(module_record, exchange):
    async with opened(module_record) as archive:
        await keep(archive, exchange)
    async with Reading(module_record.daemon) as lent:
        yield lent


@pytest.fixture(scope="module")
async def gathered(desk, exchange):
    packet = exchange.frames[0][1].frame.header.id
    page = await desk.list_packets(Filters(id=packet))
    row = page.packets[0].packet
    return await gather(desk, row, exporter_of(exchange), opening(exchange), EXPORTED)


async def test_all_of_it_is_found(gathered, exchange):
    """Frames, leaves, checkpoints, cosignatures, time-stamps, notes and statements are there."""
    sizes = [each.size for each in exchange.checkpoints]
    assert [frame.folder for frame in gathered.frames] == [".", "receipt", "closing"]
    assert [each.size for each in gathered.checkpoints] == [sizes[0], sizes[2]]
    assert [len(each.stamps) for each in gathered.checkpoints] == [2, 0]
    assert [len(each.witnesses) for each in gathered.checkpoints] == [2, 2]
    assert (len(gathered.custody), len(gathered.tracked)) == (1, 1)
    assert {leaf.kind for leaf in gathered.records} == {
        "certificate", "crl", "custody", "epoch", "policy", "timestamp",
    }  # fmt: skip


async def test_issuing_is_proven_under_the_head_that_is_cosigned(gathered, exchange):
    """A newer head that nobody has cosigned is not taken where the entry stands under one."""
    heads = {each.note for each in gathered.trust.issued.values()}
    assert heads == {exchange.log_head() + exchange.log_line()}


async def test_it_holds(gathered, exchange):
    """Nothing is missing, and the verdict is that it holds, by the first time-stamp."""
    files, notes = make_files(gathered)
    verdict = Case(files, exchange).judge()
    assert (verdict.holds, failing(verdict), notes) == (True, set(), [])
    assert verdict.existed_by == "time-stamp"


async def test_policies_on_rights_stay_at_home(gathered):
    """Who may use which command is nobody's business: the table of algorithms goes alone."""
    assert [b"algorithms" in each for each in gathered.policies] == [True]


async def test_roots_of_before_are_tried_too(desk, gathered):
    """A time-stamp holds under any version of its authority's roots that was told."""
    told = [row for row in await desk.policies() if row.name == "timestamps-national.pem"]
    stamps = gathered.checkpoints[0].stamps
    assert [stamp.authority for stamp in stamps] == ["national", "outside"]
    assert [pem(stamps[1].root) == row.content for row in told] == [False, True]


async def test_a_packet_that_nobody_answered_yet(desk, exchange):
    """The closing is a packet of its own: its folder has it alone, and its own leaves."""
    closing = exchange.frames[2][1].frame.header.id
    row = (await desk.list_packets(Filters(id=closing))).packets[0].packet
    found = await gather(desk, row, exporter_of(exchange), opening(exchange), EXPORTED)
    verdict = Case(make_files(found)[0], exchange).judge()
    assert ([frame.folder for frame in found.frames], verdict.holds) == (["."], True)


async def test_time_stamps_a_period_apart_are_looked_at(desk):
    """Of many later time-stamps one for each authority and period is read, and each first one."""
    one = await desk.stamps_over([0], 365 * 24 * HOUR)
    every = await desk.stamps_over([0, 27], 1_000_000)
    assert sorted(row.authority for row in one) == ["national", "outside"]
    assert sorted(row.authority for row in every) == ["national", "national", "outside"]


async def test_a_note_is_bound_by_its_own_leaf(desk, gathered):
    """The leaf of a custody note is found behind the packet's, by the digest of the note."""
    leaf = next(leaf for leaf in gathered.records if leaf.kind == "custody")
    wanted = leaf.record.decode().partition("note-sha256 ")[2].strip()
    assert (await desk.custody_leaf(0, wanted)).index == leaf.index
    assert await desk.custody_leaf(leaf.index, wanted) is None


async def test_without_logs_there_are_no_proofs_of_issuing(gathered):
    """What the record lacks is left out, and a note says so."""
    trust = msgspec.structs.replace(gathered.trust, issued={})
    _, notes = make_files(msgspec.structs.replace(gathered, trust=trust))
    assert "packet: the log of the authority is not at hand, or lacks this certificate" in notes


async def test_a_damaged_copy_of_a_log_proves_nothing(record, exchange):
    """A proof that does not lead to the head would spoil evidence that holds without it."""
    async with opened(record) as archive:
        await keep(archive, exchange)
    connection = await asyncpg.connect(record.superuser)
    await connection.execute("SET session_replication_role = replica")
    await connection.execute("UPDATE issued SET entry = entry || '\\x00' WHERE index = 0")
    await connection.close()
    ders = {fingerprint(der): der for der in exchange.network.certificates}
    async with Reading(record.daemon) as desk:
        assert await issuing_proofs(desk, list(ders), ders) == {}


async def gathered_later(record, exchange, policy=DEFAULT, renewals=()):
    """Return what is gathered a month later, from a record of its own."""
    later = NOW + 30 * DAY
    exchange.crls += exchange.network.crls(later - HOUR)
    async with opened(record) as archive:
        await keep(archive, exchange, renewals)
    async with Reading(record.daemon) as desk:
        packet = exchange.frames[0][1].frame.header.id
        row = (await desk.list_packets(Filters(id=packet))).packets[0].packet
        exporter = exporter_of(exchange, policy)
        found = await gather(desk, row, exporter, opening(exchange), later)
    case = Case(make_files(found)[0], exchange, now=later, policy=policy)
    return found, case.judge()


async def test_an_ended_authority_is_renewed_by_a_later_one(record, tmp_path):
    """The time-stamp that renewed the first one comes along, with its own checkpoint."""
    brief = TimestampAuthority(tmp_path / "brief", "brief", since=NOW - DAY, life_us=2 * DAY)
    lasting = TimestampAuthority(tmp_path / "lasting", "lasting", since=NOW - DAY)
    exchange = Exchange(tmp_path / "keys").complete()
    exchange.checkpoint(stamped=[brief])
    exchange.now = NOW + HOUR
    exchange.checkpoint(stamped=[lasting])
    found, verdict = await gathered_later(record, exchange)
    authorities = [stamp.authority for each in found.checkpoints for stamp in each.stamps]
    assert (authorities, verdict.holds, failing(verdict)) == (["brief", "lasting"], True, set())


async def test_a_renewed_hash_comes_along(record, tmp_path):
    """Once the policy ends the tree's hash, the second log's proofs are in the folder."""
    lasting = TimestampAuthority(tmp_path / "lasting", "lasting", since=NOW - DAY)
    exchange = Exchange(tmp_path / "keys").complete()
    exchange.checkpoint(stamped=[lasting])
    exchange.crls += exchange.network.crls(NOW + HOUR)
    exchange.now = NOW + HOUR
    renewal = second_log(exchange, lasting)
    ended = AlgorithmPolicy(dict(DEFAULT.ends) | {"sha-256": NOW + 10 * DAY})
    found, verdict = await gathered_later(record, exchange, ended, [renewal])
    leaves = {leaf.index for leaf in found.leaves if leaf.index < renewal.size}
    assert [set(each.proofs) for each in found.renewals] == [leaves]
    assert (verdict.holds, failing(verdict)) == (True, set())


@asynccontextmanager
async def opened(record):
    """Lend an archive, and close it."""
    archive = PostgresArchive(record.daemon)
    await archive.open()
    try:
        yield archive
    finally:
        await archive.close()


async def test_lists_about_a_moment_and_the_newest(desk, exchange):
    """A record keeps every list for ever: those that came about a moment are read, and the last."""
    about = await desk.crls_about([exchange.now], HOUR)
    newest = await desk.crls_about([0], HOUR)
    assert sorted(about) == sorted(exchange.crls)
    assert sorted(newest) == sorted(exchange.crls[2:])
