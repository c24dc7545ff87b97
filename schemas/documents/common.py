"""Pieces that several document types share, and their checks.

A document's own checks are plain generators of faults: they walk the decoded Structs and name the
exact field, so a message can be followed into the file that was dropped.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Annotated

import msgspec

from schemas.codes import CODE_LISTS, SOURCE_KINDS, CodeList, SourceKind
from schemas.documents.faults import Fault, FaultKind
from schemas.documents.periods import PeriodKind, find_period_problem
from schemas.identifiers import Bin, Kato, KatoList, check_bin, check_iin, check_kato

RECORDS_MAX = 20_000
"""Records in one document: the largest organisation several times over."""

ShortText = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
LongText = Annotated[str, msgspec.Meta(min_length=1, max_length=100_000)]
CodeText = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
ListVersion = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]

# Control characters, lone surrogates, and the marks that turn the direction of a line around: what
# is read on screen and paper must be what was written.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_LINE_BREAKS = str.maketrans("", "", "\t\r\n")


class CodeLists(msgspec.Struct, frozen=True, gc=False):
    """The classifiers to check a document against: what is built in, or what a node has by now."""

    codes: dict[str, CodeList]
    kato: KatoList | None = None
    """Without an edition at hand only the form of a KATO code is checked."""


BUILT_IN = CodeLists(CODE_LISTS)


class Document(msgspec.Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """A JSON document; its types derive from this and yield what decoding cannot see."""

    def faults(self, lists: CodeLists) -> Iterator[Fault]:
        """Yield what is wrong beyond fields and their forms, in the order of the document."""
        del lists
        yield from ()


class SourceRef(msgspec.Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """What a record rests on: a register, an identity document or a certificate (R-37)."""

    kind: Annotated[
        CodeText,
        msgspec.Meta(extra_json_schema={"enum": [str(kind) for kind in SourceKind]}),
    ]
    issuer: Annotated[str, msgspec.Meta(max_length=300, description="who issued it: BIN or name")]
    number: Annotated[str, msgspec.Meta(max_length=100)]

    def faults(self, path: str) -> Iterator[Fault]:
        """Yield what keeps the reference from naming a source."""
        kind_problem = SOURCE_KINDS.find_fault(self.kind, SOURCE_KINDS.version)
        if kind_problem:
            yield Fault(f"{path}.kind", kind_problem, FaultKind.SOURCE_INVALID)
        for name, value in (("issuer", self.issuer), ("number", self.number)):
            problem = find_text_problem(value)
            if problem is None and not any(map(str.isalnum, value)):
                problem = "has neither letter nor digit"
            if problem:
                yield Fault(f"{path}.{name}", problem, FaultKind.SOURCE_INVALID)
        if len(self.issuer) == 12 and self.issuer.isdigit():
            yield from check_number(check_bin(self.issuer), f"{path}.issuer")


class Organisation(
    msgspec.Struct,
    frozen=True,
    gc=False,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """The body a document is about, by BIN and by the KATO code of its seat."""

    bin: Bin
    kato: Kato
    kato_version: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    name: ShortText | None = None

    def faults(self, path: str, lists: CodeLists) -> Iterator[Fault]:
        """Yield wrong check digits and unknown codes."""
        yield from check_number(check_bin(self.bin), f"{path}.bin")
        problem = check_kato(self.kato)
        if problem:
            yield Fault(f"{path}.kato", problem, FaultKind.UNKNOWN_CODE)
        elif lists.kato is not None:
            found = lists.kato.find_fault(self.kato, self.kato_version)
            if found:
                yield Fault(f"{path}.{found[0]}", found[1], FaultKind.UNKNOWN_CODE)
        if self.name is not None:
            yield from check_text(self.name, f"{path}.name")


def check_number(problem: str | None, path: str) -> Iterator[Fault]:
    """Yield the fault of an IIN or BIN, if its check found one."""
    if problem:
        yield Fault(path, problem, FaultKind.CHECK_DIGIT)


def check_people(iins: Iterable[str], path: str) -> Iterator[Fault]:
    """Yield wrong check digits, and people who stand in the list twice."""
    seen: dict[str, int] = {}
    for index, iin in enumerate(iins):
        field = f"{path}[{index}].iin"
        yield from check_number(check_iin(iin), field)
        first = seen.setdefault(iin, index)
        if first != index:
            problem = f"the same person stands in {path}[{first}]"
            yield Fault(field, problem, FaultKind.DUPLICATE)


def check_period(text: str, allowed: tuple[PeriodKind, ...], path: str) -> Iterator[Fault]:
    """Yield the fault of a period that does not exist or is of another kind."""
    problem = find_period_problem(text, allowed)
    if problem:
        yield Fault(path, problem, FaultKind.WRONG_PERIOD)


def check_text(text: str, path: str, *, lines: bool = False) -> Iterator[Fault]:
    """Yield the fault of a text that cannot be shown as it stands; `lines` allows line breaks."""
    problem = find_text_problem(text.translate(_LINE_BREAKS) if lines else text)
    if problem:
        yield Fault(path, problem)


def find_text_problem(text: str) -> str | None:
    """Return why one line of text cannot be shown as it stands, or None."""
    if not text.strip():
        return "is blank"
    unfit = _UNFIT.search(text)
    if unfit:
        return f"has a control character (U+{ord(unfit.group()):04X})"
    return None


class CodeCheck:
    """The codes of one list, in the version that a document names."""

    def __init__(self, lists: CodeLists, name: str, version: int) -> None:
        """Find the list among those at hand."""
        self._list = lists.codes[name]
        self._version = version
        self._known: set[str] = set()

    def version_faults(self, path: str) -> Iterator[Fault]:
        """Yield the fault of a version that came out after the list at hand."""
        problem = self._list.find_version_fault(self._version)
        if problem:
            yield Fault(path, problem, FaultKind.UNKNOWN_CODE)

    def faults(self, code: str, path: str) -> Iterator[Fault]:
        """Yield the fault of a code that does not stand in that version."""
        if code in self._known:
            return
        problem = self._list.find_fault(code, self._version)
        if problem:
            yield Fault(path, problem, FaultKind.UNKNOWN_CODE)
        else:
            self._known.add(code)
