"""The tables of docs/reliability.md: whole, and every test that they name is there."""

import pytest

from harness.named_tests import is_slow, is_there
from reliability.make_tables import DOCUMENT, read_promises, with_tables

PROMISES = read_promises()
EVERY = [*PROMISES.scenario, *PROMISES.acceptance]
NAMED = sorted({name for promise in EVERY for name in promise.tests})


def test_all_scenarios_and_checks_are_there():
    """Forty-two scenarios and sixteen acceptance checks, each told apart."""
    assert (len(PROMISES.scenario), len(PROMISES.acceptance)) == (42, 16)
    assert len({promise.what for promise in EVERY}) == len(EVERY)


@pytest.mark.parametrize("promise", EVERY, ids=lambda promise: promise.what)
def test_each_has_a_test_or_says_what_it_waits_for(promise):
    """Nothing is promised without either."""
    assert promise.tests or promise.awaits


@pytest.mark.parametrize("name", NAMED)
def test_named_tests_exist(name):
    """A promise is shown by a test that is there, and by the case that is named."""
    assert is_there(name)


def test_the_document_is_what_the_script_writes():
    """After a change run `python tests/reliability/make_tables.py`."""
    text = DOCUMENT.read_text(encoding="utf-8")
    assert with_tables(text, PROMISES) == text


@pytest.mark.parametrize(
    "name",
    [
        "tests/e2e/test_nowhere.py::test_a_dropped_document_is_delivered",
        "tests/e2e/test_flow.py::test_that_is_not_there",
        "tests/e2e/test_flow.py::test_a_dropped_document_is_delivered[no such case]",
        "tests/e2e/test_flow.py::RELAY",
    ],
)
def test_a_test_that_is_not_there_is_found(name):
    """The check above can fail: by file, by function, by case."""
    assert not is_there(name)


def test_slow_tests_are_told_apart():
    """By the mark of the test, or of its whole file."""
    assert is_slow("tests/acceptance/test_figures.py::test_archive")
    assert is_slow("tests/nodes/test_backups.py::test_the_restored_node_recovers")
    assert not is_slow("tests/e2e/test_flow.py::test_a_dropped_document_is_delivered")
