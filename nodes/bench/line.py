"""`bbaj bench line`: a leaf at the end of a slow line, with more to send than it takes.

    LEAF --128 kbit/s, 700 ms there and back--> broker --> PARENT

Files are handed over all at once; while they go, an order is dropped behind them, and attendance,
which travels in the fast lane. The share of the line is what the frames that the parent took
amount to, against what the line could have carried from the first of them to the last.
"""

import asyncio
import os
import time

import msgspec

from nodes.bench.archive_load import Progress
from nodes.bench.exchanges import document
from nodes.bench.leaf_door import LeafDoor, Letter, judge_closed
from nodes.bench.running import SlowLine, running
from nodes.errors import JudgementFailed
from nodes.samples import tiny
from nodes.sandbox.network import NodeSpec
from nodes.wiring import database_url
from schemas.documents.registry import ADMIN_ORDER, ATTENDANCE_DAILY, DOCUMENT_FILE
from store.reading import Filters, Reading

PARENT, LEAF = "kz", "kz.zhambyl"
LINE = SlowLine(LEAF, bytes_per_s=16_000, round_trip_s=0.7)
FILE_BYTES = 20_000
ORDER_BYTES = 1000
SECTION = "S06"
WAIT_S = 900
POLL_S = 0.05


class LineResult(msgspec.Struct, frozen=True):
    """What `--json` prints."""

    files: int
    file_bytes: int
    line_bytes_per_s: int
    round_trip_ms: int
    frames_share: float
    """Of the line's capacity, from the first frame taken to the last."""
    order_s: float
    """From the drop, behind all files, to delivered."""
    fast_s: float
    """The same of attendance, in the fast lane."""


async def run_line(*, files: int, on_progress: Progress) -> LineResult:
    """Measure; raise JudgementFailed where a document does not come to its end."""
    specs = [NodeSpec(PARENT), NodeSpec(LEAF)]
    async with running(specs, served=[PARENT], authorities=[PARENT], line=LINE) as services:
        nodes = services.network.nodes
        async with (
            LeafDoor(nodes[LEAF].config(), wait_s=WAIT_S) as door,
            Reading(database_url(nodes[PARENT].config())) as desk,
        ):
            await door.delivered_ms(await door.drop(_fast(0)))
            before, _ = await _taken(desk)
            for _ in range(files):
                await door.drop(Letter(DOCUMENT_FILE, PARENT, os.urandom(FILE_BYTES), SECTION))
            began, at_first = await _until(desk, before + 1)
            on_progress("packets", 0, files)
            late = [await door.drop(_order()), await door.drop(_fast(1))]
            ended, at_last = await _until(desk, before + files + len(late))
            order_ms, fast_ms = [await door.delivered_ms(row) for row in late]
            on_progress("packets", files, files)
        await judge_closed(services, [PARENT, LEAF], 1 + files + len(late))
    return LineResult(
        files=files,
        file_bytes=FILE_BYTES,
        line_bytes_per_s=LINE.bytes_per_s,
        round_trip_ms=round(LINE.round_trip_s * 1000),
        frames_share=round((at_last - at_first) / (ended - began) / LINE.bytes_per_s, 3),
        order_s=round(order_ms / 1000, 1),
        fast_s=round(fast_ms / 1000, 1),
    )


async def _until(desk: Reading, documents: int) -> tuple[float, int]:
    """Wait until the parent has taken so many documents; return the moment, and bytes of frames."""
    deadline = time.monotonic() + WAIT_S
    while True:
        count, size = await _taken(desk)
        if count >= documents:
            return time.monotonic(), size
        if time.monotonic() > deadline:
            raise JudgementFailed(f"{count} of {documents} documents after {WAIT_S} s")
        await asyncio.sleep(POLL_S)


async def _taken(desk: Reading) -> tuple[int, int]:
    """Return how many of the leaf's documents the parent has, and the bytes of all its frames."""
    page = await desk.list_packets(Filters(), limit=10_000)
    came = [each.packet for each in page.packets if each.packet.sender == LEAF]
    documents = {DOCUMENT_FILE, ADMIN_ORDER, ATTENDANCE_DAILY}
    return sum(each.type in documents for each in came), sum(each.size for each in came)


def _order() -> Letter:
    return Letter(ADMIN_ORDER, PARENT, document("clear", 1, ORDER_BYTES, LEAF), SECTION)


def _fast(number: int) -> Letter:
    return Letter(ATTENDANCE_DAILY, PARENT, tiny(number))
