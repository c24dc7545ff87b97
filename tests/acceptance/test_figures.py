"""The figures that a release must reach on two cores, broker and database included."""

import pytest

from nodes.bench.archive import run_archive
from nodes.bench.backlog import run_backlog
from nodes.bench.cycle import run_cycle
from nodes.bench.hop import run_hop
from nodes.bench.idle import run_idle
from nodes.bench.journal import run_journal
from nodes.bench.parts import run_parts
from nodes.bench.sealing import run_seal

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


async def test_a_file_in_parts():
    """100 MB pass with under 120 MB more in each daemon; a cut has nothing taken sent again."""
    measured = await run_parts(file_mb=100, on_progress=lambda *_: None)
    assert measured.memory_most_mb < 120
    assert measured.parts_again == 0


def test_sealing_and_opening():
    """Encrypting and sealing 10 KB costs less than a millisecond of CPU, and so does opening."""
    measured = run_seal(content_bytes=10_000, packets=300)
    assert measured.seal_encrypted_ms < 1
    assert measured.open_encrypted_ms < 1


async def test_journal():
    """A million leaves are as quick as none; verifying and witnessing are cheap."""
    measured = await run_journal(leaves=1_000_000)
    assert measured.tree_leaves_per_cpu_second >= 300_000
    assert measured.append_full_against_empty >= 0.9
    assert max(measured.inclusion_proof_ms, measured.consistency_proof_ms) < 5
    assert measured.verify_mb_per_second >= 50
    assert measured.verify_memory_grew_mb < 50
    assert measured.witnessing_cpu_percent < 5


@pytest.fixture(scope="module")
async def archive():
    """Fill an archive of a million packets, rebuild one of 10,000, and hold both against goals."""
    measured = await run_archive(packets=1_000_000, rebuilt=10_000, on_progress=lambda *_: None)
    assert measured.rebuild.resumed
    return {each.name: each.reached for each in measured.verdicts}


async def test_archive(archive):
    """A million packets are stored, found, printed and destroyed in time and in little room."""
    assert {name for name in archive if not archive[name]} == set()


async def test_cycle():
    """Whole exchanges with encrypted payloads lose less than 30 % against clear ones."""
    measured = await run_cycle(packets=400, content_bytes=10_000, rounds=3)
    assert measured.ratio > 0.7
