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
    "unknown",
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
Result = Literal["holds", "warns", "fails", "absent", "unsupported"]
STANDING: frozenset[Result] = frozenset({"holds", "warns"})
"""What warns has held: the reader must know something all the same."""

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

    @property
    def stands(self) -> bool:
        """Whether nothing speaks against it, perhaps with a warning."""
        return self.result in STANDING


class Warned(msgspec.Struct, frozen=True):
    """What is said of something that has held, and that the reader is warned of."""

    detail: str


Finding = str | Warned
"""What a question found where nothing fails."""


class Verdict(msgspec.Struct, frozen=True):
    """The whole answer; moments are text, as on the wire."""

    holds: bool
    packet: str | None
    """None where not even the packet's head can be read."""
    existed: str | None
    existed_by: ExistedBy | None
    stamp_roots: Literal["given", "folder"]
    """Who named the roots of the time-stamp authorities; of the folder's own nothing is known."""
    stamp_root_sha256: list[str]
    """Of the roots that time-stamps which hold lean on, in hex, sorted."""
    checks: list[Check]


def judge(
    check: CheckName,
    where: str,
    question: Callable[Asked, Finding],
    *about: Asked.args,
    **more: Asked.kwargs,
) -> Check:
    """Ask one question; its text is the detail of `holds`, or `warns`, its FormatError of `fails`.

    A PieceFault names the very file, and stands for `where`.
    """
    try:
        found = question(*about, **more)
    except PieceFault as fault:
        return Check(check, fault.where, "fails", fault.detail)
    except FormatError as fault:
        return Check(check, where, "fails", fault.detail)
    if isinstance(found, Warned):
        return Check(check, where, "warns", found.detail)
    return Check(check, where, "holds", found)


def joined(text: str, said: Finding) -> Finding:
    """Return a text with what was found besides behind it; a warning stays one."""
    detail = said.detail if isinstance(said, Warned) else said
    both = "; ".join(part for part in (text, detail) if part)
    return Warned(both) if isinstance(said, Warned) else both


def in_order(checks: Iterable[Check]) -> list[Check]:
    """Return checks as a verdict lists them; within one name as they were made."""
    return sorted(checks, key=lambda each: _ORDER[each.check])


def it_holds(checks: Iterable[Check]) -> bool:
    """Say whether nothing fails and nothing that is needed is absent."""
    results = [(each.check, each.result) for each in checks]
    present = {name for name, result in results if result in STANDING}
    return (
        all(result != "fails" for _, result in results)
        and all((name, "absent") not in results for name in NEEDED)
        and present.issuperset(NEEDED)
    )
