"""The record in memory, which the simulator runs on, answers as PostgreSQL does: call by call."""

import inspect

import msgspec
import pytest

from exchange.ports import Archive
from harness.record_rows import HERE
from simulation.archive import Database, SimulatedArchive
from simulation.country import run
from simulation.plan import draw, scenarios
from store.errors import RecordConflict

NODES = ("kz", "kz.akmola", "kz.akmola.burabay", HERE)
UNORDERED = frozenset(("cards_of", "awaited_recipients"))
"""Answers whose order nobody promises."""


def calls_of(seed, name):
    """Return what one node asked of its record in a run, and what it was answered."""
    scenario = msgspec.structs.replace(scenarios()[name], nodes=NODES)
    calls = []

    def listen(country):
        country.machines[HERE].server.calls = calls

    _, failure = run(draw(seed, scenario), listen)
    assert failure is None
    return calls


def plain(name, answer):
    """Return an answer in a form that compares."""
    if name in UNORDERED:
        return sorted(map(repr, answer))
    return answer


@pytest.fixture(params=[(1, "03-crashes"), (2, "02-lines")], ids=["crashes", "lines"])
def calls(request):
    """Run before any loop does: the run has a loop of its own."""
    return calls_of(*request.param)


async def test_each_call_is_answered_as_in_memory(calls, archive):
    """A node's whole life over lines that fail: the same commits, and the same answers between."""
    assert len(calls) > 100
    for number, (method, args, answer) in enumerate(calls):
        found = await getattr(archive, method)(*args)
        assert plain(method, found) == plain(method, answer), f"call {number}: {method}{args}"


def test_the_whole_port_is_there():
    """No method of the port is missing."""
    wanted = {name for name, _ in inspect.getmembers(Archive, inspect.isfunction)}
    given = {*dir(SimulatedArchive), *dir(Database)}
    assert {name for name in wanted if not name.startswith("_")} <= given


def test_a_key_that_is_there_fails_the_whole_commit():
    """Nothing of a commit is kept that brings one row a second time."""
    database = Database(HERE)
    calls = [each for each in calls_of(3, "01-fair") if each[0] == "commit"]
    first, second = calls[0][1][0], calls[1][1][0]
    database.commit(first)
    twice = msgspec.structs.replace(second, intakes=second.intakes, cards=first.cards)
    before = len(database.leaf_hashes)
    with pytest.raises(RecordConflict):
        database.commit(twice)
    assert len(database.leaf_hashes) == before
