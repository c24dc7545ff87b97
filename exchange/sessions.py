"""Sessions: the port between the protocol and whatever carries its messages. No AMQP, no I/O.

A session is one neighbour (or one local system) during one life of the connection. The memory
twin and the AMQP adapter pass one contract suite.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Literal, Protocol

import msgspec

HeaderValue = str | int | bool
NO_HEADERS: Mapping[str, HeaderValue] = {}


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One message as it came; nothing in it is proven but its body's own signatures.

    Headers of other kinds than text, integer and truth value are left out. `life` and `tag` are
    the carrier's: they say where it is settled.
    """

    body: bytes
    headers: dict[str, HeaderValue]
    redelivered: bool
    tag: int
    life: int
    content_type: str = ""
    user_id: str = ""


class Session(Protocol):
    """One neighbour, one life of the connection. After LinkLost or doubt, it is over."""

    peer: str

    async def publish(self, body: bytes, headers: Mapping[str, HeaderValue] = NO_HEADERS) -> None:
        """Hand a message over; on return the broker has it on disk. May be called concurrently.

        Raises BrokerFull and Unroutable when surely not taken (the session goes on), and
        PublishUnknown, LinkLost or RightRefused when the session is over. The caller publishes
        again.
        """

    async def receive(self) -> Delivery:
        """Return the next message; as many as the prefetch may be unsettled."""

    async def settle_through(self, delivery: Delivery) -> None:
        """Settle this delivery and all before it in this session, and no other's.

        Raises LinkLost where it belongs to an earlier life: it will come again.
        """


class LocalSession(Protocol):
    """One local system, one life of the connection; otherwise as Session."""

    peer: str

    async def publish_to(
        self,
        place: Literal["inbox", "status"],
        body: bytes,
        headers: Mapping[str, HeaderValue] = NO_HEADERS,
        content_type: str = "application/json",
    ) -> None:
        """Hand a message to the system's inbox or status queue; as Session.publish."""

    async def receive_some(self, count_max: int, bytes_max: int) -> list[Delivery]:
        """Return the next drop and what has come with it: no more once there are so many bytes."""

    async def settle_through(self, delivery: Delivery) -> None:
        """Settle this drop and all before it; as Session.settle_through."""


Handler = Callable[[Session], Awaitable[None]]
"""Runs as long as the session; is cancelled when the connection is lost."""
LocalHandler = Callable[[LocalSession], Awaitable[None]]
DeadHandler = Callable[[bytes, dict[str, HeaderValue]], Awaitable[None]]
"""Takes what the broker gave up on; on return it is settled."""
LogHandler = Callable[[bytes], Awaitable[None]]
"""Takes one entry of the broker's own log; on return it is settled."""
