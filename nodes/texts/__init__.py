"""Texts for people in Kazakh, Russian and English: a folder a language, the same keys in each.

    text("print.page", Language.KK, page=1, pages=2)

A key is the dotted path of a text in its file; which of a language's files it stands in does not
matter. Names in {} become facts. Texts do not bend with what is filled in, so no language needs
plurals: they say "pupils: 12". A key that is not there is a fault of ours.
"""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from schemas.codes import Language


def text(key: str, language: Language, **facts: object) -> str:
    """Return a text in one language, its places filled with facts."""
    return catalogue(language)[key].format(**facts)


@cache
def catalogue(language: Language) -> Mapping[str, str]:
    """Return every text of a language by its key, as it stands in the files."""
    files = sorted(Path(__file__).with_name(language.value).glob("*.toml"))
    trees = (tomllib.loads(path.read_text(encoding="utf-8")) for path in files)
    return {key: said for tree in trees for key, said in _flat(tree, "")}


def below(prefix: str, language: Language) -> Mapping[str, str]:
    """Return the texts under a prefix by the rest of their keys, their places not filled."""
    start = f"{prefix}."
    return {
        key.removeprefix(start): said
        for key, said in catalogue(language).items()
        if key.startswith(start)
    }


def _flat(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in tree.items():
        if isinstance(value, str):
            yield prefix + name, value
        else:
            yield from _flat(value, f"{prefix}{name}.")
