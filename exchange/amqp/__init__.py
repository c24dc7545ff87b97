"""The AMQP adapter: the one place of this package that knows aio_pika, aiormq and ssl."""

from exchange.amqp.connect import ClientTls, PlainLogin
from exchange.amqp.endpoints import LocalEndpoint, OwnBrokerEndpoint, ParentEndpoint
from exchange.amqp.probing import probe
from exchange.amqp.trying import Attempt, try_forbidden
from exchange.sessions import (
    DeadHandler,
    Delivery,
    Handler,
    HeaderValue,
    LocalHandler,
    LocalSession,
    Session,
)
from exchange.supervisor import Backoff, LinkState, OnState

__all__ = [
    "Attempt",
    "Backoff",
    "ClientTls",
    "DeadHandler",
    "Delivery",
    "Handler",
    "HeaderValue",
    "LinkState",
    "LocalEndpoint",
    "LocalHandler",
    "LocalSession",
    "OnState",
    "OwnBrokerEndpoint",
    "ParentEndpoint",
    "PlainLogin",
    "Session",
    "probe",
    "try_forbidden",
]
