"""`attendance.daily/1`: who was at school on one day."""

from collections.abc import Iterator
from typing import Annotated

import msgspec

from schemas.codes import AttendanceMark
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
from schemas.documents.faults import Fault
from schemas.documents.periods import Day, PeriodKind
from schemas.identifiers import Iin

PERIODS = (PeriodKind.DAY,)


class Attendance(
    msgspec.Struct,
    frozen=True,
    gc=False,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    rename={"class_": "class"},
):
    """One pupil's day."""

    iin: Iin
    class_: Annotated[str, msgspec.Meta(min_length=1, max_length=16)]
    mark: Annotated[
        CodeText,
        msgspec.Meta(extra_json_schema={"examples": [str(mark) for mark in AttendanceMark]}),
    ]
    lessons_missed: Annotated[int, msgspec.Meta(ge=0, le=16)] = 0
    source_ref: SourceRef


class AttendanceDaily(Document, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """All pupils on one day, or with `absences_only` those who missed something."""

    period: Day
    organisation: Organisation
    marks_version: ListVersion
    absences_only: bool = False
    pupils: Annotated[tuple[Attendance, ...], msgspec.Meta(max_length=RECORDS_MAX)]

    def faults(self, lists: CodeLists) -> Iterator[Fault]:
        """Yield what is wrong beyond fields and their forms."""
        marks = CodeCheck(lists, "attendance-mark", self.marks_version)
        yield from check_period(self.period, PERIODS, "$.period")
        yield from self.organisation.faults("$.organisation", lists)
        yield from marks.version_faults("$.marks_version")
        yield from check_people((one.iin for one in self.pupils), "$.pupils")
        for index, one in enumerate(self.pupils):
            path = f"$.pupils[{index}]"
            yield from check_text(one.class_, f"{path}.class")
            yield from marks.faults(one.mark, f"{path}.mark")
            if self.absences_only and one.mark == AttendanceMark.PRESENT:
                yield Fault(f"{path}.mark", "a list of absences names a pupil who was present")
            yield from one.source_ref.faults(f"{path}.source_ref")
