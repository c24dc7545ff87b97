"""A TCP relay on loopback that can cut a school off, and let it back in."""

import asyncio
import contextlib
from typing import Self

CHUNK_BYTES = 65_536


class Proxy:
    """Passes connections on to a port until it is cut."""

    def __init__(self, port: int) -> None:
        """Stand by to pass on to `port`; `async with` listens."""
        self._to = port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._is_cut = False
        self.port = 0
        self.passed_bytes = 0
        """In both directions together, so far."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self.cut()
        self._server.close()

    def cut(self) -> None:
        """Reset every connection and refuse new ones, as a failing line does."""
        self._is_cut = True
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def restore(self) -> None:
        """Take connections again."""
        self._is_cut = False

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        self._writers.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(far_writer)
        with contextlib.suppress(OSError):
            await asyncio.gather(self._pass(reader, far_writer), self._pass(far_reader, writer))
        for each in (writer, far_writer):
            each.transport.abort()
            self._writers.discard(each)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(CHUNK_BYTES):
            self.passed_bytes += len(piece)
            writer.write(piece)
            await writer.drain()
        writer.close()
