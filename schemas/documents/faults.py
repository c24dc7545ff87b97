"""What is wrong with a document: which field, why, and what its author does about it.

`Fault` is a value, for lists of everything wrong; `DocumentError` is raised with the first one.
Neither ever repeats an identification number: their words reach logs and status files.
"""

from enum import StrEnum

import msgspec

from schemas.errors import BbajError


class FaultKind(StrEnum):
    """What sort of fault it is; translations of the advice hang on it."""

    UNKNOWN_TYPE = "unknown-type"
    MALFORMED = "malformed"
    MISSING_FIELD = "missing-field"
    UNKNOWN_FIELD = "unknown-field"
    WRONG_VALUE = "wrong-value"
    CHECK_DIGIT = "check-digit"
    UNKNOWN_CODE = "unknown-code"
    WRONG_PERIOD = "wrong-period"
    SOURCE_INVALID = "source-invalid"
    DUPLICATE = "duplicate"


ADVICE: dict[FaultKind, str] = {
    FaultKind.UNKNOWN_TYPE: "name a type that this node knows: see the list of packet types",
    FaultKind.MALFORMED: "write the file again, whole and in the format of its type",
    FaultKind.MISSING_FIELD: "add the field",
    FaultKind.UNKNOWN_FIELD: "remove the field, or correct its name",
    FaultKind.WRONG_VALUE: "correct the value",
    FaultKind.CHECK_DIGIT: "compare the number with the document that it was copied from",
    FaultKind.UNKNOWN_CODE: "use a code of the list version that the document names",
    FaultKind.WRONG_PERIOD: "give a period that exists, in the form that the type wants",
    FaultKind.SOURCE_INVALID: "name the register, identity document or certificate of the record",
    FaultKind.DUPLICATE: "keep one of the two records",
}
"""What to do next, one line for every kind."""


class Fault(msgspec.Struct, frozen=True, gc=False):
    """One thing wrong: the path of the field (`$.pupils[3].iin`), the problem, and its kind."""

    field: str
    problem: str
    kind: FaultKind = FaultKind.WRONG_VALUE

    @property
    def advice(self) -> str:
        """What the document's author does about it."""
        return ADVICE[self.kind]


class DocumentError(BbajError):
    """A document its type does not allow: `field` says where, `problem` why, `advice` what now."""

    def __init__(self, field: str, problem: str, kind: FaultKind = FaultKind.WRONG_VALUE) -> None:
        """Keep the parts of the fault apart, for status files and notices."""
        super().__init__(f"{field}: {problem}; {ADVICE[kind]}")
        self.field = field
        self.problem = problem
        self.kind = kind
        self.advice = ADVICE[kind]
