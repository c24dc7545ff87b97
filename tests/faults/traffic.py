"""The load: local systems that drop documents and take them out, and the book of both.

So much is in flight at all times as faults ask for; what is in flight is known by what the senders
have handed over and not heard the end of.
"""

import asyncio
import hashlib
from collections.abc import Sequence

import msgspec

from nodes import samples
from nodes.demo.book import FINAL, Book, Dropped, Left, Told
from nodes.demo.boxes import AmqpBox
from nodes.demo.documents import Prepared
from nodes.demo.messages import Box
from schemas.documents.registry import ATTENDANCE_DAILY

POLL_S = 0.01
TRICKLE_S = 1.0
"""Each flow hands over a document this often, whatever is in flight."""


class Flow(msgspec.Struct, frozen=True):
    """Documents from one node's system to another's."""

    sender: str
    recipient: str


class Traffic:
    """All flows, their boxes, and the book."""

    def __init__(self, boxes: Sequence[Box], flows: Sequence[Flow], window: int) -> None:
        """Keep `window` documents in flight, while there is need of them."""
        self.book = Book(dropped=[], left=[], told=[], expected=[])
        self.window = window
        self.wanted = False
        """Whether to fill the window."""
        self.resting = False
        """Whether to hand nothing over at all."""
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

    @property
    def open_drops(self) -> list[str]:
        """Return the ids of the drops in flight, oldest first."""
        return list(self._open)

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
            has_room = self.wanted and self.in_flight + self._handing_over < self.window
            if self.resting or not (has_room or loop.time() >= next_at):
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
        drop_id = f"fault-{self._serial}"
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

    @property
    def is_closed(self) -> bool:
        """Say whether all that was handed over has come out, and its senders have heard so."""
        return not (self._open or self._to_arrive or self._handing_over)
