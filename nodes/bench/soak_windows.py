"""What a soak shows, judged in windows of ten seconds. Arithmetic only.

Rates: the last two minutes against the first two. Memory: the daemon's median in the last two
minutes against that of minutes three and four, when caches are warm. Latency: the slowest window's
median against the median of all windows' medians, so that a pause of a moment does not count, and
one of seconds does. A short run takes fifths of itself for the two minutes.
"""

import statistics
from collections.abc import Sequence

import msgspec

WINDOW_S = 10
SPAN_WINDOWS = 12


class Sample(msgspec.Struct, frozen=True):
    """After each second's load: how many frames the parent has taken, and the daemon's memory."""

    at_s: float
    taken: int
    resident_mb: float


class Bundle(msgspec.Struct, frozen=True):
    """When a bundle was due, in seconds from the begin, and how long it took from then."""

    due_s: float
    took_ms: float


class Window(msgspec.Struct, frozen=True):
    """Ten seconds of the run."""

    at_s: int
    packets_per_second: float
    p50_ms: float
    p99_ms: float
    longest_ms: float
    resident_mb: float


class SoakResult(msgspec.Struct, frozen=True):
    """What `--json` prints."""

    minutes: int
    peak_per_second: float
    offered_per_second: int
    first_per_second: float
    last_per_second: float
    rate_change: float
    """Between these two, as a share, whichever is larger."""
    resident_early_mb: float
    resident_late_mb: float
    memory_ratio: float
    p50_ms: float
    """Medians over the windows, as the next."""
    p99_ms: float
    longest_ms: float
    latency_step: float
    windows: list[Window]
    leaves: int


def judge_soak(
    samples: Sequence[Sample],
    bundles: Sequence[Bundle],
    *,
    minutes: int,
    peak: float,
    offered: int,
    leaves: int,
) -> SoakResult:
    """Return what a run came to; the first sample is that of its beginning."""
    windows = make_windows(samples, bundles)
    span = max(1, min(SPAN_WINDOWS, len(windows) // 5))
    first, early, last = windows[:span], windows[span : 2 * span], windows[-span:]
    rates = [statistics.fmean(each.packets_per_second for each in part) for part in (first, last)]
    resident = [statistics.median(each.resident_mb for each in part) for part in (early, last)]
    usual = statistics.median(each.p50_ms for each in windows)
    return SoakResult(
        minutes=minutes,
        peak_per_second=round(peak, 1),
        offered_per_second=offered,
        first_per_second=round(rates[0], 1),
        last_per_second=round(rates[1], 1),
        rate_change=round(abs(rates[1] / rates[0] - 1), 4),
        resident_early_mb=round(resident[0], 1),
        resident_late_mb=round(resident[1], 1),
        memory_ratio=round(resident[1] / resident[0], 3),
        p50_ms=round(usual, 1),
        p99_ms=round(statistics.median(each.p99_ms for each in windows), 1),
        longest_ms=max(each.longest_ms for each in windows),
        latency_step=round(max(each.p50_ms for each in windows) / usual, 2),
        windows=windows,
        leaves=leaves,
    )


def make_windows(samples: Sequence[Sample], bundles: Sequence[Bundle]) -> list[Window]:
    """Return the whole windows of a run; a bundle belongs to that in which it was due."""
    count = (len(samples) - 1) // WINDOW_S
    took: list[list[float]] = [[] for _ in range(count)]
    for each in bundles:
        if each.due_s < count * WINDOW_S:
            took[int(each.due_s) // WINDOW_S].append(each.took_ms)
    return [
        _window(at * WINDOW_S, samples[at * WINDOW_S : (at + 1) * WINDOW_S + 1], sorted(took[at]))
        for at in range(count)
    ]


def _window(at_s: int, samples: Sequence[Sample], took_ms: Sequence[float]) -> Window:
    first, last = samples[0], samples[-1]
    return Window(
        at_s=at_s,
        packets_per_second=round((last.taken - first.taken) / (last.at_s - first.at_s), 1),
        p50_ms=round(statistics.median(took_ms), 1),
        p99_ms=round(took_ms[int(0.99 * (len(took_ms) - 1))], 1),
        longest_ms=round(took_ms[-1], 1),
        resident_mb=statistics.median(each.resident_mb for each in samples[1:]),
    )
