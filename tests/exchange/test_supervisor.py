"""The supervisor: pauses as arithmetic, and lives that follow one another."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.errors import BrokerFull, LinkLost, LoginRefused, PublishUnknown, TopologyFault
from exchange.supervisor import Backoff, LinkState, fraction, supervise, world_fault

QUICK = Backoff(first_s=0.001, most_s=0.002)


class Told(list):
    """An observer that keeps what it is told."""

    def __call__(self, state):
        self.append(state)


async def run_lives(*outcomes, backoff=QUICK, opens=True):
    """Run lives that end as listed, the last one never; return what was told and the attempts."""
    told, attempts, last = Told(), [], asyncio.Event()

    async def life(attempt, opened):
        attempts.append(attempt)
        if opens:
            opened()
        if attempt < len(outcomes):
            if outcomes[attempt] is not None:
                raise outcomes[attempt]
            return
        last.set()
        await asyncio.Event().wait()

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        task = group.create_task(
            supervise(life, peer="kz.akmola", seed=b"x", on_state=told, backoff=backoff)
        )
        await last.wait()
        task.cancel()
    return told, attempts


def test_ceilings_double_to_a_minute():
    """The longest pause is 0.5 s, doubling to 60 s."""
    ceilings = [Backoff().ceiling_s(failures) for failures in (1, 2, 3, 7, 8, 9, 1000)]
    assert ceilings == [0.5, 1.0, 2.0, 32.0, 60.0, 60.0, 60.0]


def test_a_minute_of_health_forgives():
    """After 60 s of health the next failure counts as the first; after less it counts on."""
    backoff = Backoff()
    assert backoff.failures_after(7, 60.0) == 1
    assert backoff.failures_after(7, 59.9) == 8
    assert backoff.failures_after(7, None) == 8


@given(st.binary(), st.integers(min_value=0, max_value=2**40), st.integers(1, 100))
def test_a_pause_never_exceeds_its_ceiling(seed, attempt, failures):
    """Full jitter: anywhere from nothing to the longest pause."""
    pause = Backoff().delay_s(failures, fraction(seed, attempt))
    assert 0 <= pause < Backoff().ceiling_s(failures)


def test_jitter_is_known_beforehand_and_differs_between_nodes():
    """One seed gives one pause each attempt; a thousand nodes spread over the whole range."""
    assert fraction(b"kz.akmola", 3) == fraction(b"kz.akmola", 3)
    drawn = sorted(fraction(b"school-%d" % number, 0) for number in range(1000))
    assert drawn[0] < 0.01
    assert drawn[-1] > 0.99
    assert 0.4 < drawn[500] < 0.6


async def test_lives_follow_one_another():
    """What may be retried begins the next life, and the observer is told each state in order."""
    told, attempts = await run_lives(LinkLost("cut"), PublishUnknown("doubt"), None)
    assert attempts == [0, 1, 2, 3]
    assert [state.state for state in told] == ["connecting", "up", "down"] * 4
    assert told[2].detail.startswith("cut (next attempt in 0.0 s)")
    assert told[-1] == LinkState("kz.akmola", "down", "stopped")


async def test_groups_of_the_worlds_faults_are_retried():
    """A group whose every error is the world's fault begins the next life too."""
    group = ExceptionGroup("both", [PublishUnknown("doubt"), LinkLost("cut")])
    told, _ = await run_lives(group)
    assert told[2].detail.startswith("cut")


async def test_a_life_that_ends_by_a_group_of_its_own_is_retried():
    """A task group that fails marks the task that ran it as cancelled; nobody has cancelled."""
    told, again = Told(), asyncio.Event()

    async def fail():
        raise LinkLost("cut")

    async def life(attempt, opened):
        opened()
        if attempt:
            again.set()
            await asyncio.Event().wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            group.create_task(asyncio.Event().wait())

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        task = group.create_task(
            supervise(life, peer="kz.akmola", seed=b"x", on_state=told, backoff=QUICK)
        )
        await again.wait()
        task.cancel()
    assert [state.state for state in told] == ["connecting", "up", "down"] * 2


async def test_a_life_that_never_opened_is_not_told_as_up():
    """Up is told when a life opens, not before."""
    told, _ = await run_lives(LoginRefused("no"), opens=False)
    assert [state.state for state in told] == ["connecting", "down", "connecting", "down"]


async def test_fatal_errors_leave():
    """A Fatal ends the supervisor as itself, also out of a group."""

    async def life(_attempt, _opened):
        raise ExceptionGroup("all", [LinkLost("cut"), TopologyFault("broken")])

    with pytest.raises(TopologyFault):
        await supervise(life, peer="kz", seed=b"x", on_state=Told())


async def test_a_cancel_that_meets_a_failure_is_not_lost():
    """A life whose group fails in the moment it is cancelled ends the supervisor all the same."""
    told, begun = Told(), asyncio.Event()

    async def life(_attempt, opened):
        opened()
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            await asyncio.Event().wait()

    async def fail():
        begun.set()
        await asyncio.sleep(0)
        raise LinkLost("cut")

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        task = group.create_task(
            supervise(life, peer="kz.akmola", seed=b"x", on_state=told, backoff=QUICK)
        )
        await begun.wait()
        await asyncio.sleep(0)
        task.cancel()
    assert told[-1] == LinkState("kz.akmola", "down", "stopped")


async def test_unexpected_errors_leave():
    """An error of no disposition is ours to see: it is never retried."""
    with pytest.raises(ExceptionGroup) as raised:
        await run_lives(ZeroDivisionError())
    assert raised.group_contains(ZeroDivisionError)


def test_the_cause_tells_more_than_the_doubt():
    """Of several, the first that is no doubt is reported."""
    lost = LinkLost("cut")
    assert world_fault(ExceptionGroup("", [PublishUnknown("?"), lost, BrokerFull("x")])) is lost
