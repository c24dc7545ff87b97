"""Journals between neighbours: shown, cosigned, sampled; forks found (docs/protocol.md 18.1-18.3).

our journal          Signed --> `showing` --> Checkpoint --> neighbour
`cosignatures` <-- `showing` <-- Cosigned <--
a neighbour's        Checkpoint --> `comparing`: kept, journaled, cosigned; a fork alarms all
a leaf of either     Ask --> `sampling` --> Proven
"""

from exchange.alarms import Alarms
from exchange.batch import Batch
from exchange.comparing import Comparing
from exchange.gate import OpenedObject
from exchange.links import Link
from exchange.sampling import Sampling
from exchange.showing import Showing
from exchange.state import NodeState
from schemas.moments import Instant
from schemas.objects import Ask
from schemas.witnessing import Checkpoint, Cosigned


class Witnessing:
    """What a node and its neighbours know of each other's journals."""

    def __init__(self, state: NodeState, alarms: Alarms) -> None:
        """Share the node's state."""
        self._state = state
        self.showing = Showing(state)
        self.comparing = Comparing(state, alarms)
        self.sampling = Sampling(state, self.showing, self.comparing)

    async def open(self) -> None:
        """Take over what the record has of our checkpoints and of the neighbours'."""
        await self.showing.open()
        await self.comparing.open()

    async def signed(self, batch: Batch) -> None:
        """Show the checkpoint that was signed just now."""
        await self.showing.signed(batch)

    async def greet(self, link: Link, batch: Batch) -> None:
        """Show a neighbour that has just greeted us what it has not acknowledged."""
        await self.showing.greet(link, batch)

    async def take(self, opened: OpenedObject, link: Link, batch: Batch) -> None:
        """Take a checkpoint, an answer to one, or a leaf that is proven."""
        match opened.header:
            case Checkpoint():
                await self.comparing.take(opened, link, batch)
            case Cosigned():
                await self.showing.take(opened, link, batch)
            case _:
                await self.sampling.take(opened, link, batch)

    async def answer_ask(self, ask: Ask, link: Link, batch: Batch) -> None:
        """Prove a leaf of ours."""
        await self.sampling.answer_ask(ask, link, batch)

    async def sweep(self, batch: Batch) -> None:
        """Show and ask for what is due."""
        await self.showing.sweep(batch)
        self.sampling.sweep(batch)

    async def lag(self, now: Instant) -> tuple[int, Instant]:
        """Return how many leaves of our newest checkpoint no witness vouches for, and since when.

        The second is the age (microseconds) of the oldest checkpoint beyond; 0 where there is none.
        """
        ours, witnessed = self.showing.newest, self.showing.cosignatures.witnessed_size
        if ours is None or witnessed >= ours.size:
            return 0, 0
        oldest = await self._state.archive.checkpoint_from(witnessed + 1)
        return ours.size - witnessed, 0 if oldest is None else max(0, now - oldest[1])
