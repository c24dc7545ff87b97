"""Channels of one life: one that publishes with broker confirms, others that consume.

aio_pika opens and closes; what moves messages speaks to the channel below it, which spares an
object and a guard for each message.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import aio_pika.abc
import aiormq
import aiormq.abc

from exchange.amqp.connect import close
from exchange.amqp.rim import translate, translated
from exchange.errors import LinkLost, PublishUnknown
from exchange.pace import Pace
from exchange.sessions import Delivery, HeaderValue
from schemas.limits import MESSAGE_BYTES_MAX

OPEN_TIMEOUT_S = 10.0
PERSISTENT = 2

_lives = itertools.count(1)


class Ending:
    """Resolves once: with why a connection or channel ended that this life stands on."""

    def __init__(self) -> None:
        self._reason: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    def watch(self, closable: Any, doing: str) -> None:  # noqa: ANN401 - connections and channels
        """Take the close callback of a connection or channel."""

        def on_close(_: object, error: BaseException | None) -> None:
            self.tell(translate(error or LinkLost("closed"), doing, LinkLost))

        closable.close_callbacks.add(on_close)

    def tell(self, reason: Exception) -> None:
        """Say that it ended; the first reason counts."""
        if not self._reason.done():
            self._reason.set_result(reason)

    async def reached(self) -> NoReturn:
        """Wait for the end and raise its reason."""
        raise await asyncio.shield(self._reason)


class Publisher:
    """One channel with broker confirms, shared by all sessions of a life."""

    def __init__(self, channel: aiormq.abc.AbstractChannel, user_id: str) -> None:
        self._channel = channel
        self._user_id = user_id
        self._clock = asyncio.get_running_loop().time
        self.pace = Pace()

    async def publish(
        self,
        body: bytes,
        *,
        to: tuple[str, str],
        headers: Mapping[str, HeaderValue],
        content_type: str,
    ) -> None:
        """Publish to AMQP exchange and routing key; as Session.publish."""
        # The broker would close the channel on a larger one, and lose all that is in flight on it.
        assert len(body) <= MESSAGE_BYTES_MAX, f"{len(body)} bytes, limit {MESSAGE_BYTES_MAX}"
        exchange, routing_key = to
        # No message_id: aiormq makes a unique one, by which it matches returns.
        properties = aiormq.spec.Basic.Properties(
            content_type=content_type,
            delivery_mode=PERSISTENT,
            headers=dict(headers),
            user_id=self._user_id,
        )
        self.pace.place(len(body), self._clock())
        try:
            with translated(f"publish to {exchange}/{routing_key}", PublishUnknown):
                async with asyncio.timeout(self.pace.timeout_s()):
                    answer = await self._channel.basic_publish(
                        body,
                        exchange=exchange,
                        routing_key=routing_key,
                        properties=properties,
                        mandatory=True,
                    )
        except BaseException:
            self.pace.drop(len(body))
            raise
        # Returns and nacks were raised; nothing else answers a publish with confirms on.
        assert isinstance(answer, aiormq.spec.Basic.Ack), f"{answer!r}"
        self.pace.confirm(len(body), self._clock())


class Consumer:
    """One channel that consumes one queue, so that a multiple ack settles nothing else."""

    def __init__(self, channel: aiormq.abc.AbstractChannel, queue: str, prefetch: int) -> None:
        self._channel = channel
        self._queue = queue
        self._inbox: asyncio.Queue[Delivery] = asyncio.Queue(prefetch)
        self._life = next(_lives)

    def take(self, message: aiormq.abc.DeliveredMessage) -> None:
        """Enqueue a message and do nothing else: callbacks are cancelled with the channel."""
        properties = message.header.properties
        deliver = message.delivery
        assert isinstance(deliver, aiormq.spec.Basic.Deliver)
        # Never full: the broker holds back what is beyond the prefetch.
        self._inbox.put_nowait(
            Delivery(
                body=message.body,
                headers=plain_headers(properties.headers),
                redelivered=bool(deliver.redelivered),
                tag=deliver.delivery_tag or 0,
                life=self._life,
                content_type=properties.content_type or "",
                user_id=properties.user_id or "",
            )
        )

    async def receive(self) -> Delivery:
        """Return the next message; as Session.receive."""
        return await self._inbox.get()

    async def receive_some(self, count_max: int, bytes_max: int) -> list[Delivery]:
        """Return what has come, at least one; as LocalSession.receive_some."""
        found = [await self._inbox.get()]
        size = len(found[0].body)
        while len(found) < count_max and size < bytes_max and not self._inbox.empty():
            found.append(self._inbox.get_nowait())
            size += len(found[-1].body)
        return found

    async def settle_through(self, delivery: Delivery) -> None:
        """Settle by one multiple ack; as Session.settle_through."""
        if delivery.life != self._life:
            raise LinkLost(f"settle on {self._queue}: the delivery is of an earlier life")
        with translated(f"settle on {self._queue}", LinkLost):
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                await self._channel.basic_ack(delivery.tag, multiple=True, wait=False)


def plain_headers(table: Mapping[str, object] | None) -> dict[str, HeaderValue]:
    """Return the headers that are text, integers or truth values; leave out the rest."""
    return {
        str(name): value
        for name, value in (table or {}).items()
        if isinstance(value, str | int)  # bool is an int
    }


@asynccontextmanager
async def publisher(
    on: aio_pika.abc.AbstractConnection, user_id: str, ending: Ending
) -> AsyncIterator[Publisher]:
    """Open the publishing channel of a life."""
    # on_return_raises: else an unroutable message would come back as if it had been taken.
    channel = on.channel(publisher_confirms=True, on_return_raises=True)
    async with _opened(channel, "open the publishing channel", ending) as below:
        yield Publisher(below, user_id)


async def bind(
    on: aio_pika.abc.AbstractConnection, queue: str, bindings: Sequence[tuple[str, str]]
) -> None:
    """Bind a queue to AMQP exchanges, each by a routing key; harmless where it is."""
    if not bindings:
        return
    channel = on.channel(publisher_confirms=False)
    async with _opened(channel, f"bind {queue}", Ending()) as below:
        for exchange, routing_key in bindings:
            with translated(f"bind {queue} to {exchange}", LinkLost):
                await below.queue_bind(queue, exchange, routing_key, timeout=OPEN_TIMEOUT_S)


@asynccontextmanager
async def consumer(
    on: aio_pika.abc.AbstractConnection, queue: str, prefetch: int, ending: Ending
) -> AsyncIterator[Consumer]:
    """Open a channel and consume `queue`, which is never declared."""
    doing = f"consume {queue}"
    channel = on.channel(publisher_confirms=False)
    async with _opened(channel, doing, ending) as below:
        consuming = Consumer(below, queue, prefetch)

        def on_cancel(_: object) -> None:
            ending.tell(LinkLost(f"{doing}: the broker ended it; is the queue gone?"))

        below.on_consumer_cancel_callbacks.add(on_cancel)
        with translated(doing, LinkLost):
            await below.basic_qos(prefetch_count=prefetch, timeout=OPEN_TIMEOUT_S)
            take: Callable[[aiormq.abc.DeliveredMessage], Any] = consuming.take
            await below.basic_consume(queue, take, timeout=OPEN_TIMEOUT_S)
        yield consuming


@asynccontextmanager
async def _opened(
    channel: aio_pika.abc.AbstractChannel, doing: str, ending: Ending
) -> AsyncIterator[aiormq.abc.AbstractChannel]:
    try:
        with translated(doing, LinkLost):
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                await channel.initialize()
                below = await channel.get_underlay_channel()
        ending.watch(channel, doing)
        yield below
    finally:
        await close(channel)
