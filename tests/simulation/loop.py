"""An event loop of virtual time: nothing waits for real, and one seed gives one order of events.

What is ready runs in the order in which it became ready, as asyncio promises. What becomes ready
when is drawn: each port of a node (network, record, threads) takes a time from the seed. Tasks hash
by their number, so that no set of them is walked in the order of addresses in memory.
"""

import asyncio
import itertools
from collections.abc import Callable
from contextvars import Context
from heapq import heapify, heappop
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


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs callbacks at virtual times; `time` is seconds since the start of the run."""

    def __init__(self, chance: Random) -> None:
        super().__init__()
        self._now = 0.0
        self._chance = chance
        NumberedTask._numbers = itertools.count(1)
        self.set_task_factory(
            lambda loop, coroutine, **options: NumberedTask(coroutine, loop=loop, **options)
        )

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        """Run what is ready, or else what comes first; as asyncio does, but nothing waits."""
        ready, scheduled = self._ready, self._scheduled
        if not ready:
            self._drop_cancelled()
            if not scheduled:
                raise StuckError("nothing is scheduled: everybody waits for somebody")
            self._now = max(self._now, scheduled[0].when())
            while scheduled and scheduled[0].when() <= self._now:
                timer = heappop(scheduled)
                timer._scheduled = False
                ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._context.run(handle._callback, *handle._args)

    def _drop_cancelled(self) -> None:
        """Leave out timers that were cancelled, once they are many or come first."""
        scheduled = self._scheduled
        if 2 * self._timer_cancelled_count > len(scheduled):
            for timer in scheduled:
                timer._scheduled = not timer._cancelled
            scheduled[:] = [timer for timer in scheduled if timer._scheduled]
            heapify(scheduled)
            self._timer_cancelled_count = 0
        while scheduled and scheduled[0]._cancelled:
            self._timer_cancelled_count -= 1
            heappop(scheduled)._scheduled = False

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
