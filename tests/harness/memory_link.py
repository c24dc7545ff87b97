"""The sessions of a link in memory: queues as a broker has them, and no broker.

What an endpoint over RabbitMQ does, these do, as far as the port says; both pass the tests of
tests/exchange/test_session_contract.py.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from exchange.errors import BrokerFull, LinkLost, Unroutable
from exchange.sessions import NO_HEADERS, DeadHandler, Delivery, Handler, HeaderValue
from exchange.supervisor import Backoff, OnState, supervise

FAST = Backoff(first_s=0.02, most_s=0.1)
CHILD_PREFETCH, PARENT_PREFETCH = 4, 8

SLOW_BYTES_PER_S = 16_000.0
"""As long as nothing was measured; then bundles are small."""

_lives = itertools.count(1)


@dataclass
class Waiting:
    """A message at the broker."""

    body: bytes
    headers: dict[str, HeaderValue]
    redelivered: bool = False


@dataclass(eq=False)
class Pipe:
    """One queue: what was handed over and is not settled."""

    waiting: deque[Waiting] = field(default_factory=deque)
    room: int = 1_000_000
    bound: bool = True
    loses: Callable[[bytes], bool] = lambda _body: False
    """Which messages never arrive although the sender was told that they were taken."""
    news: asyncio.Event = field(default_factory=asyncio.Event)


class MemorySession:
    """One neighbour, one life of the connection."""

    def __init__(
        self,
        peer: str,
        outgoing: Pipe,
        incoming: Pipe,
        prefetch: int,
        bytes_per_s: float = SLOW_BYTES_PER_S,
    ) -> None:
        self.peer = peer
        self.bytes_per_s = bytes_per_s
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._outgoing = outgoing
        self._incoming = incoming
        self._prefetch = prefetch
        self._life = next(_lives)
        self._tags = itertools.count(1)
        self._unsettled: dict[int, Waiting] = {}

    async def publish(self, body: bytes, headers: Mapping[str, HeaderValue] = NO_HEADERS) -> None:
        """Put a message into the neighbour's queue; as Session.publish."""
        self._check("publish")
        self.check_room()
        if not self._outgoing.loses(body):
            self._outgoing.waiting.append(Waiting(body, dict(headers)))
        self._outgoing.news.set()
        await asyncio.sleep(0)
        self._check("publish")

    def check_room(self) -> None:
        """Raise what a broker answers that can't take a message."""
        if not self._outgoing.bound:
            raise Unroutable("publish: the binding is missing")
        if len(self._outgoing.waiting) >= self._outgoing.room:
            raise BrokerFull("publish: the queue is full")

    async def receive(self) -> Delivery:
        """Return the next message; as Session.receive."""
        pipe = self._incoming
        while True:
            self._check("receive")
            if pipe.waiting and len(self._unsettled) < self._prefetch:
                break
            pipe.news.clear()
            await pipe.news.wait()
        message, tag = pipe.waiting.popleft(), next(self._tags)
        self._unsettled[tag] = message
        return Delivery(message.body, message.headers, message.redelivered, tag, self._life)

    async def settle_through(self, delivery: Delivery) -> None:
        """Settle up to here; as Session.settle_through."""
        self._check("settle")
        if delivery.life != self._life:
            raise LinkLost("settle: delivered in an earlier life")
        for tag in [tag for tag in self._unsettled if tag <= delivery.tag]:
            del self._unsettled[tag]
        self._incoming.news.set()

    def end(self) -> None:
        """Put what is not settled back to where it came from; the session is over."""
        if not self.ended.done():
            self.ended.set_result(None)
        again = [Waiting(each.body, each.headers, True) for each in self._unsettled.values()]
        self._unsettled.clear()
        self._incoming.waiting.extendleft(reversed(again))
        self._incoming.news.set()

    def _check(self, doing: str) -> None:
        if self.ended.done():
            raise LinkLost(f"{doing}: the session is over")


class MemoryLink:
    """The two queues of one child, and an endpoint at either end of them."""

    def __init__(self, parent: str, child: str, bytes_per_s: float = SLOW_BYTES_PER_S) -> None:
        self.parent = parent
        self.child = child
        self._bytes_per_s = bytes_per_s
        self.up = Pipe()
        self.down = Pipe()
        self._open: dict[MemorySession, None] = {}

    async def run_child(self, handler: Handler, on_state: OnState) -> NoReturn:
        """Keep the child's end up; as ParentEndpoint.run."""
        ends = (self.parent, self.up, self.down, PARENT_PREFETCH)
        await self._run(ends, handler, on_state)

    async def run_parent(
        self, handler: Handler, on_state: OnState, on_dead: DeadHandler | None = None
    ) -> NoReturn:
        """Keep the parent's end up; as OwnBrokerEndpoint.run with this one child."""
        assert on_dead is None, "nothing dies in memory"
        ends = (self.child.rpartition(".")[2], self.down, self.up, CHILD_PREFETCH)
        await self._run(ends, handler, on_state)

    async def _run(
        self, ends: tuple[str, Pipe, Pipe, int], handler: Handler, on_state: OnState
    ) -> NoReturn:
        async def life(_attempt: int, opened) -> None:
            session = MemorySession(*ends, self._bytes_per_s)
            self._open[session] = None
            opened()
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(handler(session))
                    tasks.create_task(_until_ended(session))
            finally:
                self._open.pop(session)
                session.end()

        await supervise(life, peer=ends[0], seed=b"memory", on_state=on_state, backoff=FAST)

    def cut(self) -> None:
        """End every session that is open; endpoints begin new ones."""
        for session in list(self._open):
            session.end()

    def purge(self) -> None:
        """Lose everything that waits, and with it the connections."""
        self.up.waiting.clear()
        self.down.waiting.clear()
        self.cut()


async def _until_ended(session: MemorySession) -> NoReturn:
    await asyncio.shield(session.ended)
    raise LinkLost("the session is over")
