"""Says things in one language: texts of the catalogue, names of codes, moments in two zones."""

from unicodedata import category

from nodes.texts import catalogue, text
from schemas.codes import CodeList, Language, Names
from schemas.moments import LOCAL, Instant, as_datetime, parse_instant

SHOWN_ANYWAY = frozenset("\n\t")


class Speaker:
    """A language, and whatever is said in it."""

    def __init__(self, language: Language) -> None:
        """Speak this language."""
        self.language = language

    def say(self, key: str, **values: object) -> str:
        """Return a text of the catalogue."""
        return text(key, self.language, **values)

    def say_of(self, prefix: str, name: str) -> str:
        """Return the text under a prefix for what came from outside; its own name where none is."""
        return catalogue(self.language).get(f"{prefix}.{name}", name)

    def name(self, names: Names) -> str:
        """Return a name in this language."""
        return names.in_language(self.language)

    def code(self, codes: CodeList, code: str) -> str:
        """Return the name of a code, or the code itself where the list at hand has none."""
        entry = codes.codes.get(code)
        return code if entry is None else self.name(entry.names)

    def yes(self, *, holds: bool) -> str:
        """Return yes or no."""
        return self.say("print.yes") if holds else self.say("print.no")


def both_zones(at: Instant | str) -> str:
    """Return a moment in UTC and in local time: `2026-11-23 03:32:06 UTC, … 08:32:06 +05:00`."""
    utc, local = utc_then_local(at)
    return f"{utc}, {local}"


def utc_then_local(at: Instant | str) -> tuple[str, str]:
    """Return a moment in UTC, and in local time."""
    utc = as_datetime(parse_instant(at) if isinstance(at, str) else at)
    local = utc.astimezone(LOCAL)
    return f"{utc:%Y-%m-%d %H:%M:%S} UTC", f"{local:%Y-%m-%d %H:%M:%S} +05:00"


def visible(text_of_others: str) -> str:
    """Return a text with every character that shows nothing, or turns a line around, written out.

    Line breaks and tabs stay, blanks become plain ones; U+202E becomes `[U+202E]`.
    """
    if text_of_others.isprintable():
        return text_of_others
    return "".join(
        each if each.isprintable() or each in SHOWN_ANYWAY else _written_out(each)
        for each in text_of_others.replace("\r\n", "\n")
    )


def _written_out(character: str) -> str:
    return " " if category(character) == "Zs" else f"[U+{ord(character):04X}]"
