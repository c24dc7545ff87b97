"""Words of documents as they are looked for: one form of each, and old beside modern spellings.

A word of four letters or more finds those that begin with it, because Kazakh and Russian put their
endings behind; a shorter one finds itself. A key term finds its other spelling as well (R-12.4).
"""

# ruff: noqa: RUF001 - Kazakh and Russian words are the data

import re
import unicodedata
from collections.abc import Iterable

STEM_LETTERS_MIN = 4
STEM_LETTERS_MAX = 16
"""What a word begins with is kept from so many letters on, up to so many."""
WORDS_MAX = 400
"""So many words of one document are kept, the first ones: titles have a dozen."""

SPELLINGS: tuple[frozenset[str], ...] = (
    frozenset({"мұрағат", "архив"}),
    frozenset({"мұражай", "музей"}),
    frozenset({"құжат", "документ"}),
    frozenset({"төлқұжат", "паспорт"}),
    frozenset({"куәлік", "свидетельств"}),
    frozenset({"анықтама", "справк"}),
    frozenset({"хаттама", "протокол"}),
    frozenset({"жарғы", "устав"}),
    frozenset({"емтихан", "экзамен"}),
    frozenset({"сынып", "класс"}),
    frozenset({"пайыз", "процент"}),
    frozenset({"әдістеме", "методик"}),
)
"""Stems of key terms: what was written before, in Kazakh texts too, and what is written now."""

_WORD = re.compile(r"[^\W_]+")


def words_of(text: str) -> list[str]:
    """Return the words of a text, each in the one form that is compared."""
    folded = unicodedata.normalize("NFC", text).casefold().replace("ё", "е")
    return _WORD.findall(folded)


def stems_of(texts: Iterable[str]) -> set[str]:
    """Return what some texts are found by."""
    words = [word for text in texts for word in words_of(text)][:WORDS_MAX]
    return {stem for word in words for stem in _stems(word)}


def asked_stems(text: str) -> list[frozenset[str]]:
    """Return what is looked for, word by word: of each one of its stems must be there."""
    return [frozenset(word[:STEM_LETTERS_MAX] for word in _spelt(one)) for one in words_of(text)]


def matches(asked: str, texts: Iterable[str]) -> bool:
    """Say whether all words asked for are in some texts."""
    there = {word for text in texts for word in words_of(text)}
    return all(
        any(_begins(word, wanted) for wanted in _spelt(one) for word in there)
        for one in words_of(asked)
    )


def _stems(word: str) -> set[str]:
    lengths = range(STEM_LETTERS_MIN, min(len(word), STEM_LETTERS_MAX) + 1)
    return {word[:length] for length in lengths} or {word}


def _spelt(word: str) -> set[str]:
    """Return a word, and the other spellings of the key term that it is or begins with."""
    found = {word}
    for spellings in SPELLINGS:
        if any(_begins(word, stem) for stem in spellings):
            found |= spellings
    return found


def _begins(word: str, stem: str) -> bool:
    return word.startswith(stem) if len(stem) >= STEM_LETTERS_MIN else word == stem
