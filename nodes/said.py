"""A text that is composed in one place and read in several languages.

    detail = Said("checks.queues", {"count": 12})
    detail                          "12 queues are there": JSON, errors and logs have its English
    spoken(detail)                  the same in the language spoken here, for tables

What is composed far from where it is shown goes as a `Said` where a `str` is wanted; whoever draws
it calls `spoken`, which gives texts that are no `Said`, such as those of other programs, as they
are.
"""

from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Self

from nodes.config import spoken_language
from nodes.texts import text
from schemas.codes import Language


class Said(str):
    """A text by its key and facts; facts that are `Said` are said in its language with it."""

    __slots__ = ("facts", "key")
    key: str
    facts: Mapping[str, object]

    def __new__(cls, key: str, facts: Mapping[str, object] | None = None) -> Self:
        """Say in English what stands under a key of the catalogue."""
        said = super().__new__(cls, text(key, Language.EN, **(facts or {})))
        said.key, said.facts = key, facts or {}
        return said

    def in_language(self, language: Language) -> str:
        """Return the text in one language."""
        facts = {
            name: fact.in_language(language) if isinstance(fact, Said) else fact
            for name, fact in self.facts.items()
        }
        return text(self.key, language, **facts)


def spoken(said: str) -> str:
    """Return a text in the language spoken here; one that is no `Said` as it is."""
    return said.in_language(spoken_language()) if isinstance(said, Said) else said


def joined(said: Iterable[str], between: str = ", ") -> str:
    """Return texts as one; an empty one where there are none."""
    first, *others = [*said] or [""]
    return reduce(
        lambda one, other: Said("said.joined", {"one": one, "between": between, "other": other}),
        others,
        first,
    )
