"""For all tests: how hard hypothesis looks, what two workers may share, which language is spoken.

Hypothesis: `fast` for the gate, `deep` by `--hypothesis-profile deep` and in slow tests. Tests that
live on one network stay with one worker, so that it is set up once; the others go file by file.
"""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from nodes.config import LANGUAGE_NAME

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

SHARED = ("e2e", "joining", "acceptance")
"""Folders whose tests share services for the whole run."""


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands speak English, whatever the locale; a test of languages says which."""
    monkeypatch.setenv(LANGUAGE_NAME, "en")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Name the group that one worker runs, before its names are settled for the workers."""
    place = _place(item)
    shared = place.parts[0] in SHARED
    item.add_marker(pytest.mark.xdist_group(place.parts[0] if shared else str(place)))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what takes longest begin first, whatever order was drawn."""
    order = {name: place for place, name in enumerate((*SHARED, "nodes", "exchange"))}
    items.sort(key=lambda item: order.get(_place(item).parts[0], 9))


def _place(item: pytest.Item) -> Path:
    return item.path.relative_to(Path(__file__).parent)
