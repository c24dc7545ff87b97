"""The port `Archive` over a record in memory: time passes, the database fails, commits are lost.

What is durable is what `commit` has put into the record; a life that ends leaves nothing else.
"""

import asyncio
import copy
from collections.abc import Callable
from typing import Any

from schemas.errors import OutcomeUnknown
from schemas.records import Changes, Committed, Position
from simulation.reads_evidence import EvidenceReads
from simulation.reads_frames import FrameReads
from simulation.reads_registry import RegistryReads
from store.errors import StoreUnavailable

COMMIT_S = 0.02
"""A commit takes up to so long."""


class Database(FrameReads, RegistryReads, EvidenceReads):
    """One node's record, with all that reads it."""


Call = tuple[str, tuple[Any, ...], Any]
"""A method of the port, its arguments, and what it returned."""


class Server:
    """What keeps a record: it outlives the daemon, and has moods of its own."""

    def __init__(self, record: Database) -> None:
        self.record = record
        self.is_up = asyncio.Event()
        self.is_up.set()
        self.calls: list[Call] | None = None
        """What was asked and answered, where somebody wants to know."""
        self.commit_fault: str | None = None
        """What befalls the next commit: `refused`, `unheard` (done) or `torn` (not done)."""


class SimulatedArchive:
    """One life's connection; every method of the port that is not here is a read of the record."""

    def __init__(self, server: Server, port: Any) -> None:
        """`port` is the life that calls: it says how long things take, and where it ends."""
        self._server = server
        self._port = port
        self._is_open = False

    @property
    def epoch(self) -> int:
        return self._server.record.epoch

    async def open(self, *, wait: bool = False) -> Position:
        assert wait, "a daemon waits for the life before"
        await self._server.is_up.wait()  # the daemon asks each second: no need to watch it do so
        self._is_open = True
        return self._told("open", (), self._server.record.position())

    async def close(self) -> None:
        self._is_open = False

    async def commit(self, changes: Changes) -> Committed:
        self._check()
        await self._port.effect("commit begins")
        await self._port.pause(COMMIT_S)
        self._check()
        fault, self._server.commit_fault = self._server.commit_fault, None
        if fault == "refused":
            raise StoreUnavailable("commit: no room (simulated)")
        if fault == "torn":
            await self._lose("commit: connection lost before it was done (simulated)")
        committed = self._server.record.commit(changes)
        self._told("commit", (changes,), committed)
        self._port.stored(changes, committed)
        if fault == "unheard":
            await self._lose("commit: connection lost after it was done (simulated)")
        await self._port.effect("commit done")
        return committed

    async def _lose(self, why: str) -> None:
        await self.close()
        raise OutcomeUnknown(why)

    def wake_on_drop(self, wake: Callable[[], None]) -> None:
        self._port.on_drop = wake

    def grow_second_log(self, size: int) -> Any:
        return self._server.record.grow_second_log(size)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        read = getattr(self._server.record, name)

        async def call(*args: Any, **options: Any) -> Any:
            self._check()
            if self._port.chance.random() < 0.2:
                await asyncio.sleep(self._port.chance.random() * COMMIT_S / 4)
                self._check()
            return self._told(name, args, read(*args, **options))

        return call

    def _told(self, name: str, args: tuple[Any, ...], answer: Any) -> Any:
        if self._server.calls is not None:
            self._server.calls.append((name, copy.copy(args), copy.copy(answer)))
        return answer

    def _check_server(self) -> None:
        if not self._server.is_up.is_set():
            raise StoreUnavailable("the database is down (simulated)")

    def _check(self) -> None:
        if not self._is_open:
            raise OutcomeUnknown("the archive is not open: call open() first")
        self._check_server()
