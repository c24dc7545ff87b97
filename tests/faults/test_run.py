"""Real faults on real components, a few of them; `make faults` strikes by the thousand."""

import pytest

from faults.network import PLACES
from faults.plan import draw
from faults.run import IN_FLIGHT_MIN, run
from faults.table import table

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


async def test_faults_of_every_kind_lose_and_double_nothing():
    """Daemons, databases, brokers and links are struck: what was accepted comes out once."""
    kinds = ["daemon", "database", "broker", "link"]
    faults = [each for kind in kinds for each in draw(1, 4, PLACES, [kind])]
    outcome = await run(1, faults, 0.15, lambda _: None, on_disk=False)
    assert outcome.passed, table(outcome)
    assert min(each.in_flight for each in outcome.counted) >= IN_FLIGHT_MIN
