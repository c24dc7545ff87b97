"""What a relay spends on a packet, held against the figure in `recorded.json`.

One node relays from a child to its parent: bundles opened and authenticated, judged, numbered,
journaled, committed to a real PostgreSQL, noted and passed on. Everything of the node runs on one
thread, with links in memory, so that the same work is done each time.

Three figures, for no single one sees all: instructions and calls of our own Python are counted,
which no other program on the machine can disturb; the processor time is a ratio to a fixed loop of
the same kinds of work, measured in turns with it. It moves with what else the machine does, and is
there for what counts cannot see: a library that does far more within one call.
"""

import gc
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import msgspec

from hot_path import yardstick
from hot_path.relay import PACKETS, Relay

PRODUCT = Path(__file__).parents[2]
LAYERS = ("exchange", "signing", "store", "schemas")
TOLERANCE = 1.15
"""A hot path that is dearer by more than 15 % is a fault, or is recorded anew with its reason."""
BUNDLES = 3
TURNS, TURNS_MAX = 8, 32
"""So many turns are measured; more, where the ratio is too high by then: others may be loud."""
RECORDED = Path(__file__).parent / "recorded.json"


class Counts(msgspec.Struct, frozen=True):
    """What our own Python does for one packet."""

    instructions: float
    """Instructions of CPython's machine."""
    calls: float
    """Functions of other libraries and of C that are called from our code."""


class Figures(msgspec.Struct, frozen=True):
    """What is recorded, and on what."""

    instructions: float
    calls: float
    time_ratio: float
    """Processor time of PACKETS packets to that of `yardstick.run`."""
    processor: str
    python: str


class _Ours:
    """Tells our code from other people's, once for each function."""

    def __init__(self) -> None:
        self._known: dict[CodeType, bool] = {}
        self._folders = tuple(f"{PRODUCT / layer}/" for layer in LAYERS)

    def __call__(self, frame: FrameType) -> bool:
        code = frame.f_code
        known = self._known.get(code)
        if known is None:
            known = self._known[code] = code.co_filename.startswith(self._folders)
        return known


async def count(relay: Relay) -> Counts:
    """Count over three bundles, and return the medians: now and then one is cut otherwise."""
    found = [await _count_bundle(relay) for _ in range(BUNDLES)]
    return Counts(
        statistics.median(each.instructions for each in found),
        statistics.median(each.calls for each in found),
    )


async def _count_bundle(relay: Relay) -> Counts:
    frames = relay.seal()
    instructions, calls = [0], [0]
    with _counting(instructions, calls):
        await relay.pass_on(frames)
    return Counts(instructions[0] / PACKETS, calls[0] / PACKETS)


@contextmanager
def _counting(instructions: list[int], calls: list[int]) -> Iterator[None]:
    is_ours = _Ours()

    def on_instruction(_frame: FrameType, event: str, _arg: Any) -> Callable[..., Any]:
        if event == "opcode":
            instructions[0] += 1
        return on_instruction

    def on_frame(frame: FrameType, _event: str, _arg: Any) -> Callable[..., Any] | None:
        if not is_ours(frame):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return on_instruction

    def on_call(frame: FrameType, event: str, _arg: Any) -> None:
        if event == "c_call" and is_ours(frame):
            calls[0] += 1

    traced, profiled = sys.gettrace(), sys.getprofile()
    sys.settrace(on_frame)
    sys.setprofile(on_call)
    try:
        yield
    finally:
        sys.setprofile(profiled)
        sys.settrace(traced)


async def time_ratio(relay: Relay, *, enough: float = math.inf) -> float:
    """Return the shortest time of a bundle to the shortest of the yardstick, measured in turns.

    Others on the machine make a turn longer, never shorter: the more turns, the nearer to the
    truth. Above `enough`, up to TURNS_MAX are tried.
    """
    ours = rival = math.inf
    for turn in range(TURNS_MAX):
        if turn >= TURNS and ours / rival <= enough:
            break
        frames = relay.seal()
        gc.collect()
        began = time.thread_time()
        await relay.pass_on(frames)
        passed = time.thread_time()
        yardstick.run()
        ours, rival = min(ours, passed - began), min(rival, time.thread_time() - passed)
    return ours / rival


def recorded() -> Figures:
    """Return what the hot path may cost."""
    return msgspec.json.decode(RECORDED.read_bytes(), type=Figures)


def processor() -> str:
    """Return what the system says of the processor: times are compared on the same one only."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    told = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(told, "unknown")
