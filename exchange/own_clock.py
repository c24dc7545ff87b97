"""Our own clock held against the machine's steady one: after a jump it is in doubt (clause 7.4).

The parent's clock is asked once an hour; a frame that is judged by a wrong one meanwhile is refused
for good. So a jump counts at once, and so does a start behind what the journal has stamped.
"""

import asyncio

from exchange.batch import Batch
from exchange.state import NodeState
from schemas.moments import MINUTE, SECOND, Instant


class OwnClock:
    """Looks at the time of each group before anything of it is judged."""

    def __init__(self, state: NodeState) -> None:
        """Share the node's state."""
        self._state = state
        self._last_leaf_at: Instant = 0
        self._before: tuple[Instant, float] | None = None

    def open(self, last_leaf_at: Instant) -> None:
        """Begin where the record ends."""
        self._last_leaf_at = last_leaf_at

    def look(self, batch: Batch) -> None:
        """Doubt the clock where it does not go on as time does; the parent says whether it agrees.

        Nobody is above the root: its operator is told, and its children notice.
        """
        steady_s = asyncio.get_running_loop().time()
        before, self._before = self._before, (batch.now, steady_s)
        window = self._state.rules.limits.time_window_ahead_us
        if before is None:
            behind = self._last_leaf_at - batch.now
            if behind > window:
                self._doubt(f"{behind // MINUTE} minutes behind our last leaf", batch)
            return
        jump = batch.now - before[0] - round((steady_s - before[1]) * SECOND)
        if abs(jump) > window:
            self._doubt(f"it jumped by {jump // MINUTE} minutes", batch)

    def _doubt(self, why: str, batch: Batch) -> None:
        detail = f"{why}: set this machine's clock"
        self._state.effects.raise_incident("clock_disagrees", self._state.rules.here, detail, batch)
        if self._state.is_root:
            return
        self._state.clock_agrees.clear()
        for link in self._state.links.values():
            if link.is_parent:
                link.greet_anew()
