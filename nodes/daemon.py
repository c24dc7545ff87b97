"""Runs one node: takes over the record, keeps its links up, sweeps, signs, drains on SIGTERM.

A *life* ends where the record must be read again (an unknown commit, a lost database); the next
one begins from the record. Fatal errors leave with their exit code.
"""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, TypeVar

from exchange.checkpoints import Checkpoints
from exchange.service import Introduced, Service, Swept
from exchange.supervisor import LinkState
from nodes.clock import now
from nodes.config import Config
from nodes.serving import serve_status
from nodes.telemetry import Telemetry
from nodes.upkeep import prepare_database, require_topology
from nodes.wiring import (
    Node,
    attach_links,
    build_service,
    crl_files,
    load_crls,
    local_endpoint,
    open_vault,
    own_endpoint,
    parent_endpoint,
)
from schemas.addresses import label_of
from schemas.errors import OutcomeUnknown, Retryable
from signing.errors import KeyFileError
from signing.keys import load_crl

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
        self._stop = asyncio.Event()
        self._prepare_at = 0.0
        self._crls_seen: set[bytes] = set()

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
        try:
            cursors = await self._unless_stopped(service.open(wait=True))
            if cursors is None:
                return
            await require_topology(self.config)
            checkpoints = self._checkpoints(node)
            await checkpoints.check(service.leaves)
            await attach_links(node, cursors, now)
            await self._introduce(node)
            self.telemetry.noticed("record_opened", leaves=service.leaves)
            async with asyncio.TaskGroup() as tasks:
                sequencer = tasks.create_task(service.run())
                links = tasks.create_task(self._run_links(node))
                ticks = tasks.create_task(self._tick(service, checkpoints, woken))
                self.ready = True
                if on_ready is not None:
                    on_ready()
                tasks.create_task(self._drain(service, checkpoints, [links, ticks, sequencer]))
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

    async def _introduce(self, node: Node) -> None:
        trust = node.vault.gate.trust
        known = [trust.ders_for(fingerprint)[0] for fingerprint in trust.fingerprints()]
        crls = load_crls(self.config)
        self._crls_seen = set(crls)
        await node.service.submit(Introduced([trust.root, *known], crls))

    def _checkpoints(self, node: Node) -> Checkpoints:
        self.config.data.mkdir(parents=True, exist_ok=True)
        return Checkpoints(
            origin=node.vault.origin,
            signer=node.vault.journal,
            archive=node.archive,
            clock=now,
            limits=self.config.limits,
            size_file=self.config.data / "journal.size",
        )

    async def _run_links(self, node: Node) -> None:
        """Keep every endpoint up; each has its own supervisor."""
        on_dead = partial(self._on_dead, node.service)
        async with asyncio.TaskGroup() as tasks:
            parent = parent_endpoint(self.config)
            if parent is not None:
                link = node.links[node.service.state.rules.neighbours[0]]
                tasks.create_task(parent.run(link.handle, self._on_state))
            own = own_endpoint(self.config)
            if own is not None:
                below = {
                    label_of(address): link.handle
                    for address, link in node.links.items()
                    if not link.is_parent
                }
                tasks.create_task(own.run(below, on_dead, self._on_state))
            local = local_endpoint(self.config)
            if local is not None:
                systems = {name: system.handle for name, system in node.systems.items()}
                tasks.create_task(local.run(systems, on_dead, self._on_state))

    def _on_state(self, state: LinkState) -> None:
        self.links_up[state.peer] = state.state == "up"
        self.telemetry.link_up.labels(state.peer).set(state.state == "up")
        self.telemetry.noticed(
            "connection", peer=state.peer, state=state.state, detail=state.detail
        )

    async def _on_dead(self, service: Service, body: bytes, headers: object) -> None:
        """Report what the broker gave up on: the stream brings it again, somebody must look."""
        await service.keep_dead_letter(body, str(headers)[:200])

    async def _tick(self, service: Service, checkpoints: Checkpoints, woken: asyncio.Event) -> None:
        """Sweep at its interval and at each command, look for new CRLs, sign what is due."""
        every_s = self.config.limits.sweep_every_us / 1e6
        while True:
            await self._introduce_crls(service)
            await service.submit(Swept())
            await self._measure(service)
            await self._prepare_ahead()
            deadline = asyncio.get_running_loop().time() + every_s
            while not woken.is_set() and asyncio.get_running_loop().time() < deadline:
                await checkpoints.sign_due(service.journal)
                try:
                    async with asyncio.timeout(TICK_S):
                        await woken.wait()
                except TimeoutError:
                    continue
            woken.clear()

    async def _introduce_crls(self, service: Service) -> None:
        """Look for new revocation lists; a file that can't be read yet is looked at again."""
        for path in crl_files(self.config):
            try:
                der = load_crl(path)
            except KeyFileError as error:
                self.telemetry.noticed("crl_unreadable", level="error", why=str(error))
                continue
            if der not in self._crls_seen:
                self._crls_seen.add(der)
                await service.submit(Introduced([], [der]))

    async def _prepare_ahead(self) -> None:
        """Make the coming months' partitions, long before the first of them is needed."""
        loop_now = asyncio.get_running_loop().time()
        if loop_now >= self._prepare_at:
            self._prepare_at = loop_now + PREPARE_EVERY_S
            for step in await prepare_database(self.config):
                self.telemetry.noticed("database_prepared", step=step)

    async def _measure(self, service: Service) -> None:
        for stream, waiting in service.waiting().items():
            self.telemetry.waiting.labels(stream).set(waiting)
        self.telemetry.journal.set(service.leaves)
        self.telemetry.held.set(len(await service.state.archive.held_all()))
        self.telemetry.open_exchanges.set(await service.state.archive.open_count())
        self.telemetry.clock_doubted.set(not service.state.clock_agrees.is_set())

    async def _drain(
        self, service: Service, checkpoints: Checkpoints, tasks: Sequence[asyncio.Task[None]]
    ) -> None:
        """Once told to stop: close the links, finish what was taken, sign, then end."""
        await self._stop.wait()
        self.ready = False
        links, ticks, sequencer = tasks
        links.cancel()
        ticks.cancel()
        try:
            async with asyncio.timeout(DRAIN_S):
                await service.drain()
        except TimeoutError:
            self.telemetry.noticed("drain_cut_short", level="warning")
        sequencer.cancel()
        await checkpoints.sign_due(service.journal, at_once=True)

    def health(self) -> dict[str, object]:
        """Return what `/health/ready` says."""
        return {"ready": self.ready, "address": self.config.address, "links": dict(self.links_up)}


def _first(errors: Sequence[BaseException]) -> BaseException:
    error = errors[0]
    return _first(error.exceptions) if isinstance(error, BaseExceptionGroup) else error
