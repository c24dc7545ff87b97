"""Tests that documents name, found in the source: whether they are there, and slow."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
NAME = re.compile(r"(tests/[\w/]+\.py)::(test_\w+)(?:\[([^\]`]+)\])?")
"""A test as pytest names it: file, function, and perhaps one case."""


class Functions(NamedTuple):
    """The test functions of a file, and those that `make acceptance` alone runs."""

    all: frozenset[str]
    slow: frozenset[str]


@cache
def functions_of(path: str) -> Functions:
    """Return what tests a file has."""
    body = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    tests = [node for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    marks = [
        ast.unparse(node.value)
        for node in body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"
    ]
    whole = any("mark.slow" in mark for mark in marks)
    slow = [node.name for node in tests if whole or _is_slow(node)]
    return Functions(frozenset(node.name for node in tests), frozenset(slow))


def _is_slow(test: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Tell whether a test as a whole is slow: cases of it may be without being named."""
    return "pytest.mark.slow" in map(ast.unparse, test.decorator_list)


def is_there(name: str) -> bool:
    """Tell whether a named test exists, and the case that is named of it."""
    found = NAME.fullmatch(name)
    if found is None or not (ROOT / found[1]).is_file():
        return False
    case = (found[3] or "").rpartition(":")[2]
    text = (ROOT / found[1]).read_text(encoding="utf-8")
    return found[2] in functions_of(found[1]).all and case in text


def is_slow(name: str) -> bool:
    """Tell whether a named test runs with `make acceptance` only."""
    path, _, rest = name.partition("::")
    return rest.partition("[")[0] in functions_of(path).slow
