"""Keep something alive that ends for reasons of the world: back-off, jitter, states. No AMQP.

A *life* connects, says that it is open, and runs until it fails. What may be retried begins the
next life after a pause; everything else leaves `supervise`. The pause is drawn from a digest, so
that a thousand nodes cut off together do not come back together, and a test knows it beforehand.
"""

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Literal, NoReturn

import msgspec

from exchange.errors import LinkLost
from schemas.errors import BbajError, Fatal, OutcomeUnknown, Retryable


class LinkState(msgspec.Struct, frozen=True, gc=False):
    """What an observer is told: whose link, its state, and in words why it is down."""

    peer: str
    state: Literal["connecting", "up", "down"]
    detail: str = ""


OnState = Callable[[LinkState], None]

Life = Callable[[int, Callable[[], None]], Coroutine[Any, Any, None]]
"""Takes the number of the attempt (it chooses the url) and what to call once open."""


class Backoff(msgspec.Struct, frozen=True, gc=False):
    """Full jitter from `first_s`, doubling to `most_s`; `healthy_s` of health forgive all."""

    first_s: float = 0.5
    most_s: float = 60.0
    healthy_s: float = 60.0

    def ceiling_s(self, failures: int) -> float:
        """Return the longest pause after so many failures in a row, the first being 1."""
        return min(self.most_s, self.first_s * 2.0 ** min(failures - 1, 30))

    def delay_s(self, failures: int, fraction: float) -> float:
        """Return the pause: a fraction in [0, 1) of the longest."""
        return self.ceiling_s(failures) * fraction

    def failures_after(self, failures: int, healthy_for_s: float | None) -> int:
        """Return the failures in a row once another life ended, healthy for so long or never."""
        if healthy_for_s is not None and healthy_for_s >= self.healthy_s:
            return 1
        return failures + 1


def fraction(seed: bytes, attempt: int) -> float:
    """Return a number in [0, 1) that seed and attempt fix and that looks drawn."""
    digest = hashlib.sha256(seed + attempt.to_bytes(8, "big")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


async def supervise(
    life: Life, *, peer: str, seed: bytes, on_state: OnState, backoff: Backoff | None = None
) -> NoReturn:
    """Run one life after another for ever; see the module's rule.

    Raises Fatal where a life did, and groups with anything that is not the world's fault.
    """
    backoff = backoff or Backoff()
    clock = asyncio.get_running_loop().time
    failures = 0
    attempt = 0
    while True:
        opened_at: list[float] = []

        def opened(opened_at: list[float] = opened_at) -> None:
            opened_at.append(clock())
            on_state(LinkState(peer, "up"))

        on_state(LinkState(peer, "connecting"))
        try:
            await _alone(life(attempt, opened))
            reason: BbajError = LinkLost("the life ended by itself")
        except (BbajError, ExceptionGroup) as error:
            reason = world_fault(error)
        except asyncio.CancelledError:
            on_state(LinkState(peer, "down", "stopped"))
            raise
        healthy_for_s = clock() - opened_at[0] if opened_at else None
        failures = backoff.failures_after(failures, healthy_for_s)
        pause_s = backoff.delay_s(failures, fraction(seed, attempt))
        on_state(LinkState(peer, "down", f"{reason} (next attempt in {pause_s:.1f} s)"))
        await asyncio.sleep(pause_s)
        attempt += 1


async def _alone(life: Coroutine[Any, Any, None]) -> None:
    """Await a life in a task of its own, and end with it.

    A group that fails while it is cancelled raises its errors, and the cancel is spent; one that
    fails by itself leaves its task marked as cancelled (Python 3.11 and 3.12). Neither may happen
    to the task that supervises.
    """
    task = asyncio.get_running_loop().create_task(life)
    stopped = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            stopped = True
            task.cancel()
    if stopped:
        if not task.cancelled():
            task.exception()  # taken note of: nobody else asks
        raise asyncio.CancelledError
    task.result()


def world_fault(error: BbajError | ExceptionGroup[Exception]) -> BbajError:
    """Return the error that tells most, where all are the world's fault; else raise.

    Raises the first Fatal in `error`, or `error` itself where something in it is unexpected.
    """
    leaves = list(_leaves(error))
    for leaf in leaves:
        if isinstance(leaf, Fatal):
            raise leaf
    told = [leaf for leaf in leaves if isinstance(leaf, Retryable | OutcomeUnknown)]
    if len(told) < len(leaves):
        raise error
    # A lost link fails its publishes too: the cause tells more than the doubt.
    return min(told, key=lambda leaf: isinstance(leaf, OutcomeUnknown))


def _leaves(error: Exception) -> Iterator[Exception]:
    if isinstance(error, ExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
