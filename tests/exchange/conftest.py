"""One private RabbitMQ and one PostgreSQL for this folder; each test makes its own in them."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from exchange.amqp import PlainLogin
from harness.link_broker import Broker, Child, private_broker
from harness.places import passing_place
from harness.service_node import private_server
from nodes.sandbox.postgres import PrivatePostgres


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    place = passing_place()
    with (
        tempfile.TemporaryDirectory("", "bbaj-", place, ignore_cleanup_errors=True) as name,
        private_broker(Path(name)) as broker,
    ):
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
