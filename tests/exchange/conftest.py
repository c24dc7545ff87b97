"""One private RabbitMQ and one PostgreSQL for this folder; each test makes its own in them."""

from collections.abc import AsyncIterator, Iterator

import pytest

from exchange.amqp import PlainLogin
from harness.link_broker import Broker, Child, private_broker
from harness.service_node import private_server
from nodes.sandbox.postgres import PrivatePostgres


@pytest.fixture(scope="session")
def broker(tmp_path_factory) -> Iterator[Broker]:
    with private_broker(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture
def child(broker) -> Child:
    return broker.new_child()


@pytest.fixture
def system(broker) -> PlainLogin:
    return broker.new_system()


@pytest.fixture(scope="session")
async def server() -> AsyncIterator[PrivatePostgres]:
    async with private_server() as server:
        yield server
