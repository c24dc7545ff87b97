"""Lost journals: noticed here, recovered into new epochs, and what was lost fetched back (18.4-5).

ours          `losses`: found, asked for, begun anew       `returning`: what we had sent comes back
a child's     `recoveries`: asked, approved, shown         `returning`: brought to who asks
"""

from exchange.batch import Batch
from exchange.directory import Directory
from exchange.gate import OpenedObject
from exchange.judging import Judging
from exchange.links import Link
from exchange.losses import Losses
from exchange.recoveries import Recoveries
from exchange.returning import Returning
from exchange.state import NodeState
from schemas.objects import Ask, Hello
from schemas.witnessing import Recover


class Recovery:
    """What a node does about journals that have lost their end."""

    def __init__(self, state: NodeState, directory: Directory, judging: Judging) -> None:
        """Share the node's state."""
        self.losses = Losses(state, directory)
        self.returning = Returning(state, self.losses, judging)
        self.recoveries = Recoveries(state, directory, self.returning)

    async def open(self) -> None:
        """Take over what the record knows of losses."""
        await self.losses.open()
        await self.returning.open()

    async def sweep(self, batch: Batch) -> None:
        """Keep what was found, and begin an epoch that is open by now."""
        await self.losses.sweep(batch)

    async def greet(self, hello: Hello, link: Link, batch: Batch) -> None:
        """Say to a neighbour that has just greeted us what it lacks, and what we lack."""
        await self.recoveries.show(hello, link, batch)
        await self.losses.greet(link, batch)
        await self.returning.greet(link, batch)

    async def take(self, opened: OpenedObject, link: Link, batch: Batch) -> None:
        """Take a wish for a new epoch, or frames that come back."""
        if isinstance(opened.header, Recover):
            await self.recoveries.take(opened, link, batch)
        else:
            await self.returning.take(opened, link, batch)

    async def answer_ask(self, ask: Ask, link: Link, batch: Batch) -> None:
        """Bring back what a neighbour had sent us."""
        await self.returning.answer_ask(ask, link, batch)
