"""A pair of connections, one that publishes and one that consumes, and the routes served on it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aio_pika.abc
import msgspec

from exchange.amqp.channels import Consumer, Ending, Publisher, bind, consumer, publisher
from exchange.amqp.connect import Target, connection
from exchange.supervisor import Backoff

Work = Callable[[Publisher, Consumer], Awaitable[None]]


class Pair(msgspec.Struct):
    """One life of both connections; `ending` resolves when either is lost, or may not publish."""

    publishing: Publisher
    consuming: aio_pika.abc.AbstractConnection
    ending: Ending


class Route(msgspec.Struct, frozen=True):
    """A queue that is consumed on a channel of its own, and the work that is done with it."""

    peer: str
    queue: str
    prefetch: int
    work: Work
    bindings: tuple[tuple[str, str], ...] = ()
    """AMQP exchange and routing key, each bound to the queue first; else the plan has bound it."""
    backoff: Backoff | None = None
    """The route's own pace; else the endpoint's."""


@asynccontextmanager
async def pair_of_connections(target: Target, user_id: str) -> AsyncIterator[Pair]:
    """Connect twice; the consuming one stays free of what a publish may do to its connection."""
    ending = Ending()
    async with connection(target, "publish") as one, connection(target, "consume") as other:
        ending.watch(one, f"publishing connection to {target.shown()}")
        ending.watch(other, f"consuming connection to {target.shown()}")
        async with publisher(one, user_id, ending) as publishing:
            yield Pair(publishing, other, ending)


async def serve(pair: Pair, route: Route, opened: Callable[[], None]) -> None:
    """Consume a route's queue and do its work until either ends; call `opened` in between."""
    ending = Ending()
    await bind(pair.consuming, route.queue, route.bindings)
    async with consumer(pair.consuming, route.queue, route.prefetch, ending) as consuming:
        opened()
        await until_ended(ending, route.work(pair.publishing, consuming))


async def until_ended(ending: Ending, work: Awaitable[None]) -> None:
    """Do the work; cancel it when the ending is reached, and raise its reason (in a group)."""
    async with asyncio.TaskGroup() as group:
        watch = group.create_task(ending.reached())
        await work
        watch.cancel()
