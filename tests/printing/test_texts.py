"""The message catalogue: every language has every text, and every text is used."""

import ast
import re
from functools import cache
from itertools import combinations
from pathlib import Path
from string import Formatter

import pytest

from nodes.cli.errors import UsageFault
from nodes.cli.speaking import language_of
from nodes.config import LANGUAGE_NAME, LOCALE_NAMES
from nodes.errors import ConfigurationFault
from nodes.joining import Step
from nodes.texts import below, catalogue, text
from schemas.codes import Language
from schemas.reasons import Reason
from store.standing import State

ROOT = Path(__file__).parents[2]
SOURCES = {path: path.read_text(encoding="utf-8") for path in (ROOT / "nodes").rglob("*.py")}
TEMPLATES = sorted((ROOT / "nodes").rglob("*.jinja"))
SAME = {"print.form.number", "print.roles.operator"}
"""Texts that two languages may share; what has no letters beside its places may in any case."""


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
            if isinstance(node, ast.Call) and _name(node.func) in {"say_of", "below"}:
                found |= {f"{arg.value}." for arg in node.args if isinstance(arg, ast.Constant)}
    for path in TEMPLATES:
        found |= set(re.findall(r'say\("([^"]+)"', path.read_text(encoding="utf-8")))
    return found


def keys_asked_for() -> set[str]:
    """Return the whole keys that code passes to what says texts."""
    calls = (
        node
        for path, source in SOURCES.items()
        if re.search(r"nodes\.(texts|printing)", source)
        for node in nodes_of(path)
        if isinstance(node, ast.Call) and node.args and _name(node.func) in {"text", "say", "_say"}
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


def test_values_are_no_templates():
    """What is filled in is taken as it is, braces and all."""
    said = text("print.done", Language.EN, file="{file.__class__}{0}")
    assert said == "{file.__class__}{0}: written"


def test_texts_under_a_prefix_are_named_by_the_rest():
    """Whoever fills texts himself gets them by the rest of their keys."""
    assert below("print.verdicts", Language.RU)["accepted"] == "принят"


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
