"""What looking after the archive brings into the record: alarms, and the state told to the parent.

The daemon looks at disks, partitions and backups; here it becomes an incident, or a packet of the
type `archive.state/1` to the neighbour that we hang under, one for each day.
"""

import asyncio
from typing import assert_never

import msgspec

from exchange.batch import Batch
from exchange.drops import Outcome
from exchange.state import NodeState
from schemas.answers import ARCHIVE_STATE
from schemas.documents.registry import TYPES
from schemas.documents.state import ArchiveState

DISK_SHORT = "disk_short"
PARTITIONS_SHORT = "partitions_short"


class Alarm(msgspec.Struct, frozen=True):
    """Something that an operator must look at before it stops the node."""

    kind: str
    detail: str


class StateTold(msgspec.Struct, frozen=True):
    """How the node is today."""

    document: ArchiveState


class Tended(msgspec.Struct, frozen=True):
    """What the daemon has found while looking after the archive."""

    what: Alarm | StateTold
    done: "asyncio.Future[list[Outcome]]"
    """Settled once it is committed."""


class Tending:
    """Takes what was found into a batch."""

    def __init__(self, state: NodeState) -> None:
        """Work on the running node."""
        self._state = state

    async def take(self, what: Alarm | StateTold, batch: Batch) -> None:
        """Open an incident, or seal the day's state."""
        match what:
            case Alarm():
                effects = self._state.effects
                effects.raise_incident(what.kind, self._state.rules.here, what.detail, batch)
            case StateTold():
                await self._tell(what.document, batch)
            case _:
                assert_never(what)

    async def _tell(self, document: ArchiveState, batch: Batch) -> None:
        """Seal the state of a day and place it on its way up; the root tells nobody."""
        parent, here = self._state.registry.uplink, self._state.rules.here
        if parent is None or not self._state.may_seal(batch.now):
            return
        if await self._state.archive.has_sent(here, ARCHIVE_STATE, document.period):
            return
        answering, content = self._state.effects.answering, msgspec.json.encode(document)
        kind = TYPES[ARCHIVE_STATE]
        await answering.send_document(kind, parent, content, batch, document.period)
