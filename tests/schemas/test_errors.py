"""Errors: every one that a package raises on purpose says who acts on it."""

import importlib
import inspect
import pkgutil
from types import ModuleType

import pytest

import exchange
import nodes
import schemas
import signing
import store
from nodes.cli.exits import EXITS, exit_code_of
from schemas.documents.faults import DocumentError
from schemas.errors import BbajError, Fatal, FormatError, OutcomeUnknown, Retryable
from schemas.reasons import Reason

DISPOSITIONS = (FormatError, DocumentError, Retryable, Fatal, OutcomeUnknown)


def modules(package: ModuleType) -> list[ModuleType]:
    """Return a package and all that lies in it."""
    names = [name for _, name, _ in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    return [package, *(importlib.import_module(name) for name in names if "__main__" not in name)]


def errors() -> list[type[BaseException]]:
    """Return every exception class that the packages define."""
    found = {
        value
        for package in (schemas, signing, store, exchange, nodes)
        for module in modules(package)
        for _, value in inspect.getmembers(module, inspect.isclass)
        if issubclass(value, BaseException) and value.__module__ == module.__name__
    }
    return sorted(found, key=lambda error: (error.__module__, error.__qualname__))


ALL = errors()
each = pytest.mark.parametrize("error", ALL, ids=lambda error: error.__qualname__)
fatal = pytest.mark.parametrize(
    "error", [error for error in ALL if issubclass(error, Fatal)], ids=lambda e: e.__qualname__
)


@each
def test_every_error_is_ours(error):
    """Nothing is raised on purpose that a caller could not catch by its root."""
    assert issubclass(error, BbajError)


@each
def test_every_error_has_one_disposition(error):
    """Refuse, retry, halt or doubt: exactly one of them, whoever reads it."""
    if error is BbajError:
        return
    assert len([base for base in DISPOSITIONS if issubclass(error, base)]) == 1


@each
def test_every_error_says_what_it_means(error):
    """An error without a sentence tells an operator nothing."""
    assert inspect.cleandoc(error.__doc__ or "").endswith(("`.", ".", ")"))


def rows_of(error):
    """Return the exit codes that the table has for an error, by the nearest of its classes."""
    for name in [base.__name__ for base in error.__mro__]:
        rows = [row.code for row in EXITS if name in row.errors]
        if rows:
            return rows
    return []


@fatal
def test_every_halt_has_an_exit_code_of_the_table(error):
    """A fatal error ends the process with the one code that the table has for it."""
    if error.__subclasses__():
        return
    assert rows_of(error) == [error.exit_code]


def test_exit_codes_mean_one_thing_each():
    """No code stands in two rows, and no error either."""
    codes = [row.code for row in EXITS]
    names = [name for row in EXITS for name in row.errors]
    assert len(set(codes)) == len(codes)
    assert len(set(names)) == len(names)


def test_exit_codes_name_errors_that_exist():
    """The table speaks of no error that nobody raises."""
    known = {error.__name__ for error in ALL}
    assert {name for row in EXITS for name in row.errors} <= known


@pytest.mark.parametrize("error", [Retryable("x"), OutcomeUnknown("x")])
def test_the_worlds_faults_end_with_one_code(error):
    """What may be tried again ends a command with 69, doubt included: repeating is harmless."""
    assert exit_code_of(error) == 69


def test_a_refusal_carries_reason_and_detail():
    """A format error keeps apart what its refusal needs."""
    error = FormatError(Reason.TOO_LARGE, "2 bytes, limit 1")
    assert (error.reason, error.detail) == (Reason.TOO_LARGE, "2 bytes, limit 1")
    assert str(error) == "too-large: 2 bytes, limit 1"
