"""What the node counts of the reports below it goes to its parent, once a period (24.6).

The instruction is named by what is counted: the same again is no second packet.
"""

import msgspec

from exchange.batch import Batch
from exchange.instructions import Declined, Done
from exchange.state import NodeState
from schemas.answers import ARCHIVE_COMPLETENESS
from schemas.documents.completeness import Completeness
from schemas.documents.registry import (
    DocumentError,
    check_document,
    find_type,
)
from schemas.moments import Instant
from schemas.records import InstructionRow
from schemas.wire import encode

KIND = "count"


def count_order(counts: Completeness, who: str, at: Instant) -> InstructionRow:
    """Return the instruction to send counts; there is one for each type and period."""
    name = f"{KIND}-{counts.reports}-{counts.period}"
    return InstructionRow(name, at, who, KIND, msgspec.json.encode(counts))


class Counting:
    """Seals what was counted."""

    def __init__(self, state: NodeState) -> None:
        """Share the node's state."""
        self._state = state

    async def send(self, row: InstructionRow, batch: Batch) -> Done | Declined | None:
        """Carry out `count`: seal a packet to the parent as soon as the node may."""
        counts = msgspec.json.decode(row.content, type=Completeness)
        parent = self._state.registry.uplink
        if parent is None:
            return Declined("the root has nobody above it to report to")
        if not self._state.may_seal(batch.now):
            return None
        kind = find_type(ARCHIVE_COMPLETENESS)
        content = encode(counts)
        try:
            check_document(ARCHIVE_COMPLETENESS, content)
        except DocumentError as error:
            return Declined(f"{error.field}: {error.problem}")
        answering = self._state.effects.answering
        packet = await answering.send_document(kind, parent, content, batch, counts.period)
        return Done({"packet": packet.id}, detail=f"{counts.reports} {counts.period}")
