"""How a soak is judged: by windows of ten seconds."""

from nodes.bench.soak_windows import Bundle, Sample, judge_soak

SECONDS, RATE = 600, 1000


def soaked(*, resident=lambda _second: 100.0, took=lambda _second: 20.0, rate=lambda _second: RATE):
    """Judge ten minutes of a run whose second by second is given."""
    samples = [Sample(0.0, 5000, 90.0)]
    bundles = []
    for second in range(SECONDS):
        taken = samples[-1].taken + rate(second)
        samples.append(Sample(second + 1.0, taken, resident(second)))
        bundles += [Bundle(second + part / 20, took(second)) for part in range(20)]
    return judge_soak(samples, bundles, minutes=10, peak=2 * RATE, offered=RATE, leaves=1)


def test_an_even_run_shows_no_change():
    """Sixty windows, all alike; what was taken before the run does not count."""
    result = soaked()
    assert len(result.windows) == 60
    assert (result.first_per_second, result.last_per_second) == (RATE, RATE)
    assert (result.rate_change, result.memory_ratio, result.latency_step) == (0, 1, 1)


def test_a_rate_that_sinks_is_seen():
    """The last two minutes are held against the first two."""
    assert soaked(rate=lambda second: RATE - second // 6).rate_change == 0.0808


def test_memory_is_compared_once_caches_are_warm():
    """What grows in the first two minutes does not count; what grows after them does."""
    assert soaked(resident=lambda second: min(100.0, 40 + second)).memory_ratio == 1
    assert soaked(resident=lambda second: 100 + second / 10).memory_ratio > 1.3


def test_a_pause_of_seconds_is_a_step_and_one_of_a_moment_is_not():
    """Six slow seconds move the median of their window, one only its 99th percentile."""
    assert soaked(took=lambda second: 80.0 if second in range(300, 306) else 20.0).latency_step == 4
    moment = soaked(took=lambda second: 80.0 if second == 300 else 20.0)
    assert (moment.latency_step, moment.windows[30].p99_ms, moment.longest_ms) == (1, 80, 80)


def test_a_short_run_takes_fifths_for_its_minutes():
    """One minute has six windows: the first, the second and the last are compared."""
    samples = [Sample(float(second), second * 100, float(second)) for second in range(61)]
    bundles = [Bundle(second + 0.5, 1.0) for second in range(60)]
    result = judge_soak(samples, bundles, minutes=1, peak=200, offered=100, leaves=1)
    assert (result.resident_early_mb, result.resident_late_mb) == (15.5, 55.5)
