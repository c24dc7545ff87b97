"""One run: faults strike a network under load one after the other, and all of it is judged.

After each round of faults the load rests until everything is closed, and every record is verified
as far as it is new. A breach ends the run: what led there is the round's faults, in their order;
the daemons' logs are kept, with what each of their tasks waits for.
"""

import asyncio
import shutil
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from faults.judging import judge, misbehaved, verified
from faults.network import FLOWS, Struck, struck_network
from faults.plan import Fault
from faults.strikes import NotReachedError, strike
from faults.table import Counted, Outcome
from faults.traffic import StalledError, Traffic

IN_FLIGHT_MIN = 100
WINDOW = 160
ROUND = 25
MISSES_MAX = 3
"""So often in a row a step may be missed; then it is not tried any more."""

OnProgress = Callable[[Outcome], None]


LOGS = Path("build/faults-logs")
"""Where the daemons' logs are kept after a breach."""
TOLD_S = 2.0


class BreachError(Exception):
    """Something that must hold does not."""


class Run:
    """A run, as far as it is."""

    def __init__(
        self, struck: Struck, outcome: Outcome, faults: Iterable[Fault], deadline: float
    ) -> None:
        self.struck = struck
        self.outcome = outcome
        self.traffic = Traffic(struck.boxes(), FLOWS, WINDOW)
        self._deadline = deadline
        self._waiting = deque(faults)
        self._misses: Counter[str] = Counter()

    async def strike_all(self, on_progress: OnProgress) -> None:
        """Strike round by round until all have struck or the time is over; then judge."""
        while self._waiting and time.monotonic() < self._deadline:
            first = len(self.outcome.counted)
            try:
                await self._round(on_progress)
            except (BreachError, StalledError) as breach:
                self.outcome.breaches += [str(breach), *self._led_there(first)]
                await keep_logs(self.struck)
                break
        self.outcome.judgement = await judge(self.struck, self.traffic.book)

    async def _round(self, on_progress: OnProgress) -> None:
        for _ in range(min(ROUND, len(self._waiting))):
            await self._strike_next(self._waiting.popleft())
            on_progress(self.outcome)
        await self.traffic.until_closed()
        faults = [*misbehaved(self.struck), *await verified(self.struck)]
        if faults:
            raise BreachError("; ".join(faults))

    async def _strike_next(self, fault: Fault) -> None:
        """Let a fault strike once enough is in flight; one that strikes nothing comes again."""
        in_flight = await self.traffic.until_in_flight(IN_FLIGHT_MIN, fault.after_s)
        began = time.monotonic()
        try:
            await strike(self.struck, fault)
        except NotReachedError:
            self._misses[fault.step] += 1
            self.outcome.missed[fault.step] += 1
            if self._misses[fault.step] < MISSES_MAX:
                self._waiting.append(fault)
            return
        finally:
            self.traffic.ease()
        self.outcome.counted.append(Counted(fault, in_flight, time.monotonic() - began))

    def _led_there(self, first: int) -> list[str]:
        """Say which faults of this round struck before the breach."""
        faults = self.outcome.counted[first:]
        return [
            f"seed {self.outcome.seed}, after {first} faults:",
            *(f"- {each.fault}" for each in faults),
        ]


async def keep_logs(struck: Struck) -> None:
    """Have the daemons write down what they wait for, and keep their logs."""
    nodes = struck.network.nodes.values()
    for node in nodes:
        if node.process is not None and node.process.returncode is None:
            node.process.send_signal(signal.SIGUSR1)
    await asyncio.sleep(TOLD_S)
    LOGS.mkdir(parents=True, exist_ok=True)
    for node in nodes:
        shutil.copyfile(node.log_path, LOGS / f"{node.address}.log")


async def run(
    seed: int, faults: Sequence[Fault], hours: float, on_progress: OnProgress, *, on_disk: bool
) -> Outcome:
    """Set a network up, strike it with faults drawn from `seed`, in `hours` at most, and judge."""
    began = time.monotonic()
    outcome = Outcome(seed, len(faults), counted=[], missed=Counter(), breaches=[])
    async with struck_network(on_disk=on_disk) as struck:
        work = Run(struck, outcome, faults, began + hours * 3600)
        async with asyncio.TaskGroup() as tasks:
            load = tasks.create_task(work.traffic.run())
            await work.strike_all(on_progress)
            load.cancel()
    outcome.took_s = time.monotonic() - began
    return outcome
