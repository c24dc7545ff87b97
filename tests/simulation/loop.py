"""An event loop of virtual time: nothing waits for real, and one seed gives one order of events.

What is ready runs in the order in which it became ready, as asyncio promises. What becomes ready
when is drawn: each port of a node (network, record, threads) takes a time from the seed. Tasks hash
by their number, so that no set of them is walked in the order of addresses in memory.
"""

import asyncio
import itertools
from collections.abc import Callable
from contextvars import Context
from random import Random
from typing import Any

TASKS_MAX = 30_000
"""No run of so small a country begins more: it is a storm."""
THREAD_S = 0.002
"""A piece of work in another thread is done within this time."""


class StuckError(Exception):
    """Nothing is scheduled any more, and the run is not over; or there is no end of tasks."""


class NumberedTask(asyncio.Task[Any]):
    """A task whose hash is the same in every run."""

    _numbers = itertools.count(1)

    def __init__(self, coroutine: Any, **options: Any) -> None:
        self.number = next(self._numbers)
        if self.number > TASKS_MAX:
            coroutine.close()
            raise StuckError(f"no rest: {TASKS_MAX} tasks were begun")
        super().__init__(coroutine, **options)

    def __hash__(self) -> int:
        return self.number


class _NoDevices:
    """Stands where a selector would: time passes instead."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise StuckError("nothing is scheduled: everybody waits for somebody")
        self._loop.pass_time(timeout)
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs callbacks at virtual times; `time` is seconds since the start of the run."""

    def __init__(self, chance: Random) -> None:
        super().__init__()
        self._now = 0.0
        self._chance = chance
        self._selector = _NoDevices(self)
        NumberedTask._numbers = itertools.count(1)
        self.set_task_factory(
            lambda loop, coroutine, **options: NumberedTask(coroutine, loop=loop, **options)
        )

    def time(self) -> float:
        return self._now

    def pass_time(self, seconds: float) -> None:
        """Be so much later; called when nothing is ready."""
        if seconds > 0:
            self._now += seconds

    def run_in_executor(  # type: ignore[override]
        self, _executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Do it at once, and tell after a while, as another thread would."""
        future = self.create_future()
        try:
            told: Callable[[], None] = _teller(future, func(*args))
        except Exception as error:  # noqa: BLE001 - whoever awaits it gets it
            told = _teller(future, error)
        self.call_later(self._chance.random() * THREAD_S, told)
        return future

    def call_soon_threadsafe(
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """There are no other threads."""
        return self.call_soon(callback, *args, context=context)

    def _process_events(self, _events: list[Any]) -> None:
        """There are no devices."""

    def _write_to_self(self) -> None:
        """Nobody sleeps."""


def _teller(future: asyncio.Future[Any], outcome: Any) -> Callable[[], None]:
    def tell() -> None:
        if future.done():
            return
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    return tell
