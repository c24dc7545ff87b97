"""What a verifier says about an evidence folder: every check by name, not only the first failure.

The names and the JSON are those of docs/protocol.md clause 21.1.
"""

from collections.abc import Callable, Iterable
from typing import Literal, ParamSpec

import msgspec

from nodes.evidence.reading import PieceFault
from schemas.errors import FormatError

CheckName = Literal[
    "files",
    "manifest",
    "pieces",
    "payload",
    "content",
    "signature",
    "chain",
    "answer",
    "leaf",
    "proof",
    "checkpoint",
    "witness",
    "stamp",
    "custody",
    "tracked",
    "issued",
    "renewal",
    "existence",
    "timeline",
]
"""In the order in which a verdict lists them."""
ExistedBy = Literal["time-stamp", "witness", "sender"]
Result = Literal["holds", "fails", "absent", "unsupported"]

NEEDED: tuple[CheckName, ...] = ("files", "manifest", "pieces", "signature", "chain")
"""What is absent of these keeps the evidence from holding."""
Asked = ParamSpec("Asked")
_ORDER = {name: at for at, name in enumerate(CheckName.__args__)}  # type: ignore[attr-defined]


class Check(msgspec.Struct, frozen=True):
    """One check: `where` is the file or folder that it looked at, below the evidence folder."""

    check: CheckName
    where: str
    result: Result
    detail: str = ""


class Verdict(msgspec.Struct, frozen=True):
    """The whole answer; moments are text, as on the wire."""

    holds: bool
    packet: str | None
    """None where not even the packet's head can be read."""
    existed: str | None
    existed_by: ExistedBy | None
    stamp_roots: Literal["given", "folder"]
    """Who named the roots of the time-stamp authorities; of the folder's own nothing is known."""
    checks: list[Check]


def judge(
    check: CheckName,
    where: str,
    question: Callable[Asked, str],
    *about: Asked.args,
    **more: Asked.kwargs,
) -> Check:
    """Ask one question; its text is the detail of `holds`, its FormatError that of `fails`.

    A PieceFault names the very file, and stands for `where`.
    """
    try:
        return Check(check, where, "holds", question(*about, **more))
    except PieceFault as fault:
        return Check(check, fault.where, "fails", fault.detail)
    except FormatError as fault:
        return Check(check, where, "fails", fault.detail)


def in_order(checks: Iterable[Check]) -> list[Check]:
    """Return checks as a verdict lists them; within one name as they were made."""
    return sorted(checks, key=lambda each: _ORDER[each.check])


def it_holds(checks: Iterable[Check]) -> bool:
    """Say whether nothing fails and nothing that is needed is absent."""
    results = [(each.check, each.result) for each in checks]
    present = {name for name, result in results if result == "holds"}
    return (
        all(result != "fails" for _, result in results)
        and all((name, "absent") not in results for name in NEEDED)
        and present.issuperset(NEEDED)
    )
