"""`bbaj bench soak`: one relay node at half of its peak, for as long as one likes.

The peak is measured first. Then frames leave every 50 ms, sealed a second ahead by a process of
its own; at half-time they begin to belong to another month, so that a partition and a key are made
while they flow. Checkpoints are signed all along. Latency is that of bundles, from the moment
that one is due until the parent has taken its last frame.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from multiprocessing import get_context
from pathlib import Path

from nodes.bench.archive_load import Progress
from nodes.bench.peer import Peer
from nodes.bench.soak_windows import Bundle, Sample, SoakResult, judge_soak
from nodes.bench.spent import resident_mb
from nodes.bench.stage import (
    RELAY,
    Stage,
    feeding,
    judge_streams,
    open_signers,
    open_stage,
    seal_frames,
    sender_keys,
    sinking,
)
from signing.keys import PacketSigner

PAYLOAD_BYTES = 1024
PEAK_PACKETS = 10_000
LOAD_SHARE = 0.5
TICKS_PER_S = 20
MONTHS = ("2026-09", "2027-02")
"""Of the frames before half-time and after it."""
WAIT_S = 300.0

_signers: dict[str, PacketSigner] = {}
"""Of the sealing process."""


async def run_soak(*, minutes: int, on_progress: Progress) -> SoakResult:
    """Measure; raise JudgementFailed where the record disagrees with what was sent."""
    async with open_stage() as stage:
        await stage.network.start(RELAY)
        process = stage.network.nodes[RELAY].process
        assert process is not None
        keys = sender_keys(stage)
        certificates = [signer.certificate for signer in open_signers(keys).values()]
        with ProcessPoolExecutor(1, get_context("spawn"), _open, (keys,)) as sealer:
            async with feeding(stage), sinking(stage):
                load = _Load(stage, sealer, process.pid)
                peak = await load.measure_peak(certificates)
                rate = int(peak * LOAD_SHARE)
                await load.offer(rate, 60 * minutes, on_progress)
        await stage.network.stop(RELAY)
        leaves = await judge_streams(stage, load.sent)
    return judge_soak(
        load.samples, load.bundles, minutes=minutes, peak=peak, offered=rate, leaves=leaves
    )


def _open(keys: dict[str, Path]) -> None:
    _signers.update(open_signers(keys))


def _seal(first: int, count: int, month: str) -> list[bytes]:
    return seal_frames(_signers, count, PAYLOAD_BYTES, first=first, period=month)


class _Load:
    """Feeds the stage, and keeps when what came out of it."""

    def __init__(self, stage: Stage, sealer: ProcessPoolExecutor, pid: int) -> None:
        self.sent = 0
        self.samples: list[Sample] = []
        self.bundles: list[Bundle] = []
        self._feeder: Peer = stage.feeder
        self._sink: Peer = stage.sink
        self._sealer = sealer
        self._pid = pid
        self._under_way: deque[tuple[int, float]] = deque()

    async def measure_peak(self, certificates: list[bytes]) -> float:
        """Return the packets a second of the second of two bursts; the first warms up."""
        rate = 0.0
        for bring in (certificates, []):
            frames = await self._sealed(self.sent, PEAK_PACKETS, MONTHS[0])
            began = time.perf_counter()
            await self._send(frames, bring, began)
            await self._settled()
            rate = PEAK_PACKETS / (time.perf_counter() - began)
        return rate

    async def offer(self, rate: int, seconds: int, on_progress: Progress) -> None:
        """Send so many packets a second, evenly, and sample what comes of it each second."""
        frames = await self._sealed(self.sent, rate, MONTHS[0])
        began = time.perf_counter()
        async with self._watching(began):
            for second in range(1, seconds + 1):
                async with asyncio.TaskGroup() as tasks:
                    month = MONTHS[second >= seconds / 2]
                    ahead = tasks.create_task(self._sealed(self.sent + rate, rate, month))
                    await self._send_evenly(frames, began + second - 1)
                frames = ahead.result()
                self.samples.append(self._sample(began))
                on_progress("seconds", second, seconds)
            await self._settled()

    async def _send_evenly(self, frames: list[bytes], begins: float) -> None:
        """Spread frames over the second that begins then; what is late goes in larger bundles.

        Late frames count from when they were due: a node that keeps the feeder waiting is slow.
        """
        sent = 0
        while sent < len(frames):
            due_s = begins + sent / len(frames) + 1 / TICKS_PER_S
            await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
            end = round(len(frames) * min(1.0, max(due_s, time.perf_counter()) - begins))
            await self._send(frames[sent:end], [], due_s)
            sent = end

    async def _sealed(self, first: int, count: int, month: str) -> list[bytes]:
        """Return new frames from number `first` on, sealed by the process beside us."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._sealer, _seal, first, count, month)

    async def _send(self, frames: list[bytes], certificates: list[bytes], due_s: float) -> None:
        self.sent += len(frames)
        self._under_way.append((self.sent, due_s))
        await self._feeder.send_all(frames, certificates)

    async def _settled(self) -> None:
        async with asyncio.timeout(WAIT_S):
            await self._sink.until(taken=self.sent)
            await self._feeder.until(noted=self.sent)

    @asynccontextmanager
    async def _watching(self, began: float) -> AsyncIterator[None]:
        """Note how long each bundle took, while the body runs."""
        self._under_way.clear()
        self.samples.append(self._sample(began))
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(self._watch(began))
            yield
            watch.cancel()

    def _sample(self, began: float) -> Sample:
        return Sample(time.perf_counter() - began, self._sink.taken, resident_mb(self._pid))

    async def _watch(self, began: float) -> None:
        while True:
            self._sink.progress.clear()
            await self._sink.progress.wait()
            at = time.perf_counter()
            while self._under_way and self._under_way[0][0] <= self._sink.taken:
                _, due = self._under_way.popleft()
                self.bundles.append(Bundle(due - began, 1000 * (at - due)))
