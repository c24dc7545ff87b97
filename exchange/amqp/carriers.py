"""Sessions over AMQP: a publisher and a consumer, and the address that what is published bears."""

from collections.abc import Mapping
from typing import Literal

from exchange.amqp.channels import Consumer, Publisher
from exchange.sessions import NO_HEADERS, Delivery, HeaderValue

LINK_CONTENT = "application/octet-stream"


class _Carrier:
    """What both kinds of session share."""

    def __init__(self, peer: str, publisher: Publisher, consumer: Consumer) -> None:
        self.peer = peer
        self._publisher = publisher
        self._consumer = consumer

    async def receive(self) -> Delivery:
        """Return the next message; as Session.receive."""
        return await self._consumer.receive()

    async def receive_some(self, count_max: int, bytes_max: int) -> list[Delivery]:
        """Return what has come; as LocalSession.receive_some."""
        return await self._consumer.receive_some(count_max, bytes_max)

    async def settle_through(self, delivery: Delivery) -> None:
        """Settle up to here; as Session.settle_through."""
        await self._consumer.settle_through(delivery)


class LinkCarrier(_Carrier):
    """A Session: what it publishes goes to one AMQP exchange under one routing key."""

    def __init__(
        self, peer: str, publisher: Publisher, consumer: Consumer, to: tuple[str, str]
    ) -> None:
        super().__init__(peer, publisher, consumer)
        self._to = to

    async def publish(self, body: bytes, headers: Mapping[str, HeaderValue] = NO_HEADERS) -> None:
        """Publish to the neighbour; as Session.publish."""
        await self._publisher.publish(body, to=self._to, headers=headers, content_type=LINK_CONTENT)


class SystemCarrier(_Carrier):
    """A LocalSession: it publishes to its system's inbox or status."""

    async def publish_to(
        self,
        place: Literal["inbox", "status"],
        body: bytes,
        headers: Mapping[str, HeaderValue] = NO_HEADERS,
        content_type: str = "application/json",
    ) -> None:
        """Publish to the system; as LocalSession.publish_to."""
        await self._publisher.publish(
            body, to=(place, self.peer), headers=headers, content_type=content_type
        )
