"""One private RabbitMQ for this folder's tests; each test takes children and systems of its own."""

from collections.abc import Iterator

import pytest

from exchange.amqp import PlainLogin
from harness.link_broker import Broker, Child, private_broker


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
