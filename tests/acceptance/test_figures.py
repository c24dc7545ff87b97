"""The figures that a release must reach on two cores, broker and database included."""

import pytest

from nodes.bench.backlog import run_backlog
from nodes.bench.hop import run_hop
from nodes.bench.idle import run_idle

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


async def test_relay_rate():
    """One relay node passes at least 2,000 packets of 1 KB a second, ahead of a bare relay."""
    measured = await run_hop(packets=10_000, payload_bytes=1024, rounds=3)
    assert measured.packets_per_second >= 2000
    assert measured.ratio >= 1.0


async def test_backlog():
    """A backlog of 20,000 packets drains in under two minutes."""
    measured = await run_backlog(packets=20_000, payload_bytes=1024)
    assert measured.drained_s < 120


async def test_idle_hop():
    """An idle packet is delivered in under 50 ms (median), by a leaf of less than 150 MB."""
    measured = await run_idle(packets=100)
    assert measured.median_ms < 50
    assert measured.leaf_resident_mb < 150
