"""Decoding JSON with faults that name their field: msgspec's complaints in the words of faults."""

import re
from typing import TypeVar

import msgspec

from schemas.codes import show
from schemas.documents.faults import DocumentError, FaultKind
from schemas.documents.periods import DAY_PATTERN
from schemas.header import PacketId, PeriodText, Sha256Hex
from schemas.identifiers import IIN_PATTERN, KATO_PATTERN

_COMPLAINT = re.compile(r"(?s)(?P<problem>.*?)(?: - at `(?:key in )?(?P<path>\$[^`]*)`)?")
_MISSING = re.compile(r"Object missing required field `(?P<name>[^`]*)`")
_UNKNOWN = re.compile(r"(?s)Object contains unknown field `(?P<name>.*)`")
_PATTERN = re.compile(r"Expected `str` matching regex (?P<pattern>.*)")
_CHOICE = re.compile(r"(?s)Invalid enum value '(?P<value>.*)'")


def _pattern_of(annotated: object) -> str:
    (meta,) = annotated.__metadata__  # type: ignore[attr-defined] # what Annotated keeps
    return str(meta.pattern)


_WORDS = {
    IIN_PATTERN: "must be 12 digits",
    KATO_PATTERN: "must be 9 digits",
    DAY_PATTERN: "must be a day like 2026-11-23",
    _pattern_of(PeriodText): "must be a period like 2026-11-23, 2026-11, 2026-Q4 or 2026",
    _pattern_of(Sha256Hex): "must be 64 hexadecimal digits in lower case",
    _pattern_of(PacketId): "must be a packet id (UUIDv7 in lower case)",
}
_PATTERN_WORDS = {repr(pattern): words for pattern, words in _WORDS.items()}
"""By the pattern as a complaint shows it."""

T = TypeVar("T")


def decode_json(body: bytes, decoder: "msgspec.json.Decoder[T]") -> T:
    """Return what `body` holds. Raises DocumentError with the path of the first wrong field."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _explain(str(error)) from error
    except msgspec.DecodeError as error:
        raise DocumentError("$", f"is not JSON: {error}", FaultKind.MALFORMED) from error
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8: byte {error.start} cannot be read"
        raise DocumentError("$", problem, FaultKind.MALFORMED) from error
    except RecursionError as error:
        raise DocumentError("$", "is nested too deeply", FaultKind.MALFORMED) from error


def _explain(complaint: str) -> DocumentError:
    match = _COMPLAINT.fullmatch(complaint)
    assert match is not None, "the pattern takes any text"
    problem, path = match["problem"], match["path"] or "$"
    if missing := _MISSING.fullmatch(problem):
        return DocumentError(f"{path}.{missing['name']}", "is missing", FaultKind.MISSING_FIELD)
    if unknown := _UNKNOWN.fullmatch(problem):
        name = show(unknown["name"]).strip("'")
        return DocumentError(
            f"{path}.{name}", "is not a field of this type", FaultKind.UNKNOWN_FIELD
        )
    if pattern := _PATTERN.fullmatch(problem):
        words = _PATTERN_WORDS.get(pattern["pattern"], problem[:1].lower() + problem[1:])
        return DocumentError(path, words)
    if choice := _CHOICE.fullmatch(problem):
        return DocumentError(path, f"does not allow the value {show(choice['value'])}")
    return DocumentError(path, problem[:1].lower() + problem[1:])
