"""Tells the daemon to do something, through its database, and waits for what became of it.

    told = instructing.tell(config, "suspend", Suspend("kz.a.b", "..."), wait_s=wait)

A daemon that is down does it once it runs; meanwhile the command says that it waits, and how long.
"""

import asyncio
import sys
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import typer

from exchange.identity import new_packet_id
from nodes import rights
from nodes.cli.errors import NotDone, StillWaiting
from nodes.cli.moments import duration
from nodes.cli.opening import reading
from nodes.clock import now
from nodes.config import Config
from nodes.said import Said, spoken
from schemas.errors import Retryable
from schemas.moments import format_instant
from schemas.records import InstructionOutcome, InstructionRow
from store.reading import Reading

WAIT_S = 60.0
POLL_S = 0.1
PATIENCE_S = 3.0
"""A daemon that runs has begun by then."""

WaitOption = Annotated[
    float,
    typer.Option(
        "--wait", metavar="SECONDS", min=0, help="Wait at most so long for the daemon to do it."
    ),
]


class Instructed(msgspec.Struct, frozen=True):
    """What the daemon did on an instruction, and what it said."""

    id: str
    what: str
    at: str
    content: Any
    """As the handler's `Done` had it, out of JSON."""


def tell(
    config: Config,
    what: str,
    content: object,
    *,
    wait_s: float = WAIT_S,
    say: Callable[[str], None] | None = None,
) -> Instructed:
    """Run `instruct` from a command."""
    return asyncio.run(instruct(config, what, content, wait_s=wait_s, say=say))


async def instruct(
    config: Config,
    what: str,
    content: object,
    *,
    wait_s: float = WAIT_S,
    say: Callable[[str], None] | None = None,
) -> Instructed:
    """Tell the daemon to do `what`, and return what it answered.

    Raises NotDone with the daemon's reason, StillWaiting after `wait_s`, and what the store does.
    """
    row = InstructionRow(
        id=new_packet_id(now()),
        given=now(),
        who=rights.pseudonym(config, rights.login_name()),
        what=what,
        content=msgspec.json.encode(content),
    )
    async with reading(config) as desk:
        await desk.instruct(row)
        outcome = await _wait(desk, row, wait_s, say or _say)
    if outcome is None:
        raise StillWaiting(
            f"{what}: not done in {duration(wait_s)}; instruction {row.id} stands, and is carried "
            "out once the daemon runs: see `bbaj instructions`"
        )
    answer = msgspec.json.decode(outcome.content)
    if outcome.state != "done":
        raise NotDone(f"{what}: {answer['why']}")
    return Instructed(row.id, what, format_instant(outcome.at), answer)


async def _wait(
    desk: Reading, row: InstructionRow, wait_s: float, say: Callable[[str], None]
) -> InstructionOutcome | None:
    """Ask until there is an outcome; the record tells no events to commands."""
    loop = asyncio.get_running_loop()
    began, said = loop.time(), False
    while True:
        outcome = await _look_past_outages(desk, row.id)
        waited = loop.time() - began
        if outcome is not None or waited >= wait_s:
            return outcome
        if waited >= PATIENCE_S and not said:
            said = True
            say(_not_done_yet(row.what, wait_s - waited))
        await asyncio.sleep(min(POLL_S, max(0.0, wait_s - waited)))


async def _look_past_outages(desk: Reading, id_: str) -> InstructionOutcome | None:
    try:
        return await desk.instruction_outcome(id_)
    except Retryable:
        return None


def _not_done_yet(what: str, rest_s: float) -> str:
    return spoken(Said("network.not-done-yet", {"what": what, "rest": duration(rest_s)}))


def _say(line: str) -> None:
    print(f"bbaj: {line}", file=sys.stderr)
