"""Runs `bbaj node run` as an operator would: any configuration, in any environment, to any end."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

PROGRAM = "from nodes.cli.main import main; main()"
PATIENCE_S = 20.0
POLL_S = 0.05


class RunningDaemon:
    """One daemon's process, and what it says."""

    def __init__(self, process: asyncio.subprocess.Process, output: Path) -> None:
        self.process = process
        self._output = output

    @property
    def said(self) -> str:
        """All that it has written, to both channels."""
        return self._output.read_text(encoding="utf-8", errors="replace")

    async def exit_code(self, patience_s: float = PATIENCE_S) -> int:
        """Return what it ends with by itself."""
        async with asyncio.timeout(patience_s):
            return await self.process.wait()

    async def until_said(self, text: str, patience_s: float = PATIENCE_S) -> str:
        """Return what it has said, once `text` is in it."""
        async with asyncio.timeout(patience_s):
            while text not in self.said:
                assert self.process.returncode is None, f"it ended: {self.said[-2000:]}"
                await asyncio.sleep(POLL_S)
        return self.said

    async def stop(self) -> int:
        """Tell it to end, and return its exit code."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        return await self.exit_code()


@asynccontextmanager
async def daemon(
    config: Path, *, environment: Mapping[str, str] | None = None
) -> AsyncIterator[RunningDaemon]:
    """Run a daemon beside the block, and end it after it."""
    output = config.with_suffix(".said")
    with output.open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-c", PROGRAM, "node", "run", "--config", str(config),
            stdin=asyncio.subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip
    try:
        yield RunningDaemon(process, output)
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def variant(config: Path, name: str, change: Callable[[str], str]) -> Path:
    """Write a changed copy of a configuration beside it; return where."""
    path = config.with_name(f"{name}.toml")
    text = config.read_text(encoding="utf-8")
    changed = change(text)
    assert changed != text, f"{name} changes nothing"
    path.write_text(changed, encoding="utf-8")
    return path


def replacing(pattern: str, by: str) -> Callable[[str], str]:
    """Return a change of a configuration's text, by a pattern."""
    return lambda text: re.sub(pattern, by, text, flags=re.MULTILINE)
