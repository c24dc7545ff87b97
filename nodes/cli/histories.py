"""What operators did: uses of commands, and instructions to the daemon."""

from typing import Literal

import msgspec

from nodes.cli.opening import reading
from nodes.cli.registry_shapes import AccessLine, InstructionLine
from nodes.config import Config
from schemas.moments import format_instant
from schemas.records import InstructionOutcome, InstructionRow


async def list_accesses(config: Config, limit: int) -> list[AccessLine]:
    """Return uses of commands, newest first."""
    async with reading(config) as desk:
        rows = await desk.accesses(limit)
    return [
        AccessLine(at=format_instant(row.at), who=row.who, what=row.what, allowed=row.allowed)
        for row in rows
    ]


async def list_instructions(config: Config, limit: int) -> list[InstructionLine]:
    """Return instructions, newest first."""
    async with reading(config) as desk:
        rows = await desk.instructions(limit)
    return [_line(row, outcome) for row, outcome in rows]


def _line(row: InstructionRow, outcome: InstructionOutcome | None) -> InstructionLine:
    state: Literal["waiting", "done", "refused"] = "waiting"
    if outcome is not None:
        state = "done" if outcome.state == "done" else "refused"
    return InstructionLine(
        id=row.id,
        given=format_instant(row.given),
        who=row.who,
        what=row.what,
        state=state,
        at=None if outcome is None else format_instant(outcome.at),
        answer=None if outcome is None else msgspec.json.decode(outcome.content),
    )
