"""Completeness, reconciliation and the archive's figures at two real daemons.

kz ── kz.akmola ── kz.akmola.burabay, which has a card and no node
"""

import asyncio
import csv
import json

import msgspec
import pytest

from harness.cli_run import bbaj
from harness.network import private_network
from nodes import samples
from nodes.cli.archive_shapes import ArchiveCounts, FormExport, PublicTable
from nodes.cli.completing_shapes import ExpectedReports, GapReport, NeighbourTold
from nodes.cli.shapes import Failure, PacketList, Sending
from nodes.sandbox.network import NodeSpec
from schemas.calendar_sample import SAMPLE, calendar_text
from schemas.codes import Tier
from schemas.documents.completeness import Completeness
from schemas.documents.periods import PeriodKind
from schemas.report_calendar import Due, decode_calendar

pytestmark = pytest.mark.slow

TOP, BELOW, SILENT = "kz", "kz.akmola", "kz.akmola.burabay"
DAILY, QUARTERLY = "attendance.daily/1", "performance.period/1"
NUMBER, PERIOD = 83, "2026-11-23"
"""The made-up document of this number is about this day."""
COUNTED = "archive.completeness/1"
PATIENCE_S = 30.0


def calendar(type_, kind, tier, under):
    """Return a calendar with one rule that is over as soon as its period is."""
    rule = next(each for each in SAMPLE.reports if (each.type, each.period) == (type_, kind))
    changed = {"tiers": (tier,), "under": under, "due": Due(days=0)}
    own = msgspec.structs.replace(rule, **changed)
    return calendar_text(msgspec.structs.replace(SAMPLE, reports=(own,)))


@pytest.fixture(scope="module")
async def network():
    specs = [
        NodeSpec(TOP, tier=Tier.REPUBLIC, systems=("ministry",)),
        NodeSpec(BELOW, tier=Tier.OBLAST, systems=("office",)),
    ]
    async with private_network(specs, also_children=[SILENT]) as network:
        rules = {
            TOP: calendar(DAILY, PeriodKind.DAY, Tier.OBLAST, TOP),
            BELOW: calendar(QUARTERLY, PeriodKind.QUARTER, Tier.DISTRICT, BELOW),
        }
        for address, text in rules.items():
            node = network.nodes[address]
            (node.folder / "calendar.json").write_bytes(text)
            said = node.config_path.read_text(encoding="utf-8")
            more = '[completeness]\ncalendar = "calendar.json"\nto_parent = true\n'
            node.config_path.write_text(f"{said}\n{more}", encoding="utf-8")
        await network.start(TOP, BELOW)
        yield network


@pytest.fixture(scope="module")
def at(network):
    async def run(address, *words, given=b"", **variables):
        path = network.nodes[address].config_path
        return await bbaj(*words, config=path, given=given, variables=variables)

    return run


@pytest.fixture(scope="module")
async def delivered(at):
    """Send one report from below; return its body."""
    body = samples.tiny(NUMBER)
    words = ("send", "-", "--type", DAILY, "--to", TOP, "--json", "--wait=30")
    sent = (await at(BELOW, *words, given=body)).shape(Sending)
    assert sent.state == "delivered"
    return body


async def until(condition):
    """Wait until something is so; return it."""
    async with asyncio.timeout(PATIENCE_S):
        while not (found := await condition()):  # noqa: ASYNC110 - the record tells no events
            await asyncio.sleep(0.2)
        return found


async def counted(at):
    """Return the packets with counts that the top has."""
    listed = await at(TOP, "list", "--type", COUNTED, "--json")
    return listed.shape(PacketList).packets


# ------------------------------------------------------------------ completeness


async def test_who_sent_and_who_did_not(at, delivered):
    """The report that came is in the shares; one of the day before has not come."""
    words = ("completeness", "expected", "--json", "--period")
    told = (await at(TOP, *words, PERIOD)).shape(ExpectedReports)
    [report] = told.reports
    assert (report.expected, report.received, report.missing) == (1, 1, [])
    assert [(share.address, share.received) for share in told.shares] == [(TOP, 1)]
    [before] = (await at(TOP, *words, "2026-11-20")).shape(ExpectedReports).reports
    assert ([owing.address for owing in before.missing], before.on_time_share) == ([BELOW], 0.0)
    assert (await at(TOP, *words, "2026-11-22")).shape(ExpectedReports).reports == []


@pytest.mark.parametrize(
    ("language", "said"), [("kk", "келмеді"), ("ru", "не поступил"), ("en", "has not come")]
)
async def test_people_read_it_in_their_language(at, language, said):
    """The table speaks the language of the environment."""
    words = ("completeness", "expected", "--period", "2026-11-20")
    shown = await at(TOP, *words, BBAJ_LANG=language)
    assert said in shown.out.decode()


async def test_a_period_that_is_none_is_refused(at):
    """The message shows the forms that there are."""
    done = await at(TOP, "completeness", "expected", "--json", "--period", "2026-13")
    assert done.code == 64
    failure = msgspec.json.decode(done.err, type=Failure)
    assert "2026-13 is no period that exists: write one like 2026-11-23" in failure.errors[0]


async def test_the_calendar_is_a_policy_that_is_journaled(network, at):
    """Its version stands in the record, and in a leaf."""

    async def told():
        shown = await at(TOP, "instructions", "--json")
        rows = json.loads(shown.out)
        return [row for row in rows if row["what"] == "policy" and row["state"] == "done"]

    await until(told)
    shown = await at(TOP, "completeness", "calendar", BBAJ_LANG="en")
    assert decode_calendar(shown.out).reports[0].type == DAILY


async def test_no_number_is_missing(at, delivered):
    """What was sent has come, each number of it."""
    told = (await at(TOP, "completeness", "gaps", "--json")).shape(GapReport)
    assert (told.gaps, told.missing, told.is_cut) == ([], 0, False)


async def test_counts_go_up_once_a_period(network, at):
    """The oblast tells that its district's report has not come; a restart tells nothing again."""
    [packet] = await until(lambda: counted(at))
    assert (packet.from_, packet.to, packet.section, packet.flow) == (BELOW, TOP, "net", "oper")
    await network.stop(BELOW)
    await network.start(BELOW)
    words = ("ping", TOP, "--json", "--wait=30")
    assert (await at(BELOW, *words)).shape(Sending).state == "delivered"
    assert [each.id for each in await counted(at)] == [packet.id]


# ------------------------------------------------------------------ reconciliation


async def test_neighbours_agree(at, delivered):
    """Either end finds all streams equal, and the outcome is read in a table too."""
    for address, other in ((TOP, BELOW), (BELOW, TOP)):
        [told] = (await at(address, "reconcile", other, "--json")).shape(list[NeighbourTold])
        assert told.problem is None
        assert told.streams
        assert all(each.differs is None and each.agreed for each in told.streams)
    shown = await at(BELOW, "reconcile", TOP, BBAJ_LANG="en")
    assert "agreed up to" in shown.out.decode()


async def test_a_neighbour_without_a_node_is_named(at):
    """Of all neighbours the one that does not answer is told, and the command fails."""
    done = await at(BELOW, "reconcile", "--wait", "2", "--json")
    told = {each.neighbour: each for each in done.read(list[NeighbourTold])}
    assert done.code == 1
    assert told[TOP].problem is None
    assert f"{SILENT} has not answered" in told[SILENT].problem


# ------------------------------------------------------------------ the archive


async def test_the_archive_is_counted(at, delivered):
    """By region and type, as asked for; receipts and closings are no documents."""
    words = ("archive", "counts", "--json", "--period", "2026-11")
    told = (await at(TOP, *words, "--by", "region", "--by", "type")).shape(ArchiveCounts)
    [line] = told.lines
    assert (line.region, line.type_, line.packets) == (BELOW, DAILY, 1)
    assert line.bytes > len(delivered) // 2
    assert "Ministry" in told.owner.en


async def test_a_form_of_a_period_is_exported_with_its_content(at, delivered, tmp_path):
    """A line for each packet: what its header says, and the document as it was dropped."""
    path = tmp_path / "forms.jsonl"
    words = ("archive", "export", "--json", "--form", DAILY, "--period", "2026-11", "--to")
    told = (await at(TOP, *words, str(path))).shape(FormExport)
    assert (told.packets, told.documents, told.absent, told.organisations) == (1, 1, 0, 1)
    [line] = [json.loads(each) for each in path.read_text(encoding="utf-8").splitlines()]
    assert line["document"] == json.loads(delivered)
    assert (line["from"], line["period"]) == (BELOW, PERIOD)
    assert path.stat().st_mode & 0o777 == 0o600
    again = await at(TOP, *words, str(path))
    assert (again.code, len(list(tmp_path.iterdir()))) == (71, 1)
    assert "is there already" in again.err


async def test_the_counts_that_came_are_a_document_like_any_other(at, tmp_path):
    """What was sent up says what was expected, and that nothing came."""
    [packet] = await until(lambda: counted(at))
    path = tmp_path / "counts.jsonl"
    words = ("archive", "export", "--json", "--form", COUNTED, "--period", packet.period, "--to")
    await at(TOP, *words, str(path))
    line = json.loads(path.read_bytes().splitlines()[0])
    counts = msgspec.convert(line["document"], Completeness)
    assert (counts.reports, counts.under, counts.expected) == (QUARTERLY, BELOW, 1)
    assert (counts.received, counts.on_time, counts.missing, counts.gaps) == (0, 0, 1, 0)


async def test_of_one_organisation_nothing_is_public(at, delivered, tmp_path):
    """The table names source, period and rule, and leaves every figure out."""
    path = tmp_path / "public.csv"
    words = ("archive", "public", "--json", "--period", "2026-11", "--to", str(path))
    told = (await at(TOP, *words)).shape(PublicTable)
    assert told.suppressed == told.cells == 4
    text = path.read_text(encoding="utf-8")
    assert "# Source: Ministry of Education" in text
    assert "# Правило: ячейки менее чем о 5 организациях" in text
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    rows = list(csv.DictReader(lines))
    assert {(row["documents"], row["organisations"]) for row in rows} == {("x", "x")}
    assert BELOW in {row["region"] for row in rows}
