"""Instructions: asked again while under way, and none that fails holds up the others."""

import asyncio
import itertools

import pytest

from exchange.instructions import OWN_FAULT, Declined, Done
from harness.pki import make_network
from harness.service_node import Node, new_record
from nodes.clock import now
from schemas.leaves import read_leaf
from schemas.records import InstructionRow

TOP = "kz"
PATIENCE_S = 20.0

_names = (f"instructions_{number}" for number in itertools.count())


@pytest.fixture
async def node(server, tmp_path):
    record = await new_record(server, next(_names), TOP)
    return Node(TOP, make_network([TOP], now()), tmp_path, record)


def row(number, what):
    return InstructionRow(f"{number:02}", now(), "op-1", what, b"{}")


def handle(service, **handlers):
    """Let these handle instructions, also for a sweep that is under way already."""
    service.parts.instructions._handlers = handlers


async def test_what_is_under_way_is_asked_again_and_holds_up_nobody(node):
    """A handler that answers None is asked at each sweep; others are carried out meanwhile."""
    asked = []

    async def slow(instruction, _batch):
        asked.append(instruction.id)
        return Done({"asked": len(asked)}) if len(asked) == 3 else None

    async def quick(_instruction, _batch):
        return Done(detail="quick")

    async with node.live() as service:
        handle(service, slow=slow, quick=quick)
        for each in (row(1, "slow"), row(2, "quick")):
            await node.archive.instruct(each)
        outcomes = [await outcome(node, id_) for id_ in ("02", "01")]
    assert [each.state for each in outcomes] == ["done", "done"]
    assert outcomes[0].at < outcomes[1].at
    assert outcomes[1].content == b'{"asked":3}'
    assert asked == ["01", "01", "01"]


async def test_a_handler_that_fails_is_declined_and_the_others_go_on(node):
    """A fault of ours is committed as such, tried no more, and stops nothing."""
    tries = []

    async def broken(instruction, _batch):
        tries.append(instruction.id)
        raise LookupError("a fault of ours")

    async def sound(_instruction, _batch):
        return Declined("no")

    async with node.live() as service:
        handle(service, broken=broken, sound=sound)
        for each in (row(1, "broken"), row(2, "sound")):
            await node.archive.instruct(each)
        failed, sound_one = [await outcome(node, id_) for id_ in ("01", "02")]
        assert node.eyes.noticed_events == ["own_fault"]
        leaves = await node.archive._rows(
            "SELECT record FROM leaf WHERE kind = 'operator' ORDER BY index"
        )
    assert OWN_FAULT in failed.content.decode()
    assert sound_one.content == b'{"why":"no"}'
    assert tries == ["01"]
    assert [read_leaf(each["record"])["verdict"] for each in leaves] == ["refused", "refused"]


async def outcome(node, id_):
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = await node.archive.instruction_outcome(id_)
            if found is not None:
                return found
            await asyncio.sleep(0.02)
