"""Run endpoints in a test, and get at the sessions of each of their lives."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

from exchange.sessions import Delivery
from exchange.supervisor import LinkState

PATIENCE_S = 30.0

S = TypeVar("S")


class Lives(Generic[S]):
    """A handler that hands each life's session to the test, and keeps it while it lives."""

    def __init__(self) -> None:
        self.sessions: asyncio.Queue[S] = asyncio.Queue()
        self.cancelled = 0

    async def handle(self, session: S) -> None:
        await self.sessions.put(session)
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled += 1

    async def next(self) -> S:
        async with asyncio.timeout(PATIENCE_S):
            return await self.sessions.get()


class States:
    """An observer that keeps all that it was told."""

    def __init__(self) -> None:
        self.told: list[LinkState] = []
        self._news = asyncio.Event()

    def __call__(self, state: LinkState) -> None:
        self.told.append(state)
        self._news.set()

    async def until(self, state: str, peer: str | None = None, text: str = "") -> LinkState:
        """Wait for a state of a peer whose detail contains `text`, told since the last call."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for index, told in enumerate(self.told):
                    if told.state == state and peer in {None, told.peer} and text in told.detail:
                        del self.told[: index + 1]
                        return told
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def running(*runs: Coroutine[Any, Any, Any]) -> AsyncIterator[None]:
    """Run endpoints beside the block, and stop them after it."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run) for run in runs]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def soon(session: Any) -> Delivery:
    """Return the next delivery, or fail."""
    async with asyncio.timeout(PATIENCE_S):
        return await session.receive()


async def nothing_dead(_body: bytes, _headers: dict[str, Any]) -> None:
    raise AssertionError("a dead letter")
