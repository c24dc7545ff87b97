"""The lines between nodes and the brokers behind them: they delay, cut, lose, double and damage.

A line is the two queues of one child at its parent's broker, as in harness.memory_link, with
weather over it. A message takes its time to the broker and its time from there; on one connection
none overtakes another.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from random import Random
from typing import Any, NoReturn

from exchange.errors import BrokerUnreachable, PublishUnknown
from exchange.sessions import NO_HEADERS, Delivery, Handler, HeaderValue
from exchange.supervisor import Backoff, OnState, supervise
from harness.memory_link import (
    CHILD_PREFETCH,
    PARENT_PREFETCH,
    MemoryLink,
    MemorySession,
    Pipe,
    Waiting,
)

QUICK_S, SLOW_S = 0.002, 0.05
"""One way takes between these, on a line in good weather."""
REMEMBERED = 8
"""A broker that goes back in time brings so many settled messages again."""
PACE = Backoff(first_s=0.5, most_s=30.0)


class Weather:
    """What is wrong with a line at the moment; probabilities are of one message."""

    def __init__(self) -> None:
        self.lose = self.double = self.reorder = self.damage = self.flaky = 0.0
        self.delay_s = 0.0
        self.bytes_per_s = 1_000_000.0


class Line(MemoryLink):
    """One child's line to its parent's broker."""

    def __init__(self, parent: str, child: str, chance: Random, watch: Any) -> None:
        super().__init__(parent, child)
        self.chance = chance
        self.watch = watch
        self.weather = Weather()
        self.settled: dict[Pipe, deque[Waiting]] = {}
        self._passable = asyncio.Event()
        self._passable.set()
        for pipe in (self.up, self.down):
            self.settled[pipe] = deque(maxlen=REMEMBERED)

    def block(self) -> None:
        """Let nothing through until `unblock`: sessions end, none begins."""
        self._passable.clear()
        self.cut()

    def unblock(self) -> None:
        self._passable.set()

    def bring_again(self) -> None:
        """Have the broker bring messages that were settled long ago, and cut every session."""
        for pipe, settled in self.settled.items():
            pipe.waiting.extendleft(Waiting(each.body, each.headers, True) for each in settled)
        self.cut()

    async def run_as(self, port: Any, handler: Handler, on_state: OnState) -> NoReturn:
        """Keep one node's end up; `port` is the life that runs it."""
        is_child = port.address == self.child
        peer = self.parent if is_child else self.child.rpartition(".")[2]
        pipes = (self.up, self.down) if is_child else (self.down, self.up)
        prefetch = PARENT_PREFETCH if is_child else CHILD_PREFETCH

        async def life(_attempt: int, opened: Any) -> None:
            await self._passable.wait()
            await port.pause(SLOW_S)
            if not self._passable.is_set():
                raise BrokerUnreachable("the line is down (simulated)")
            session = Wire(peer, *pipes, prefetch, line=self, port=port)
            self._open[session] = None
            opened()
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(handler(session))
                    tasks.create_task(session.until_ended())
            finally:
                self._open.pop(session, None)
                session.end()

        seed = port.address.encode()
        await supervise(life, peer=peer, seed=seed, on_state=on_state, backoff=PACE)


class Wire(MemorySession):
    """One end of a line during one life of the connection."""

    def __init__(
        self, peer: str, outgoing: Pipe, incoming: Pipe, prefetch: int, *, line: Line, port: Any
    ) -> None:
        super().__init__(peer, outgoing, incoming, prefetch)
        self._line = line
        self._port = port
        self._arrives = 0.0

    async def until_ended(self) -> NoReturn:
        await asyncio.shield(self.ended)
        self._check("session")
        raise AssertionError("an ended session says so")

    async def publish(self, body: bytes, headers: Mapping[str, HeaderValue] = NO_HEADERS) -> None:
        """Hand a message over; as Session.publish, with all that befalls it."""
        await self._port.effect("publish begins")
        self._check("publish")
        await self._travel(len(body))
        self._check("publish")
        chance, weather = self._line.chance, self._line.weather
        was_cut = chance.random() < weather.flaky
        if not was_cut or chance.random() < 0.5:
            self._take(body, headers)
        if was_cut:
            self._line.cut()
            raise PublishUnknown("publish: the connection went (simulated)")
        await self._port.effect("publish done")
        await asyncio.sleep(chance.uniform(QUICK_S, SLOW_S))
        self._check("publish")

    async def _travel(self, size: int) -> None:
        """Wait until a message of some size is at the broker, behind those sent before it."""
        weather, loop = self._line.weather, asyncio.get_running_loop()
        way = self._line.chance.uniform(QUICK_S, SLOW_S) + weather.delay_s
        begins = max(loop.time() + way, self._arrives)
        self._arrives = begins + size / weather.bytes_per_s
        await asyncio.sleep(self._arrives - loop.time())

    def _take(self, body: bytes, headers: Mapping[str, HeaderValue]) -> None:
        """Queue what has come to the broker, as the weather has it. Raises as MemorySession."""
        pipe, chance, weather = self._outgoing, self._line.chance, self._line.weather
        said = self._port.machine.say(self._line, body)
        if said is None:
            return
        body = said
        self._line.watch.published(self._port.address, self._line, body)
        self.check_room()
        if chance.random() < weather.lose:
            return
        if chance.random() < weather.damage:
            at = chance.randrange(len(body))
            body = body[:at] + bytes((body[at] ^ 1 << chance.randrange(8),)) + body[at + 1 :]
        for _ in range(1 + (chance.random() < weather.double)):
            message = Waiting(body, dict(headers))
            if chance.random() < weather.reorder:
                pipe.waiting.insert(chance.randrange(len(pipe.waiting) + 1), message)
            else:
                pipe.waiting.append(message)
        pipe.news.set()

    async def receive(self) -> Delivery:
        delivery = await super().receive()
        way = self._line.chance.uniform(QUICK_S, SLOW_S) + self._line.weather.delay_s
        await asyncio.sleep(way)
        self._check("receive")
        self._line.watch.delivered(self._port.address, self._line, delivery.body)
        await self._port.effect("delivered")
        return delivery

    async def settle_through(self, delivery: Delivery) -> None:
        await self._port.effect("settle begins")
        kept = [each for tag, each in self._unsettled.items() if tag <= delivery.tag]
        await super().settle_through(delivery)
        self._line.settled[self._incoming].extend(kept)
        await self._port.effect("settle done")
