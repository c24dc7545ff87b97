"""What a look at one thing has found, before `bbaj node check` or the doctor prints it."""

from typing import Literal

import msgspec

from nodes.said import joined
from schemas.errors import BbajError

State = Literal["ok", "warning", "fault", "skipped"]


class Seen(msgspec.Struct, frozen=True):
    """One thing that was looked at; names and texts are `Said` where they are ours."""

    name: str
    state: State
    found: str
    what_to_do: str | None = None

    @property
    def detail(self) -> str:
        """What was found, and what to do about it."""
        return joined((self.found, self.what_to_do) if self.what_to_do else (self.found,), ": ")


def ok(name: str, found: str) -> Seen:
    """Return that all is well."""
    return Seen(name, "ok", found)


def skipped(name: str, found: str) -> Seen:
    """Return why there is nothing to look at."""
    return Seen(name, "skipped", found)


def warn(name: str, found: str, what_to_do: str) -> Seen:
    """Return what will become a fault, or is one that may be meant."""
    return Seen(name, "warning", found, what_to_do)


def fail(name: str, found: str, what_to_do: str) -> Seen:
    """Return a fault."""
    return Seen(name, "fault", found, what_to_do)


def fault(name: str, error: BbajError) -> Seen:
    """Return an error as a fault: what stands behind its last colon is what to do."""
    text = " ".join(str(error).split())
    found, _, advice = text.rpartition(": ")
    return Seen(name, "fault", found, advice) if found else Seen(name, "fault", text)
