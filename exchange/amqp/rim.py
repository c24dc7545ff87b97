"""The rim: errors of aio_pika, aiormq, ssl and the system become ours by one table.

A transport wraps what it met, so the table is read along the chain of causes; the first row that
fits any link of the chain decides. What is left and is of the transport's kind becomes what the
caller says: unreachable while connecting, lost while consuming, unknown while publishing.
"""

import asyncio
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pamqp.commands
import pamqp.header
from aiormq import exceptions as amqp

from exchange.errors import (
    BrokerFull,
    BrokerUnreachable,
    LinkLost,
    LoginRefused,
    PublishUnknown,
    RightRefused,
    Unroutable,
)
from schemas.errors import BbajError
from store.cancels import cancel_count, raise_swallowed_cancel

_unmarshal_header = pamqp.header.ContentHeader.unmarshal


def _unmarshal_tolerantly(header: pamqp.header.ContentHeader, data: bytes) -> None:
    """Read a message's properties, or none where they can't be decoded.

    What any client writes there (text that is not UTF-8, a time out of range) would otherwise end
    the connection that all neighbours share. The size of the body has been read before them.
    """
    try:
        _unmarshal_header(header, data)
    except (ValueError, OverflowError, OSError, struct.error):
        header.properties = pamqp.commands.Basic.Properties()


pamqp.header.ContentHeader.unmarshal = _unmarshal_tolerantly  # type: ignore[assignment, method-assign]

Otherwise = type[BrokerUnreachable] | type[LinkLost] | type[PublishUnknown]

_TABLE: tuple[tuple[type[BaseException], type[BbajError], str], ...] = (
    (
        ssl.SSLCertVerificationError,
        LoginRefused,
        "the broker does not prove the name expected: check the url, the trusted root, our clock",
    ),
    (
        ssl.SSLError,
        LoginRefused,
        "no TLS: check that our link certificate is in force and of its root",
    ),
    (
        amqp.ProbableAuthenticationError,
        LoginRefused,
        "the broker knows no such login: have the operator of that node admit us",
    ),
    (
        amqp.AuthenticationError,
        LoginRefused,
        "the broker does not offer our way to log in: check the port, and its EXTERNAL plugin",
    ),
    (
        amqp.ConnectionNotAllowed,
        LoginRefused,
        "the broker admits us but not here: check virtual host, rights, number of connections",
    ),
    (
        amqp.InvalidFrameError,
        LoginRefused,
        "the broker broke off the login: check virtual host, rights, number of connections",
    ),
    (amqp.PublishError, Unroutable, "returned: have the broker provisioned again"),
    (amqp.DeliveryError, BrokerFull, "not taken: the queue is full or without a majority"),
    (
        amqp.ChannelAccessRefused,
        RightRefused,
        "no right: have the broker provisioned again",
    ),
    (
        amqp.ChannelNotFoundEntity,
        RightRefused,
        "no such queue or AMQP exchange: have the broker provisioned again",
    ),
    (amqp.ChannelLockedResource, RightRefused, "held by another connection alone"),
    (
        amqp.ChannelPreconditionFailed,
        RightRefused,
        "not as provisioned: have the broker provisioned again",
    ),
)
_CONNECTING: tuple[tuple[type[BaseException], type[BbajError], str], ...] = tuple(
    (
        kind,
        BrokerUnreachable,
        "cut off; where this lasts, check that our link certificate is in force and of its root",
    )
    # The alert that refuses a certificate may be overtaken by the reset that follows it.
    for kind in (ConnectionResetError, asyncio.IncompleteReadError)
)
_TRANSPORT = (amqp.AMQPError, OSError, RuntimeError, EOFError)
"""RuntimeError: how aiormq says that a channel or connection is closed already."""


@contextmanager
def translated(doing: str, otherwise: Otherwise) -> Iterator[None]:
    """Turn the libraries' errors into ours; `doing` begins the message, in lower case."""
    cancels = cancel_count()
    try:
        yield
    except asyncio.CancelledError as error:
        if cancel_count() > cancels:
            raise
        # aiormq ends what waits on a lost connection by cancelling it: nobody cancelled us.
        raise otherwise(f"{doing}: the connection ended") from error
    except BbajError:
        raise
    except Exception as error:
        if not _is_transport(error):
            raise
        raise translate(error, doing, otherwise) from error
    raise_swallowed_cancel(cancels)


def translate(error: BaseException, doing: str, otherwise: Otherwise) -> BbajError:
    """Return our error for theirs, by the table."""
    for kind, ours, advice in _TABLE + (_CONNECTING if otherwise is BrokerUnreachable else ()):
        for link in _causes(error):
            if isinstance(link, kind):
                return ours(f"{doing}: {advice} ({_shown(link)})")
    return otherwise(f"{doing}: {_shown(error)}")


def _is_transport(error: Exception) -> bool:
    # aiormq rejects what waits with the bare class where a connection closed without a reason.
    return isinstance(error, _TRANSPORT) or type(error) is Exception


def _causes(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__


def _shown(error: BaseException) -> str:
    """Return one line: the class, and what it says of itself."""
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said}"[:400] if said else type(error).__name__
