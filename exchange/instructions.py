"""What operators tell the node: read from the record, carried out once, answered in the record.

A command writes an instruction and waits for its outcome; the daemon does it within a batch, so
that it, its leaf with the operator's pseudonymous id, and all that follows are committed together.
They are begun in the order they were given; one that is under way holds up no other.
"""

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from exchange.batch import Batch
from exchange.state import NodeState
from schemas.errors import FormatError
from schemas.leaves import LeafKind
from schemas.records import InstructionOutcome, InstructionRow
from schemas.wire import describe, printable

INSTRUCTIONS_A_SWEEP = 100
"""So many are begun, or asked after, at one sweep."""


class Done(msgspec.Struct, frozen=True):
    """An instruction was carried out; `content` is its answer, encoded as JSON."""

    content: object = None
    detail: str = ""
    """What the leaf says of it beyond its kind; no personal data."""


class Declined(msgspec.Struct, frozen=True):
    """An instruction cannot be carried out: why, and what to do."""

    why: str


Handler = Callable[[InstructionRow, Batch], Awaitable[Done | Declined | None]]
"""None: it is under way, and the handler is asked again at the next sweep."""

OWN_FAULT = "a fault of our own, see the daemon's log: nothing was done"


class Instructions:
    """Carries out what operators have told the node to do."""

    def __init__(self, state: NodeState, handlers: Mapping[str, Handler]) -> None:
        """Share the node's state; `handlers` do each kind of instruction, by `what`."""
        self._state = state
        self._handlers = handlers
        self._failed: set[str] = set()
        self._swept: Batch | None = None

    async def sweep(self, batch: Batch) -> None:
        """Carry out what waits, oldest first; once in a batch, whose rows no read sees yet."""
        if self._swept is batch:
            return
        self._swept = batch
        for row in await self._state.archive.pending_instructions(INSTRUCTIONS_A_SWEEP):
            outcome = await self._carry_out(row, batch)
            if outcome is not None:
                self._keep(row, outcome, batch)

    async def _carry_out(self, row: InstructionRow, batch: Batch) -> Done | Declined | None:
        """Ask the handler; what it fails at is declined at the next attempt, and never tried on."""
        handler = self._handlers.get(row.what)
        if handler is None:
            return Declined(f"this version of the node knows no {printable(row.what)}")
        if row.id in self._failed:
            return Declined(OWN_FAULT)
        try:
            return await handler(row, batch)
        except msgspec.MsgspecError as error:
            return Declined(f"content: {describe(error)}")
        except FormatError as error:
            return Declined(error.detail)
        except Exception:
            self._failed.add(row.id)
            raise

    def _keep(self, row: InstructionRow, outcome: Done | Declined, batch: Batch) -> None:
        """Let outcome and leaf go into the batch that has what the instruction caused."""
        is_done = isinstance(outcome, Done)
        said = outcome.content if isinstance(outcome, Done) else {"why": outcome.why}
        state = "done" if is_done else "refused"
        content = msgspec.json.encode(said)
        batch.changes.outcomes.append(InstructionOutcome(row.id, batch.now, state, content))
        batch.append_leaf(
            LeafKind.OPERATOR,
            None,
            who=printable(row.who),
            what=printable(row.what),
            id=row.id,
            verdict=state,
            detail=printable(outcome.detail if isinstance(outcome, Done) else outcome.why),
        )
