"""The message catalogue: every language has every text, all are used, and no table has its own."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import combinations
from pathlib import Path
from string import Formatter
from typing import get_args

import pytest

from nodes.cli.errors import UsageFault
from nodes.cli.exits import EXITS
from nodes.cli.speaking import language_of
from nodes.config import LANGUAGE_NAME, LOCALE_NAMES
from nodes.errors import ConfigurationFault
from nodes.evidence.verdict import Result
from nodes.joining import Step
from nodes.texts import below, catalogue, text
from schemas.codes import Language
from schemas.reasons import Reason
from store.faults import Kind
from store.standing import State
from store.verify_named import CONTENTS

ROOT = Path(__file__).parents[2]
SOURCES = {path: path.read_text(encoding="utf-8") for path in (ROOT / "nodes").rglob("*.py")}
TEMPLATES = sorted((ROOT / "nodes").rglob("*.jinja"))
SAME = {"print.form.number", "print.roles.operator"}
"""Texts that two languages may share; what has no letters beside its places may in any case."""
SAYING = {"text", "say", "_say", "Said"}
DRAWING = {"new_table", "facts_table", "add_row", "add_column", "working"}
DRESSING = {"Text", "append", "join"}


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    """Return all that a source file is made of."""
    return list(ast.walk(ast.parse(SOURCES[path])))


def said_in_code() -> set[str]:
    """Return every key, or beginning of keys with its dot, that stands in the source."""
    found = set()
    for path in SOURCES:
        for node in nodes_of(path):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
            if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                found.add(node.values[0].value)
            if isinstance(node, ast.Call) and _name(node.func) in {"say_of", "name_of", "below"}:
                found |= {f"{arg.value}." for arg in node.args if isinstance(arg, ast.Constant)}
    for path in TEMPLATES:
        found |= set(re.findall(r'say\("([^"]+)"', path.read_text(encoding="utf-8")))
    return found


def keys_asked_for() -> set[str]:
    """Return the whole keys that code passes to what says texts."""
    calls = (
        node
        for path, source in SOURCES.items()
        if re.search(r"nodes\.(texts|printing|said|cli\.speaking)", source)
        for node in nodes_of(path)
        if isinstance(node, ast.Call) and node.args and _name(node.func) in SAYING
    )
    return {
        branch.value
        for call in calls
        for branch in ast.walk(call.args[0])
        if isinstance(branch, ast.Constant)
        and isinstance(branch.value, str)
        and re.fullmatch(r"[a-z]+(\.[a-z0-9-]+)+", branch.value)
    }


def _name(function: ast.expr) -> str:
    return getattr(function, "id", getattr(function, "attr", ""))


def tables_of_faults() -> set[str]:
    """Return what a verification of the record counts, or names a fault in."""
    found = {*CONTENTS}
    for path in (ROOT / "store").glob("verify*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(attr="add" | "expect"), args=[
                    ast.Constant(value=str() as name), *_
                ]):  # fmt: skip
                    found.add(name)
                case ast.Assign(
                    targets=[ast.Name(id="TABLE")], value=ast.Constant(value=str() as name)
                ):
                    found.add(name)
                case ast.Subscript(
                    value=ast.Attribute(attr="counts"), slice=ast.Constant(value=str() as name)
                ):
                    found.add(name)
    return found


def places(said: str) -> list[str]:
    """Return the names of the places in a text."""
    return sorted(name for _, name, _, _ in Formatter().parse(said) if name is not None)


def letters(said: str) -> str:
    """Return a text less its places, figures and signs."""
    return re.sub(r"[\W\d_]", "", re.sub(r"\{[^}]*\}", "", said))


@pytest.mark.parametrize("language", Language)
def test_every_language_has_every_text(language):
    """No key is missing in one language that another one has."""
    every = set().union(*(catalogue(each) for each in Language))
    assert every - set(catalogue(language)) == set()


@pytest.mark.parametrize("language", Language)
def test_no_text_is_empty(language):
    """Each text says something."""
    assert [key for key, said in catalogue(language).items() if not said.strip()] == []


def test_places_are_the_same_in_every_language():
    """A text is filled with the same facts whatever the language."""
    for key, said in catalogue(Language.KK).items():
        for other in (Language.RU, Language.EN):
            assert places(said) == places(catalogue(other)[key]), key


@pytest.mark.parametrize(("one", "other"), list(combinations(Language, 2)))
def test_texts_differ_between_languages(one, other):
    """What is the same in two languages was forgotten, outside a short list."""
    same = {
        key
        for key, said in catalogue(one).items()
        if said == catalogue(other)[key] and letters(said) and key not in SAME
    }
    assert same == set()


def test_every_text_is_used():
    """A key that no code names is a text that nobody reads."""
    said = said_in_code()
    beginnings = tuple(each for each in said if re.fullmatch(r"[a-z]+(\.[a-z-]+)*\.", each))
    unused = {key for key in catalogue(Language.KK) if key not in said}
    assert {key for key in unused if not key.startswith(beginnings)} == set()


def test_every_key_asked_for_is_there():
    """Code names no key that the catalogue has not."""
    assert keys_asked_for() - set(catalogue(Language.KK)) == set()


def test_reasons_and_states_all_have_words():
    """Each reason of the closed list, each state and each step of joining is said in words."""
    said = catalogue(Language.KK)
    assert {f"print.reasons.{each}" for each in Reason} <= set(said)
    assert {f"print.states.{each}" for each in State} <= set(said)
    assert {f"joining.{each}" for each in Step} <= set(said)


def test_codes_of_the_journal_and_of_the_command_line_all_have_words():
    """Each exit code, each kind of fault and each result of a verification is said in words."""
    said = catalogue(Language.KK)
    for row in EXITS:
        assert {f"exits.meaning.{row.name}", f"exits.step.{row.name}"} <= set(said)
    assert {f"store.kinds.{each}" for each in Kind} <= set(said)
    assert {f"verdict.results.{each}" for each in get_args(Result)} <= set(said)
    assert set(below("store.tables", Language.KK)) >= tables_of_faults()


def test_values_are_no_templates():
    """What is filled in is taken as it is, braces and all."""
    said = text("print.done", Language.EN, file="{file.__class__}{0}")
    assert said == "{file.__class__}{0}: written"


def test_texts_under_a_prefix_are_named_by_the_rest():
    """Whoever fills texts himself gets them by the rest of their keys."""
    assert below("print.verdicts", Language.RU)["accepted"] == "принят"


# ------------------------------------------------------------------ no texts but in the catalogue


def literals(expression: ast.AST | None) -> Iterator[str]:
    """Return the texts that an expression may be, as far as they stand in it word by word.

    What calls return is not in it, but for what only dresses a text.
    """
    match expression:
        case ast.Constant(value=str() as value):
            yield value
        case ast.JoinedStr(values=parts) | ast.Tuple(elts=parts) | ast.List(elts=parts):
            for part in parts:
                yield from literals(part)
        case ast.BoolOp(values=parts):
            for part in parts:
                yield from literals(part)
        case ast.BinOp(left=one, right=other) | ast.IfExp(body=one, orelse=other):
            yield from literals(one)
            yield from literals(other)
        case ast.GeneratorExp(elt=part) | ast.ListComp(elt=part):
            yield from literals(part)
        case ast.Starred(value=part) | ast.FormattedValue(value=part):
            yield from literals(part)
        case ast.Call(func=function, args=[first, *_]) if _name(function) in DRESSING:
            yield from literals(first)


def drawn_in(path: Path) -> Iterator[str]:
    """Return what a module puts before people that is no text of the catalogue."""
    is_table = path.stem == "tables" or path.stem.endswith("_tables")
    for node in nodes_of(path):
        match node:
            case ast.Call(func=function, args=args) if _name(function) in DRAWING:
                for arg in args:
                    yield from literals(arg)
            case ast.Yield(value=value) | ast.YieldFrom(value=value) if is_table:
                yield from literals(value)
            case ast.Return(value=value) if is_table and not isinstance(value, ast.List):
                yield from literals(value)


def test_what_is_drawn_comes_from_the_catalogue():
    """No heading of a table, and no line of one, stands in the code in one language."""
    found = {
        (path.name, said)
        for path in (ROOT / "nodes" / "cli").rglob("*.py")
        for said in drawn_in(path)
        if re.search(r"[^\W\d_]{2}", said) and said not in catalogue(Language.EN)
    }
    assert found == set()


@pytest.mark.parametrize(
    "drawing",
    [
        'new_table("when", name)',
        'facts_table([("state", state)])',
        'facts_table((f"since {name}", "") for name in names)',
        'table.add_row(name, Text("overdue", "red"))',
        'working("handing over")',
    ],
)
def test_a_text_in_the_code_is_found(drawing):
    """Whoever draws a text of its own is seen, however it is dressed."""
    (call,) = [each for each in ast.walk(ast.parse(drawing)) if _draws(each)]
    assert any(re.search(r"\w{2}", said) for arg in call.args for said in literals(arg))


def _draws(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and _name(node.func) in DRAWING


# ------------------------------------------------------------------ which language is spoken


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "kk"),
        ({"LANG": "C.UTF-8"}, "kk"),
        ({"LANG": "de_DE.UTF-8"}, "kk"),
        ({"LANG": "ru_RU.UTF-8"}, "ru"),
        ({"LANG": "ru_RU.UTF-8", "LC_MESSAGES": "en_US"}, "en"),
        ({"LANG": "ru_RU.UTF-8", "LC_MESSAGES": "en_US", "LC_ALL": "kk_KZ"}, "kk"),
        ({"LANG": "", "LC_ALL": "", "LC_MESSAGES": "ru"}, "ru"),
        ({"LC_ALL": "POSIX", "BBAJ_LANG": "en"}, "en"),
    ],
)
def test_the_environment_says_the_language(monkeypatch, environment, language):
    """BBAJ_LANG goes first, then the locale as POSIX has it; Kazakh where none of ours is named."""
    for name in (LANGUAGE_NAME, *LOCALE_NAMES):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert language_of(None) == language


def test_an_option_goes_before_the_environment(monkeypatch):
    """What a command is told counts, and what it does not know is refused."""
    monkeypatch.setenv(LANGUAGE_NAME, "ru")
    assert language_of("en") == "en"
    with pytest.raises(UsageFault, match="--lang de: use one of kk, ru, en"):
        language_of("de")


def test_a_wrong_setting_is_named(monkeypatch):
    """BBAJ_LANG is ours: a value that it cannot have is no silent Kazakh."""
    monkeypatch.setenv(LANGUAGE_NAME, "kz")
    with pytest.raises(ConfigurationFault, match="BBAJ_LANG: kz"):
        language_of(None)
