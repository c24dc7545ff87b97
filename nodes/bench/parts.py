"""`bbaj bench parts`: a large file in parts over a relay, and what it costs each node in memory.

    LEAF --a line that is cut in the middle--> RELAY --> REPUBLIC, and the receipt all the way back

The file is random, so nothing compresses. `bbaj send` hands it over, `bbaj inbox take` writes it
out at the end, and its digest is compared. A part counts as sent again where its entry reached the
relay once it had been taken, and where it was placed in the stream a second time.
"""

import asyncio
import hashlib
import os
import re
import time
import urllib.request
from pathlib import Path

import msgspec

from nodes.bench.archive_load import Progress
from nodes.bench.leaf_door import judge_held
from nodes.bench.running import Running, running
from nodes.bench.spent import Meter, resident_mb, resident_most_mb
from nodes.demo.commands import bbaj
from nodes.errors import JudgementFailed
from nodes.sandbox.network import NodeSpec
from nodes.wiring import database_url
from schemas.documents.registry import DOCUMENT_FILE
from schemas.limits import PART_CONTENT_BYTES
from store.postgres import PostgresArchive
from store.reading import Reading

REPUBLIC, RELAY, LEAF = "kz", "kz.zhambyl", "kz.zhambyl.taraz"
PLACES = {"sender": LEAF, "relay": RELAY, "recipient": REPUBLIC}
SECTION = "S06"
MB = 1_000_000
WAIT_S = 900
POLL_S = 0.05
OTHER_FRAMES = 3
"""Of the exchange: manifest, receipt, closing."""
MANIFESTS = 1
_AGAIN = rf'^bbaj_entries_again_total{{neighbour="{LEAF}"}} (\S+)$'


class PartsResult(msgspec.Struct, frozen=True):
    """What `--json` prints; megabytes are of 1,000,000 bytes, but those of memory."""

    file_mb: int
    parts: int
    handed_over_s: float
    """Until `bbaj send` has committed them all."""
    seconds: float
    """From there to delivered, the cut included."""
    mb_per_second: float
    """In these seconds."""
    cut_at_part: int
    """So many frames had reached the relay when the sender's line was cut."""
    parts_again: int
    memory_mb: dict[str, float]
    """The most that each daemon had beyond what it had idle before."""
    memory_most_mb: float
    cpu_ms: dict[str, float]
    """Processor time of each service for one part."""


async def run_parts(*, file_mb: int, on_progress: Progress) -> PartsResult:
    """Measure. Raises JudgementFailed where the file is not whole, or a record disagrees."""
    specs = [NodeSpec(address) for address in PLACES.values()]
    served = [REPUBLIC, RELAY]
    async with running(specs, served=served, authorities=[REPUBLIC], cuttable=LEAF) as services:
        nodes = services.network.nodes
        path = services.network.folder / "file.bin"
        sha256 = await asyncio.to_thread(_write, path, file_mb)
        parts = -(-file_mb * MB // PART_CONTENT_BYTES)
        idle = {place: resident_mb(services.pid_of(PLACES[place])) for place in PLACES}
        meter = Meter(services.services())
        began = time.perf_counter()
        await bbaj(
            "send", str(path), "--type", DOCUMENT_FILE, "--to", REPUBLIC, "--section", SECTION,
            "--config", str(nodes[LEAF].config_path),
        )  # fmt: skip
        handed_over = time.perf_counter()
        cut_at = await _frames(services, RELAY, parts // 2, parts, on_progress)
        assert services.proxy is not None, "the line was asked for"
        services.proxy.cut()
        services.proxy.restore()
        await _frames(services, LEAF, parts + OTHER_FRAMES, parts, on_progress)
        ended = time.perf_counter()
        spent = meter.spent_s()
        await judge_held(services, list(PLACES.values()), parts + OTHER_FRAMES)
        grown = {
            place: round(resident_most_mb(services.pid_of(address)) - idle[place], 1)
            for place, address in PLACES.items()
        }
        await _judge_file(services, path.parent, sha256)
        again = await asyncio.to_thread(_came_again, nodes[RELAY].http_port)
        again += await _placed_again(services, parts)
    return PartsResult(
        file_mb=file_mb,
        parts=parts,
        handed_over_s=round(handed_over - began, 1),
        seconds=round(ended - handed_over, 1),
        mb_per_second=round(file_mb / (ended - handed_over), 2),
        cut_at_part=cut_at,
        parts_again=again,
        memory_mb=grown,
        memory_most_mb=max(grown.values()),
        cpu_ms={name: round(1000 * each / parts, 2) for name, each in spent.items()},
    )


def _write(path: Path, file_mb: int) -> str:
    """Write a random file; return its SHA-256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(file_mb):
            block = os.urandom(MB)
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


async def _frames(
    services: Running, address: str, wanted: int, parts: int, on_progress: Progress
) -> int:
    """Wait until a node's record has so many frames; return how many it has then."""
    deadline = time.monotonic() + WAIT_S
    async with Reading(database_url(services.network.nodes[address].config())) as desk:
        while (count := (await desk.gauges()).last_frame) < wanted:
            if time.monotonic() > deadline:
                raise JudgementFailed(f"{address} has {count} of {wanted} frames after {WAIT_S} s")
            on_progress("parts", min(count, parts), parts)
            await asyncio.sleep(POLL_S)
    return count


async def _judge_file(services: Running, folder: Path, sha256: str) -> None:
    """Take the file out, and compare it. Raises JudgementFailed."""
    config = str(services.network.nodes[REPUBLIC].config_path)
    (taken,) = await bbaj("inbox", "take", "--to", str(folder), "--config", config)
    if await asyncio.to_thread(_digest_of, Path(taken["path"])) != sha256:
        raise JudgementFailed("the file that was taken out is not the one that was sent")


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _came_again(port: int) -> int:
    """Return how many entries the relay has had from the leaf once they had been taken."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        found = re.findall(_AGAIN, answer.read().decode(), re.MULTILINE)
    return sum(int(float(count)) for count in found)


async def _placed_again(services: Running, parts: int) -> int:
    """Stop the leaf; return how many entries it has placed beyond one for each frame."""
    await services.network.stop(LEAF)
    archive = PostgresArchive(database_url(services.network.nodes[LEAF].config()))
    try:
        position = await archive.open()
    finally:
        await archive.close()
    return position.outgoing[f"{RELAY}/bulk"].number - (parts + MANIFESTS)
