"""The relay's hot path is not over 15 % dearer than recorded; `make hot-path` records it anew."""

import platform

import pytest

from exchange.gate import Gate
from hot_path.measuring import TOLERANCE, count, processor, recorded, time_ratio
from hot_path.relay import private_relay


@pytest.fixture(scope="module")
async def relay(tmp_path_factory):
    """Lend a relay that is warm: its first bundle has met every sender."""
    async with private_relay(tmp_path_factory.mktemp("relay")) as running:
        await running.pass_on(running.seal())
        yield running


async def test_counts_are_as_recorded(relay):
    """Neither instructions nor calls for a packet exceed the record by 15 %."""
    found, known = await count(relay), recorded()
    assert found.instructions <= TOLERANCE * known.instructions
    assert found.calls <= TOLERANCE * known.calls


async def test_record_is_not_outdated(relay):
    """A hot path that got much cheaper is recorded: else it could get dear again unnoticed."""
    found, known = await count(relay), recorded()
    assert TOLERANCE * found.instructions >= known.instructions, "cheaper: run `make hot-path`"
    assert TOLERANCE * found.calls >= known.calls, "cheaper: run `make hot-path`"


@pytest.mark.slow
async def test_time_is_as_recorded(relay):
    """Processor time, as a ratio to the yardstick, exceeds the record by no more than 15 %."""
    known = recorded()
    if (processor(), platform.python_version_tuple()[:2]) != (
        known.processor,
        tuple(known.python.split(".")[:2]),
    ):
        pytest.skip(f"recorded on {known.processor}, {known.python}: `make hot-path` does it here")
    most = TOLERANCE * known.time_ratio
    assert await time_ratio(relay, enough=most) <= most


async def test_counting_tells_the_same_each_time(relay):
    """Two counts differ by less than three in a hundred, whatever else the machine does."""
    first, second = await count(relay), await count(relay)
    assert second.instructions == pytest.approx(first.instructions, rel=0.03)
    assert second.calls == pytest.approx(first.calls, rel=0.03)


@pytest.fixture
def judged_twice(monkeypatch):
    """Have the node judge each frame twice."""
    judge = Gate.judge

    def judge_twice(*given):
        judge(*given)
        return judge(*given)

    return lambda: monkeypatch.setattr(Gate, "judge", judge_twice)


async def test_more_instructions_are_found(relay, judged_twice):
    """What our own Python does more is counted."""
    judged_twice()
    assert (await count(relay)).instructions > TOLERANCE * recorded().instructions


@pytest.mark.slow
async def test_more_time_is_found(relay, judged_twice):
    """What libraries do more shows in the time."""
    before = await time_ratio(relay)
    judged_twice()
    assert await time_ratio(relay) > TOLERANCE * before
