"""The one table of exit codes: which errors end with each. The catalogue says what they mean."""

from typing import NamedTuple

from nodes.texts import text
from schemas.codes import Language
from schemas.errors import BbajError, Fatal, FormatError, OutcomeUnknown, Retryable

UNREACHABLE = 69
INTERNAL = 70
FILE = 71
INTERRUPTED = 130
READER_GONE = 141


class ExitCode(NamedTuple):
    """One exit code."""

    code: int
    name: str
    errors: tuple[str, ...] = ()
    """Names of the errors that end with it; subclasses go with their parents."""

    def meaning(self, language: Language) -> str:
        """Return what it means."""
        return text(f"exits.meaning.{self.name}", language)

    def next_step(self, language: Language) -> str:
        """Return what to do after it."""
        return text(f"exits.step.{self.name}", language)


EXITS = (
    ExitCode(0, "ok"),
    ExitCode(1, "found-wanting", ("JudgementFailed",)),
    ExitCode(64, "usage", ("UsageFault", "IssueError")),
    ExitCode(
        65,
        "damaged",
        ("StoreFault", "KeyFileDamagedError", "BucketDamagedError", "FormatError", "BackupDamaged"),
    ),
    ExitCode(
        66,
        "not-found",
        ("NotFound", "KeyFileMissingError", "BucketKeyMissingError", "BucketDestroyedError"),
    ),
    ExitCode(67, "document-fault", ("DocumentFault",)),
    ExitCode(68, "refused", ("PacketRefused",)),
    ExitCode(UNREACHABLE, "unreachable", ("ServiceDown", "Retryable", "OutcomeUnknown")),
    ExitCode(INTERNAL, "internal"),
    ExitCode(FILE, "file", ("FileFault", "KeyFileExistsError")),
    ExitCode(72, "topology", ("TopologyFault",)),
    ExitCode(73, "broker-version", ("BrokerUnsupported",)),
    ExitCode(74, "administration", ("AdministrationFailed",)),
    ExitCode(75, "not-delivered", ("NotDelivered",)),
    ExitCode(76, "size-damaged", ("SizeFileDamaged",)),
    ExitCode(77, "no-access", ("KeyPassphraseError", "WrongUser")),
    ExitCode(78, "configuration", ("ConfigurationFault", "StoreMisfit")),
    ExitCode(79, "still-waiting", ("StillWaiting",)),
    ExitCode(80, "not-done", ("NotDone",)),
    ExitCode(81, "not-permitted", ("NotPermitted",)),
    ExitCode(82, "not-admitted", ("NotAdmitted",)),
    ExitCode(83, "occupied", ("DatabaseOccupied",)),
    ExitCode(INTERRUPTED, "interrupted"),
    ExitCode(READER_GONE, "reader-gone"),
)


def exit_code_of(error: BbajError) -> int:
    """Return the exit code that an error of ours ends with."""
    match error:
        case Fatal():
            return error.exit_code
        case Retryable() | OutcomeUnknown():
            return UNREACHABLE
        case FormatError():
            return next(row.code for row in EXITS if "FormatError" in row.errors)
        case _:
            return INTERNAL


def exit_of(code: int) -> ExitCode:
    """Return the row of a code."""
    return next(row for row in EXITS if row.code == code)


def leaf_of(error: BaseException) -> BaseException:
    """Return the first error within groups, one of ours where there is any."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = [leaf_of(each) for each in error.exceptions]
    return next((leaf for leaf in leaves if isinstance(leaf, BbajError)), leaves[0])
