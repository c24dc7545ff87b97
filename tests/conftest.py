"""Hypothesis: `fast` for the gate, `deep` by `--hypothesis-profile deep` and in slow tests."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "fast",
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "deep", settings.get_profile("fast"), max_examples=1000, stateful_step_count=100
)
settings.load_profile("fast")
