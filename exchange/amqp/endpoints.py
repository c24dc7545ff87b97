"""The three endpoints of a node: its parent's broker, its own for children, its own for systems.

All are routes on a pair of connections. Whatever ends either connection, or the channel that
publishes, ends the pair and all its sessions; what ends one consuming channel, or one handler, at
our own broker ends that session alone: siblings do not feel it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from exchange.amqp.carriers import LinkCarrier, SystemCarrier
from exchange.amqp.channels import Consumer, Publisher
from exchange.amqp.connect import ClientTls, PlainLogin, Target
from exchange.amqp.pairs import Pair, Route, pair_of_connections, serve, until_ended
from exchange.sessions import DeadHandler, Handler, LocalHandler, LogHandler
from exchange.supervisor import Backoff, OnState, supervise
from exchange.topology import LOG_EXCHANGE, STRANGERS, link_key
from schemas.addresses import dns_name, parent_of

PARENT_PREFETCH = 8
CHILD_PREFETCH = 4
LOCAL_PREFETCH = 32
DEAD_PREFETCH = 1
HEARTBEAT_S = 10
DEAD = "dead"
LOG_PREFETCH = 100
LOG_LEVELS = ("notice", "error")
"""TLS that was refused is told at the one, logins that were refused at the other."""
LOG_BACKOFF = Backoff(most_s=300.0)
"""A broker that does not publish its log will not do so before its next start."""


class ParentEndpoint:
    """The child's side of the link to its parent: TLS, EXTERNAL, the parent's name checked.

    It publishes to `up` under its own link key and consumes `down.<key>`; it declares nothing.
    `parent` is the neighbour that it hangs under, where that is not its parent by name; `user` who
    logs in, where that is not the address: an invitation. After each failure comes the next url.
    """

    def __init__(  # noqa: PLR0913 - each is one value of the configuration
        self,
        *,
        address: str,
        urls: Sequence[str],
        tls: ClientTls,
        parent: str | None = None,
        user: str | None = None,
        vhost: str = "bbaj",
        heartbeat_s: int = HEARTBEAT_S,
        prefetch: int = PARENT_PREFETCH,
        backoff: Backoff | None = None,
    ) -> None:
        parent = parent or parent_of(address)
        assert parent is not None, f"{address} is the root and has no parent"
        assert urls, "a link needs a url"
        self._address = address
        self._user = user or dns_name(address)
        self._parent = parent
        self._prefetch = prefetch
        self._backoff = backoff
        self._targets = [
            Target(
                url=url,
                vhost=vhost,
                name=address,
                heartbeat_s=heartbeat_s,
                tls=tls,
                broker_name=dns_name(parent),
            )
            for url in urls
        ]

    async def run(self, handler: Handler, on_state: OnState) -> NoReturn:
        """Keep the link up and run `handler` with the session of each life.

        Raises Fatal, and whatever unexpected `handler` raises.
        """
        key = link_key(self._parent, self._address)

        async def work(publisher: Publisher, consumer: Consumer) -> None:
            await handler(LinkCarrier(self._parent, publisher, consumer, ("up", key)))

        route = Route(self._parent, f"down.{key}", self._prefetch, work)

        async def life(attempt: int, opened: Callable[[], None]) -> None:
            target = self._targets[attempt % len(self._targets)]
            async with pair_of_connections(target, self._user) as pair:
                await until_ended(pair.ending, serve(pair, route, opened))

        await supervise(
            life,
            peer=self._parent,
            seed=self._address.encode(),
            on_state=on_state,
            backoff=self._backoff,
        )


class _OwnEndpoint:
    """Routes on our own broker, each kept alive by itself for as long as the pair lives."""

    def __init__(
        self,
        *,
        address: str,
        urls: Sequence[str],
        login: PlainLogin,
        vhost: str,
        backoff: Backoff | None,
    ) -> None:
        assert urls, "an own broker needs a url"
        self._address = address
        self._vhost = vhost
        self._user = login.user
        self._backoff = backoff
        self._targets = [
            Target(url=url, vhost=vhost, name=address, heartbeat_s=HEARTBEAT_S, login=login)
            for url in urls
        ]
        self._routes: dict[str, Route] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._begin: Callable[[Route], asyncio.Task[None]] | None = None

    def dismiss(self, peer: str) -> None:
        """End the session of `peer` and begin no other."""
        self._routes.pop(peer, None)
        task = self._tasks.pop(peer, None)
        if task is not None:
            task.cancel()

    def _add(self, route: Route) -> None:
        assert route.peer not in self._routes, f"{route.peer} is served already"
        self._routes[route.peer] = route
        if self._begin is not None:
            self._tasks[route.peer] = self._begin(route)

    async def _run(self, on_state: OnState) -> NoReturn:
        async def life(attempt: int, opened: Callable[[], None]) -> None:
            target = self._targets[attempt % len(self._targets)]
            async with pair_of_connections(target, self._user) as pair:
                opened()
                await until_ended(pair.ending, self._serve_all(pair, on_state))

        await supervise(
            life,
            peer=f"broker:{self._vhost}",
            seed=f"{self._address} {self._vhost}".encode(),
            on_state=on_state,
            backoff=self._backoff,
        )

    async def _serve_all(self, pair: Pair, on_state: OnState) -> None:
        async with asyncio.TaskGroup() as group:

            def begin(route: Route) -> asyncio.Task[None]:
                return group.create_task(self._keep(pair, route, on_state))

            self._tasks = {peer: begin(route) for peer, route in self._routes.items()}
            self._begin = begin
            try:
                await asyncio.Event().wait()  # routes come and go; only the pair's end ends this
            finally:
                self._begin = None
                self._tasks = {}

    async def _keep(self, pair: Pair, route: Route, on_state: OnState) -> None:
        async def life(_: int, opened: Callable[[], None]) -> None:
            await serve(pair, route, opened)

        await supervise(
            life,
            peer=route.peer,
            seed=f"{self._address} {self._vhost} {route.peer}".encode(),
            on_state=on_state,
            backoff=route.backoff or self._backoff,
        )


def _dead_route(on_dead: DeadHandler) -> Route:
    async def work(_: Publisher, consumer: Consumer) -> None:
        while True:
            delivery = await consumer.receive()
            await on_dead(delivery.body, delivery.headers)
            await consumer.settle_through(delivery)

    return Route(DEAD, DEAD, DEAD_PREFETCH, work)


def _log_route(on_line: LogHandler) -> Route:
    async def work(_: Publisher, consumer: Consumer) -> None:
        while True:
            delivery = await consumer.receive()
            await on_line(delivery.body)
            await consumer.settle_through(delivery)

    bindings = tuple((LOG_EXCHANGE, level) for level in LOG_LEVELS)
    return Route(STRANGERS, STRANGERS, LOG_PREFETCH, work, bindings, LOG_BACKOFF)


class OwnBrokerEndpoint(_OwnEndpoint):
    """The parent's side of the links to its children, at its own broker over loopback.

    Each child has a consuming channel of its own on `up.<key>`; what is published goes to `down`
    under the child's link key. `dead` is consumed too, and the broker's own log where it publishes
    it and somebody listens. Children come and go while it runs.
    """

    def __init__(
        self,
        *,
        address: str,
        urls: Sequence[str],
        login: PlainLogin,
        vhost: str = "bbaj",
        prefetch: int = CHILD_PREFETCH,
        backoff: Backoff | None = None,
    ) -> None:
        super().__init__(address=address, urls=urls, login=login, vhost=vhost, backoff=backoff)
        self._prefetch = prefetch

    def listen(self, on_line: LogHandler) -> None:
        """Have each line of the broker's log handed over; the state goes by `strangers`."""
        self._add(_log_route(on_line))

    async def run(
        self, children: Mapping[str, Handler], on_dead: DeadHandler, on_state: OnState
    ) -> NoReturn:
        """Keep both connections up and run each child's handler; states go by its link key.

        Raises Fatal, and whatever unexpected a handler raises.
        """
        for key, handler in children.items():
            self.admit(key, handler)
        self._add(_dead_route(on_dead))
        await self._run(on_state)

    def admit(self, key: str, handler: Handler) -> None:
        """Serve one more child, by its link key; from now on if running."""

        async def work(publisher: Publisher, consumer: Consumer) -> None:
            await handler(LinkCarrier(key, publisher, consumer, ("down", key)))

        self._add(Route(key, f"up.{key}", self._prefetch, work))


class LocalEndpoint(_OwnEndpoint):
    """The local systems at our own broker, in their own virtual host.

    Each system has a consuming channel of its own on `outbound.<system>`; what is published goes
    to its `inbox` or `status`. `dead` is consumed too.
    """

    def __init__(
        self,
        *,
        address: str,
        urls: Sequence[str],
        login: PlainLogin,
        vhost: str = "bbaj-local",
        prefetch: int = LOCAL_PREFETCH,
        backoff: Backoff | None = None,
    ) -> None:
        super().__init__(address=address, urls=urls, login=login, vhost=vhost, backoff=backoff)
        self._prefetch = prefetch

    async def run(
        self, systems: Mapping[str, LocalHandler], on_dead: DeadHandler, on_state: OnState
    ) -> NoReturn:
        """Keep both connections up and run each system's handler; states go by its name.

        Raises Fatal, and whatever unexpected a handler raises.
        """
        for system, handler in systems.items():
            self.admit(system, handler)
        self._add(_dead_route(on_dead))
        await self._run(on_state)

    def admit(self, system: str, handler: LocalHandler) -> None:
        """Serve one more system, from now on if running."""

        async def work(publisher: Publisher, consumer: Consumer) -> None:
            await handler(SystemCarrier(system, publisher, consumer))

        self._add(Route(system, f"outbound.{system}", self._prefetch, work))
