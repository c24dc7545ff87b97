"""The table of all figures, and the slow line that one of them is measured on."""

import asyncio
import time
from contextlib import suppress

import pytest

from nodes.bench.goals import judge
from nodes.bench.whole import GOALS, WholeResult
from nodes.cli.bench_tables import whole
from nodes.cli.output import console_to
from nodes.sandbox.line import Line
from nodes.texts import text
from schemas.codes import Language


@pytest.mark.parametrize("language", Language)
def test_each_row_has_its_name_goal_and_verdict(language, monkeypatch):
    """A goal that is missed is said so, in the language spoken."""
    monkeypatch.setenv("BBAJ_LANG", language.value)
    figures = dict.fromkeys(GOALS, 1.0)
    result = WholeResult({"cpus": 2}, judge(figures, GOALS), {})
    console = console_to(stderr=False)
    with console.capture() as captured:
        for part in whole(result):
            console.print(part)
    lines = {" ".join(line.split()) for line in captured.get().splitlines()}
    least, most = (text(f"bench.{each}", language, bound="{}") for each in ("least", "most"))
    missed, reached = (text(f"bench.{each}", language) for each in ("missed", "reached"))
    for name, goal, bound, verdict in (
        ("hop_1kb_bare", least, "3", missed),
        ("line_share", least, "0.85", reached),
        ("tiers_median_ms", most, "150", reached),
    ):
        row = text(f"bench.rows.{name}", language)
        assert f"{row} 1.0 {goal.format(bound)} {verdict}" in lines


@pytest.fixture
async def echo():
    """Serve a port that sends everything back; return its number."""

    async def answer(reader, writer):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def test_a_line_carries_no_more_than_it_can(echo):
    """Connections share its capacity; a byte needs the round trip; what is sent comes back."""
    async with Line(echo, bytes_per_s=200_000, round_trip_s=0.1) as line:
        began = time.monotonic()

        async def talk(size):
            reader, writer = await asyncio.open_connection("127.0.0.1", line.port)
            writer.write(bytes(size))
            assert await reader.readexactly(size) == bytes(size)
            writer.close()
            return time.monotonic() - began

        assert await talk(1) >= 0.1
        began = time.monotonic()
        took = await asyncio.gather(talk(50_000), talk(50_000))
        assert max(took) >= 100_000 / 200_000 + 0.1


async def test_a_line_to_nowhere_ends_its_connections(unused_tcp_port_factory):
    """Who calls is hung up on, as a broker that is down would."""
    async with Line(unused_tcp_port_factory(), bytes_per_s=1e6, round_trip_s=0) as line:
        reader, writer = await asyncio.open_connection("127.0.0.1", line.port)
        with suppress(ConnectionError):
            assert await reader.read(1) == b""
        writer.close()
