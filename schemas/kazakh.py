"""The order of the Kazakh alphabet, for names and titles that lists are sorted by (R-12.4).

The order is that of CLDR for Kazakh, as ICU has it, for the characters that names are written in:
blanks and signs, then digits, then Cyrillic, then Latin letters. Case decides last, small letters
first. It is worked out here and not by the database, which never sees a document's title in clear.
"""

# ruff: noqa: RUF001 - the alphabet is the data

import unicodedata

ALPHABET = "аәбвгғдеёжзийкқлмнңоөпрстуұүфхһцчшщъыіьэюя"
SIGNS = "_-–—,;:!?.'’\"“”«»()[]{}@*/\\&#%+<=>"
"""Those that stand in names, in their order; any other sign comes behind them."""

_PLACES = {character: place for place, character in enumerate(SIGNS + ALPHABET)}
_BLANK, _SIGN, _DIGIT, _CYRILLIC, _OTHER = range(5)
_SMALL, _LARGE = range(2)

SortKey = tuple[tuple[tuple[int, int], ...], tuple[int, ...], str]
"""Letters, then their case, then the text itself."""


def sort_key(text: str) -> SortKey:
    """Return what a text is sorted by."""
    whole = unicodedata.normalize("NFC", text)
    letters = tuple(_place(character) for character in whole.lower())
    case = tuple(_LARGE if character.isupper() else _SMALL for character in whole)
    return letters, case, whole


def _place(character: str) -> tuple[int, int]:
    if character in _PLACES:
        return (_CYRILLIC if character in ALPHABET else _SIGN), _PLACES[character]
    if character == "№":
        return _OTHER, ord("n")  # it is read as the letters No
    if character.isspace():
        return _BLANK, ord(character)
    if character.isdecimal():
        return _DIGIT, int(character)
    return (_OTHER if character.isalpha() else _SIGN), ord(character)
