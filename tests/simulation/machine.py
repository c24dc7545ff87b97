"""One node's machine: its daemon, life after life, over a record, lines and files that outlive it.

What nodes/daemon.py does, this does without sockets, signals and files of operators. A crash ends
a life between two effects: from then on none of its ports does anything.
"""

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from exchange.checkpoints import Checkpoints
from exchange.core.registry import Registry
from exchange.core.rules import Rules
from exchange.core.streams import CHAIN_START
from exchange.gate import Gate
from exchange.jobs import Introduced, Signed, Swept
from exchange.links import Link
from exchange.local import LocalSystem
from exchange.service import Service
from exchange.signed_size import SIZE_FILE
from harness.pki import Network
from schemas.addresses import parent_of
from schemas.documents.registry import TYPES, own_classes
from schemas.errors import OutcomeUnknown, Retryable
from schemas.limits import Limits
from schemas.moments import Instant
from schemas.records import Changes, Committed, OwnKey
from signing.at_rest import AtRest
from signing.cosigner import Cosigner
from signing.keys import key_digest
from signing.notes import origin
from simulation.archive import Database, Server, SimulatedArchive
from simulation.client import SYSTEM, LocalQueues, LocalWire
from simulation.disk import Disk
from simulation.lying import Liar
from simulation.network import Line
from simulation.parcels import open_parcel

LIFE_PAUSE_S = 1.0
LOCAL_S = 4.0
"""A local system is connected this long after a start, at most."""
SIGNS_IN_A_SWEEP = 4


class Life:
    """One process: what its ports ask before they do anything, and observer of its service."""

    def __init__(self, machine: "Machine") -> None:
        self.machine = machine
        self.address = machine.address
        self.chance = machine.chance
        self.is_over = False
        self.was_killed = False
        self.on_drop: Any = None

    async def effect(self, name: str) -> None:
        """Go on to an effect, or end here: a life that is over never comes back from this."""
        if not self.is_over:
            self.machine.count_effect(name)
        if self.is_over:
            await asyncio.Event().wait()

    async def pause(self, most_s: float) -> None:
        await asyncio.sleep(self.chance.random() * most_s)

    def stored(self, changes: Changes, journal: Committed) -> None:
        """Something has become durable."""
        self.machine.watch.stored(self.address, changes, journal)

    def committed(self, _changes: Changes, _took_us: int) -> None:
        """Take note of what the record has told already."""

    def came_again(self, _neighbour: str, _entries: int) -> None:
        """Take no note: what is taken twice the observers see."""

    def noticed(self, event: str, **facts: object) -> None:
        self.machine.watch.noticed(self.address, event, facts)


class Machine:
    """One node of the country."""

    def __init__(
        self,
        address: str,
        *,
        network: Network,
        cards: Sequence[bytes],
        folder: Path,
        limits: Limits,
        chance: Random,
        watch: Any,
    ) -> None:
        self.address = address
        self.network = network
        self.known = [
            der for name in near(address, network.nodes) for der in network.nodes[name].certificates
        ]
        """Certificates in its folders, of itself and those next to it; the rest comes by lines."""
        self.cards = list(cards)
        self.folder = folder
        self.disk = Disk(folder, chance, self._syncs)
        self.limits = limits
        self.chance = chance
        self.watch = watch
        self.server = Server(Database(address))
        self.queues = LocalQueues(address, watch)
        self.lines: list[Line] = []
        self.crls: tuple[bytes, ...] = ()
        """Revocation lists in its folder, newer than those it began with."""
        self.clock_offset_us = 0
        self.was_restored = False
        self.liar: Liar | None = None
        """What alters its messages, once it has begun to lie."""
        self.is_on = asyncio.Event()
        self.is_on.set()
        self.crash_at: dict[int, float] = {}
        """Effects, counted from the start, at which the machine crashes; for how many seconds."""
        self.effects = 0
        self.service: Service | None = None
        self.life: Life | None = None
        self.born = 0

    def clock(self) -> Instant:
        """Return what the machine believes the time to be."""
        return self.watch.now() + self.clock_offset_us

    def say(self, line: Line, body: bytes) -> bytes | None:
        """Return what really goes out in place of what the program would send."""
        parcel = None if self.liar is None else open_parcel(body)
        if self.liar is None or parcel is None:
            return body
        to = line.parent if line.child == self.address else line.child
        record = self.server.record

        def chain_at(lane: str, number: int) -> bytes:
            return record.chain_at(f"{to}/{lane}", record.epoch, number) or CHAIN_START

        return self.liar.say(to, parcel, chain_at)

    # --- crashes --------------------------------------------------------------------------------

    def count_effect(self, name: str) -> None:
        self.effects += 1
        down_s = self.crash_at.pop(self.effects, None)
        if down_s is not None:
            self.watch.note(self.address, "crash", f"{name}, for {down_s:.0f} s")
            self.crash(down_s)

    def _syncs(self) -> None:
        """Go on to make a file durable, or end here: the power may go at this, too."""
        self.count_effect("sync")
        if self.life is not None and self.life.was_killed:
            raise asyncio.CancelledError

    def crash(self, down_s: float) -> None:
        """End the life that runs, at once; the next one begins after a while."""
        self.is_on.clear()
        if self.life is not None:
            self.life.is_over = self.life.was_killed = True
        self.disk.cut()
        loop = asyncio.get_running_loop()
        loop.call_soon(self._end_life)
        loop.call_later(down_s, self.is_on.set)

    def _end_life(self) -> None:
        if self._running is not None:
            self._running.cancel()

    # --- lives ----------------------------------------------------------------------------------

    _running: "asyncio.Task[None] | None" = None

    async def run(self) -> None:
        """Run one life after another for ever."""
        while True:
            await self.is_on.wait()
            self._running = asyncio.get_running_loop().create_task(self._live())
            await asyncio.wait([self._running])
            ended, self._running = self._running, None
            if not ended.cancelled() and (error := ended.exception()) is not None:
                self._judge_end(error)
            await asyncio.sleep(LIFE_PAUSE_S)

    def _judge_end(self, error: BaseException) -> None:
        """Take the end of a life as the daemon does: what is not the world's fault is ours."""
        _, rest = (
            error.split((Retryable, OutcomeUnknown))
            if isinstance(error, BaseExceptionGroup)
            else (None, None if isinstance(error, Retryable | OutcomeUnknown) else error)
        )
        self.watch.note(self.address, "life ended", _first(error))
        if rest is not None and not (self.life is not None and self.life.was_killed):
            raise rest

    async def _live(self) -> None:
        self.disk.start()
        life = self.life = Life(self)
        self.born += 1
        archive = SimulatedArchive(self.server, life)
        service = self._service(archive, life)
        woken = asyncio.Event()
        archive.wake_on_drop(woken.set)
        service.state.wake = woken.set
        cursors = await service.open(wait=True)
        gate = service.state.gate
        checkpoints = self._checkpoints(gate, archive)
        lacking = await checkpoints.check(service.leaves)
        if lacking is not None:
            service.lack(lacking)
        links = {line: self._link(line, gate, archive, cursors) for line in self.lines}
        local = LocalSystem(
            SYSTEM,
            epoch=gate.epoch,
            gate=gate,
            archive=archive,
            clock=self.clock,
            cursors=dict(cursors),
        )
        local.attach(service)
        await service.attach(list(links.values()), [local.inbox, local.status])
        await service.submit(self._introduced())
        self.service = service
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(service.run())
                tasks.create_task(self._tick(service, checkpoints, woken))
                tasks.create_task(self._serve_local(local, life))
                for line, link in links.items():
                    tasks.create_task(line.run_as(life, link.handle, lambda _state: None))
        finally:
            self.service = None
            life.is_over = True
            await archive.close()

    async def _serve_local(self, local: LocalSystem, life: Life) -> None:
        await life.pause(LOCAL_S)
        await local.handle(LocalWire(self.queues, life))

    def _service(self, archive: SimulatedArchive, life: Life) -> Service:
        own = self.network.nodes[self.address]
        trust = self.network.trust(certificates=False)
        trust.add_certificates(self.known)
        gate = Gate(
            here=self.address,
            epoch=1,
            trust=trust,
            signer=own.packet,
            journal=own.journal,
            encryption=own.encryption,
            at_rest=AtRest(self.folder / "at-rest"),
            limits=self.limits,
            registry=Registry(self.address),
            cosigner=Cosigner(self.address, own.witness, None),
        )
        rules = Rules(
            here=self.address,
            registry=gate.registry,
            limits=self.limits,
            types=frozenset(TYPES),
            systems={},
            default_system=SYSTEM,
            classes=own_classes(),
        )
        return Service(gate=gate, archive=archive, rules=rules, clock=self.clock, observer=life)

    def _checkpoints(self, gate: Gate, archive: SimulatedArchive) -> Checkpoints:
        return Checkpoints(
            origin=origin(self.address, gate.epoch),
            signer=self.network.nodes[self.address].journal,
            archive=archive,
            clock=self.clock,
            limits=self.limits,
            size_file=self.folder / SIZE_FILE,
        )

    def _link(
        self, line: Line, gate: Gate, archive: SimulatedArchive, cursors: dict[str, int]
    ) -> Link:
        is_parent = line.child == self.address
        return Link(
            line.parent if is_parent else line.child,
            is_parent=is_parent,
            gate=gate,
            archive=archive,
            clock=self.clock,
            limits=self.limits,
            executor=None,
            cursors=dict(cursors),
        )

    def _introduced(self) -> Introduced:
        keys = self.network.nodes[self.address].public_keys
        own = [OwnKey(key_digest(key), "simulated", self.clock()) for key in keys]
        return Introduced(self.known, list(self.crls), self.cards, own_keys=own)

    async def _tick(self, service: Service, checkpoints: Checkpoints, woken: asyncio.Event) -> None:
        """Sweep at its interval and whenever woken, and sign what is due; as the daemon does."""
        step_s = self.limits.sweep_every_us / 1e6 / SIGNS_IN_A_SWEEP
        while True:
            woken.clear()
            await service.submit(Swept())
            for _ in range(SIGNS_IN_A_SWEEP):
                if service.may_sign() and await checkpoints.sign_due(service.journal):
                    await service.submit(Signed())
                try:
                    async with asyncio.timeout(step_s):
                        await woken.wait()
                        break
                except TimeoutError:
                    continue

    @property
    def parent(self) -> str | None:
        return parent_of(self.address)


def near(address: str, nodes: Iterable[str]) -> list[str]:
    """Return whom a node has met in person: itself, its parent and its children."""
    met = (address, parent_of(address))
    return [name for name in nodes if name in met or parent_of(name) == address]


def _first(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"
