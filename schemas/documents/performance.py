"""`performance.period/1`: pupils' marks of a quarter or a year."""

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec

from schemas.documents.common import (
    RECORDS_MAX,
    CodeCheck,
    CodeLists,
    CodeText,
    Document,
    ListVersion,
    Organisation,
    SourceRef,
    check_people,
    check_period,
    check_text,
)
from schemas.documents.faults import Fault, FaultKind
from schemas.documents.periods import PeriodKind
from schemas.header import PeriodText
from schemas.identifiers import Iin

PERIODS = (PeriodKind.QUARTER, PeriodKind.YEAR)
SUBJECTS_MAX = 40

Mark = Annotated[int, msgspec.Meta(ge=1, le=5)] | Literal["pass", "fail"]
SubjectMark = tuple[CodeText, Mark]
"""One subject and its mark, written `["alg", 5]`: most of a document is these."""


class Performance(
    msgspec.Struct,
    frozen=True,
    gc=False,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={"class_": "class"},
):
    """One pupil's marks; a subject without a mark is left out."""

    iin: Iin
    class_: Annotated[str, msgspec.Meta(min_length=1, max_length=16)]
    marks: Annotated[tuple[SubjectMark, ...], msgspec.Meta(max_length=SUBJECTS_MAX)]
    source_ref: SourceRef


class PerformancePeriod(Document, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """All marks of a year, or of the calendar quarter in which the school's `term` ends."""

    period: PeriodText
    term: Annotated[int, msgspec.Meta(ge=1, le=4)] | None = None
    organisation: Organisation
    subjects_version: ListVersion
    pupils: Annotated[tuple[Performance, ...], msgspec.Meta(max_length=RECORDS_MAX)]

    def faults(self, lists: CodeLists) -> Iterator[Fault]:
        """Yield what is wrong beyond fields and their forms."""
        subjects = CodeCheck(lists, "subject", self.subjects_version)
        yield from check_period(self.period, PERIODS, "$.period")
        yield from self.organisation.faults("$.organisation", lists)
        yield from subjects.version_faults("$.subjects_version")
        yield from check_people((one.iin for one in self.pupils), "$.pupils")
        for index, one in enumerate(self.pupils):
            path = f"$.pupils[{index}]"
            yield from check_text(one.class_, f"{path}.class")
            yield from _mark_faults(one.marks, subjects, f"{path}.marks")
            yield from one.source_ref.faults(f"{path}.source_ref")


def _mark_faults(marks: tuple[SubjectMark, ...], subjects: CodeCheck, path: str) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, (subject, _) in enumerate(marks):
        field = f"{path}[{index}][0]"
        yield from subjects.faults(subject, field)
        if subject in seen:
            yield Fault(field, "the pupil has two marks in this subject", FaultKind.DUPLICATE)
        seen.add(subject)
