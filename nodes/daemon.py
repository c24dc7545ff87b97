"""Runs one node: takes over the record, keeps its links up, sweeps, signs, drains on SIGTERM.

A *life* ends where the record must be read again (an unknown commit, a lost database); the next
one begins from the record. Fatal errors leave with their exit code.
"""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, TypeVar

from exchange.amqp import OwnBrokerEndpoint
from exchange.checkpoints import Checkpoints
from exchange.jobs import Signed, Swept
from exchange.service import Service
from exchange.signed_size import SIZE_FILE
from exchange.strangers import read_log_entry
from exchange.supervisor import LinkState
from exchange.topology import STRANGERS, link_key
from exchange.undertaking import Undertaker
from nodes.broker_door import BrokerDoor
from nodes.caretaker import Caretaker
from nodes.clock import now
from nodes.config import Config
from nodes.counting import ReportCounter
from nodes.indexing import Indexing
from nodes.introducing import Folders
from nodes.policies import Policies
from nodes.serving import serve_status
from nodes.stamping import Stamping
from nodes.telemetry import Telemetry
from nodes.upkeep import prepare_database, require_topology
from nodes.wiring import (
    Node,
    attach_links,
    build_service,
    database_url,
    local_endpoint,
    make_link,
    open_vault,
    own_endpoint,
    parent_endpoint,
)
from schemas.errors import FormatError, OutcomeUnknown, Retryable
from signing.errors import KeyFileError, KeyFolderUnwritable
from signing.notes import origin

LIFE_PAUSE_S = 1.0
TICK_S = 0.5
DRAIN_S = 20.0
PREPARE_EVERY_S = 3600.0

T = TypeVar("T")


class Daemon:
    """One node's process."""

    def __init__(self, config: Config) -> None:
        """Hold the configuration; `run` does the rest."""
        self.config = config
        self.telemetry = Telemetry(config.address)
        self.ready = False
        self.status_port = 0
        self.links_up: dict[str, bool] = {}
        self.loss: str | None = None
        """What shows that the record has lost its end, while it has."""
        self._started = now()
        self._stop = asyncio.Event()
        self._prepare_at = 0.0
        self._dismissed: set[str] = set()
        self._uplink_told = False

    async def run(self, on_ready: Callable[[], None] | None = None) -> None:
        """Run until told to stop. Raises Fatal."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        await prepare_database(self.config)
        self._prepare_at = loop.time() + PREPARE_EVERY_S
        with serve_status(self.config.http, self) as self.status_port:
            while not self._stop.is_set():
                try:
                    await self._live(on_ready)
                except* (Retryable, OutcomeUnknown) as group:
                    self.ready = False
                    self.telemetry.noticed(
                        "life_ended", level="warning", why=str(_first(group.exceptions))
                    )
                    await self._pause()
        self.telemetry.noticed("stopped")

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(LIFE_PAUSE_S):
                await self._stop.wait()
        except TimeoutError:
            return

    async def _live(self, on_ready: Callable[[], None] | None) -> None:
        """Run one life: from taking over the record to the loss of it, or to the drain."""
        node = build_service(self.config, open_vault(self.config), now, self.telemetry)
        service = node.service
        woken = asyncio.Event()
        node.archive.wake_on_drop(woken.set)
        service.state.wake = woken.set
        try:
            cursors = await self._unless_stopped(service.open(wait=True))
            if cursors is None:
                return
            await require_topology(self.config)
            checkpoints = self._checkpoints(node)
            lacking = await checkpoints.check(service.leaves)
            if lacking is not None:
                service.lack(lacking)
            if service.renewal is not None:
                service.renewal.on_journal_key = checkpoints.use_key
            await attach_links(node, now)
            own = own_endpoint(self.config)
            self._dismissed.clear()
            for address, link in node.links.items():
                if own is not None and not link.is_parent:
                    own.admit(link_key(self.config.address, address), link.handle)
            service.on_children = partial(self._follow_children, node, own)
            door = BrokerDoor(self.config, node.vault.gate.trust, self.telemetry)
            await door.tend()
            service.state.on_replaced = door.replaced
            folders = Folders(self.config, node.vault.gate.trust, node.vault.keys)
            await service.submit(folders.all())
            self.telemetry.noticed("record_opened", leaves=service.leaves)
            async with asyncio.TaskGroup() as tasks:
                sequencer = tasks.create_task(service.run())
                links = tasks.create_task(self._run_links(node, own))
                ticks = tasks.create_task(self._tick(service, checkpoints, folders, door, woken))
                undertaker = Undertaker(node.vault.gate, node.archive, self.telemetry)
                service.parts.acts.on_done = undertaker.wake
                rest = tasks.create_task(undertaker.run())
                stamps = tasks.create_task(
                    Stamping(self.config, service, now, self.telemetry).run()
                )
                counts = tasks.create_task(
                    ReportCounter(
                        self.config, node.archive, service.state.registry, now, self.telemetry
                    ).run()
                )
                index = tasks.create_task(
                    Indexing(database_url(self.config), node.vault.gate, self.telemetry).run()
                )
                self.ready = True
                if on_ready is not None:
                    on_ready()
                ending = [links, ticks, stamps, rest, counts, index, sequencer]
                tasks.create_task(self._drain(service, checkpoints, ending))
        finally:
            self.ready = False
            node.executor.shutdown(wait=False, cancel_futures=True)
            await node.archive.close()

    async def _unless_stopped(self, opening: Coroutine[Any, Any, T]) -> T | None:
        """Wait as hot standby for as long as it takes; None once told to stop."""
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(opening)
            stop = tasks.create_task(self._stop.wait())
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            stop.cancel()
            if not task.done():
                task.cancel()
                return None
        return task.result()

    def _checkpoints(self, node: Node) -> Checkpoints:
        self.config.data.mkdir(parents=True, exist_ok=True)
        return Checkpoints(
            origin=origin(self.config.address, node.vault.gate.epoch),
            signer=node.vault.journal,
            archive=node.archive,
            clock=now,
            limits=self.config.limits,
            size_file=self.config.data / SIZE_FILE,
        )

    async def _run_links(self, node: Node, own: OwnBrokerEndpoint | None) -> None:
        """Keep every endpoint up; each has its own supervisor."""
        on_dead = partial(self._on_dead, node.service)
        async with asyncio.TaskGroup() as tasks:
            parent = parent_endpoint(self.config)
            if parent is not None:
                assert self.config.uplink is not None, "who has a parent's broker calls somebody"
                link = node.links[self.config.uplink]
                tasks.create_task(parent.run(link.handle, self._on_state))
            if own is not None:
                own.listen(partial(self._on_log, node.service))
                tasks.create_task(own.run({}, on_dead, self._on_state))
            local = local_endpoint(self.config)
            if local is not None:
                systems = {name: system.handle for name, system in node.systems.items()}
                tasks.create_task(local.run(systems, on_dead, self._on_state))

    def _follow_children(
        self, node: Node, own: OwnBrokerEndpoint | None, added: set[str], removed: set[str]
    ) -> None:
        """Serve children that have come, and those that have gone no longer, beside the others."""
        for address in sorted(added):
            link = node.links[address] = make_link(node, address, now)
            node.service.attach_link(link)
            self.telemetry.noticed("child_admitted", child=address)
            if own is None:
                what = "it needs a broker of ours: see the configuration"
                self.telemetry.noticed("child_unserved", level="warning", child=address, why=what)
                continue
            key = link_key(self.config.address, address)
            self._dismissed.discard(key)
            own.admit(key, link.handle)
        for address in sorted(removed):
            key = link_key(self.config.address, address)
            self._dismissed.add(key)
            if own is not None:
                own.dismiss(key)
            node.service.detach_link(address)
            del node.links[address]
            self._forget(key)
            self.telemetry.noticed("child_dismissed", child=address)

    def _on_state(self, state: LinkState) -> None:
        self.telemetry.noticed(
            "connection", peer=state.peer, state=state.state, detail=state.detail
        )
        if state.peer == STRANGERS:
            self.telemetry.strangers_seen.set(state.state == "up")
            return
        if state.peer in self._dismissed:
            self._forget(state.peer)
            return
        self.links_up[state.peer] = state.state == "up"
        self.telemetry.link_up.labels(state.peer).set(state.state == "up")

    def _forget(self, peer: str) -> None:
        """Count a connection no longer, neither as up nor as down."""
        if self.links_up.pop(peer, None) is not None:
            self.telemetry.link_up.remove(peer)

    async def _on_log(self, service: Service, entry: bytes) -> None:
        """Have an entry of our broker's log kept that tells of somebody not let in."""
        stranger = read_log_entry(entry)
        if stranger is not None:
            self.telemetry.strangers.labels(stranger.what).inc()
            await service.keep_stranger(stranger)

    async def _on_dead(self, service: Service, body: bytes, headers: object) -> None:
        """Report what the broker gave up on: the stream brings it again, somebody must look."""
        await service.keep_dead_letter(body, str(headers)[:200])

    async def _tick(
        self,
        service: Service,
        checkpoints: Checkpoints,
        folders: Folders,
        door: BrokerDoor,
        woken: asyncio.Event,
    ) -> None:
        """Sweep at its interval and at each command, look for new files, sign what is due."""
        every_s = self.config.limits.sweep_every_us / 1e6
        policies = Policies(self.config, service.state.archive)
        caretaker = Caretaker(self.config, service, now, self.telemetry, self._started)
        while True:
            await door.tend()
            news = folders.news(self._tell_unreadable)
            if news is not None:
                await service.submit(news)
            await self._announce(policies)
            self._ready_cosigner(service, folders)
            await service.submit(Swept())
            self._compare_uplinks(service)
            await self._measure(service)
            await self._prepare_ahead(service)
            await caretaker.tend()
            deadline = asyncio.get_running_loop().time() + every_s
            while not woken.is_set() and asyncio.get_running_loop().time() < deadline:
                if await self._sign(service, checkpoints):
                    await service.submit(Signed())
                try:
                    async with asyncio.timeout(TICK_S):
                        await woken.wait()
                except TimeoutError:
                    continue
            woken.clear()

    async def _announce(self, policies: Policies) -> None:
        """Have each policy kept and journaled that is not the one told last."""
        try:
            await policies.announce(now())
        except (OSError, FormatError) as error:
            self.telemetry.noticed("policy_unreadable", level="error", why=str(error))

    def _ready_cosigner(self, service: Service, folders: Folders) -> None:
        """Have the keys at hand that this node cosigns others' checkpoints with."""
        try:
            folders.ready_cosigner(service.state.gate)
        except (KeyFileError, KeyFolderUnwritable) as error:
            self._tell_unreadable(error)

    def _tell_unreadable(self, error: KeyFileError | KeyFolderUnwritable) -> None:
        """Tell of a file that cannot be read yet; it is looked at again."""
        self.telemetry.noticed("file_unreadable", level="error", why=str(error))

    def _compare_uplinks(self, service: Service) -> None:
        """Tell once where our card has us hang under another neighbour than we call."""
        says = service.state.registry.uplink
        if says == self.config.uplink:
            self._uplink_told = False
        elif not self._uplink_told:
            self._uplink_told = True
            what = "write its address, urls and vhost into [parent], then start again"
            self.telemetry.noticed("uplink_changed", level="warning", uplink=says, do=what)

    async def _prepare_ahead(self, service: Service) -> None:
        """Make the coming months' partitions, long before the first of them is needed."""
        loop_now = asyncio.get_running_loop().time()
        if loop_now >= self._prepare_at:
            self._prepare_at = loop_now + PREPARE_EVERY_S
            for step in await prepare_database(self.config, service.state.gate.retention):
                self.telemetry.noticed("database_prepared", step=step)

    async def _measure(self, service: Service) -> None:
        for stream, waiting in service.waiting().items():
            self.telemetry.waiting.labels(stream).set(waiting)
        self.telemetry.journal.set(service.leaves)
        self.telemetry.held.set(len(await service.state.archive.held_all()))
        self.telemetry.open_exchanges.set(await service.state.archive.open_count())
        self.telemetry.clock_doubted.set(not service.state.clock_agrees.is_set())
        self.telemetry.own_key_ended.set(service.state.gate.has_ended(now()))
        self.telemetry.journal_lost.set(service.state.loss is not None)
        self.loss = None if service.state.loss is None else service.state.loss.why
        leaves, age_us = await service.parts.witnessing.lag(now())
        self.telemetry.witness_lag.set(leaves)
        self.telemetry.witness_age.set(age_us / 1e6)

    async def _drain(
        self, service: Service, checkpoints: Checkpoints, tasks: Sequence[asyncio.Task[None]]
    ) -> None:
        """Once told to stop: close the links, finish what was taken, sign, then end."""
        await self._stop.wait()
        self.ready = False
        *others, sequencer = tasks
        for task in others:
            task.cancel()
        try:
            async with asyncio.timeout(DRAIN_S):
                await service.drain()
        except TimeoutError:
            self.telemetry.noticed("drain_cut_short", level="warning")
        sequencer.cancel()
        await self._sign(service, checkpoints, at_once=True)

    @staticmethod
    async def _sign(service: Service, checkpoints: Checkpoints, *, at_once: bool = False) -> bool:
        """Sign a checkpoint where one is due; none while the record may lack its end."""
        if not service.may_sign():
            return False
        return await checkpoints.sign_due(service.journal, at_once=at_once)

    def health(self) -> dict[str, object]:
        """Return what `/health/ready` says."""
        health = {
            "ready": self.ready and self.loss is None,
            "address": self.config.address,
            "links": dict(self.links_up),
        }
        return health if self.loss is None else health | {"journal_lost": self.loss}


def _first(errors: Sequence[BaseException]) -> BaseException:
    error = errors[0]
    return _first(error.exceptions) if isinstance(error, BaseExceptionGroup) else error
