"""Turns an error into one line on standard error, and into its exit code. Never a stack trace."""

import sys
import traceback

import msgspec

from nodes.cli.exits import EXITS, FILE, INTERNAL, exit_code_of, leaf_of, next_step_of
from nodes.cli.shapes import Failure
from nodes.errors import ConfigurationFault
from schemas.errors import BbajError, OutcomeUnknown, Retryable
from store.errors import LockHeld, PartitionMissing


def explain(error: BaseException, *, as_json: bool) -> int:
    """Print what went wrong and what to do; return the exit code."""
    leaf = leaf_of(error)
    code, lines = _judge(leaf)
    if as_json:
        name = next(row.name for row in EXITS if row.code == code)
        failure = Failure(exit_code=code, name=name, errors=lines, next_step=next_step_of(code))
        print(msgspec.json.encode(failure).decode(), file=sys.stderr)
        return code
    for line in lines:
        print(f"bbaj: {line}", file=sys.stderr)
    return code


def _judge(error: BaseException) -> tuple[int, list[str]]:
    match error:
        case ConfigurationFault():
            return error.exit_code, [" ".join(fault.split()) for fault in error.faults]
        case LockHeld() | PartitionMissing():  # their words say what to do
            return exit_code_of(error), [_one_line(error)]
        case Retryable() | OutcomeUnknown():
            code = exit_code_of(error)
            return code, [f"{_one_line(error)}: {next_step_of(code)}"]
        case BbajError():
            return exit_code_of(error), [_one_line(error)]
        case OSError():
            what = f"{error.filename}: " if error.filename else ""
            return FILE, [f"{what}{error.strerror or error}: {next_step_of(FILE)}"]
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
