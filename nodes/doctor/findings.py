"""What every part of the doctor hands back, and how a fault of ours becomes one."""

from collections.abc import AsyncIterator, Callable

from nodes.cli.registry_shapes import Finding
from nodes.cli.shapes import Check
from nodes.config import Config
from schemas.errors import BbajError

Part = Callable[[Config], AsyncIterator[Finding]]


def ok(name: str, found: str) -> Finding:
    """Return that all is well."""
    return Finding(name=name, state="ok", found=found, what_to_do=None)


def warn(name: str, found: str, what_to_do: str) -> Finding:
    """Return what will become a fault, or is one that may be meant."""
    return Finding(name=name, state="warn", found=found, what_to_do=what_to_do)


def fail(name: str, found: str, what_to_do: str) -> Finding:
    """Return a fault."""
    return Finding(name=name, state="fail", found=found, what_to_do=what_to_do)


def fault(name: str, error: BbajError) -> Finding:
    """Return an error as a fault: what stands behind its last colon is what to do."""
    return _split(name, "fail", " ".join(str(error).split()))


def of_check(check: Check) -> Finding:
    """Return what `bbaj node check` has seen, as the doctor says it."""
    match check.state:
        case "fault":
            return _split(check.name, "fail", check.detail)
        case "warning":
            return _split(check.name, "warn", check.detail)
        case _:
            return ok(check.name, check.detail)


def _split(name: str, state: str, text: str) -> Finding:
    found, _, advice = text.rpartition(": ")
    make = fail if state == "fail" else warn
    return make(name, found, advice) if found else make(name, text, "see docs/operations.md")
