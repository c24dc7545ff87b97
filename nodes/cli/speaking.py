"""Which language a command speaks to people, and what it says in it."""

from nodes.cli.errors import UsageFault
from nodes.config import spoken_language
from nodes.texts import catalogue, text
from schemas.codes import Language


def language_of(named: str | None, option: str = "--lang") -> Language:
    """Return the language named, or the environment's. Raises UsageFault, ConfigurationFault."""
    if named is None:
        return spoken_language()
    if named not in set(Language):
        raise UsageFault(f"{option} {named}: use one of {', '.join(Language)}")
    return Language(named)


def say(key: str, **facts: object) -> str:
    """Return a text in the language spoken here."""
    return text(key, spoken_language(), **facts)


def say_of(prefix: str, name: str) -> str:
    """Return the text under a prefix for a code; the code itself where there is none."""
    return catalogue(spoken_language()).get(f"{prefix}.{name}", name)
