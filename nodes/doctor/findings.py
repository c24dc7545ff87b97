"""From what was seen to what the doctor prints."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Literal

from nodes.cli.registry_shapes import Finding
from nodes.cli.seen import Seen, State
from nodes.config import Config
from nodes.said import Said

Part = Callable[[Config], AsyncIterator[Seen]]

_STATES: Mapping[State, Literal["ok", "warn", "fail"]] = {
    "ok": "ok",
    "skipped": "ok",
    "warning": "warn",
    "fault": "fail",
}


def finding_of(seen: Seen) -> Finding:
    """Return what was seen as the doctor says it: nothing amiss goes without advice."""
    state, what_to_do = _STATES[seen.state], seen.what_to_do
    if state != "ok" and what_to_do is None:
        what_to_do = Said("doctor.advice.read-on")
    return Finding(name=seen.name, state=state, found=seen.found, what_to_do=what_to_do)
