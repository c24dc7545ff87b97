"""IIN, BIN and KATO: what a number must satisfy to be one.

A check returns what is wrong in words, or None. The words never repeat the number: they end in
logs and status files, and an IIN is personal data. Only the check digit decides; dates and
structure are warnings, because the rules for issuing ask for no more (R-15).
"""

from collections.abc import Iterable
from datetime import date
from enum import StrEnum
from typing import Annotated

import msgspec

from schemas.codes import show
from schemas.patterns import whole

IIN_PATTERN = whole("[0-9]{12}")
KATO_PATTERN = whole("[0-9]{9}")

Iin = Annotated[
    str,
    msgspec.Meta(pattern=IIN_PATTERN, max_length=12, description="IIN: 12 digits, last one checks"),
]
Bin = Annotated[
    str,
    msgspec.Meta(pattern=IIN_PATTERN, max_length=12, description="BIN: 12 digits, last one checks"),
]
Kato = Annotated[
    str,
    msgspec.Meta(pattern=KATO_PATTERN, max_length=9, description="KATO: 9 digits, kept as text"),
]

ARTIFICIAL_IINS = 100_000_000
ARTIFICIAL_BINS = 1_000_000
"""How many artificial numbers there are; seeds are 0 up to this, not included."""

_FIRST_PASS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
_SECOND_PASS = (3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2)
_NUMBER_DIGITS = 12
_NEVER_ISSUED = 10


def check_digit(eleven: str) -> int | None:
    """Return the check digit of eleven digits, or None: such a number is never issued."""
    digits = [int(digit) for digit in eleven]
    for weights in (_FIRST_PASS, _SECOND_PASS):
        remainder = sum(d * w for d, w in zip(digits, weights, strict=True)) % 11
        if remainder != _NEVER_ISSUED:
            return remainder
    return None


def check_iin(text: str) -> str | None:
    """Return what makes `text` no IIN, or None. A bad date does not: see `iin_warning`."""
    return _check_number(text)


def check_bin(text: str) -> str | None:
    """Return what makes `text` no BIN, or None. Odd structure does not: see `bin_warning`."""
    return _check_number(text)


def iin_warning(text: str) -> str | None:
    """Return what is unusual in a valid IIN, or None: most begin with date and century."""
    century = int(text[6])
    if not 1 <= century <= 6:
        return "digit 7, century and sex, is not 1 to 6"
    year = 1800 + (century - 1) // 2 * 100 + int(text[:2])
    try:
        date(year, int(text[2:4]), int(text[4:6]))
    except ValueError:
        return "digits 1 to 6 are not a date (YYMMDD)"
    return None


def bin_warning(text: str) -> str | None:
    """Return what is unusual in a valid BIN, or None: most tell month and kind of the body."""
    if not 1 <= int(text[2:4]) <= 12:
        return "digits 3 and 4 are not a month"
    if text[4] not in "456":
        return "digit 5, kind of body, is not 4, 5 or 6"
    if text[5] not in "01234":
        return "digit 6, head or branch, is not 0 to 4"
    return None


def artificial_iin(seed: int) -> str:
    """Return an IIN for tests and demos: valid, month 99, another one for each seed."""
    assert 0 <= seed < ARTIFICIAL_IINS, f"seed {seed} is outside 0 to {ARTIFICIAL_IINS - 1}"
    year, serial = divmod(seed, 1_000_000)
    return _first_issued(f"{year:02}99{spare}{serial:06}" for spare in range(10))


def artificial_bin(seed: int) -> str:
    """Return a BIN for tests and demos: valid, month 99, another one for each seed."""
    assert 0 <= seed < ARTIFICIAL_BINS, f"seed {seed} is outside 0 to {ARTIFICIAL_BINS - 1}"
    year, serial = divmod(seed, 10_000)
    return _first_issued(f"{year:02}9940{spare}{serial:04}" for spare in range(10))


class KatoLevel(StrEnum):
    """What a KATO code names, as its trailing zeros tell."""

    OBLAST = "oblast"
    DISTRICT = "district"
    SUB_DISTRICT = "sub_district"
    SETTLEMENT = "settlement"


def check_kato(text: str) -> str | None:
    """Return what makes `text` no KATO code, or None; whether it exists, a KatoList says."""
    if len(text) != 9 or not _all_digits(text):
        return "a KATO code has 9 digits"
    if text.startswith("00"):
        return "a KATO code does not begin with 00"
    return None


def kato_level(code: str) -> KatoLevel:
    """Return the level of a KATO code: 7 trailing zeros, 5, 3, or fewer."""
    assert check_kato(code) is None, "not a KATO code"
    zeros = len(code) - len(code.rstrip("0"))
    for least, level in (
        (7, KatoLevel.OBLAST),
        (5, KatoLevel.DISTRICT),
        (3, KatoLevel.SUB_DISTRICT),
    ):
        if zeros >= least:
            return level
    return KatoLevel.SETTLEMENT


def kato_parent_candidates(code: str) -> tuple[str, ...]:
    """Return the codes that may stand above `code`, nearest first; some do not exist.

    Only group boundaries count (6, 4 and 2 digits): going up digit by digit finds neighbours.
    """
    kept = (code[:digits].ljust(9, "0") for digits in (6, 4, 2))
    return tuple(dict.fromkeys(candidate for candidate in kept if candidate != code))


class KatoList(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One edition of the classifier, as a node has loaded it."""

    version: str
    codes: frozenset[str]

    def parent_of(self, code: str) -> str | None:
        """Return the nearest code above `code` that this edition has, or None for an oblast."""
        above = (one for one in kato_parent_candidates(code) if one in self.codes)
        return next(above, None)

    def find_fault(self, code: str, version: str) -> tuple[str, str] | None:
        """Return which of `kato` and `kato_version` is wrong, and why; or None."""
        if version != self.version:
            problem = (
                f"list kato version {show(version)} is not known here;"
                f" the known one is {show(self.version)}"
            )
            return "kato_version", problem
        if code not in self.codes:
            return "kato", f"code {code} is not in list kato version {show(self.version)}"
        return None


def _check_number(text: str) -> str | None:
    if len(text) != _NUMBER_DIGITS or not _all_digits(text):
        return f"must be {_NUMBER_DIGITS} digits"
    expected = check_digit(text[:11])
    if expected is None:
        return "a number with these first 11 digits is never issued"
    if int(text[11]) != expected:
        return f"check digit is {text[11]}, should be {expected}"
    return None


def _all_digits(text: str) -> bool:
    # str.isdigit alone also takes digits of other scripts.
    return text.isascii() and text.isdigit()


def _first_issued(candidates: Iterable[str]) -> str:
    """Return the first of some eleven digits that has a check digit, with it.

    They differ in one spare digit only, so the numbers of two seeds never run into each other.
    """
    checked = ((eleven, check_digit(eleven)) for eleven in candidates)
    return next(f"{eleven}{check}" for eleven, check in checked if check is not None)
