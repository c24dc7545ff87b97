"""Requests to end a task: none may be spent on something else that fails in the same moment."""

import asyncio


def cancel_count() -> int:
    """Return how often the running task was asked to end."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def raise_swallowed_cancel(cancels: int) -> None:
    """Raise CancelledError where the task was asked to end since `cancels` were counted.

    A library that tidies up meanwhile may fail at it, and raise that in place of the request; one
    that waits in a task of its own may spend it there. Whoever waits for the task that was to end
    would then wait for ever.
    """
    if cancel_count() > cancels:
        raise asyncio.CancelledError
