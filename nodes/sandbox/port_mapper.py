"""Erlang's port mapper (epmd), one of our own: a broker would start one that outlives it."""

import asyncio
import signal
from pathlib import Path

from nodes.errors import ServiceDown
from nodes.sandbox.processes import end, spawn, wait_for_port

OPEN_S = 10.0


class PortMapper:
    """Tells the nodes of one broker or one cluster, and their commands, where each listens."""

    def __init__(self, folder: Path, port: int) -> None:
        """Stand by to listen at a loopback port; its log goes into `folder`."""
        self.port = port
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it where it does not run. Raises ServiceDown."""
        if self._process is not None and self._process.returncode is None:
            return
        log = self._folder / "epmd.log"
        self._process = await spawn(
            ["/usr/bin/env", "epmd", "-address", "127.0.0.1", "-port", str(self.port)],
            environment={"PATH": "/usr/bin:/bin", "HOME": str(self._folder)},
            folder=self._folder,
            log=log,
        )
        if not await wait_for_port(self.port, self._process, OPEN_S):
            raise ServiceDown(f"epmd is not up after {OPEN_S:.0f} s: see {log}")

    async def stop(self) -> None:
        """End it; brokers that still run no longer find each other."""
        if self._process is not None:
            await end(self._process, signal.SIGTERM)
            self._process = None
