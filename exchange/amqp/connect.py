"""Open and close connections: TLS with EXTERNAL to a parent, PLAIN over loopback to our own."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aio_pika
import aio_pika.abc
import msgspec
from yarl import URL

from exchange.amqp.rim import translated
from exchange.errors import BrokerUnreachable
from store.cancels import cancel_count, raise_swallowed_cancel

CLOSE_TIMEOUT_S = 3.0
CONNECT_TIMEOUT_S = 10.0


class ClientTls(msgspec.Struct, frozen=True):
    """Where the link's key material lies; read anew at each connect, so that a renewal counts.

    `certificate` holds our link certificate and the authority's behind it; `ca` the root alone.
    """

    ca: Path
    certificate: Path
    key: Path
    key_password: bytes | None = None

    def __repr__(self) -> str:
        return f"ClientTls(certificate={str(self.certificate)!r})"

    def context(self) -> ssl.SSLContext:
        """Return a new context that wants TLS 1.2 or later and a name that the root vouches for."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(self.ca)
        # Without a password, OpenSSL would ask for one at the terminal, and wait.
        context.load_cert_chain(self.certificate, self.key, self.key_password or b"")
        return context


class PlainLogin(msgspec.Struct, frozen=True):
    """User and password at our own broker; never used but over loopback."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"PlainLogin(user={self.user!r})"


class Target(msgspec.Struct, frozen=True):
    """Where to connect to, and how to prove who both are. `broker_name` goes with TLS only."""

    url: str
    vhost: str
    name: str
    heartbeat_s: int
    tls: ClientTls | None = None
    broker_name: str | None = None
    login: PlainLogin | None = None

    def timeout_s(self) -> float:
        """Return how long connecting may take; slow lines are told by a slow heartbeat."""
        return max(CONNECT_TIMEOUT_S, float(self.heartbeat_s))

    def shown(self) -> str:
        """Return the url without what it may hold of secrets."""
        url = URL(self.url)
        return f"{url.scheme}://{url.host}:{url.port}/{self.vhost}"

    def full_url(self, role: str) -> URL:
        """Return the url as aiormq wants it; `role` tells a link's two connections apart."""
        query = {"heartbeat": str(self.heartbeat_s), "name": f"{self.name} {role}"}
        if self.tls is not None:
            query["auth"] = "EXTERNAL"
        url = URL(self.url).with_path("/" + quote(self.vhost, safe=""), encoded=True)
        if self.login is not None:
            url = url.with_user(self.login.user).with_password(self.login.password)
        return url.with_query(query)


@asynccontextmanager
async def connection(target: Target, role: str) -> AsyncIterator[aio_pika.abc.AbstractConnection]:
    """Connect, and close however the block ends.

    Raises BrokerUnreachable and LoginRefused.
    """
    opened = await _connect(target, role)
    try:
        yield opened
    finally:
        await close(opened)


async def _connect(target: Target, role: str) -> aio_pika.abc.AbstractConnection:
    made: aio_pika.Connection | None = None
    with translated(f"connect to {target.shown()}", BrokerUnreachable):
        try:
            async with asyncio.timeout(target.timeout_s()):
                context = await asyncio.to_thread(target.tls.context) if target.tls else None
                made = aio_pika.Connection(target.full_url(role), ssl_context=context)
                if target.tls is not None:
                    # connect(server_hostname=) is dropped without a word; this is not.
                    made.kwargs["server_hostname"] = target.broker_name
                await made.connect()
                return made
        except BaseException:
            if made is not None:
                await close(made)
            raise


async def close(closable: Any) -> None:  # noqa: ANN401 - connections and channels alike
    """Close a connection or channel, giving up after a while: it may be dead already."""
    cancels = cancel_count()
    # CancelledError too: aiormq cancels what waits on a connection that is gone.
    with suppress(Exception, asyncio.CancelledError):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await closable.close()
    raise_swallowed_cancel(cancels)
