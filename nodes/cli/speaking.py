"""Which language a command speaks to people."""

from nodes.cli.errors import UsageFault
from nodes.config import spoken_language
from schemas.codes import Language


def language_of(named: str | None, option: str = "--lang") -> Language:
    """Return the language named, or the environment's. Raises UsageFault, ConfigurationFault."""
    if named is None:
        return spoken_language()
    if named not in set(Language):
        raise UsageFault(f"{option} {named}: use one of {', '.join(Language)}")
    return Language(named)
