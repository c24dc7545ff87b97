"""For all tests: how hard hypothesis looks, what two workers may share, which language is spoken.

Hypothesis: `fast` for the gate, `deep` by `--hypothesis-profile deep` and in slow tests. Tests that
live on one network stay with one worker, so that it is set up once; the others go file by file.
"""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

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
ONE_BROKER = ("test_amqp_", "test_session_contract")
"""How files of `exchange` begin whose tests share a broker."""


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands speak English, whatever the locale; a test of languages says which."""
    monkeypatch.setenv(LANGUAGE_NAME, "en")


class ByGroup(LoadScopeScheduling):
    """Gives all tests of a group to one worker.

    The mark `xdist_group` would do the same, but xdist 3.8 loses it under pytest 9.2: it writes the
    group into a field of a test that pytest no longer reads.
    """

    def _split_scope(self, nodeid: str) -> str:
        """Return the group of a test: its file, or what it shares services with."""
        place = Path(nodeid.partition("::")[0]).relative_to("tests")
        if place.parts[0] in SHARED:
            return place.parts[0]
        if place.parts[0] == "exchange" and place.name.startswith(ONE_BROKER):
            return "broker"
        return str(place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByGroup:
    """Share the tests out by group."""
    return ByGroup(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what takes longest begin first, whatever order was drawn."""
    order = {name: place for place, name in enumerate((*SHARED, "nodes", "exchange"))}
    items.sort(key=lambda item: order.get(_place(item).parts[0], 9))


def _place(item: pytest.Item) -> Path:
    return item.path.relative_to(Path(__file__).parent)
