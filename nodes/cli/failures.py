"""Turns an error into a line on standard error, and into its exit code. Never a stack trace.

The line is English, as logs and documents quote it. In another language spoken here a line below it
says what the exit code means, and what to do.
"""

import sys
import traceback

import msgspec

from nodes.cli.exits import FILE, INTERNAL, ExitCode, exit_code_of, exit_of, leaf_of
from nodes.cli.shapes import Failure
from nodes.config import spoken_language
from nodes.errors import ConfigurationFault
from nodes.texts import text
from schemas.codes import Language
from schemas.errors import BbajError, OutcomeUnknown, Retryable
from store.errors import LockHeld, PartitionMissing


def explain(error: BaseException, *, as_json: bool) -> int:
    """Print what went wrong and what to do; return the exit code."""
    leaf = leaf_of(error)
    code, lines = _judge(leaf)
    row = exit_of(code)
    if as_json:
        step = row.next_step(Language.EN)
        failure = Failure(exit_code=code, name=row.name, errors=lines, next_step=step)
        print(msgspec.json.encode(failure).decode(), file=sys.stderr)
        return code
    for line in [*lines, *explained(row)]:
        print(f"bbaj: {line}", file=sys.stderr)
    return code


def explained(row: ExitCode) -> list[str]:
    """Return what a code means in the language spoken here; nothing where that is English."""
    try:
        language = spoken_language()
    except ConfigurationFault:  # BBAJ_LANG names none of ours
        return []
    if language is Language.EN:
        return []
    facts = {"meaning": row.meaning(language), "step": row.next_step(language)}
    return [text("exits.explained", language, **facts)]


def _judge(error: BaseException) -> tuple[int, list[str]]:
    match error:
        case ConfigurationFault():
            return error.exit_code, [" ".join(fault.split()) for fault in error.faults]
        case LockHeld() | PartitionMissing():  # their words say what to do
            return exit_code_of(error), [_one_line(error)]
        case Retryable() | OutcomeUnknown():
            code = exit_code_of(error)
            return code, [f"{_one_line(error)}: {exit_of(code).next_step(Language.EN)}"]
        case BbajError():
            return exit_code_of(error), [_one_line(error)]
        case OSError():
            what = f"{error.filename}: " if error.filename else ""
            step = exit_of(FILE).next_step(Language.EN)
            return FILE, [f"{what}{error.strerror or error}: {step}"]
        case _:
            return INTERNAL, [f"internal fault: {_one_line(error)}, {_place(error)}: report this"]


def _one_line(error: BaseException) -> str:
    """Return the error's words on one line."""
    text = " ".join(str(error).split())
    return text if isinstance(error, BbajError) else f"{type(error).__name__}: {text}"


def _place(error: BaseException) -> str:
    """Return where the error arose, for a report."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return "nowhere"
    last = frames[-1]
    return f"{'/'.join(last.filename.split('/')[-3:])}:{last.lineno} in {last.name}"
