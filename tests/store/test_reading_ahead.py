"""Lots that are read ahead: in order, one under way, errors where they belong."""

import asyncio
from contextlib import aclosing

import pytest

from store.merkle import Span
from store.reading_ahead import in_lots

SPANS = [Span(0, 5), Span(8, 10)]
LOTS = [(0, 2), (2, 4), (4, 5), (8, 10)]


async def test_lots_come_in_order_while_the_next_is_fetched():
    """Each lot ends with its span; when one is looked at, the next has been asked for."""
    asked = []

    async def fetch(first, end):
        asked.append((first, end))
        await asyncio.sleep(0)
        return f"rows {first}"

    seen = []
    async with aclosing(in_lots(SPANS, 2, fetch)) as lots:
        async for first, end, rows in lots:
            seen.append((first, end))
            assert rows == f"rows {first}"
            assert asked == LOTS[: len(seen) + 1]
    assert seen == LOTS


async def test_an_error_comes_out_at_its_lot():
    """What was read before it has been looked at by then."""

    async def fetch(first, end):
        if first:
            raise OSError(f"cut at {first}")
        return end

    async with aclosing(in_lots(SPANS, 2, fetch)) as lots:
        assert await anext(lots) == (0, 2, 2)
        with pytest.raises(OSError, match="cut at 2"):
            await anext(lots)


async def test_who_leaves_early_leaves_nothing_under_way():
    """The lot that was being fetched is given up."""
    given_up = asyncio.Event()

    async def fetch(first, _end):
        if first:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                given_up.set()
                raise
        return first

    async with aclosing(in_lots(SPANS, 2, fetch)) as lots:
        async for _ in lots:
            break
    async with asyncio.timeout(5):
        await given_up.wait()
