"""`make hot-path`: measures the hot path and records it; the difference is for the review."""

import asyncio
import platform
import sys
import tempfile
from pathlib import Path

import msgspec

from hot_path.measuring import RECORDED, Figures, count, processor, time_ratio
from hot_path.relay import private_relay


async def _measure() -> Figures:
    with tempfile.TemporaryDirectory() as name:
        async with private_relay(Path(name)) as relay:
            await relay.pass_on(relay.seal())
            counts = await count(relay)
            ratio = await time_ratio(relay, enough=0)
    return Figures(
        instructions=round(counts.instructions, 1),
        calls=round(counts.calls, 1),
        time_ratio=round(ratio, 3),
        processor=processor(),
        python=platform.python_version(),
    )


if __name__ == "__main__":
    figures = msgspec.json.format(msgspec.json.encode(asyncio.run(_measure())))
    RECORDED.write_bytes(figures + b"\n")
    sys.stdout.write(f"{figures.decode()}\n")
