"""`bbaj retention classes`, `due`, `bbaj hold` and terms in lists, at two real daemons."""

import msgspec
import pytest

from harness.cli_run import bbaj
from harness.network import private_network
from nodes import samples
from nodes.cli.retaining_shapes import DueList, HoldLine, HoldsDone, PolicyShown
from nodes.cli.shapes import Failure, PacketList, Sending, Story
from nodes.sandbox.network import NodeSpec
from schemas.retention import DEFAULT, RetentionPolicy, Starts, encode_policy

pytestmark = pytest.mark.slow

TOP, BELOW = "kz", "kz.akmola"
TYPE, NUMBER = "attendance.daily/1", 83
"""The made-up document of this number is about 23 November 2026."""
BUCKET = "R5-2026-11"
BASIS = "Бұйрық № 1, 2027 жылғы 1 ақпан"
SHORT = msgspec.structs.replace(
    DEFAULT.classes["R5"], months=1, starts=Starts.PERIOD_END, basis=BASIS, is_approved=True
)
POLICY = RetentionPolicy(7, {**DEFAULT.classes, "R5": SHORT})
ENGLISH = {"BBAJ_LANG": "en"}


@pytest.fixture(scope="module")
async def network():
    specs = [NodeSpec(TOP, systems=("ministry",)), NodeSpec(BELOW)]
    async with private_network(specs) as network:
        node = network.nodes[TOP]
        (node.folder / "retention.json").write_bytes(encode_policy(POLICY))
        said = node.config_path.read_text(encoding="utf-8")
        more = '[retention]\npolicy = "retention.json"\n'
        node.config_path.write_text(f"{said}\n{more}", encoding="utf-8")
        await network.start(TOP, BELOW)
        yield network


@pytest.fixture(scope="module")
def at(network):
    async def run(address, *words, given=b"", **variables):
        path = network.nodes[address].config_path
        return await bbaj(*words, config=path, given=given, variables={**ENGLISH, **variables})

    return run


@pytest.fixture(scope="module")
async def delivered(at):
    """Send one report on a day from below; return the packet's id."""
    words = ("send", "-", "--type", TYPE, "--to", TOP, "--json", "--wait=30")
    sent = (await at(BELOW, *words, given=samples.tiny(NUMBER))).shape(Sending)
    assert sent.state == "delivered"
    return sent.packet


async def test_the_policy_is_shown_and_journaled(at, delivered):
    """Each class with its term, its start, its basis and whether it is approved."""
    assert delivered
    shown = (await at(TOP, "retention", "classes", "--json")).shape(PolicyShown)
    [r5] = [line for line in shown.classes if line.class_ == "R5"]
    assert (r5.term, r5.starts, r5.basis, r5.status) == ("P1M", "period-end", BASIS, "approved")
    assert (shown.version, shown.since is not None) == (7, True)
    own = (await at(BELOW, "retention", "classes", "--json")).shape(PolicyShown)
    assert {line.status for line in own.classes} == {"proposed"}
    for language, word in (("kk", "Негіздеме"), ("ru", "Основание"), ("en", "Basis")):
        assert word in (await at(TOP, "retention", "classes", BBAJ_LANG=language)).out.decode()


async def test_lists_give_class_end_and_basis(at, delivered):
    """For each packet, by the policy of the node that is asked."""
    story = (await at(TOP, "show", delivered, "--json")).shape(Story)
    [line] = [each for each in story.packets if each.id == delivered]
    assert (line.class_, line.basis, line.term_status) == ("R5", BASIS, "approved")
    assert (line.bucket, line.keep_until) == (BUCKET, "2027-01-01T00:00:00.000000Z")
    listed = (await at(BELOW, "list", "--json")).shape(PacketList)
    [own] = [each for each in listed.packets if each.id == delivered]
    assert (own.bucket, own.keep_until) == ("R5-2027-08", "2032-09-01T00:00:00.000000Z")
    assert own.term_status == "proposed"
    assert BASIS in (await at(TOP, "show", delivered)).out.decode()


async def test_what_is_due_is_listed_and_stays(at, delivered):
    """With its packets, bytes and holds; what is not approved is never due."""
    early = (await at(TOP, "retention", "due", "--until", "2026-12-31", "--json")).shape(DueList)
    assert BUCKET not in {line.bucket for line in early.buckets}
    set_ = await at(TOP, "hold", "set", "--packet", delivered, "--dispute", "17-b", "--json")
    [number] = set_.shape(HoldsDone).numbers
    due = (await at(TOP, "retention", "due", "--until", "2027-01-01", "--json")).shape(DueList)
    [line] = [each for each in due.buckets if each.bucket == BUCKET]
    assert (line.class_, line.basis) == ("R5", BASIS)
    assert line.due == "2027-01-01T00:00:00.000000Z"
    assert line.packets >= 1
    assert 1 <= line.held <= line.packets
    assert line.size > 0
    assert line.sections["S15"] == line.packets
    assert due.never == ["R1", "R10", "R50", "QRN"]
    content = await at(TOP, "show", delivered, "--content")
    assert content.code == 0, content.err
    never = (await at(BELOW, "retention", "due", "--until", "2100-01-01", "--json")).shape(DueList)
    assert never.buckets == []
    [held] = (await at(TOP, "hold", "list", "--packet", delivered, "--json")).shape(list[HoldLine])
    assert (held.number, held.packet, held.dispute) == (number, delivered, "17-b")
    lifted = (await at(TOP, "hold", "lift", "--dispute", "17-b", "--json")).shape(HoldsDone)
    assert lifted.numbers == [number]
    assert (await at(TOP, "hold", "list", "--json")).shape(list[HoldLine]) == []
    [past] = (await at(TOP, "hold", "list", "--all", "--json")).shape(list[HoldLine])
    assert past.lifted is not None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("retention", "due", "--until", "soon"), "write a day like 2032-09-01"),
        (("hold", "set"), "name what to hold"),
        (("hold", "set", "--dispute", "17"), "a dispute is its number"),
        (("hold", "set", "--period", "2026-13"), "2026-13 is no period that exists"),
        (("hold", "set", "--organisation", "KZ"), "$.organisation"),
        (("hold", "set", "--under", "--period", "2026"), "below an organisation"),
        (("hold", "lift"), "name the number of one hold"),
    ],
)
async def test_words_that_cannot_be_meant_are_refused(at, words, said):
    """Before the daemon hears of them, with what to write instead."""
    done = await at(TOP, *words, "--json")
    failure = msgspec.json.decode(done.err, type=Failure)
    assert done.code == 64
    assert any(said in error for error in failure.errors)


async def test_a_packet_that_is_not_here_is_not_held(at):
    """A mistyped id would hold nothing, and nobody would notice."""
    unknown = "01a20675-fef0-7a11-8c3e-0d5a4b7f6e29"
    done = await at(TOP, "hold", "set", "--packet", unknown)
    assert done.code != 0
    assert f"packet {unknown} is not in the record" in done.err


async def test_a_bad_policy_is_refused_at_start(network):
    """Naming file, class and what is wrong."""
    text = encode_policy(POLICY).replace(BASIS.encode(), b"")
    (network.nodes[TOP].folder / "bad.json").write_bytes(text)
    said = network.nodes[TOP].config_path.read_text(encoding="utf-8")
    path = network.nodes[TOP].folder / "bad.toml"
    path.write_text(said.replace("retention.json", "bad.json"), encoding="utf-8")
    for words in (("retention", "classes"), ("node", "run")):
        done = await bbaj(*words, config=path, variables=ENGLISH)
        assert done.code == 78
        assert "retention.json: R5: no basis; cite the act that sets the term" in done.err
