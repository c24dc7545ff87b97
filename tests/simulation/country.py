"""The simulated country: machines and lines, documents and faults, and the end of it all."""

import asyncio
import tempfile
from collections.abc import Callable, Coroutine
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

from harness.cards import make_cards
from harness.pki import Network, make_network
from nodes import samples
from schemas.addresses import parent_of
from schemas.limits import Limits
from schemas.moments import DAY, MINUTE, SECOND
from simulation.audit import audit
from simulation.authorities import Authorities
from simulation.chance import SeededKeys, drawn_from, stream
from simulation.disk import watched
from simulation.faults import FAULTS, heal
from simulation.loop import StuckError, VirtualLoop
from simulation.machine import Machine
from simulation.memory import remembering
from simulation.network import Line
from simulation.observers import Exchanges, Journals, Streams
from simulation.operators import look_after, stands_still
from simulation.plan import Drop, Plan
from simulation.watch import BEGIN, FailureError, Watch

LOOK_S = 60.0
"""The run is looked at so often, once all is healed."""
SWEEPS_TO_KNOW = 3
"""After so many sweeps a restored node knows what its neighbours can show."""
MEMORY = Path("/dev/shm")
"""Where files cost no disk, if it is there."""


@lru_cache
def network_of(nodes: tuple[str, ...]) -> tuple[Network, tuple[bytes, ...]]:
    """Return keys, certificates and cards of a country: the same ones in each run."""
    with drawn_from(stream(0, "certificates")):
        network = make_network(nodes, BEGIN - DAY, SeededKeys(stream(0, "keys")))
        network.now = BEGIN
        network.current_crls()
        return network, tuple(make_cards(network))


def limits_of(plan: Plan) -> Limits:
    """Return what nodes allow: as in the field, but for the pace of looking."""
    return Limits(
        sweep_every_us=round(plan.scenario.sweep_s * SECOND),
        resend_first_us=15 * MINUTE,
        checkpoint_due_us=10 * SECOND,
    )


class Country:
    """One run."""

    def __init__(self, plan: Plan, folder: Path, loop: VirtualLoop, chance: Random) -> None:
        self.plan = plan
        self.loop = loop
        self.drops = {f"drop-{each.number}": (each, samples.order(each.number, plan.seed))
                      for each in plan.drops}  # fmt: skip
        self.begin: Callable[[Coroutine[Any, Any, None]], object] = asyncio.ensure_future
        """Runs something beside everything else."""
        self.liars: set[str] = set()
        self.exchanges = Exchanges(self.drops, self.liars)
        self.journals = Journals(self.liars)
        self.streams = Streams(self.liars)
        observers = [self.exchanges, self.streams, self.journals]
        self.watch = Watch(observers, frozenset())
        network, cards = network_of(plan.scenario.nodes)
        self.machines: dict[str, Machine] = {}
        self.lines: dict[str, Line] = {}
        for address in plan.scenario.nodes:
            place = folder / address
            place.mkdir()
            self.machines[address] = Machine(
                address,
                network=network,
                cards=cards,
                folder=place,
                limits=limits_of(plan),
                chance=chance,
                watch=self.watch,
            )
        restored = [each.at_s + each.lasts_s for each in plan.faults if each.kind == "restore"]
        self._known_s = max(restored, default=0.0) + SWEEPS_TO_KNOW * plan.scenario.sweep_s
        """When the last node to be restored has heard its neighbours, who are all in reach."""
        self.authorities = Authorities(network, self.machines[plan.scenario.nodes[0]])
        for address in plan.scenario.nodes[1:]:
            self._join(address, chance)

    def _join(self, child: str, chance: Random) -> None:
        parent = parent_of(child)
        assert parent is not None, "the root comes first"
        line = self.lines[child] = Line(parent, child, chance, self.watch)
        for end in (parent, child):
            self.machines[end].lines.append(line)

    async def live(self) -> None:
        """Run until everything is closed. Raises FailureError."""
        async with asyncio.TaskGroup() as tasks:
            self.begin = tasks.create_task
            lives = [tasks.create_task(each.run()) for each in self.machines.values()]
            for drop_id in self.drops:
                self.loop.call_later(self.drops[drop_id][0].at_s, self._hand_over, drop_id)
            for fault in self.plan.faults:
                self.loop.call_later(fault.at_s, FAULTS[fault.kind], self, fault)
            lives.append(tasks.create_task(self.authorities.run()))
            lives.append(tasks.create_task(look_after(self)))
            await self._until_closed()
            for each in lives:
                each.cancel()

    def _hand_over(self, drop_id: str) -> None:
        drop, body = self.drops[drop_id]
        self.watch.note(drop.sender, "drops", f"{drop_id} to {drop.to}")
        headers = {"drop-id": drop_id, "type": "admin.order/1", "to": drop.to, "section": "S01"}
        self.machines[drop.sender].queues.drop(body, headers)

    async def _until_closed(self) -> None:
        await self._watching(self.plan.scenario.faults_s, lambda: False)
        self.watch.note("all", "healed")
        heal(self)
        await self._watching(self.plan.scenario.closes_s, lambda: not self.unfinished())
        if lacks := self.unfinished():
            raise FailureError(f"not closed: {'; '.join(lacks)}")
        audit(self)

    async def _watching(self, for_s: float, is_over: Callable[[], bool]) -> None:
        until = self.loop.time() + for_s
        while self.loop.time() < until and not is_over():
            await asyncio.sleep(min(LOOK_S, until - self.loop.time()))
            if self.watch.failure is not None:
                raise self.watch.failure

    def unfinished(self) -> list[str]:
        """Return what is not closed yet, in words."""
        found = self.exchanges.unfinished()
        if self.loop.time() < self._known_s:
            found.append("a node that was restored may not know of its loss yet")
        for address, machine in self.machines.items():
            if machine.service is None:
                found.append(f"{address} does not run")
            elif (loss := machine.service.state.loss) is not None:
                found.append(f"{address} has lost its end: {loss.why}")
            elif machine.was_restored and stands_still(machine):
                found.append(f"{address} is shown more than it has")
            elif self.liars:
                continue  # what it has told others may never come to an end
            elif count := machine.server.record.open_count():
                found.append(f"{address} waits for {count} answers")
            elif held := machine.server.record.held_all():
                found.append(f"{address} holds {len(held)} frames for {held[0].missing}")
        return found


def run(
    plan: Plan, on_made: Callable[[Country], None] = lambda _country: None
) -> tuple[Watch, Exception | None]:
    """Run a plan; return what was seen, and what failed, if anything.

    `on_made` is told the country before it lives.
    """
    chance = stream(plan.seed, "world")
    loop = VirtualLoop(chance)
    place = MEMORY if MEMORY.is_dir() else None
    with (
        tempfile.TemporaryDirectory(prefix="bbaj-", dir=place) as folder,
        drawn_from(stream(plan.seed, "system")),
        remembering(),
    ):
        country: Country | None = None

        async def whole() -> None:
            nonlocal country
            country = Country(plan, Path(folder), loop, chance)
            on_made(country)
            with watched({each.folder: each.disk for each in country.machines.values()}):
                await country.live()

        failure: Exception | None = None
        try:
            loop.run_until_complete(whole())
        except (StuckError, FailureError) as error:
            failure = error
        except ExceptionGroup as group:
            failure = _first(group)
        finally:
            _end(loop)
        assert country is not None
        return country.watch, failure


def _end(loop: VirtualLoop) -> None:
    """Let every task end that runs yet, as asyncio.run does."""
    while tasks := sorted(asyncio.all_tasks(loop), key=hash):
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.close()


def _first(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


__all__ = ["Country", "Drop", "run"]
