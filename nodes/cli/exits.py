"""The one table of exit codes: what each means, what to do, and which errors end with it."""

from typing import NamedTuple

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
    meaning: str
    next_step: str
    errors: tuple[str, ...] = ()
    """Names of the errors that end with it; subclasses go with their parents."""


EXITS = (
    ExitCode(0, "ok", "done, and what was asked about holds", "nothing"),
    ExitCode(
        1,
        "found-wanting",
        "a check, a verification or a comparison ended, and found faults",
        "read the faults listed: each says what to do",
        ("JudgementFailed",),
    ),
    ExitCode(
        64,
        "usage",
        "the command line is wrong",
        "correct it: the command's --help shows how",
        ("UsageFault", "IssueError"),
    ),
    ExitCode(
        65,
        "damaged",
        "stored data or a key file is damaged",
        "run `bbaj store verify`; restore what it names from the backup",
        ("StoreFault", "KeyFileDamagedError", "BucketDamagedError", "FormatError", "BackupDamaged"),
    ),
    ExitCode(
        66,
        "not-found",
        "the packet, document or key named is not there",
        "correct the name; a payload that was destroyed under its act stays destroyed",
        ("NotFound", "KeyFileMissingError", "BucketKeyMissingError", "BucketDestroyedError"),
    ),
    ExitCode(
        67,
        "document-fault",
        "the document is not what its type allows; nothing was sent",
        "correct the field named, then send it again",
        ("DocumentFault",),
    ),
    ExitCode(
        68,
        "refused",
        "the packet was refused, or has expired",
        "do what the reason says, then `bbaj resend`",
        ("PacketRefused",),
    ),
    ExitCode(
        UNREACHABLE,
        "unreachable",
        "a database or broker did not answer, or another process holds it",
        "run `bbaj node check`, then the same command again: repeating it is harmless",
        ("ServiceDown", "Retryable", "OutcomeUnknown"),
    ),
    ExitCode(INTERNAL, "internal", "a fault of bbaj itself", "report the line shown"),
    ExitCode(
        FILE,
        "file",
        "a file cannot be read or written, or would be overwritten",
        "see the path named: rights, room, or a file that is there already",
        ("FileFault", "KeyFileExistsError"),
    ),
    ExitCode(
        72,
        "topology",
        "the node's broker is not provisioned as planned",
        "run `bbaj topology --apply`",
        ("TopologyFault",),
    ),
    ExitCode(
        73,
        "broker-version",
        "the node's broker has a version known to misbehave",
        "upgrade it to the version named",
        ("BrokerUnsupported",),
    ),
    ExitCode(
        74,
        "administration",
        "the broker's administration command failed",
        "run it as a user who may administer the broker; see broker.ctl in the configuration",
        ("AdministrationFailed",),
    ),
    ExitCode(
        75,
        "not-delivered",
        "the wait ended before the packet was delivered; it is still on its way",
        "nothing, or look with `bbaj show`: the node goes on sending",
        ("NotDelivered",),
    ),
    ExitCode(
        76,
        "size-damaged",
        "data/journal.size cannot be read: it cannot be said whether data are missing",
        "restore it from the backup; remove it only beside a database known to be the newest",
        ("SizeFileDamaged",),
    ),
    ExitCode(
        77,
        "no-access",
        "a passphrase is wrong or missing, or the command runs as the wrong user",
        "name the file that holds the passphrase, or run as the user named",
        ("KeyPassphraseError", "WrongUser"),
    ),
    ExitCode(
        78,
        "configuration",
        "the configuration is wrong, or the database is not prepared for it",
        "correct every fault listed; `bbaj store migrate` prepares the database",
        ("ConfigurationFault", "StoreMisfit"),
    ),
    ExitCode(
        79,
        "still-waiting",
        "the wait ended before the daemon had done what it was told; the instruction stands",
        "see that the daemon runs: `bbaj node check`; `bbaj instructions` shows what became of it",
        ("StillWaiting",),
    ),
    ExitCode(
        80,
        "not-done",
        "the daemon has declined what it was told; nothing was changed",
        "do what its reason says, then the same command again",
        ("NotDone",),
    ),
    ExitCode(
        81,
        "not-permitted",
        "the policy on rights does not let this person use this command; the attempt is logged",
        "ask somebody whom the policy lets",
        ("NotPermitted",),
    ),
    ExitCode(
        82,
        "not-admitted",
        "the invitation is damaged, forged, used, withdrawn or over, or the request was refused",
        "do what its reason says; a new invitation comes from the parent's operator",
        ("NotAdmitted",),
    ),
    ExitCode(
        83,
        "occupied",
        "the database to restore into is not empty; nothing was changed",
        "look at what it holds: a newer record is never replaced by an older one",
        ("DatabaseOccupied",),
    ),
    ExitCode(INTERRUPTED, "interrupted", "stopped from the keyboard", "nothing"),
    ExitCode(READER_GONE, "reader-gone", "whoever read the output went away", "nothing"),
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


def next_step_of(code: int) -> str:
    """Return what to do after an exit code."""
    return next(row.next_step for row in EXITS if row.code == code)


def leaf_of(error: BaseException) -> BaseException:
    """Return the first error within groups, one of ours where there is any."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = [leaf_of(each) for each in error.exceptions]
    return next((leaf for leaf in leaves if isinstance(leaf, BbajError)), leaves[0])
