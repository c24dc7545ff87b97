"""`bbaj bench all`: every figure that has a goal beside a rival or a limit, in one table.

Each bench sets up what it needs and takes it down again, one after the other, so that none
disturbs another.
"""

import os
import platform
from pathlib import Path

import msgspec

from nodes.bench.archive import run_archive
from nodes.bench.archive_load import Progress
from nodes.bench.cycle import run_cycle
from nodes.bench.goals import Goal, Verdict, judge
from nodes.bench.hop import run_hop
from nodes.bench.idle import run_idle
from nodes.bench.line import run_line
from nodes.bench.parts import run_parts
from nodes.bench.rivals.environment import AS4, PYAS2LIB
from nodes.bench.soak import run_soak
from nodes.bench.tiers import run_tiers
from nodes.clock import now
from schemas.moments import format_instant

GOALS = {
    "hop_1kb_bare": Goal(least=3.0),
    "hop_10kb_bare": Goal(least=1.5),
    "hop_1kb_shovel": Goal(least=0.4),
    "hop_1kb_verifying": Goal(least=0.5),
    "cycle_pyas2lib": Goal(least=40),
    "cycle_as4": Goal(least=15),
    "archive_full_against_empty": Goal(least=0.9),
    "tiers_median_ms": Goal(most=150),
    "tiers_p99_ms": Goal(most=500),
    "line_share": Goal(least=0.85),
    "line_order_s": Goal(most=10),
    "soak_rate_change": Goal(most=0.05),
    "soak_memory_ratio": Goal(most=1.05),
    "soak_latency_step": Goal(most=2),
    "leaf_resident_mb": Goal(most=100),
    "leaf_ready_s": Goal(most=2),
    "parts_memory_mb": Goal(most=120),
    "parts_again": Goal(most=0),
}
BENCHES = 9


class Size(msgspec.Struct, frozen=True):
    """How much is measured."""

    hop_packets: int = 20_000
    hop_packets_of_10kb: int = 5000
    cycle_packets: int = 500
    rounds: int = 5
    archive_packets: int = 1_000_000
    archive_rebuilt: int = 10_000
    tiers_packets: int = 500
    line_files: int = 60
    idle_packets: int = 100
    soak_minutes: int = 10
    parts_file_mb: int = 100


USUAL = Size()
LONG = Size(
    archive_packets=5_000_000,
    archive_rebuilt=100_000,
    tiers_packets=2000,
    line_files=200,
    soak_minutes=120,
)


class WholeResult(msgspec.Struct, frozen=True):
    """What `--json` prints: the table, under which conditions, and what each bench said."""

    conditions: dict[str, str | int]
    verdicts: list[Verdict]
    benches: dict[str, msgspec.Struct]


async def run_whole(size: Size, rivals: Path, on_progress: Progress) -> WholeResult:
    """Measure all; raise JudgementFailed where a record disagrees with what was sent."""
    conditions = _conditions()
    benches: dict[str, msgspec.Struct] = {}

    def keep(**done: msgspec.Struct) -> None:
        benches.update(done)
        on_progress("benches", len(benches), BENCHES)

    keep()
    rounds = size.rounds
    hop = await run_hop(packets=size.hop_packets, payload_bytes=1024, rounds=rounds)
    keep(hop_1kb=hop)
    large = await run_hop(packets=size.hop_packets_of_10kb, payload_bytes=10_240, rounds=rounds)
    keep(hop_10kb=large)
    cycle = await run_cycle(
        packets=size.cycle_packets, content_bytes=1024, rounds=rounds, rivals=rivals
    )
    keep(cycle=cycle)
    tiers = await run_tiers(packets=size.tiers_packets, on_progress=_silent)
    keep(tiers=tiers)
    line = await run_line(files=size.line_files, on_progress=_silent)
    keep(line=line)
    idle = await run_idle(packets=size.idle_packets)
    keep(idle=idle)
    soak = await run_soak(minutes=size.soak_minutes, on_progress=_silent)
    keep(soak=soak)
    parts = await run_parts(file_mb=size.parts_file_mb, on_progress=_silent)
    keep(parts=parts)
    archive = await run_archive(
        packets=size.archive_packets, rebuilt=size.archive_rebuilt, on_progress=_silent
    )
    keep(archive=archive)
    figures = {
        "hop_1kb_bare": hop.ratio,
        "hop_10kb_bare": large.ratio,
        "hop_1kb_shovel": hop.shovel_ratio,
        "hop_1kb_verifying": hop.verified_ratio,
        "cycle_pyas2lib": cycle.rivals[PYAS2LIB.name].ratio,
        "cycle_as4": cycle.rivals[AS4.name].ratio,
        "archive_full_against_empty": archive.store_full_against_empty,
        "tiers_median_ms": tiers.median_ms,
        "tiers_p99_ms": tiers.p99_ms,
        "line_share": line.frames_share,
        "line_order_s": line.order_s,
        "soak_rate_change": soak.rate_change,
        "soak_memory_ratio": soak.memory_ratio,
        "soak_latency_step": soak.latency_step,
        "leaf_resident_mb": idle.leaf_resident_mb,
        "leaf_ready_s": idle.leaf_ready_s,
        "parts_memory_mb": parts.memory_most_mb,
        "parts_again": parts.parts_again,
    }
    return WholeResult(conditions, judge(figures, GOALS), benches)


def _conditions() -> dict[str, str | int]:
    """Return when and on what is measured."""
    return {
        "at": format_instant(now()),
        "cpus": os.cpu_count() or 0,
        "machine": platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def _silent(_stage: str, _done: int, _total: int) -> None:
    """Tell nothing of a bench's own progress: the table's counts."""
