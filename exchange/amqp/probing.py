"""Ask our own broker, when the daemon starts, whether links can stand on it."""

import asyncio
from collections.abc import Sequence

import aio_pika.abc

from exchange.amqp.channels import OPEN_TIMEOUT_S
from exchange.amqp.connect import PlainLogin, Target, close, connection
from exchange.amqp.rim import translated
from exchange.errors import BrokerUnsupported, LinkLost, RightRefused

UNSUPPORTED = {
    "4.2.6": "asks for a right to configure where none is due: upgrade to 4.2.7 or later",
    "4.3.0": "asks for a right to configure where none is due: upgrade to 4.3.1 or later",
}


async def probe(
    *, url: str, vhost: str, login: PlainLogin, queues: Sequence[str], name: str = "bbaj probe"
) -> list[str]:
    """Return what is amiss at our own broker; the list is empty where nothing is.

    `queues` are those that the daemon reads. Raises BrokerUnsupported, BrokerUnreachable,
    LoginRefused and LinkLost.
    """
    target = Target(url=url, vhost=vhost, name=name, heartbeat_s=10, login=login)
    async with connection(target, "probe") as opened:
        check_version(_version(opened))
        faults = [await _fault_of(opened, queue) for queue in queues]
    return [fault for fault in faults if fault is not None]


def check_version(version: str) -> None:
    """Raise BrokerUnsupported for the versions known to break what links stand on."""
    advice = UNSUPPORTED.get(version)
    if advice is not None:
        raise BrokerUnsupported(f"RabbitMQ {version} {advice}")


def _version(opened: aio_pika.abc.AbstractConnection) -> str:
    assert opened.transport is not None
    properties = opened.transport.connection.server_properties
    return str((properties or {}).get("version", "unknown"))


async def _fault_of(opened: aio_pika.abc.AbstractConnection, queue: str) -> str | None:
    channel = opened.channel(publisher_confirms=False)
    try:
        with translated(f"probe {queue}", LinkLost):
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                await channel.initialize()
                below = await channel.get_underlay_channel()
                await below.queue_declare(queue, passive=True, durable=True)
    except RightRefused as error:
        return str(error)
    finally:
        await close(channel)
    return None
