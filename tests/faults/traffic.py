"""The load: local systems that drop documents and take them out, and the book of both.

So much is in flight at all times as faults ask for; what is in flight is known by what the senders
have handed over and not heard the end of.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence

import msgspec

from nodes import samples
from nodes.demo.book import FINAL, Book, Dropped, Left, Told
from nodes.demo.boxes import AmqpBox
from nodes.demo.documents import Prepared
from nodes.demo.messages import Box
from schemas.documents.registry import ATTENDANCE_DAILY

POLL_S = 0.01
FULL_S = 60.0
"""The window is full within so long, after whatever fault."""
CLOSED_S = 120.0
"""Everything is closed within so long after the last fault."""
TRICKLE_S = 1.0
"""Each flow hands over a document this often, whatever is in flight."""


class StalledError(Exception):
    """Documents do not come or go as they must."""


class Flow(msgspec.Struct, frozen=True):
    """Documents from one node's system to another's."""

    sender: str
    recipient: str


class Traffic:
    """All flows, their boxes, and the book."""

    def __init__(
        self, boxes: Sequence[Box], flows: Sequence[Flow], window: int, name: str = "fault"
    ) -> None:
        """Keep `window` documents in flight, while there is need of them.

        `name` begins the ids of drops, which no other load on the same network may use.
        """
        self.book = Book(dropped=[], left=[], told=[], expected=[])
        self.window = window
        self._wanted = False
        self._resting = False
        self._name = name
        self._flows = flows
        self._serial = 0
        self._open: dict[str, None] = {}
        self._to_arrive: set[str] = set()
        self._ended: set[str] = set()
        self._handing_over = 0
        self._boxes = {box.address: AmqpBox(box, self) for box in boxes}

    # --- the book -----------------------------------------------------------------------------

    def leave(self, one: Left) -> None:
        """Note that a document left an inbox."""
        self.book.left.append(one)
        self._to_arrive.discard(one.sha256)

    def tell(self, one: Told) -> None:
        """Note that a status event came."""
        self.book.told.append(one)
        if one.state in FINAL:
            self._ended.add(one.drop_id)
            self._open.pop(one.drop_id, None)

    @property
    def in_flight(self) -> int:
        """How many documents were accepted whose senders have not heard the end."""
        return len(self._open)

    # --- the load -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Drop and take, for ever."""
        async with asyncio.TaskGroup() as tasks:
            for box in self._boxes.values():
                tasks.create_task(box.run())
            for flow in self._flows:
                tasks.create_task(self._load(flow))

    async def _load(self, flow: Flow) -> None:
        loop = asyncio.get_running_loop()
        next_at = 0.0
        while True:
            has_room = self._wanted and self.in_flight + self._handing_over < self.window
            if self._resting or not (has_room or loop.time() >= next_at):
                await asyncio.sleep(POLL_S)
                continue
            next_at = loop.time() + TRICKLE_S
            self._handing_over += 1
            try:
                await self._drop(flow)
            finally:
                self._handing_over -= 1

    async def _drop(self, flow: Flow) -> None:
        """Hand one document over; from the broker's confirm on it is in flight."""
        self._serial += 1
        drop_id = f"{self._name}-{self._serial}"
        body = samples.tiny(self._serial)
        sha256 = hashlib.sha256(body).hexdigest()
        name = f"{flow.sender} to {flow.recipient}"
        self.book.dropped.append(
            Dropped(name, flow.sender, flow.recipient, ATTENDANCE_DAILY, sha256, drop_id)
        )
        self._to_arrive.add(sha256)
        await self._boxes[flow.sender].drop(
            drop_id, ATTENDANCE_DAILY, flow.recipient, Prepared(body)
        )
        if drop_id not in self._ended:
            self._open[drop_id] = None

    # --- waiting ------------------------------------------------------------------------------

    async def until_in_flight(self, least: int, after_s: float = 0.0) -> int:
        """Fill the window; return how much is in flight `after_s` after there was enough.

        Raises StalledError.
        """
        self._wanted, self._resting = True, False
        while True:
            await self._until(lambda: self.in_flight >= least, FULL_S)
            await asyncio.sleep(after_s)
            if (in_flight := self.in_flight) >= least:
                return in_flight

    def ease(self) -> None:
        """Hand over no more than a trickle."""
        self._wanted = False

    async def until_closed(self) -> None:
        """Hand nothing over, until all has come out and all senders know. Raises StalledError."""
        self._wanted, self._resting = False, True
        await self._until(
            lambda: not (self._open or self._to_arrive or self._handing_over), CLOSED_S
        )

    async def _until(self, holds: Callable[[], bool], patience_s: float) -> None:
        try:
            async with asyncio.timeout(patience_s):
                while not holds():  # noqa: ASYNC110 - other processes act
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise StalledError(
                f"after {patience_s:.0f} s {self.in_flight} documents are in flight "
                f"({', '.join([*self._open][:5])}), {self._handing_over} not handed over yet, "
                f"{len(self._to_arrive)} have not come out"
            ) from None
