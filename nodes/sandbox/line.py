"""A slow line to a loopback port: so many bits a second each way, and a delay; nothing is lost.

All connections share it, as they share a modem. What the line cannot take yet stays with who
sends it: nothing piles up in here.
"""

import asyncio
import socket
from contextlib import suppress
from typing import Self

PIECE_BYTES = 1400
"""About a packet of Ethernet: what one connection sends before another has its turn."""
HELD_BYTES = 16 * 1024
"""Of each socket's buffer towards us, so that senders keep what waits, as on a real line."""


class Line:
    """Listens on a loopback port of its own; `async with` starts and ends it."""

    def __init__(self, port: int, *, bytes_per_s: float, round_trip_s: float) -> None:
        """Stand by to lead to `port`."""
        self._to = port
        self._delay_s = round_trip_s / 2
        self._ways = {end: _Way(bytes_per_s) for end in ("out", "back")}
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, HELD_BYTES)
        self._server = await asyncio.start_server(self._accept, sock=listening, limit=HELD_BYTES)
        self.port: int = listening.getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        far = socket.socket()
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, HELD_BYTES)
        far.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(far, ("127.0.0.1", self._to))
        except OSError:
            far.close()
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection(sock=far, limit=HELD_BYTES)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pass(reader, far_writer, self._ways["out"]))
                tasks.create_task(self._pass(far_reader, writer, self._ways["back"]))
        finally:
            for each in (writer, far_writer):
                each.transport.abort()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: "_Way"
    ) -> None:
        """Pass on what comes, each piece a delay after the line has taken it."""
        loop = asyncio.get_running_loop()
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def take() -> None:
            with suppress(OSError):
                while piece := await reader.read(PIECE_BYTES):
                    await way.carry(len(piece))
                    under_way.put_nowait((loop.time() + self._delay_s, piece))
            under_way.put_nowait((loop.time() + self._delay_s, b""))

        async def bring() -> None:
            with suppress(OSError):
                while True:
                    due, piece = await under_way.get()
                    await asyncio.sleep(due - loop.time())
                    if not piece:
                        break
                    writer.write(piece)
                    await writer.drain()
                writer.close()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(take())
            tasks.create_task(bring())


class _Way:
    """One direction of the line; connections take turns, in the order of their asking."""

    def __init__(self, bytes_per_s: float) -> None:
        self._bytes_per_s = bytes_per_s
        self._turn = asyncio.Lock()
        self._free_at = 0.0

    async def carry(self, size: int) -> None:
        """Return when the line has taken so many bytes; it is never late, however late we are."""
        async with self._turn:
            at = asyncio.get_running_loop().time()
            self._free_at = max(self._free_at, at) + size / self._bytes_per_s
            await asyncio.sleep(self._free_at - at)
