"""The rival within the broker: RabbitMQ's shovel, on-confirm, between quorum queues, over TLS.

It checks, keeps and answers nothing, and its bytes never leave the Erlang machine but for one
connection each way.
"""

import asyncio
import json
import time
from urllib.parse import urlencode

import aio_pika

from exchange.amqp import ClientTls
from nodes.bench.bare import SOURCE, TARGET
from nodes.sandbox.processes import copy_for_service
from nodes.sandbox.rabbitmq import PrivateBroker

PLUGIN = "rabbitmq_shovel"
NAME = "bench"
PREFETCH = 1000
POLL_S = 0.005


class Shovel:
    """Moves what lies in SOURCE to TARGET."""

    def __init__(self, broker: PrivateBroker, vhost: str, tls: ClientTls, server_name: str) -> None:
        """Log in at a broker that has the plugin, as the owner of a link certificate."""
        self._broker = broker
        self._vhost = vhost
        folder = broker.folder / "shovel"
        options = {
            "auth_mechanism": "external",
            "verify": "verify_peer",
            "server_name_indication": server_name,
            "cacertfile": copy_for_service(tls.ca, folder / "root.pem"),
            "certfile": copy_for_service(tls.certificate, folder / "link.pem"),
            "keyfile": copy_for_service(tls.key, folder / "link.key"),
        }
        self._url = f"amqps://127.0.0.1:{broker.amqps_port}/{vhost}?{urlencode(options, safe='/')}"

    async def run(self, count: int, watching: aio_pika.abc.AbstractChannel) -> float:
        """Return the messages a second of moving `count`, from the first one seen to arrive.

        `watching` is somebody's channel, by which TARGET's depth is read.
        """
        definition = {
            "src-protocol": "amqp091",
            "src-uri": self._url,
            "src-queue": SOURCE,
            "src-prefetch-count": PREFETCH,
            "dest-protocol": "amqp091",
            "dest-uri": self._url,
            "dest-queue": TARGET,
            "ack-mode": "on-confirm",
        }
        words = ("-p", self._vhost, "shovel", NAME)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._broker.ctl("set_parameter", *words, json.dumps(definition)))
            first = await _reach(watching, 1)
            began = time.perf_counter()
            await _reach(watching, count)
            took_s = time.perf_counter() - began
        await self._broker.ctl("clear_parameter", *words)
        return (count - first) / took_s


async def _reach(watching: aio_pika.abc.AbstractChannel, count: int) -> int:
    """Return how many messages TARGET holds, once there are `count`."""
    while True:
        queue = await watching.declare_queue(TARGET, passive=True)
        held = queue.declaration_result.message_count or 0
        if held >= count:
            return held
        await asyncio.sleep(POLL_S)
