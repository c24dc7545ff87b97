"""Legal holds and the policy on retention, as operators tell the daemon of them."""

import asyncio
import itertools
from hashlib import sha256, sha512

import msgspec
import pytest

from exchange.identity import new_packet_id
from exchange.legal_holds import LIFT, SET, LiftHold, SetHold
from exchange.standing import PolicySeen
from harness.pki import make_network
from harness.service_node import Node, new_record
from nodes.clock import now
from schemas.leaves import read_leaf
from schemas.records import InstructionRow
from schemas.retention import DEFAULT, POLICY_NAME, RetentionPolicy, Starts, encode_policy

TOP = "kz"
PATIENCE_S = 20.0
ONE, OTHER = (f"01a20675-fef0-7a11-8c3e-0d5a4b7f6e2{n}" for n in (1, 2))

_names = (f"legal_holds_{number}" for number in itertools.count())


@pytest.fixture
async def node(server, tmp_path):
    record = await new_record(server, next(_names), TOP)
    return Node(TOP, make_network([TOP], now()), tmp_path, record)


async def tell(node, what, content):
    """Instruct the node; return the state of the outcome and what was answered."""
    row = InstructionRow(new_packet_id(now()), now(), "op-1", what, msgspec.json.encode(content))
    await node.archive.instruct(row)
    async with asyncio.timeout(PATIENCE_S):
        while (found := await node.archive.instruction_outcome(row.id)) is None:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.01)
    answer = msgspec.json.decode(found.content) or {}
    return found.state, answer.get("numbers", answer.get("why"))


async def leaves(node, kind):
    rows = await node.archive._rows("SELECT record FROM leaf WHERE kind = $1 ORDER BY index", kind)
    return [read_leaf(row["record"]) for row in rows]


async def test_holds_are_numbered_journaled_and_lifted(node):
    """One for each packet; what stands is not set twice, and what is lifted binds no more."""
    both = SetHold(packets=(ONE, OTHER), dispute="17-b/2031")
    area = SetHold(organisation="kz.akmola", below=True, period="2026-Q4")
    async with node.live():
        assert await tell(node, SET, both) == ("done", [1, 2])
        assert await tell(node, SET, area) == ("done", [3])
        assert await tell(node, SET, SetHold(packets=(OTHER,), dispute="17-b/2031")) == (
            "done",
            [2],
        )
        assert await tell(node, LIFT, LiftHold(dispute="17-b/2031")) == ("done", [1, 2])
        again = "dispute 17-b/2031 holds nothing any more: see `bbaj hold list --all`"
        assert await tell(node, LIFT, LiftHold(dispute="17-b/2031")) == ("refused", again)
        assert await tell(node, LIFT, LiftHold(number=3)) == ("done", [3])
        assert await tell(node, SET, area) == ("done", [4])
        known = await node.archive.legal_holds()
        journaled = await leaves(node, "legal-hold")
    assert [each.lifted is None for each in known] == [False, False, False, True]
    told = [(leaf["number"], leaf["verdict"]) for leaf in journaled]
    set_, lifted = "set", "lifted"
    assert told == [
        ("1", set_),
        ("2", set_),
        ("3", set_),
        ("1", lifted),
        ("2", lifted),
        ("3", lifted),
        ("4", set_),
    ]
    assert journaled[0] | {"at": ""} == {
        "kind": "legal-hold",
        "at": "",
        "number": "1",
        "verdict": "set",
        "id": ONE,
        "dispute": "17-b/2031",
        "who": "op-1",
    }
    assert (journaled[2]["organisation"], journaled[2]["below"]) == ("kz.akmola", "yes")


async def test_what_cannot_be_meant_is_declined(node):
    """With what to do instead; nothing is journaled as a hold."""
    async with node.live():
        said = {
            "nothing named": await tell(node, SET, SetHold(dispute="17")),
            "below nobody": await tell(node, SET, SetHold(below=True, period="2026")),
            "no period": await tell(node, SET, SetHold(period="2026-02-30")),
            "no id": await tell(node, SET, {"packets": ["17"]}),
            "unknown": await tell(node, LIFT, LiftHold(number=7)),
            "both": await tell(node, LIFT, LiftHold(number=7, dispute="17")),
        }
        assert await leaves(node, "legal-hold") == []
    assert {state for state, _why in said.values()} == {"refused"}
    whys = {name: why for name, (_state, why) in said.items()}
    assert whys["nothing named"].startswith("name what to hold: packets, an organisation or a")
    assert whys["below nobody"] == "those below are those below an organisation: name it"
    assert whys["no period"] == "2026-02-30 is no period that exists"
    assert "$.packets[0]" in whys["no id"]
    assert whys["unknown"] == "there is no hold 7: `bbaj hold list` shows those there are"
    assert whys["both"] == "name one hold, or one dispute"


async def test_a_new_policy_on_retention_counts_once_it_is_journaled(node):
    """The buckets of what arrives afterwards follow it; what is no policy changes nothing."""
    rule = msgspec.structs.replace(DEFAULT.classes["R10"], starts=Starts.CALENDAR_YEAR_END)
    policy = RetentionPolicy(2, {**DEFAULT.classes, "R10": rule})
    async with node.live() as service:
        gate = service.state.gate
        assert await tell(node, "policy", seen(b'{"version":2,"classes":[]}')) == (
            "refused",
            "retention.json: class R1 is there 0 times; each has one entry",
        )
        assert gate.retention == DEFAULT
        assert await tell(node, "policy", seen(encode_policy(policy))) == ("done", None)
        async with asyncio.timeout(PATIENCE_S):
            while gate.retention != policy:  # noqa: ASYNC110 - a moment after its commit
                await asyncio.sleep(0.01)
        assert gate.bucket("R10", "2026-02", now()) == "R10-2026-12"
        [leaf] = await leaves(node, "policy")
    assert (leaf["name"], leaf["sha256"]) == (POLICY_NAME, seen(encode_policy(policy)).sha256)


def seen(content):
    digests = sha256(content).hexdigest(), sha512(content).hexdigest()
    return PolicySeen(POLICY_NAME, *digests, content)
