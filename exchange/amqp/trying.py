"""Logs in as a child and tries what a child must not do; each attempt has to be refused.

An attempt that is let through does no harm: its names lead nowhere, what it reads goes back.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator
from enum import StrEnum

import aio_pika
import aio_pika.abc
import msgspec

from exchange.amqp.channels import OPEN_TIMEOUT_S
from exchange.amqp.connect import Target, close, connection
from exchange.amqp.rim import translated
from exchange.errors import BrokerFull, LinkLost, RightRefused, Unroutable

ACCESS_REFUSED = "ACCESS_REFUSED"

_Action = Callable[[aio_pika.abc.AbstractChannel], Awaitable[object]]


class Act(StrEnum):
    """What a child must not do."""

    WRITE_UP = "write-up"
    """To `up`, under a key that is not its own."""
    WRITE = "write"
    """To an AMQP exchange that is not for it."""
    WRITE_DEFAULT = "write-default"
    READ = "read"
    DECLARE_QUEUE = "declare-queue"
    DECLARE_EXCHANGE = "declare-exchange"


class Attempt(msgspec.Struct, frozen=True):
    """One forbidden thing, and whether the broker refused it."""

    act: Act
    name: str
    """Of what it was tried on; empty where it is made for the trial."""
    refused: bool


async def try_forbidden(target: Target, key: str) -> list[Attempt]:
    """Try all that the child with link key `key` must not do; return what came of each.

    Raises BrokerUnreachable, LoginRefused, and LinkLost where the connection ends meanwhile.
    """
    async with connection(target, "doctor") as opened:
        return [
            Attempt(act, name, await _is_refused(opened, action))
            for act, name, action in _forbidden(key)
        ]


def _forbidden(key: str) -> Iterator[tuple[Act, str, _Action]]:
    nowhere = f"doctor-{secrets.token_hex(4)}"
    for other in (nowhere, f"{key}0", f"x{key}", "#"):
        yield Act.WRITE_UP, other, _publishing("up", other)
    for exchange in ("down", "dead"):
        yield Act.WRITE, exchange, _publishing(exchange, nowhere)
    yield Act.WRITE_DEFAULT, "", _publishing("", nowhere)
    for queue in (f"up.{key}", f"down.{nowhere}", f"down.{key}0", "dead"):
        yield Act.READ, queue, _reading(queue)
    yield Act.DECLARE_QUEUE, "", _declaring_queue(nowhere)
    yield Act.DECLARE_EXCHANGE, "", _declaring(nowhere)


def _publishing(exchange: str, key: str) -> _Action:
    async def publish(channel: aio_pika.abc.AbstractChannel) -> None:
        where = await channel.get_exchange(exchange, ensure=False)
        await where.publish(aio_pika.Message(b""), key, mandatory=True)

    return publish


def _reading(name: str) -> _Action:
    async def read(channel: aio_pika.abc.AbstractChannel) -> None:
        queue = await channel.get_queue(name, ensure=False)
        await queue.get(no_ack=False, fail=False)

    return read


def _declaring_queue(name: str) -> _Action:
    async def declare(channel: aio_pika.abc.AbstractChannel) -> None:
        await channel.declare_queue(name, exclusive=True)  # it goes with the connection at last
        await channel.queue_delete(name)

    return declare


def _declaring(name: str) -> _Action:
    async def declare(channel: aio_pika.abc.AbstractChannel) -> None:
        await channel.declare_exchange(name, auto_delete=True)
        await channel.exchange_delete(name)

    return declare


async def _is_refused(opened: aio_pika.abc.AbstractConnection, action: _Action) -> bool:
    """Do one thing on a channel of its own; what was read goes back with the channel."""
    channel = opened.channel(on_return_raises=True)
    try:
        with translated("try what is forbidden", LinkLost):
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                await channel.initialize()
                await action(channel)
    except (RightRefused, LinkLost) as error:
        if ACCESS_REFUSED in str(error):
            return True
        if isinstance(error, LinkLost):
            raise
        return False  # not there, not as declared: the right itself was not in the way
    except (Unroutable, BrokerFull):
        return False
    finally:
        await close(channel)
    return False
