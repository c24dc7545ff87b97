"""A TCP proxy between a client and a broker: passes, cuts, freezes, delays, refuses, forsakes."""

import asyncio
from contextlib import suppress
from typing import Self


class Proxy:
    """Listens on a loopback port of its own; `async with` starts and ends it."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._to = (host, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self.delay_s = 0.0
        self.refuses = False
        self.accepted = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Reset every connection, as a failing line does."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def freeze(self) -> None:
        """Let nothing through, and close nothing: a line that went silent."""
        self._flows.clear()

    def thaw(self) -> None:
        self._flows.set()

    def forsake(self) -> None:
        """Let nothing through on connections that are there, ever, and say nothing to either end.

        So a router does that has forgotten them; new ones pass.
        """
        self._flows.clear()
        self._flows = asyncio.Event()
        self._flows.set()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve in a task of our own: asyncio complains of each of its own that is cancelled."""
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            writer.transport.abort()
            return
        self.accepted += 1
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._to)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        flows = self._flows
        await asyncio.gather(
            self._pass(reader, far_writer, flows), self._pass(far_reader, writer, flows)
        )

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flows: asyncio.Event
    ) -> None:
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def take() -> None:
            with suppress(OSError):
                while piece := await reader.read(65536):
                    pieces.put_nowait((loop.time() + self.delay_s, piece))
            pieces.put_nowait((loop.time(), b""))

        async with asyncio.TaskGroup() as group:
            taking = group.create_task(take())
            with suppress(OSError):
                while (due_piece := await pieces.get())[1]:
                    await asyncio.sleep(due_piece[0] - loop.time())
                    await flows.wait()
                    writer.write(due_piece[1])
                    await writer.drain()
            taking.cancel()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
